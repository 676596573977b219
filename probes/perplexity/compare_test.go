package perplexity

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/stat"
)

func TestCompare(t *testing.T) {
	// numpy 2.4, scipy 1.17 stats.t.sf.
	a, u := corpus200()
	b := make([]float64, len(a))
	for d := range a {
		b[d] = a[d] * (1 + .01*float64(d%5-1))
	}
	r, err := Compare(Sample{Units: unitsOf(a, u)}, Sample{Units: unitsOf(b, u)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := get(t, r, "delta_token")
	near(t, "Delta", *e.Value, .015996802624, 1e-12)
	h := stat.StudentQuantile(.975, 199) * .001758926088
	near(t, "lo", e.CI.Lo, .015996802624-h, 1e-9)
	near(t, "ratio", value(t, r, "ppl_ratio_token"), math.Exp(.015996802624), 1e-9)
	// The differences repeat with period 5, so neighbours correlate and the rule
	// withholds p; shuffled they do not, and p is the t of the same numbers.
	order := stat.NewRand(1, "test", 0).Perm(200)
	pa, pb, pu := make([]float64, 200), make([]float64, 200), make([]float64, 200)
	for i, d := range order {
		pa[i], pb[i], pu[i] = a[d], b[d], u[d]
	}
	r, err = Compare(Sample{Units: unitsOf(pa, pu)}, Sample{Units: unitsOf(pb, pu)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict.Tier != probes.TierB || len(r.P) != 2 {
		t.Fatalf("tier %s, p %v, warnings %v", r.Verdict.Tier, r.P, codes(r))
	}
	near(t, "t_paired", r.P[0].Log10P, -16.006796400, 1e-7)
	near(t, "sign_flip at its floor", r.P[1].Log10P, -4, 1e-9)
	if !slices.Contains(codes(r), "mc-floor") {
		t.Errorf("warnings %v, want mc-floor", codes(r))
	}
}

func TestSignFlip(t *testing.T) {
	// By hand: all 32 sign patterns of 3 1 -.5 2 .7.
	d := []float64{3, 1, -.5, 2, .7}
	one, exact := stat.SignFlip(d, stat.Perm{})
	two, _ := stat.SignFlip(d, stat.Perm{TwoSided: true})
	if !exact || math.Abs(math.Exp(one)-2.0/32) > 1e-12 || math.Abs(math.Exp(two)-4.0/32) > 1e-12 {
		t.Errorf("p %v, %v, exact %v", math.Exp(one), math.Exp(two), exact)
	}
}

func TestCompareRefusesAndGrades(t *testing.T) {
	a, u := corpus200()
	base := Sample{Units: unitsOf(a, u), Tokenizer: "sha256:1"}
	edit := func(f func(*Sample)) Sample {
		s := base
		s.Units = slices.Clone(base.Units)
		f(&s)
		return s
	}
	for name, c := range map[string]struct {
		b    Sample
		says string
	}{
		"another text": {edit(func(s *Sample) { s.Units[4].SHA256[9] = 7 }), "d004"},
		"missing":      {edit(func(s *Sample) { s.Units = s.Units[:199] }), "d199"},
		"one more":     {edit(func(s *Sample) { s.Units = append(s.Units, Unit{ID: "new"}) }), "new"},
	} {
		if _, err := Compare(base, c.b, Options{}); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		a, b Sample
		code string
	}{
		"tokenizers": {base, edit(func(s *Sample) { s.Tokenizer = "sha256:2" }), "tokenizers-differ"},
		"BOS":        {base, edit(func(s *Sample) { s.Policy.PrefixIDs = []int32{1} }), "policy-differs"},
		"copies":     {edit(func(s *Sample) { s.Units[1].SHA256 = s.Units[0].SHA256 }), edit(func(s *Sample) { s.Units[1].SHA256 = s.Units[0].SHA256 }), "duplicate-text"},
		"few":        {edit(func(s *Sample) { s.Units = s.Units[:10] }), edit(func(s *Sample) { s.Units = s.Units[:10] }), "underpowered"},
	} {
		r, err := Compare(c.a, c.b, Options{})
		if err != nil || !slices.Contains(codes(r), c.code) {
			t.Errorf("%s: warnings %v, %v", name, codes(r), err)
		}
		if c.code != "tokenizers-differ" && (r.Verdict.Tier != probes.TierC || len(r.P) != 0) {
			t.Errorf("%s: tier %s with %d p-values, want C and none", name, r.Verdict.Tier, len(r.P))
		}
		if c.code == "tokenizers-differ" && slices.Contains(names(r), "delta_token") {
			t.Errorf("%s: a per-token figure across tokenizers", name)
		}
	}
}

// cut makes a trace of a text of n bytes cut at the given boundaries.
func cut(ends []int64, ctx0 int32, skip int, cost func(begin, end int64, ctx int32) float64) trace.DocTokens {
	d := trace.DocTokens{Doc: trace.Doc{ID: "x", Status: trace.StatusOK, Bytes: ends[len(ends)-1]}}
	t := &d.Tokens
	begin := int64(0)
	for i, e := range ends {
		t.Pos, t.ByteOff, t.ByteLen = append(t.Pos, int32(i)), append(t.ByteOff, begin), append(t.ByteLen, int32(e-begin))
		if i < skip {
			t.Scored, t.Window, t.Ctx, t.Logprob = append(t.Scored, false), append(t.Window, trace.Null), append(t.Ctx, trace.Null), append(t.Logprob, float32(math.NaN()))
		} else {
			x := cost(begin, e, ctx0+int32(i))
			t.Scored, t.Window, t.Ctx, t.Logprob = append(t.Scored, true), append(t.Window, 0), append(t.Ctx, ctx0+int32(i)), append(t.Logprob, float32(-x))
			d.Doc.Scored++
		}
		begin = e
	}
	return d
}

func TestExplain(t *testing.T) {
	linear := func(begin, end int64, ctx int32) float64 { return float64(end-begin) + 3/(1+float64(ctx)) }
	words := []int64{3, 9, 10, 13, 13, 13, 16, 17, 21, 22}
	other := []int64{3, 5, 9, 13, 13, 16, 17, 22}
	for name, c := range map[string]struct {
		a, b trace.DocTokens
		only []string // parts that may differ from zero
	}{
		"same":          {cut(words, 0, 1, linear), cut(words, 0, 1, linear), nil},
		"model":         {cut(words, 0, 1, linear), cut(words, 0, 1, func(b, e int64, c int32) float64 { return 2 * linear(b, e, c) }), []string{"model"}},
		"prefix":        {cut(words, 0, 1, linear), cut(words, 1, 0, linear), []string{"context", "coverage", "unit"}},
		"coverage":      {cut(words, 0, 1, linear), cut(words, 0, 4, linear), []string{"coverage", "unit"}},
		"tokenizer":     {cut(words, 0, 1, linear), cut(other, 0, 1, linear), []string{"tokenizer", "context", "unit"}},
		"all at once":   {cut(words, 0, 1, linear), cut(other, 2, 3, func(b, e int64, c int32) float64 { return 1.5 * linear(b, e, c) }), []string{"tokenizer", "context", "unit", "coverage", "model"}},
		"whole against": {cut(words, 0, 1, linear), cut([]int64{22}, 1, 0, linear), []string{"unit", "tokenizer", "coverage"}},
	} {
		p, ss, err := Explain(c.a, c.b)
		if err != nil {
			t.Fatal(name, err)
		}
		parts := map[string]float64{"unit": p.Unit, "coverage": p.Coverage, "context": p.Context, "tokenizer": p.Tokenizer, "model": p.Model}
		sum := 0.0
		for part, v := range parts {
			sum += v
			if v != 0 && !slices.Contains(c.only, part) {
				t.Errorf("%s: %s = %v, want 0", name, part, v)
			}
		}
		near(t, name+" sum of parts", sum, p.Total, 1e-9)
		near(t, name+" per token", p.Total/p.TokensB, p.NatsB/p.TokensB-p.NatsA/p.TokensA, 1e-9)
		at := int64(0)
		for _, s := range ss {
			if s.Begin != at || s.End <= s.Begin {
				t.Errorf("%s: stretch %d-%d after %d", name, s.Begin, s.End, at)
			}
			at = s.End
		}
		if at != 22 {
			t.Errorf("%s: stretches end at %d, want 22", name, at)
		}
	}
	b := cut(words, 0, 1, linear)
	b.Doc.SHA256[0] = 1
	if _, _, err := Explain(cut(words, 0, 1, linear), b); fault.As(err) == nil {
		t.Errorf("two texts: %v, want a fault", err)
	}
}

func TestDetokenize(t *testing.T) {
	// testdata/detokenize.py, Python 3.11 re.
	b, err := os.ReadFile("testdata/detokenize.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ In, Out string }
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err, len(cases))
	}
	for _, c := range cases {
		if got := Detokenize(c.In); got != c.Out {
			t.Errorf("Detokenize(%q)\n got %q\nwant %q", c.In, got, c.Out)
		}
	}
}

func TestUnitsFrom(t *testing.T) {
	u := []Unit{{ID: "p", Nats: 10, Tokens: 4}}
	if err := UnitsFrom(u, map[string]string{"p": "a , b \n"}); err != nil || u[0].Words != 3 || u[0].Pieces != 4 || u[0].Bytes != 7 {
		t.Errorf("%+v, %v", u[0], err)
	}
	if err := UnitsFrom(u, nil); fault.As(err) == nil {
		t.Errorf("no original: %v", err)
	}
}

func TestChoices(t *testing.T) {
	// By hand: the short answer wins by sum, the long one per character and byte.
	items := []Choice{
		{ID: "a", Gold: 1, Options: []Option{{-4, 2, 2, 1}, {-6, 12, 14, 3}}},
		{ID: "b", Gold: 0, Options: []Option{{-3, 3, 3, 1}, {-3, 3, 3, 1}}}, // a tie goes to the first
		{ID: "c", Gold: 0, Options: []Option{{-9, 3, 3, 3}, {-4, 2, 2, 1}}},
	}
	a, err := Score(items)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "acc", a.Acc, 1.0/3, 1e-12)
	near(t, "acc_norm", a.AccNorm, 2.0/3, 1e-12)
	near(t, "acc_bytes", a.AccBytes, 2.0/3, 1e-12)
	near(t, "acc_tokens", a.AccTokens, 1, 1e-12)
	for name, bad := range map[string][]Choice{
		"none": nil, "gold": {{ID: "x", Gold: 2, Options: items[0].Options}}, "one option": {{ID: "x", Options: items[0].Options[:1]}},
		"nan": {{ID: "x", Options: []Option{{math.NaN(), 1, 1, 1}, {-1, 1, 1, 1}}}}, "no characters": {{ID: "x", Options: []Option{{-1, 0, 1, 1}, {-1, 1, 1, 1}}}},
	} {
		if _, err := Score(bad); fault.As(err) == nil {
			t.Errorf("%s: %v, want a fault", name, err)
		}
	}
}

func TestWords(t *testing.T) {
	// The tiles of a byte-level tokenizer (tokenizers 0.23): the words are "the", " quick", "日本", "fox".
	text := []byte("the quick 日本\n fox ")
	d := cut([]int64{3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21, 22}, 0, 1, func(int64, int64, int32) float64 { return math.Ln2 })
	ws, err := Words(d, text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range ws {
		got = append(got, w.Text)
	}
	if !slices.Equal(got, []string{"the", "quick", "日本", "fox"}) || ws[0].Whole || !ws[1].Whole {
		t.Fatalf("words %q, %+v", got, ws)
	}
	near(t, "bits of quick", ws[1].Bits, 1, 1e-6)
	near(t, "bits of 日本", ws[2].Bits, 7, 1e-6)  // the blank and six byte tokens
	near(t, "bits of fox", ws[3].Bits, 2, 1e-6) // the line end and the word
	if _, err := Words(d, text[:5]); fault.As(err) == nil {
		t.Errorf("another text: %v", err)
	}
}

func TestTables(t *testing.T) {
	known := make(map[string]bool)
	for _, i := range window.Policies() {
		known[i.Name] = true
	}
	for _, x := range Tools() {
		if name, _, _ := strings.Cut(x.Policy, " "); !known[name] {
			t.Errorf("tool %q names the unknown policy %q", x.Theirs, x.Policy)
		}
	}
	if len(Anchors()) == 0 {
		t.Error("no anchors")
	}
}

func TestBeside(t *testing.T) {
	var ss []Sample
	for _, p := range []window.Policy{{Name: "full", Window: 1000}, {Name: "hf-stride-doc", Window: 64, Stride: 16}, {Name: "llamacpp", Window: 64}} {
		ss = append(ss, sampleOf(t, p, scoredDoc(t, p, 0, 1000, func(i, ctx int) float64 { return 2 + 3/(1+float64(ctx)) + float64(i%7)/7 })))
	}
	ls, err := Beside(ss)
	if err != nil {
		t.Fatal(err)
	}
	ss[2].Text = "sha256:other"
	if _, err := Beside(ss); fault.As(err) == nil {
		t.Errorf("two texts in one table: %v", err)
	}
	near(t, "loop", ls[1].PPLToken, 12.066122614, 1e-4)
	near(t, "difference", ls[2].Minus, math.Log(12.092457771/11.565740431), 1e-5)
	if !math.IsNaN(ls[2].BPB) || math.IsNaN(ls[1].BPB) || ls[0].Tool == "" {
		t.Errorf("%+v", ls)
	}
}
