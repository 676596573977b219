package weat_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/probes"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// cloud is a space of n words w0.. around the origin, shifted so that no
// cosine is trivial.
func cloud(g *perm.Stream, n, dim int) (plane, []string) {
	p := plane{}
	var words []string
	for i := range n {
		v := make([]float64, dim)
		for k := range v {
			v[k] = g.Normal() + .3
		}
		w := fmt.Sprintf("w%d", i)
		p[w], words = v, append(words, w)
	}
	return p, words
}

func split(words []string, n int) weat.Test {
	return weat.Test{ID: "t", Alt: perm.Greater, X: weat.Set{Words: words[:n]}, Y: weat.Set{Words: words[n : 2*n]},
		A: weat.Set{Words: words[2*n : 3*n]}, B: weat.Set{Words: words[3*n : 4*n]}}
}

func d(sc weat.Scores) float64 { return weat.Sizes(scores(sc.X), scores(sc.Y)).D }

func ge(t *testing.T, sc weat.Scores) string {
	t.Helper()
	p, err := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p.GE.String()
}

func score(t *testing.T, test weat.Test, sp weat.Space) weat.Scores {
	t.Helper()
	sc, err := weat.Score(test, sp, small())
	if err != nil || sc.Undefined != "" {
		t.Fatal(err, sc.Undefined)
	}
	return sc
}

func TestInvariance(t *testing.T) {
	g := perm.NewStream(4)
	for round := range 20 {
		p, words := cloud(g, 32, 12)
		test := split(words, 8)
		base := score(t, test, p)
		scaled, rotated := plane{}, plane{}
		axis := p["w0"]
		for w, v := range p {
			f := math.Exp(3 * g.Normal())
			u := make([]float64, len(v))
			var c, n float64
			for k := range v {
				u[k] = v[k] * f
				c, n = c+v[k]*axis[k], n+axis[k]*axis[k]
			}
			scaled[w] = u
			r := make([]float64, len(v)) // reflection at the plane across axis, an orthogonal map
			for k := range v {
				r[k] = v[k] - 2*c/n*axis[k]
			}
			rotated[w] = r
		}
		for name, sp := range map[string]plane{"scaled": scaled, "rotated": rotated} {
			sc := score(t, test, sp)
			near(t, fmt.Sprintf("round %d, %s: d", round, name), d(sc), d(base), 1e-9)
			if ge(t, sc) != ge(t, base) {
				t.Errorf("round %d, %s: GE %s, want %s", round, name, ge(t, sc), ge(t, base))
			}
		}
		back := test
		back.X.Words, back.A.Words = slices.Clone(test.X.Words), slices.Clone(test.A.Words)
		slices.Reverse(back.X.Words)
		slices.Reverse(back.A.Words)
		near(t, "reordered d", d(score(t, back, p)), d(base), 1e-9)
		if got := ge(t, score(t, back, p)); got != ge(t, base) {
			t.Errorf("reordered: GE %s, want %s", got, ge(t, base))
		}
		xy, ab := test, test
		xy.X, xy.Y = test.Y, test.X
		ab.A, ab.B = test.B, test.A
		near(t, "X and Y exchanged", d(score(t, xy, p)), -d(base), 1e-9)
		near(t, "A and B exchanged", d(score(t, ab, p)), -d(base), 1e-9)
	}
}

// TestUniform: 500 random splits of one pool of real words; D < .0831 is a
// one-sided Kolmogorov-Smirnov p above .001.
func TestUniform(t *testing.T) {
	f := open(t, glove)
	g := perm.NewStream(99)
	pool := f.Words
	ps := map[string][]float64{}
	for range 500 {
		ws := slices.Clone(pool)
		for i := range 28 {
			j := i + g.Index(len(ws)-i)
			ws[i], ws[j] = ws[j], ws[i]
		}
		sc := score(t, split(ws, 7), f)
		x, y, a, b := scores(sc.X), scores(sc.Y), scores(sc.A), scores(sc.B)
		for name, p := range map[string]struct {
			x, y []float64
			alt  perm.Alt
			o    perm.Options
		}{"target": {x, y, perm.Greater, perm.Options{}}, "two": {x, y, perm.TwoSided, perm.Options{}}, "attr": {a, b, perm.Greater, perm.Options{}},
			"sampled": {x, y, perm.Greater, perm.Options{Sample: true, Draws: 199, Seed: g.Uint64()}}} {
			tail, err := perm.TwoSample(p.x, p.y, p.alt, p.o)
			if err != nil {
				t.Fatal(err)
			}
			ps[name] = append(ps[name], tail.P())
		}
		// Scores that depend on length, groups that differ in length, no association beyond it.
		ln, s := make([]float64, 16), make([]float64, 16)
		for i := range ln {
			ln[i] = g.Normal()
			if i < 8 {
				ln[i]++
			}
			s[i] = 2*ln[i] + g.Normal()
		}
		adj, err := weat.Adjust(s[:8], s[8:], [][]float64{ln}, perm.Greater, 199, g.Uint64())
		if err != nil {
			t.Fatal(err)
		}
		ps["adjusted"] = append(ps["adjusted"], adj.Tail.P())
	}
	for name, p := range ps {
		slices.Sort(p)
		var dist float64
		for i, x := range p {
			dist = max(dist, float64(i+1)/float64(len(p))-x)
		}
		_, two, err := stat.KSUniform(p)
		t.Logf("%s: one-sided D %.4f, p %.3f; two-sided p %.3f (discrete values count against it), %v", name, dist, math.Exp(-2*500*dist*dist), math.Exp(two), err)
		if dist > .0831 {
			t.Errorf("%s: distance %.4f against the anti-conservative side, want at most .0831", name, dist)
		}
	}
}

func runOne(t *testing.T, sc weat.Scores, change func(*weat.Options)) probes.Result {
	t.Helper()
	o := weat.DefaultOptions()
	o.Boot, o.Perm = 0, 999
	o.D = map[weat.Variant]float64{weat.Raw: 1, weat.Centred: 1, weat.ABTT3: 1}
	if change != nil {
		change(&o)
	}
	r, err := weat.Run(sc, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLostWordsAreNamed(t *testing.T) {
	g := perm.NewStream(8)
	p, words := cloud(g, 32, 10)
	delete(p, "w3")
	p["w9"] = make([]float64, 10) // a zero vector has no direction
	test := split(words, 8)
	sc, err := weat.Score(test, p, loss())
	if err != nil || sc.Undefined != "" {
		t.Fatal(err, sc.Undefined)
	}
	r := runOne(t, sc, nil)
	text := fmt.Sprint(r.Warnings)
	if !strings.Contains(text, "set X lost 1: w3") || !strings.Contains(text, "set Y lost 1: w9 (zero-vector)") {
		t.Errorf("warnings %v, want w3 and w9 named by set", text)
	}
	js, err := r.JSON()
	if err != nil || !bytes.Contains(js, []byte("w3")) {
		t.Errorf("the JSON does not name w3: %v", err)
	}
	rows := sc.RowTable()
	if len(rows) != 32 || rows[3].Status != "undefined" || rows[3].Reason != "absent" || rows[4].Status != "ok" || rows[4].Word != "w4" {
		t.Errorf("rows: %d, %+v", len(rows), rows[3:5])
	}
	delete(p, "w1")
	delete(p, "w2")
	sc, err = weat.Score(test, p, loss())
	if err != nil || sc.Undefined == "" {
		t.Fatalf("3 of 8 removed: undefined %q, %v; want undefined", sc.Undefined, err)
	}
	r = runOne(t, sc, nil)
	if r.Verdict.Finding != "undefined" || r.Verdict.Tier != probes.TierC || len(r.P) != 0 || !strings.Contains(r.Verdict.Says, "w1, w2, w3") {
		t.Errorf("verdict %+v with %d p-values; want undefined, C, none, words named", r.Verdict, len(r.P))
	}
}

func TestFallbacksAndMap(t *testing.T) {
	g := perm.NewStream(8)
	p, words := cloud(g, 16, 10)
	p["cafe"], p["Paris"], p["queen"] = p["w0"], p["w1"], p["w2"]
	for _, w := range []string{"w0", "w1", "w2", "w3"} {
		delete(p, w)
	}
	p["other"] = p["w4"]
	delete(p, "w4")
	test := split(words, 4)
	test.X.Words = []string{"café", "paris", "QUEEN", "w5"}
	test.Y.Words = []string{"w4", "w6", "w7", "w5x"}
	o := small()
	o.MaxMissing = .3
	o.Map, o.Fallback = map[string]string{"w4": "other"}, []string{"lower", "title", "accents"}
	sc, err := weat.Score(test, p, o)
	if err != nil {
		t.Fatal(err)
	}
	want := []weat.Mapped{{Set: "X", Word: "café", Used: "cafe", How: "accents"}, {Set: "X", Word: "paris", Used: "Paris", How: "title"},
		{Set: "X", Word: "QUEEN", Used: "queen", How: "lower"}, {Set: "Y", Word: "w4", Used: "other", How: "map"}}
	if !slices.Equal(sc.Mapped, want) {
		t.Errorf("mapped %v, want %v", sc.Mapped, want)
	}
	o.Map["w5x"] = "w5"
	if _, err := weat.Score(test, p, o); fault.As(err) == nil || !strings.Contains(err.Error(), `"w5"`) {
		t.Errorf("two words read as w5: %v, want a fault that names it", err)
	}
	o.Fallback = []string{"upper"}
	if _, err := weat.Score(test, p, o); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("unknown fallback: %v, want a usage fault", err)
	}
}

func TestOverlapRefused(t *testing.T) {
	p, words := cloud(perm.NewStream(1), 16, 6)
	for name, change := range map[string]func(*weat.Test){
		"X and Y": func(t *weat.Test) { t.Y.Words = []string{"w0", "w5"} },
		"A and B": func(t *weat.Test) { t.B.Words = []string{"w8", "w12"} },
		"twice":   func(t *weat.Test) { t.X.Words = []string{"w0", "w1", "w0"} },
		"empty":   func(t *weat.Test) { t.A.Words = nil },
		"blank":   func(t *weat.Test) { t.A.Words = []string{" "} },
	} {
		test := split(words, 4)
		change(&test)
		_, err := weat.Score(test, p, small())
		if f := fault.As(err); f == nil || f.Class != fault.Input || f.Code != "bad-wordsets" {
			t.Errorf("%s: %v, want an input fault bad-wordsets", name, err)
		}
	}
	test := split(words, 4)
	test.A.Words = []string{"w0", "w8", "w9"}
	sc := score(t, test, p)
	if !slices.Equal(sc.Overlap, []string{"w0"}) || !warned(runOne(t, sc, nil), "overlap") {
		t.Errorf("overlap %v, want w0 and a warning", sc.Overlap)
	}
}

func TestConstantScores(t *testing.T) {
	p := plane{}
	test := weat.Test{ID: "c", X: p.add("x", [][]float64{{1, 0}, {2, 0}}), Y: p.add("y", [][]float64{{1, 0}, {3, 0}}),
		A: p.add("a", [][]float64{{1, 0}, {1, 1}}), B: p.add("b", [][]float64{{0, 1}, {0, 2}})}
	r := runOne(t, score(t, test, p), nil)
	for _, e := range r.Estimates {
		if e.Name == "d" && e.Value != nil {
			t.Errorf("d %v, want undefined", *e.Value)
		}
		if e.Name == "tail_target_log10" && *e.Value != 0 {
			t.Errorf("log10 p %v, want 0", *e.Value)
		}
	}
	if r.Verdict.Finding != "undefined" || len(r.P) != 0 {
		t.Errorf("verdict %+v, %d p-values", r.Verdict, len(r.P))
	}
}

func TestOneAgainstOne(t *testing.T) {
	p := plane{}
	test := weat.Test{ID: "1", X: p.add("x", [][]float64{{1, 0}}), Y: p.add("y", [][]float64{{0, 1}}), A: p.add("a", [][]float64{{1, 0}}), B: p.add("b", [][]float64{{0, 1}})}
	r := runOne(t, score(t, test, p), nil)
	near(t, "d", *estimate(t, r, "d").Value, math.Sqrt2, 1e-12)
	if !warned(r, "underpowered") || !warned(r, "saturated") {
		t.Errorf("warnings %v, want underpowered and saturated", r.Warnings)
	}
}

func TestTierRules(t *testing.T) {
	g := perm.NewStream(12)
	p, words := cloud(g, 32, 10)
	sc := score(t, split(words, 8), p)
	if r := runOne(t, sc, nil); r.Verdict.Tier != probes.TierB || len(r.P) == 0 {
		t.Fatalf("balanced and robust: tier %s, %v", r.Verdict.Tier, r.Warnings)
	}
	if r := runOne(t, sc, func(o *weat.Options) { o.D = map[weat.Variant]float64{weat.Raw: 1} }); r.Verdict.Tier != probes.TierC || !warned(r, "not-centred") || len(r.P) != 0 {
		t.Errorf("only raw: tier %s, %d p-values, %v", r.Verdict.Tier, len(r.P), r.Warnings)
	}
	if r := runOne(t, sc, func(o *weat.Options) { o.D[weat.Centred] = -1 }); r.Verdict.Tier != probes.TierC || !warned(r, "not-robust") {
		t.Errorf("sign changes: tier %s, %v", r.Verdict.Tier, r.Warnings)
	}
	freq := map[string]float64{}
	for i, w := range words {
		freq[w] = float64(10 + i%3)
		if i < 8 {
			freq[w] = float64(1000 + i)
		}
	}
	unbalanced := func(o *weat.Options) { o.Freq = freq }
	if r := runOne(t, sc, unbalanced); r.Verdict.Tier != probes.TierC || !warned(r, "confounded") || len(r.P) != 0 {
		t.Errorf("frequencies differ: tier %s, %v", r.Verdict.Tier, r.Warnings)
	}
	if r := runOne(t, sc, func(o *weat.Options) { o.Freq, o.Adjust = freq, true }); r.Verdict.Tier != probes.TierB || len(r.P) != 1 || r.P[0].Name != "adjusted" {
		t.Errorf("adjusted: tier %s, %v", r.Verdict.Tier, r.P)
	}
	delete(freq, "w0")
	if r := runOne(t, sc, unbalanced); r.Verdict.Tier != probes.TierC || !warned(r, "confounded") {
		t.Errorf("a frequency is missing: tier %s, %v", r.Verdict.Tier, r.Warnings)
	}
	sc.Contexts = 3
	if r := runOne(t, sc, nil); !warned(r, "few-contexts") {
		t.Errorf("3 contexts: %v", r.Warnings)
	}
	if r := runOne(t, sc, func(o *weat.Options) { o.Sample = true }); !strings.HasPrefix(r.P[0].Method, "sample") {
		t.Errorf("sampled: %v", r.P[0])
	}
}

func TestHolmOverTheRun(t *testing.T) {
	p, words := cloud(perm.NewStream(12), 32, 10)
	var jobs []weat.Job
	for _, v := range weat.Variants() {
		jobs = append(jobs, weat.Job{Rep: "file", Variant: v, Scores: score(t, split(words, 8), p)})
	}
	o := weat.DefaultOptions()
	o.Boot = 0
	doc, err := weat.RunAll(jobs, o)
	if err != nil || len(doc.Holm) != 3 {
		t.Fatalf("%d corrected, %v; want 3", len(doc.Holm), err)
	}
	for _, h := range doc.Holm { // three equal p-values: each times 3, at most 1
		near(t, "holm", h.Holm, min(0, h.Log10P+math.Log10(3)), 1e-12)
	}
	again, _ := weat.RunAll(jobs, o)
	for i := range doc.Results {
		a, _ := doc.Results[i].JSON()
		b, _ := again.Results[i].JSON()
		if !bytes.Equal(a, b) {
			t.Errorf("result %d differs between two runs", i)
		}
	}
}

func TestMatchedNull(t *testing.T) {
	g := perm.NewStream(31)
	p, words := cloud(g, 432, 10)
	test := split(words[:32], 8)
	sc := score(t, test, p)
	m, err := weat.MatchedNull(sc, p, words, 999, 1)
	if err != nil {
		t.Fatal(err)
	}
	// All words come from one distribution, so matched words average no effect.
	if math.Abs(m.MeanD) > .1 || m.Pool != 400 {
		t.Errorf("mean d' %.3f over a pool of %d, want near 0 over 400", m.MeanD, m.Pool)
	}
	exact, _ := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{})
	if math.Abs(m.Tail.P()-exact.P()) > .15 {
		t.Errorf("matched p %.3f far from the exact %.3f of an unconfounded test", m.Tail.P(), exact.P())
	}
	if _, err := weat.MatchedNull(sc, p, words[:40], 999, 1); err == nil {
		t.Error("a pool of 8 usable words: no error")
	}
}

func TestTemplates(t *testing.T) {
	if err := weat.CheckTemplates(weat.Mention8(), []string{"flower", "wasp"}, true); err != nil {
		t.Errorf("the built-in templates: %v", err)
	}
	for name, c := range map[string]struct {
		template string
		causal   bool
	}{"no slot": {"the word is", true}, "two slots": {"{w} and {w}", false}, "text after": {"the {w} is here", true},
		"at the start": {"{w} is here", false}, "holds a word": {"a Wasp saw the {w}", true}, "holds a phrase": {"ice cream or {w}", true}} {
		err := weat.CheckTemplates([]string{c.template}, []string{"wasp", "ice cream"}, c.causal)
		if f := fault.As(err); f == nil || f.Code != "bad-template" {
			t.Errorf("%s: %v, want bad-template", name, err)
		}
	}
	plan := weat.Plan(weat.Mention8()[:2], []string{"rose", "wasp", "rose"})
	want := []weat.Context{{"rose", "The next word on the list is", " rose"}, {"rose", "Someone wrote down", " rose"},
		{"wasp", "The next word on the list is", " wasp"}, {"wasp", "Someone wrote down", " wasp"}}
	if !slices.Equal(plan, want) {
		t.Errorf("plan %q, want %q", plan, want)
	}
}

func TestNoncentralT(t *testing.T) {
	// scipy 1.17 stats.nct.cdf(t, df, nc).
	for _, c := range []struct{ t, df, nc, want float64 }{
		{2, 14, 1, 0.8167669546374143}, {5, 62, 7, 0.03280847971642382}, {0.5, 1, 0.3, 0.5361876885303859}, {10, 6, 12, 0.20772273319876067}, {-1, 10, .5, 0.0747754458825787},
	} {
		near(t, fmt.Sprint(c), weat.NoncentralT(c.t, c.df, c.nc), c.want, 1e-9)
	}
	if _, _, err := weat.NoncentralTLimits(math.NaN(), 5, .95); err == nil {
		t.Error("t NaN: no error")
	}
}

func TestWEFATRefusals(t *testing.T) {
	p, words := cloud(perm.NewStream(2), 20, 6)
	list := func() weat.WEFATList {
		return weat.WEFATList{Name: "l", A: weat.Set{Words: words[:4]}, B: weat.Set{Words: words[4:8]}, Words: slices.Clone(words[8:14]), Values: []float64{1, 2, 3, 4, 5, 7}}
	}
	if _, err := weat.WEFAT(list(), p, small()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*weat.WEFATList){
		"twice":    func(l *weat.WEFATList) { l.Words[1] = l.Words[0] },
		"lengths":  func(l *weat.WEFATList) { l.Values = l.Values[1:] },
		"constant": func(l *weat.WEFATList) { l.Values = []float64{2, 2, 2, 2, 2, 2} },
		"few":      func(l *weat.WEFATList) { l.Words, l.Values = l.Words[:3], l.Values[:3] },
		"nan":      func(l *weat.WEFATList) { l.Values[2] = math.NaN() },
	} {
		l := list()
		change(&l)
		_, err := weat.WEFAT(l, p, small())
		if f := fault.As(err); f == nil || f.Code != "bad-property" {
			t.Errorf("%s: %v, want bad-property", name, err)
		}
	}
}

// TestUnequal: sets of unequal size are kept, or cut at the end of the longer
// list and named; nothing is drawn.
func TestUnequal(t *testing.T) {
	p := plane{"a": {1, 0}, "b": {0, 1}, "x1": {1, 0}, "x2": {4, 3}, "y1": {3, 4}, "y2": {0, 1}, "y3": {1, 1}}
	test := weat.Test{ID: "t", X: weat.Set{Words: []string{"x1", "x2", "lost"}}, Y: weat.Set{Words: []string{"y1", "y2", "y3"}}, A: weat.Set{Words: []string{"a"}}, B: weat.Set{Words: []string{"b"}}}
	o := small()
	o.MaxMissing = .5
	sc, err := weat.Score(test, p, o)
	if err != nil || len(sc.X) != 2 || len(sc.Y) != 3 || sc.Trimmed != nil {
		t.Fatalf("kept: %d and %d words, cut %v, %v", len(sc.X), len(sc.Y), sc.Trimmed, err)
	}
	o.Unequal = weat.UnequalTrim
	sc, err = weat.Score(test, p, o)
	if err != nil || len(sc.X) != 2 || len(sc.Y) != 2 || len(sc.Trimmed) != 1 || sc.Trimmed[0] != (weat.Lost{Set: "Y", Word: "y3", Why: weat.Cut}) {
		t.Fatalf("cut: %d and %d words, %v, %v", len(sc.X), len(sc.Y), sc.Trimmed, err)
	}
	// What is left is toy T1, whose d is exact: 1.441153384246.
	res, err := weat.Run(sc, weat.DefaultOptions())
	if err != nil || math.Abs(*res.Estimates[0].Value-1.441153384246) > 1e-12 {
		t.Errorf("d %v, %v", *res.Estimates[0].Value, err)
	}
	for _, r := range sc.RowTable() {
		if r.Word == "y3" && (r.Status != "undefined" || r.Reason != "cut") {
			t.Errorf("row %+v", r)
		}
	}
	if o.Unequal = "random"; o.Validate() == nil {
		t.Error("a random cut passed")
	}
}
