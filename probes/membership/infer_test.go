package membership

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace"
	"assay/probes"
)

func TestCompareHalves(t *testing.T) {
	// scipy 1.17 ttest_ind(equal_var=False); 252 arrangements enumerated.
	fs, fv := []float64{.1, -.2, .05, -.3, 0}, []float64{.4, .2, .6, .1, .3}
	score, label := labels(fv, fs)
	var r inferred
	if err := r.compare(fs, fv, score, label, nil, "1", InferOptions{B: 99}); err != nil {
		t.Fatal(err)
	}
	near(t, "t", r.t, 3.381728881, 1e-8)
	near(t, "df", r.df, 7.899519929, 1e-8)
	near(t, "p", math.Exp(r.logWelch), .004898816, 1e-9)
	near(t, "permutation", math.Exp(r.logP), 2.0/252, 1e-12)
}

func features(g *gen.Stream, prefix string, n int, shift float64) Features {
	f := Features{Names: []string{"a", "b", "c"}}
	for i := range n {
		x := []float64{g.Z() + shift, g.Z(), g.Z()}
		f.Rows = append(f.Rows, FeatureRow{ID: fmt.Sprintf("%s%03d", prefix, i), X: x})
	}
	return f
}

func TestInferVector(t *testing.T) {
	// numpy 2.4 and scipy 1.17, Newton on the same standardised columns.
	g := gen.New(41)
	s := features(g, "s", 200, -.5)
	v := features(g, "v", 200, 0)
	r, err := inferOnce(s, v, "1", InferOptions{B: 999})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "difference", r.diff, .154143043, 1e-8)
	near(t, "t", r.t, 2.762641410, 1e-7)
	near(t, "df", r.df, 197.350276, 1e-4)
	near(t, "log10 p", r.logWelch/math.Ln10, -2.503375512, 1e-7)
}

func TestInferTiersAndRefusals(t *testing.T) {
	g := gen.New(2)
	s, v := features(g, "s", 240, -1), features(g, "v", 240, 0)
	res, err := Infer(s, v, InferOptions{B: 999, Ground: Ground{Gate: cleanGate}})
	if err != nil || res.Verdict.Tier != probes.TierB || res.Verdict.Finding != FindingShown || len(res.P) != 3 {
		t.Errorf("shifted set: %+v, %v", res.Verdict, err)
	}
	res, err = Infer(s, v, InferOptions{B: 999})
	if err != nil || res.Verdict.Tier != probes.TierC || len(res.P) != 0 {
		t.Errorf("no gate: %+v, %v", res.Verdict, err)
	}
	res, err = Infer(s, v, InferOptions{B: 499, Splits: 3, Ground: Ground{Gate: cleanGate}})
	if err != nil || len(res.P) == 0 || res.P[0].Log10P > -2 {
		t.Errorf("three splits: %+v, %v", res.P, err)
	}
	// A class of unseen texts that falls into two kinds fails its own null run: the
	// second half of the ids is of another kind, and one group each side of the cut.
	kinds := features(g, "v", 240, 0)
	h := halves(kinds, "1/null")
	for _, i := range h.a {
		kinds.Rows[i].X[0] += 3
	}
	res, err = Infer(s, kinds, InferOptions{B: 999, Ground: Ground{Gate: cleanGate}})
	if err != nil || res.Verdict.Tier != probes.TierC || !slices.Contains(codes(res), "null-run-significant") {
		t.Errorf("two kinds of unseen texts: tier %s, %v, %v", res.Verdict.Tier, codes(res), err)
	}
	odd := features(g, "v", 240, 0)
	odd.Rows[3].X[1] = math.NaN()
	for i := range odd.Rows {
		odd.Rows[i].X[2] = 7
	}
	flat := features(g, "s", 240, 0)
	for i := range flat.Rows {
		flat.Rows[i].X[2] = 7
	}
	res, err = Infer(flat, odd, InferOptions{B: 99, Ground: Ground{Gate: cleanGate}})
	if err != nil || !slices.Contains(codes(res), "undefined-scores") || !slices.Contains(codes(res), "constant-feature") {
		t.Errorf("undefined and constant features: %v, %v", codes(res), err)
	}
	inf := features(g, "v", 240, 0)
	inf.Rows[0].X[0] = math.Inf(1)
	none := features(g, "v", 240, 0)
	for i := range none.Rows {
		none.Rows[i].X = []float64{math.NaN(), math.NaN(), math.NaN()}
	}
	for name, c := range map[string]struct{ s, v Features }{
		"few": {features(g, "s", 39, 0), v}, "names": {Features{Names: []string{"x"}, Rows: s.Rows}, v}, "infinite": {s, inf}, "all undefined": {s, none},
		"same ids": {s, Features{Names: s.Names, Rows: s.Rows}},
	} {
		if _, err := Infer(c.s, c.v, InferOptions{B: 9}); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
}

// row makes one-row documents with the given probabilities in decreasing order.
func row(id int32, p ...float64) trace.Tokens {
	t := trace.Tokens{Pos: []int32{0}, ID: []int32{id}, Scored: []bool{true}, ArgmaxID: []int32{0}}
	var ids []int32
	var lps []float32
	for i, v := range p {
		ids, lps = append(ids, int32(i)), append(lps, float32(math.Log(v)))
	}
	t.TopID, t.TopLogprob = [][]int32{ids}, [][]float32{lps}
	t.Logprob = []float32{lps[id]}
	return t
}

func TestExtract(t *testing.T) {
	// Python floats.
	rows := trace.Tokens{Pos: []int32{0, 1, 2, 3}, ID: []int32{5, 6, 7, 8}, ArgmaxID: []int32{5, 6, 7, 1}, Scored: []bool{true, true, true, true}}
	for _, q := range []float64{.5, .8, .9, .25} {
		rows.Logprob = append(rows.Logprob, float32(math.Log(q)))
	}
	e, err := Extract(rows, 0, Sampler{})
	if err != nil || e.Greedy || e.Tokens != 4 {
		t.Fatalf("%+v, %v", e, err)
	}
	near(t, "p_z", math.Exp(e.LogProb), .09, 1e-8)
	near(t, "n(.5)", math.Pow(10, Log10Queries(math.Log(.09), .5)), 7.349614958, 1e-8)
	near(t, "n(.9)", math.Pow(10, Log10Queries(math.Log(.09), .9)), 24.414892416, 1e-8)
	near(t, "ten samples", HitChance(math.Log(.09), 10), .610583882, 1e-9)
	near(t, "ln p_z -800", Log10Queries(-800, .5), 347.276410984, 1e-8)
	if e, _ = Extract(rows, 0, Sampler{}); e.Greedy {
		t.Error("greedy with a wrong last token")
	}
	if e, _ = Extract(trace.Tokens{Pos: rows.Pos[:3], ID: rows.ID[:3], ArgmaxID: rows.ArgmaxID[:3], Scored: rows.Scored[:3], Logprob: rows.Logprob[:3]}, 1, Sampler{}); !e.Greedy || e.Tokens != 2 {
		t.Errorf("greedy suffix: %+v", e)
	}
	for name, c := range map[string]struct {
		s    Sampler
		id   int32
		want float64
	}{
		"top-k 2":                {Sampler{TopK: 2}, 1, .375},
		"T .5":                   {Sampler{Temperature: .5}, 1, .246575342},
		"T .5 then top-k 2":      {Sampler{Temperature: .5, TopK: 2}, 1, .264705882},
		"outside top-k":          {Sampler{TopK: 2}, 3, 0},
		"top-p .75 keeps two":    {Sampler{TopP: .75}, 1, .375},
		"top-p .85 keeps three":  {Sampler{TopP: .85}, 2, .15 / .95},
		"outside top-p":          {Sampler{TopP: .75}, 2, 0},
		"top-k 3 then top-p .5":  {Sampler{TopK: 3, TopP: .5}, 0, 1},
		"top-k 3 then top-p .55": {Sampler{TopK: 3, TopP: .55}, 1, .375},
	} {
		e, err := Extract(row(c.id, .5, .3, .15, .05), 0, c.s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		near(t, name, math.Exp(e.LogProb), c.want, 1e-7)
	}
	part := row(1, .5, .3)
	for name, c := range map[string]struct {
		t trace.Tokens
		s Sampler
		f int
	}{
		"no top-k columns":   {rows, Sampler{TopK: 3}, 0},
		"too few entries":    {part, Sampler{TopK: 3}, 0},
		"tail unknown":       {part, Sampler{Temperature: .5}, 0},
		"top-p out of reach": {part, Sampler{TopP: .9}, 0},
		"prefix too long":    {rows, Sampler{}, 4},
		"unscored":           {trace.Tokens{Pos: []int32{0}, ID: []int32{1}, ArgmaxID: []int32{1}, Scored: []bool{false}, Logprob: []float32{0}}, Sampler{}, 0},
		"redacted":           {trace.Tokens{Pos: []int32{0}, Scored: []bool{true}, Logprob: []float32{-1}}, Sampler{}, 0},
	} {
		if _, err := Extract(c.t, c.f, c.s); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
	if _, err := Extract(rows, 0, Sampler{TopP: 2}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("top-p 2: %v", err)
	}
	if !LowEntropy(12, 100, 200) || !LowEntropy(90, 30, 100) || LowEntropy(90, 80, 100) {
		t.Error("low entropy")
	}
}

func TestNGrams(t *testing.T) {
	// By hand.
	o, err := NGrams("the quick brown fox sat on the lazy mat and slept", "a quick brown fox jumped on the lazy dog and slept well today")
	if err != nil {
		t.Fatal(err)
	}
	if o.Common[1] != 9 || o.Common[2] != 8 || o.Common[3] != 6 || o.Common[4] != 0 || o.LongestWords != 3 || o.LongestChars != 17 {
		t.Errorf("%+v", o)
	}
	near(t, "cov_3", o.Cover(3), 6.0/11, 1e-12)
	near(t, "ref", o.CoverRef(3), 6.0/13, 1e-12)
	near(t, "mean", o.CoverMean(3), .5, 1e-12)
	near(t, "index", o.Index, 14.0/11, 1e-12)
	near(t, "parity", o.Parity, 12.0/11, 1e-12)
	if _, err := NGrams("x", " "); fault.As(err) == nil {
		t.Errorf("empty rest: %v", err)
	}
	if o, err := NGrams("", "x y"); err != nil || o.Index != 0 {
		t.Errorf("a refusal: %+v, %v", o, err)
	}
	// A shorter run that ends later takes nothing from a longer one (by hand).
	if o, _ = NGrams("a b c d", "a b c x c d"); o.Common[2] != 4 || o.Common[3] != 3 || o.LongestWords != 3 {
		t.Errorf("overlapping runs: %+v", o)
	}
	// Punctuation stands apart, case counts, composed and decomposed letters agree.
	if o, _ = NGrams("Caf\u00e9, bar", "Cafe\u0301, Bar"); o.Common[1] != 2 || o.LongestWords != 2 {
		t.Errorf("NFC and punctuation: %+v", o)
	}
}
