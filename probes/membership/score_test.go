package membership

import (
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/trace"
)

func near(t *testing.T, name string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tol {
		t.Errorf("%s = %.12g, want %.12g within %g", name, got, want, tol)
	}
}

// toy is the six-token document of the trace tests; position 0 is not scored.
func toy() *Item {
	nan := float32(math.NaN())
	t := trace.Tokens{
		Pos: []int32{0, 1, 2, 3, 4, 5}, Window: []int32{-1, 0, 0, 0, 0, 0}, ID: []int32{1, 0, 3, 2, 1, 2}, Ctx: []int32{-1, 1, 2, 3, 4, 5},
		ByteOff: []int64{0, 2, 4, 6, 8, 10}, ByteLen: []int32{2, 2, 2, 2, 2, 2}, Scored: []bool{false, true, true, true, true, true},
		Logprob:       []float32{nan, -.356674944, -1.609437912, -2.995732274, -1.203972804, -.030459207},
		Entropy:       []float32{nan, .914285581, 1.366158848, .428048275, 1.279854226, .167700537},
		SD:            []float32{nan, .878580574, .198636525, .974906637, .425348900, .780387233},
		Rank:          []int32{-1, 0, 2, 1, 1, 0},
		ArgmaxID:      []int32{-1, 0, 0, 1, 0, 2},
		ArgmaxLogprob: []float32{nan, -.356674944, -1.203972804, -.105360516, -.916290732, -.030459207},
		UMean:         []float32{nan, -1.888028074, -1.406705358, -2.629918423, -1.508071635, -3.461492441},
		USD:           []float32{nan, 1.117137889, .234095389, 1.724287421, .601167612, 2.287355489},
	}
	d := trace.TextDoc(0, "toy", []byte("bbaaddccbbcc"))
	d.Status, d.Tokens, d.Scored, d.Greedy, d.SumLogprob = trace.StatusOK, 6, 5, 2, -6.196277214214206
	return &Item{Doc: d, Tok: t}
}

func evalAll(t *testing.T, in *Item, list string) map[string]float64 {
	t.Helper()
	ss, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, s := range ss {
		raw, dir, st := s.Eval(in)
		if st != "" {
			raw = math.NaN()
		}
		out[s.Name()] = raw * float64(dir)
	}
	return out
}

func TestToyScores(t *testing.T) {
	// numpy 2.4 and Python zlib 1.2.13 on the float64 rows; stored values are float32.
	in := toy()
	got := evalAll(t, in, "loss,zlib,zlib:char,zlib:bits,mink:.1,mink,mink:.4,mink:.6,minkpp,minkpp:.4,minkpp:1,minkpp:plain,minkpp:plain:.4,rank,logrank,surp,surp:.6,surp:.3,dyn:slope,dyn:below,dyn:div,dyn:cut")
	for name, want := range map[string]float64{
		"loss": -1.239255428, "zlib": -.061962771, "zlib:char": -.743553257, "zlib:bits": -.055870864,
		"mink:0.1": -2.995732274, "mink:0.2": -2.995732274, "mink:0.4": -2.302585093, "mink:0.6": -1.936380997,
		"minkpp:0.2": -2.633774253, "minkpp:0.4": -1.929259562, "minkpp:1": -.573917155,
		"minkpp:plain:0.2": -.866025404, "minkpp:plain:0.4": -.539089521, "rank": -1.8, "logrank": -.496981330,
		"surp:2": -2.302585093, "surp:0.6": -2.995732274,
		"dyn:slope": .105789658, "dyn:below": .5, "dyn:div": -1.549069285, "dyn:cut": -1.239255428,
	} {
		near(t, name, got[name], want, 1e-6)
	}
	if !math.IsNaN(got["surp:0.3"]) {
		t.Errorf("surp:0.3 = %v, want undefined", got["surp:0.3"])
	}
	z := in.rows().sortedZ(in.Tok)
	for i, want := range []float64{-2.633774253, -1.224744871, .175863115, .178398067, .634672168} {
		near(t, "z", z[i], want, 2e-6)
	}
}

func TestToyReference(t *testing.T) {
	in := toy()
	ref := Reference{Doc: in.Doc, SameTokenizer: true, Tok: in.Tok}
	nan := float32(math.NaN())
	ref.Tok.Logprob = []float32{nan, -.5, -1.2, -2, -1.5, -.2}
	ref.Doc.SumLogprob = -5.4
	in.Ref = []Reference{ref}
	got := evalAll(t, in, "ref,ref:ratio,ref:bits,wbc,ez")
	for name, want := range map[string]float64{"ref": -.159255428, "ref:ratio": .871491038, "wbc": .0625, "ez": .174011081,
		"ref:bits": (5.4 - 6.196277214) / (12 * math.Ln2)} {
		near(t, name, got[name], want, 1e-6)
	}
	// Another tokenizer: only bits per byte compare.
	in.Ref[0].SameTokenizer = false
	got = evalAll(t, in, "ref,ref:ratio,ref:bits")
	if !math.IsNaN(got["ref"]) || !math.IsNaN(got["ref:ratio"]) || math.IsNaN(got["ref:bits"]) {
		t.Errorf("other tokenizer: %v", got)
	}
	// The second of two references.
	in.Ref = []Reference{{}, ref}
	near(t, "ref@2", evalAll(t, in, "ref@2")["ref@2"], -.159255428, 1e-6)
}

func TestToyCounts(t *testing.T) {
	in := toy()
	in.Counts = NewCounts([]int64{50, 30, 15, 5})
	for name, want := range map[string]float64{"dcpdd": .01, "dcpdd:.1": .098397527, "dcpdd:.5": .363876726, "dcpdd:+Inf": .381508297} {
		for _, v := range evalAll(t, in, name) {
			near(t, name, v, want, 1e-6)
		}
	}
	if _, clipped, _ := dcpdd(in, .01); clipped != 1 {
		t.Errorf("clipped share %v, want 1", clipped)
	}
	in.Counts = NewCounts([]int64{1, 1})
	if v := evalAll(t, in, "dcpdd")["dcpdd:0.01"]; !math.IsNaN(v) {
		t.Errorf("id outside the counts: %v, want undefined", v)
	}
}

func TestContextScores(t *testing.T) {
	doc := func(mean float64, n int32) *trace.Doc { return &trace.Doc{Scored: n, SumLogprob: mean * float64(n)} }
	in := &Item{Doc: *doc(-2.10, 20), Shots: doc(-2.31, 20), MemberShots: doc(-2.0, 20), Changed: .8, Self: doc(-.5, 20)}
	in.Neighbours = []trace.Doc{*doc(-2.5, 20), *doc(-2.3, 18), {}}
	got := evalAll(t, in, "recall,recall:diff,conrecall,neigh,dyn:rep")
	near(t, "recall", got["recall"], 1.1, 1e-9)
	near(t, "recall:diff", got["recall:diff"], .21, 1e-9)
	near(t, "conrecall", got["conrecall"], .31/2.1, 1e-9)
	near(t, "neigh", got["neigh"], -2.1+2.4, 1e-9) // the unscored neighbour is left out
	near(t, "dyn:rep", got["dyn:rep"], -1.6, 1e-9)
	in = &Item{Doc: *doc(-1.5, 20), Lower: doc(-1.9, 25), Changed: .8}
	near(t, "lower", evalAll(t, in, "lower")["lower"], 1.266666667, 1e-9)
	in.Changed = .04
	if v := evalAll(t, in, "lower")["lower"]; !math.IsNaN(v) {
		t.Errorf("lower with 4 %% of letters changed: %v, want undefined", v)
	}
}

func TestShare(t *testing.T) {
	// Exact products; binary floating point falls just below them.
	for _, c := range []struct {
		k    float64
		t, n int
	}{{.7, 90, 63}, {.29, 100, 29}, {.2, 4, 1}, {.1, 5, 1}, {1, 7, 7}, {.2, 1, 1}} {
		if got := share(c.k, c.t); got != c.n {
			t.Errorf("share(%v, %d) = %d, want %d", c.k, c.t, got, c.n)
		}
	}
}

func TestPAC(t *testing.T) {
	// By hand: 20 rows, best 1 minus mean of worst 6.
	in := func(l ...float32) trace.Tokens {
		n := len(l)
		t := trace.Tokens{Logprob: l, Scored: make([]bool, n), Pos: make([]int32, n)}
		for i := range t.Scored {
			t.Scored[i] = true
		}
		return t
	}
	var base, swap []float32
	for i := range 20 {
		base = append(base, -float32(i))
		swap = append(swap, -2*float32(i))
	}
	it := &Item{Doc: trace.Doc{Scored: 20, SumLogprob: -190}, Tok: in(base...), Swaps: []trace.Tokens{in(swap...), in(swap...)}}
	near(t, "pac", evalAll(t, it, "pac")["pac"], 33-16.5, 1e-9)
}

func TestUndefinedIsARow(t *testing.T) {
	in := &Item{Doc: trace.Doc{Status: trace.StatusNoTokens}}
	for _, f := range families() {
		name := strings.Split(f.Name, ":")[0]
		if name == "dyn" {
			name = "dyn:slope"
		}
		ss, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		raw, _, st := ss[0].Eval(in)
		if st != trace.StatusNoTokens || !math.IsNaN(raw) {
			t.Errorf("%s of an empty document: %v, %q", name, raw, st)
		}
	}
	// A one-token document with a constant distribution: z is 0 and counted.
	one := &Item{Doc: trace.Doc{Scored: 1, SumLogprob: -2}, Tok: trace.Tokens{
		Pos: []int32{0}, Scored: []bool{true}, Logprob: []float32{-2}, Entropy: []float32{2}, SD: []float32{0}, Rank: []int32{3}}}
	near(t, "flat z", evalAll(t, one, "minkpp")["minkpp:0.2"], 0, 0)
	if one.rows().degenerate != 1 {
		t.Errorf("degenerate rows %d, want 1", one.rows().degenerate)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, list := range []string{"", "los", "mink:0", "mink:1.1", "mink:x", "mink:.1:.2", "loss:x", "loss,loss", "mink,mink:0.2", "zlib:go", "ref@0", "loss@2", "dcpdd:-1", "dyn", "dyn:up", "surp:0"} {
		if _, err := Parse(list); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("Parse(%q): %v, want a usage fault", list, err)
		}
	}
	ss, err := Parse(Must)
	if err != nil || len(ss) != 9 {
		t.Errorf("Parse(Must): %d scores, %v", len(ss), err)
	}
}

func TestCompactMode(t *testing.T) {
	full := toy()
	ss, _ := Parse("mink,loss")
	in := &Item{Doc: full.Doc}
	in.Doc.Scores = map[string]float64{"mink:0.2": -2.995732274}
	raw, dir, st := ss[0].Eval(in)
	if raw*float64(dir) != -2.995732274 || st != "" {
		t.Errorf("stored score: %v %v %q", raw, dir, st)
	}
}
