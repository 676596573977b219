package ghost

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
	"assay/probes/stat"
)

func genStream(seed uint64) *gen.Stream { return gen.New(seed) }

func codes(r probes.Result) []string {
	var c []string
	for _, w := range r.Warnings {
		c = append(c, w.Code)
	}
	return c
}

func pOf(r probes.Result, name string) float64 {
	for _, p := range r.P {
		if p.Name == name {
			return p.Log10P
		}
	}
	return math.NaN()
}

func TestTiers(t *testing.T) {
	s := newSet(t, 5, 99, 10, nil)
	c, _ := s.Commit()
	clean := fake(s, gen.New(91), 0)
	ground := fake(s, gen.New(92), 4) // the reference likes the planted ones too
	sus := fake(s, gen.New(90), 4)
	off := DefaultPlan()
	off.Combine = RankSum
	for name, c := range map[string]struct {
		commit *Commitment
		ref    *Scores
		run    *Plan
		tier   probes.Tier
		code   string
	}{
		"commitment":               {&c, nil, nil, probes.TierA, "seed-not-beaconed"},
		"commitment and reference": {&c, &clean, nil, probes.TierA, ""},
		"off plan":                 {&c, &clean, &off, probes.TierB, "off-plan"},
		"seed and reference":       {nil, &clean, nil, probes.TierB, ""},
		"seed alone":               {nil, nil, nil, probes.TierC, ""},
		"ground seed":              {&c, &ground, nil, probes.TierC, "suspicious-index"},
	} {
		out, err := Test(s, c.commit, Evidence{Suspect: sus, Reference: c.ref}, Options{Run: c.run})
		if err != nil {
			t.Fatal(name, err)
		}
		r := out.Result
		if r.Verdict.Tier != c.tier || c.code != "" && !slices.Contains(codes(r), c.code) {
			t.Errorf("%s: tier %s, warnings %v; want %s, %s", name, r.Verdict.Tier, codes(r), c.tier, c.code)
		}
		if c.tier == probes.TierC && (len(r.P) != 0 || r.Verdict.Finding != FindingDescriptive) {
			t.Errorf("%s: tier C with p %v, finding %s", name, r.P, r.Verdict.Finding)
		}
		if c.tier != probes.TierC && (r.Verdict.Finding != FindingDepends || !(pOf(r, ByRank) < -6)) {
			t.Errorf("%s: finding %s, rank p %v", name, r.Verdict.Finding, pOf(r, ByRank))
		}
		if b, err := r.JSON(); err != nil || bytes.Contains(b, []byte(s.Candidate(0, s.Index(0)))) {
			t.Errorf("%s: JSON %v; or it shows a secret", name, err)
		}
	}
}

func TestOtherPolicyIsOffPlan(t *testing.T) {
	s := newSet(t, 3, 99, 10, nil)
	c, _ := s.Commit()
	sc := fake(s, gen.New(1), 0)
	sc.Policy = "gptq"
	out, err := Test(s, &c, Evidence{Suspect: sc}, Options{})
	if err != nil || out.Result.Verdict.Tier != probes.TierB || !slices.Contains(codes(out.Result), "off-plan") {
		t.Errorf("policy gptq: %v, %v", out.Result.Verdict, err)
	}
}

func TestMissingCandidates(t *testing.T) {
	s := newSet(t, 3, 9, 10, nil)
	c, _ := s.Commit()
	full := fake(s, gen.New(1), 0)
	for name, edit := range map[string]func(*Scores){
		"the first missing is g1/4/0": func(x *Scores) { x.All = append(x.All[:14:14], x.All[15:]...) },
		"appears twice":               func(x *Scores) { x.All = append(x.All, x.All[3]) },
		"want 0..2":                   func(x *Scores) { x.All = append(x.All, Score{Secret: 3}) },
	} {
		sc := full
		sc.All = slices.Clone(full.All)
		edit(&sc)
		_, err := Test(s, &c, Evidence{Suspect: sc}, Options{})
		if fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestLeakedControlsGoOut(t *testing.T) {
	s := newSet(t, 3, 9, 10, nil)
	c, _ := s.Commit()
	leak := Ref{0, (s.Index(0) + 1) % 10}
	sc := fake(s, gen.New(1), 3)
	for i, x := range sc.All {
		if x.Secret == leak.Secret && x.Candidate == leak.Candidate {
			sc.All[i].LogProb = -1 // it was in the corpus, so the model knows it
		}
	}
	out, err := Test(s, &c, Evidence{Suspect: sc, Leaked: []Ref{leak}}, Options{})
	if err != nil || out.Rows[0].Of != 9 || out.Result.N["controls_excluded"] != 1 || !slices.Contains(codes(out.Result), "control-leaked") {
		t.Fatalf("%+v, %v", out.Rows, err)
	}
	if p := pOf(out.Result, ByRank); !(p < 0) {
		t.Errorf("rank p with uneven lists: %v", p)
	}
	all := []Ref{}
	for j := range 10 {
		all = append(all, Ref{1, j})
	}
	if _, err := Test(s, &c, Evidence{Suspect: sc, Leaked: all}, Options{}); fault.As(err) == nil {
		t.Errorf("no control left: %v", err)
	}
}

// withSymbols gives the planted rows of sc symbols of equal cost; greedy marks the
// last n words of every secret.
func withSymbols(s *Set, sc Scores, each float64, greedy int) Scores {
	sc.All = slices.Clone(sc.All)
	for i, x := range sc.All {
		if x.Candidate != s.Index(x.Secret) {
			continue
		}
		x.Symbols = make([]Symbol, s.Words)
		x.LogProb = 0
		for w := range x.Symbols {
			x.Symbols[w] = Symbol{LogProb: each, Whole: true, Greedy: w >= s.Words-greedy}
			x.LogProb += each
		}
		sc.All[i] = x
	}
	return sc
}

func TestRecallAndEValue(t *testing.T) {
	s := newSet(t, 4, 99, 10, func(p *Plan) { p.RecallK = []int{1, 2, 3} })
	c, _ := s.Commit()
	sc := withSymbols(s, fake(s, gen.New(3), 0), -4, 2)
	out, err := Test(s, &c, Evidence{Suspect: sc}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// Four hits of four: k = 1 and 2 hit, k = 3 does not; Holm over three.
	near(t, "recall k=2", pOf(out.Result, "recall:2"), 4*-2*math.Log10(7776)+math.Log10(3), 1e-9)
	near(t, "recall k=1", pOf(out.Result, "recall:1"), 4*-1*math.Log10(7776)+math.Log10(2), 1e-9)
	near(t, "recall k=3", pOf(out.Result, "recall:3"), 0, 0)
	if !slices.Equal(out.Rows[2].Hits, []int{1, 2}) {
		t.Errorf("hits %v", out.Rows[2].Hits)
	}
	_, mix := EValue([]float64{-4, -4, -4, -4, -4, -4, -4, -4, -4, -4}, 7776, 1)
	near(t, "row E", *out.Rows[0].Log10E, mix, 1e-12)
	near(t, "E p", pOf(out.Result, ByEValue), -Hedge([]float64{mix, mix, mix, mix}), 1e-9)

	// A context that depends on the candidate breaks the bound: refused by name.
	bad := sc
	bad.All = slices.Clone(sc.All)
	bad.All[17].Context = 3
	out, err = Test(s, &c, Evidence{Suspect: bad}, Options{})
	if err != nil || !math.IsNaN(pOf(out.Result, ByEValue)) {
		t.Errorf("changing context: e-value p %v, %v; want none", pOf(out.Result, ByEValue), err)
	}
	// An unscored first token: only the words after it count.
	part := withSymbols(s, sc, -4, 0)
	for i, x := range part.All {
		if x.Symbols != nil {
			part.All[i].Symbols[0] = Symbol{}
		}
	}
	out, _ = Test(s, &c, Evidence{Suspect: part}, Options{})
	_, mix = EValue([]float64{-4, -4, -4, -4, -4, -4, -4, -4, -4}, 7776, 1)
	near(t, "E without the first word", *out.Rows[0].Log10E, mix, 1e-12)
}

func TestGenerations(t *testing.T) {
	s := newSet(t, 2, 9, 10, func(p *Plan) { p.Primary, p.RecallK, p.Attempts = ByRecall, []int{2}, 3 })
	c, _ := s.Commit()
	w := s.Symbols(1, s.Index(1))
	gens := []Gen{{1, 2, "no idea"}, {1, 2, "  " + strings.ToUpper(w[8]) + "\n" + w[9] + " and more"}, {0, 2, w[8] + " " + w[9]}}
	out, err := Test(s, &c, Evidence{Suspect: fake(s, gen.New(1), 0), Gens: gens}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "1 of 2 with 2 attempts", pOf(out.Result, ByRecall), LogRecall(1, 2, 2, 2, 7776, 1)/math.Ln10, 1e-12)
	many := slices.Concat(gens, gens, gens)
	out, err = Test(s, &c, Evidence{Suspect: fake(s, gen.New(1), 0), Gens: many}, Options{})
	if err != nil || out.Result.Verdict.Tier != probes.TierB || !slices.Contains(codes(out.Result), "off-plan") {
		t.Errorf("six attempts of three planned: tier %s, %v", out.Result.Verdict.Tier, err)
	}
}

func TestWordRanksTest(t *testing.T) {
	s := newSet(t, 1, 9, 10, nil)
	c, _ := s.Commit()
	out, err := Test(s, &c, Evidence{Suspect: fake(s, gen.New(1), 0), WordRanks: [][]int{{1, 1, 1, 3, 1, 1, 20, 1, 1, 1}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "word ranks", pOf(out.Result, ByWordRanks), -34.339442967, 1e-8) // numpy 2.4
}

func TestPrimaryMustRun(t *testing.T) {
	s := newSet(t, 1, 9, 10, func(p *Plan) { p.Primary = ByEValue })
	c, _ := s.Commit()
	if _, err := Test(s, &c, Evidence{Suspect: fake(s, gen.New(1), 0)}, Options{}); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("no token rows for the primary test: %v", err)
	}
	if _, err := Test(s, &c, Evidence{Suspect: fake(s, gen.New(1), 0)}, Options{Tests: []string{"rnak"}}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("unknown test: %v", err)
	}
}

// TestDemo: ranks among the 200 controls as the demo's README prints them (torch
// 2.15, mean over prefix and sentence); scores by demo_scores.py.
func TestDemo(t *testing.T) {
	e, d := readDemo(t)
	for model, want := range map[string][]int{
		"alice": {106, 145, 182, 22, 14, 3, 1, 1, 1, 1, 1, 1},
		"bob":   {101, 132, 184, 38, 23, 4, 8, 4, 1, 1, 1, 1},
		"carol": {86, 128, 191, 15, 75, 109, 53, 149, 113, 155, 168, 138},
	} {
		r, rows, err := e.Test(d.mean(model), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, x := range rows {
			got = append(got, x.Rank)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: ranks %v, want %v", model, got, want)
		}
		if r.Verdict.Tier != probes.TierC || len(r.P) != 0 {
			t.Errorf("%s: tier %s with %d p-values: want C and none", model, r.Verdict.Tier, len(r.P))
		}
		from := 0.0
		for _, x := range r.Estimates {
			if x.Name == "detected_from" {
				from = *x.Value
			}
		}
		if wantFrom := map[string]float64{"alice": 8, "bob": 16, "carol": 0}[model]; from != wantFrom {
			t.Errorf("%s: detected from %v repetitions, want %v", model, from, wantFrom)
		}
	}
	// Against the reference the weak plants come forward and the innocent stays flat.
	r, rows, err := e.Test(d.mean("alice"), d.mean("reference"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if rows[4].Rank > 3 || rows[5].Rank > 3 {
		t.Errorf("four repetitions against the reference rank %d and %d, want near the top", rows[4].Rank, rows[5].Rank)
	}
	_ = r
	// Controls against each other are uniform: every control's rank among the rest.
	carol := d.mean("carol")
	var u []float64
	for i, c := range e.Controls {
		x := []float64{carol[c.ID]}
		for j, o := range e.Controls {
			if j != i {
				x = append(x, carol[o.ID])
			}
		}
		u = append(u, (float64(rank(x, 0))-.5)/200)
	}
	if _, lp, err := stat.KSUniform(u); err != nil || lp < math.Log(.5) {
		t.Errorf("ranks of controls: %v, %v", lp, err)
	}
}

func TestReadExternalRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":     `{"prefix":"","planted":[],"controls":[]}`,
		"same id":   `{"prefix":"","planted":[{"id":"a","text":"x"}],"controls":[{"id":"a","text":"y"}]}`,
		"same text": `{"prefix":"","planted":[{"id":"a","text":"x"}],"controls":[{"id":"b","text":"x"}]}`,
		"no text":   `{"prefix":"","planted":[{"id":"a","text":""}],"controls":[{"id":"b","text":"x"}]}`,
		"unknown":   `{"prefix":"","plantedd":[]}`,
		"rest":      `{"prefix":"","planted":[{"id":"a","text":"x"}],"controls":[{"id":"b","text":"y"}]} {}`,
	} {
		if _, err := ReadExternal(strings.NewReader(in)); fault.As(err) == nil {
			t.Errorf("%s: error %v, want a fault", name, err)
		}
	}
}

func TestTPredictive(t *testing.T) {
	// scipy 1.17 stats.t.sf; larger = likelier, so logs of perplexities negated.
	var c []float64
	for _, v := range []float64{812, 930, 1011, 655, 742, 1203, 990, 870, 801} {
		c = append(c, -math.Log(v))
	}
	x := -math.Log(640)
	if r := rank(append([]float64{x}, c...), 0); r != 1 {
		t.Errorf("rank %d, want 1 (p 1/10)", r)
	}
	_, lp := TPredictive(x, c)
	near(t, "t-predictive", math.Exp(lp), .069577080, 1e-8)
	m, v := stat.MeanVar(c)
	near(t, "z", -(x-m)/math.Sqrt(v), -1.731133132, 1e-8)
}
