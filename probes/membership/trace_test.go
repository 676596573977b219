package membership

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
)

// golden is one text of scores.json.
type golden struct {
	ID       string             `json:"id"`
	Label    int32              `json:"label"`
	Text     string             `json:"text"`
	IDs      []int32            `json:"ids"`
	Len      []int32            `json:"len"`
	Logprob  []float32          `json:"logprob"`
	Entropy  []float32          `json:"entropy"`
	SD       []float32          `json:"sd"`
	UMean    []float32          `json:"umean"`
	USD      []float32          `json:"usd"`
	Rank     []int32            `json:"rank"`
	Argmax   []int32            `json:"argmax"`
	ArgmaxLP []float32          `json:"argmax_logprob"`
	Ref      []float32          `json:"ref"`
	LowerIDs []int32            `json:"lower_ids"`
	LowerLen []int32            `json:"lower_len"`
	Lower    []float32          `json:"lower"`
	Scores   map[string]float64 `json:"scores"`
	MPP      map[string]float64 `json:"mink_plus_plus"`
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	b, err := os.ReadFile("testdata/scores.json")
	if err != nil {
		t.Fatal(err)
	}
	var g []golden
	if err := json.Unmarshal(b, &g); err != nil || len(g) != 16 {
		t.Fatal(err, len(g))
	}
	return g
}

func identity(weights string) trace.Identity {
	return trace.Identity{
		Checkpoint: trace.Checkpoint{Weights: "sha256:" + strings.Repeat(weights, 32), Vocab: 2048},
		Tokenizer:  trace.Tokenizer{Digest: "sha256:" + strings.Repeat("33", 32), Specials: "none"},
		Policy:     window.Policy{Name: "full", Window: 256, BOS: "none"}, Precision: "f32",
	}
}

// tiled makes rows from token lengths; the first token has no score.
func tiled(ids, length []int32) trace.Tokens {
	t := trace.Tokens{ID: ids, ByteLen: length}
	at := int64(0)
	for _, n := range length {
		t.ByteOff = append(t.ByteOff, at)
		at += int64(n)
	}
	return t
}

func first[T any](x []T) []T { var zero T; return append([]T{zero}, x...) }

// plausible fills the columns that a test does not look at with values that obey
// the laws of a trace.
func plausible(t trace.Tokens, l []float32) trace.Tokens {
	t.Logprob = first(l)
	for i, x := range t.Logprob {
		rank, top, id := int32(1), max(x, -.5), (t.ID[i]+1)%2048
		if x > -.7 {
			rank, top, id = 0, x, t.ID[i]
		}
		t.Rank, t.ArgmaxLogprob, t.ArgmaxID = append(t.Rank, rank), append(t.ArgmaxLogprob, top), append(t.ArgmaxID, id)
		t.Entropy, t.SD = append(t.Entropy, 5), append(t.SD, 1)
	}
	return t
}

func write(t testing.TB, name string, of trace.Identity, o trace.Options, docs []trace.Doc, rows []trace.Tokens) *trace.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	w, err := trace.Create(path, of, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range docs {
		if err := w.Append(d, rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// goldenSources writes suspect, reference and lower-cased traces of the golden texts.
func goldenSources(t testing.TB, o trace.Options) Sources {
	t.Helper()
	var docs, lower []trace.Doc
	var rows, ref, low []trace.Tokens
	src := Sources{Changed: map[string]float64{}}
	for i, g := range readGolden(t) {
		d := trace.TextDoc(int32(i), g.ID, []byte(g.Text))
		d.Label = &g.Label
		docs = append(docs, d)
		x := tiled(g.IDs, g.Len)
		x.Logprob, x.Entropy, x.SD, x.Rank, x.ArgmaxID, x.ArgmaxLogprob = first(g.Logprob), first(g.Entropy), first(g.SD), first(g.Rank), first(g.Argmax), first(g.ArgmaxLP)
		if o.Moments {
			x.UMean, x.USD = first(g.UMean), first(g.USD)
		}
		rows = append(rows, x)
		ref = append(ref, plausible(tiled(g.IDs, g.Len), g.Ref))
		lower = append(lower, trace.TextDoc(int32(i), g.ID, []byte(strings.ToLower(g.Text))))
		low = append(low, plausible(tiled(g.LowerIDs, g.LowerLen), g.Lower))
		src.Changed[g.ID] = .5
	}
	src.Suspect = write(t, "suspect.parquet", identity("11"), o, docs, rows)
	src.Refs = []*trace.Reader{write(t, "ref.parquet", identity("22"), trace.Options{}, docs, ref)}
	src.Lower = write(t, "lower.jsonl", identity("11"), trace.Options{}, lower, low)
	return src
}

// TestScoresAgainstNumPy: testdata/scores.py, torch 2.15 in float64, numpy 2.4.
func TestScoresAgainstNumPy(t *testing.T) {
	src := goldenSources(t, trace.Options{Moments: true})
	list, err := Parse("loss,zlib,zlib:char,zlib:bits,lower,ref,ref:ratio,ref:bits,mink:.2,mink:.5,maxk:.3,minkpp:.2,minkpp:1,minkpp:plain:.2,rank,logrank,wbc,ez,surp,dyn:slope,dyn:below,dyn:div")
	if err != nil {
		t.Fatal(err)
	}
	table, err := Build(src, list)
	if err != nil {
		t.Fatal(err)
	}
	worst, checked := 0.0, 0
	for i, g := range readGolden(t) {
		r := table.Rows[i]
		for j, name := range table.Names {
			want, ok := g.Scores[name]
			if !ok {
				if name != "surp:2" || r.Why[j] == "" {
					t.Errorf("%s: %s: no reference value, ours %v", g.ID, name, r.Score[j])
				}
				continue
			}
			d := math.Abs(r.Score[j]-want) / max(1, math.Abs(want))
			worst, checked = max(worst, d), checked+1
			if !(d < 1e-6) {
				t.Errorf("%s: %s = %.9g, want %.9g", g.ID, name, r.Score[j], want)
			}
		}
		for name, want := range g.MPP { // float32 loop of the published code; int(k T) rows
			s, err := Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			one, err := Build(src, s)
			if err != nil {
				t.Fatal(err)
			}
			if d := math.Abs(one.Rows[i].Score[0] - want); !(d < 2e-5*max(1, math.Abs(want))) {
				t.Errorf("%s: %s = %.8g, mink-plus-plus %.8g", g.ID, name, one.Rows[i].Score[0], want)
			}
		}
	}
	t.Logf("%d values, largest relative difference %.2g", checked, worst)
	// dcpdd needs counts made from each text: evaluated item by item.
	for i, g := range readGolden(t) {
		n := make([]int64, 2048)
		for k := range n {
			n[k] = int64(k % 7)
		}
		for _, id := range g.IDs {
			n[id]++
		}
		tok, err := src.Suspect.Tokens(int32(i))
		if err != nil {
			t.Fatal(err)
		}
		it := &Item{Doc: trace.Doc{Scored: int32(len(g.IDs) - 1)}, Tok: tok, Counts: NewCounts(n)}
		near(t, g.ID+" dcpdd", evalAll(t, it, "dcpdd")["dcpdd:0.01"], g.Scores["dcpdd:0.01"], 1e-8)
	}
}

func TestBuildRefuses(t *testing.T) {
	src := goldenSources(t, trace.Options{})
	for name, c := range map[string]struct {
		edit func(*Sources)
		list string
		says string
	}{
		"moments":  {func(*Sources) {}, "minkpp:plain", "--moments"},
		"shots":    {func(*Sources) {}, "recall", "--shots"},
		"counts":   {func(*Sources) {}, "dcpdd", "--freq"},
		"no ref":   {func(s *Sources) { s.Refs = nil }, "ref", "--ref"},
		"no lower": {func(s *Sources) { s.Lower = nil }, "lower", "--lower"},
		"other texts": {func(s *Sources) {
			s.Refs = []*trace.Reader{s.Lower}
		}, "ref", "sha256"},
	} {
		s := src
		c.edit(&s)
		list, err := Parse(c.list)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Build(s, list); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an input fault with %q", name, err, c.says)
		}
	}
	// A reference with another tokenizer: rows do not compare, bits per byte do.
	var docs []trace.Doc
	var rows []trace.Tokens
	for d, err := range src.Refs[0].All() {
		if err != nil {
			t.Fatal(err)
		}
		docs, rows = append(docs, d.Doc), append(rows, d.Tokens)
	}
	of := identity("22")
	of.Tokenizer.Digest = "sha256:" + strings.Repeat("44", 32)
	other := Sources{Suspect: src.Suspect, Refs: []*trace.Reader{write(t, "other.parquet", of, trace.Options{}, docs, rows)}}
	for name, ok := range map[string]bool{"ref": false, "ref:ratio": false, "wbc": false, "ref:bits": true} {
		s, _ := Parse(name)
		table, err := Build(other, s)
		if (err == nil) != ok || ok && (len(table.Warnings) != 1 || table.Warnings[0].Code != "vocab-differs") {
			t.Errorf("%s with another tokenizer: %v, warnings %v", name, err, table.Warnings)
		}
	}
	list, _ := Parse(Must)
	if got := src.Available(list); len(got) != 8 { // all but recall
		t.Errorf("%d of the must scores are available, want 8", len(got))
	}
}

func TestCompactTrace(t *testing.T) {
	list, _ := Parse("loss,mink,minkpp")
	cols, err := Columns(list)
	if err != nil {
		t.Fatal(err)
	}
	full := goldenSources(t, trace.Options{})
	want, err := Build(full, list)
	if err != nil {
		t.Fatal(err)
	}
	var docs []trace.Doc
	var rows []trace.Tokens
	for d, err := range full.Suspect.All() {
		if err != nil {
			t.Fatal(err)
		}
		d.Doc.Scores = cols(d.Doc, d.Tokens)
		docs, rows = append(docs, d.Doc), append(rows, d.Tokens)
	}
	r := write(t, "compact.parquet", identity("11"), trace.Options{PerDocument: true, Scores: []string{"loss", "mink:0.2", "minkpp:0.2"}}, docs, rows)
	got, err := Build(Sources{Suspect: r}, list)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Rows {
		if !slices.Equal(got.Rows[i].Score, want.Rows[i].Score) {
			t.Errorf("%s: compact %v, full %v", want.Rows[i].ID, got.Rows[i].Score, want.Rows[i].Score)
		}
	}
	if list, _ = Parse("rank"); true {
		if _, err := Build(Sources{Suspect: r}, list); fault.As(err) == nil || !strings.Contains(err.Error(), "--per token") {
			t.Errorf("rows missing: %v", err)
		}
	}
	if list, _ = Parse("ref"); true {
		if _, err := Columns(list); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("ref while scoring: %v", err)
		}
	}
}

func TestEvalOnTrace(t *testing.T) {
	src := goldenSources(t, trace.Options{})
	list, _ := Parse("loss,zlib,mink:.1,mink:.2,minkpp")
	table, err := Build(src, list)
	if err != nil {
		t.Fatal(err)
	}
	o := EvalOptions{Options: Options{B: 499}}
	e, err := Eval(table, o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Result.Verdict.Tier != probes.TierC || len(e.Result.P) != 0 || len(e.Blocks) != 5 {
		t.Errorf("no gate: %+v", e.Result.Verdict)
	}
	b, err := e.Result.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if w := regexp.MustCompile(`\b(non-)?members?\b|trained on`).Find(b); w != nil {
		t.Errorf("tier C output contains %q", w)
	}
	// An assignment that drew these labels: tier A with p-values.
	var keys []string
	for _, r := range table.Rows {
		keys = append(keys, r.ID)
	}
	a := NewAssignment("split", "any", 8)
	labels := make(map[string]int)
	for i, k := range a.Split(keys) {
		labels[k] = 0
		if i < 8 {
			labels[k] = 1
		}
	}
	o.Labels, o.Ground = labels, Ground{Assignment: &a}
	e, err = Eval(table, o)
	if err != nil || e.Result.Verdict.Tier != probes.TierA || math.IsNaN(pOf(e.Result, "holm[loss]")) || math.IsNaN(pOf(e.Result, "max")) {
		t.Fatalf("drawn labels: %+v, %v", e.Result.Verdict, err)
	}
	if pOf(e.Result, "max") > math.Log10(float64(len(list)))+slices.Min([]float64{pOf(e.Result, "permutation[loss]"), 0}) {
		t.Errorf("p of the best score %v", pOf(e.Result, "max"))
	}
	o.Primary = "zlib"
	e, _ = Eval(table, o)
	if !math.IsNaN(pOf(e.Result, "holm[loss]")) {
		t.Error("a primary score is still adjusted")
	}
	labels["d00"] = 1 - labels["d00"]
	if _, err := Eval(table, o); fault.As(err) == nil {
		t.Errorf("a label that was not drawn: %v", err)
	}
	o.Primary = "nope"
	if _, err := Eval(table, o); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("unknown primary: %v", err)
	}
}

func TestEvalWithGate(t *testing.T) {
	// Texts of 40 words under two labels; 24 of each, so the tier stays C, but the
	// blind AUC and the difference stand beside every AUC.
	kjv := demoTexts(t, "kjv", 48)
	table := Table{Names: []string{"s"}}
	texts := make(map[string]string)
	for i, w := range kjv {
		l := int32(i % 2)
		id := fmt.Sprintf("t%02d", i)
		texts[id] = w
		table.Rows = append(table.Rows, Row{ID: id, Label: &l, Tokens: 80, Score: []float64{float64(l)*.8 + float64(i%7)/7}})
	}
	o := EvalOptions{Options: Options{B: 199}}
	x, err := o.Texts(table, texts, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Gate(x, GateOptions{Permutations: 9})
	if err != nil {
		t.Fatal(err)
	}
	o.Ground.Gate = &g
	e, err := Eval(table, o)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range e.Result.Estimates {
		names = append(names, v.Name)
	}
	for _, want := range []string{"auc[s]", "auc_minus_blind[s]", "blind_auc"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
	if _, err := o.Texts(table, map[string]string{}, nil); fault.As(err) == nil {
		t.Errorf("texts missing: %v", err)
	}
	// Sequences of one document collapse into it.
	groups := make(map[string]string)
	for i := range kjv {
		groups[fmt.Sprintf("t%02d", i)] = fmt.Sprintf("g%d-%d", i%2, i/4)
	}
	o.Groups, o.Collapse, o.Ground.Gate = groups, true, nil
	e, err = Eval(table, o)
	if err != nil || e.Result.N["texts"] != 24 {
		t.Errorf("collapsed to %v, %v; want 24 groups", e.Result.N, err)
	}
}

// benchItems makes documents of 512 rows up to a total.
func benchItems(total int) []*Item {
	var out []*Item
	base := toy().Tok
	for done := 0; done < total; done += 512 {
		t := trace.Tokens{}
		for i := range 513 {
			k := 1 + (i*7+done)%5
			t.Pos, t.ID, t.Scored = append(t.Pos, int32(i)), append(t.ID, int32((i*31)%2048)), append(t.Scored, i > 0)
			t.Logprob = append(t.Logprob, base.Logprob[k]-float32(i%97)/97)
			t.Entropy, t.SD, t.Rank = append(t.Entropy, base.Entropy[k]), append(t.SD, base.SD[k]), append(t.Rank, base.Rank[k])
			t.ArgmaxID, t.UMean, t.USD = append(t.ArgmaxID, base.ArgmaxID[k]), append(t.UMean, base.UMean[k]), append(t.USD, base.USD[k])
		}
		d := trace.Doc{Scored: 512, Tokens: 513, SumLogprob: -900, Zlib: 800, Bytes: 2000, Chars: 2000}
		it := &Item{Doc: d, Tok: t, Lower: &d, Changed: 1, Shots: &d, MemberShots: &d, Self: &d, Neighbours: []trace.Doc{d}}
		it.Ref = []Reference{{Doc: d, Tok: t, SameTokenizer: true}}
		it.Counts = NewCounts(make([]int64, 2048))
		out = append(out, it)
	}
	return out
}

// BenchmarkScores evaluates nearly every score on a million token rows.
func BenchmarkScores(b *testing.B) {
	list, err := Parse("loss,zlib,zlib:char,zlib:bits,lower,ref,ref:ratio,ref:bits,mink:.1,mink:.2,mink:.3,maxk:.2,minkpp:.2,minkpp:plain:.2,rank,logrank,recall,conrecall,neigh,dcpdd,surp,wbc,ez,dyn:slope,dyn:below,dyn:div,dyn:cut,dyn:rep")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1e4, 1e5, 1e6} {
		items := benchItems(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				for _, it := range items {
					it.view = nil
					for _, s := range list {
						s.Eval(it)
					}
				}
			}
		})
	}
}

// BenchmarkBuild reads a trace of a million token rows and evaluates the must
// scores that need no second trace.
func BenchmarkBuild(b *testing.B) {
	base := toy().Tok
	var docs []trace.Doc
	var rows []trace.Tokens
	text := strings.Repeat("The text of one document, cut to its five hundred and twelve tokens. ", 8)
	for k := range 1954 {
		x := trace.Tokens{}
		at := int64(0)
		for i := range 512 {
			j := 1 + (i*7+k)%5
			x.ID, x.ByteOff, x.ByteLen = append(x.ID, int32((i*31)%4)), append(x.ByteOff, at), append(x.ByteLen, 1)
			at++
			x.Logprob, x.Entropy, x.SD, x.Rank = append(x.Logprob, base.Logprob[j]), append(x.Entropy, base.Entropy[j]), append(x.SD, base.SD[j]), append(x.Rank, base.Rank[j])
			x.ArgmaxID, x.ArgmaxLogprob = append(x.ArgmaxID, base.ArgmaxID[j]), append(x.ArgmaxLogprob, base.ArgmaxLogprob[j])
			if x.Rank[i] == 0 {
				x.ArgmaxID[i] = x.ID[i]
			}
		}
		docs, rows = append(docs, trace.TextDoc(int32(k), fmt.Sprintf("d%d", k), []byte(text[:512]))), append(rows, x)
	}
	of := identity("11")
	of.Policy.Window = 1024
	r := write(b, "big.parquet", of, trace.Options{}, docs, rows)
	list, err := Parse("loss,zlib,zlib:bits,mink:.1,mink:.2,minkpp:.2,rank,logrank,surp,dyn:slope")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t, err := Build(Sources{Suspect: r}, list)
		if err != nil || len(t.Rows) != len(docs) {
			b.Fatal(err, len(t.Rows))
		}
	}
}
