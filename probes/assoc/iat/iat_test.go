package iat

import (
	"hash/fnv"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/perm"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

func TestD(t *testing.T) {
	// Exact rationals by hand: 3/7 + 6/7 - 1 = 2/7; with .01: 3/7.01 + 6/7.01 - 1.
	d, err := Counts(3, 4, 1, 6, false)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "counts", d, .285714286, 1e-9)
	d, _ = Counts(3, 4, 1, 6, true)
	near(t, "compat", d, .283880171, 1e-9)
	// 1.5/2.2 + 1.3/1.8 - 1.
	d, effect, err := D([]float64{.8, .7, .4, .3}, []bool{true, true, false, false})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "D", d, .404040404, 1e-9)
	// numpy 2.4: mean of logit(.8), logit(.7) less mean of logit(.4), logit(.3).
	near(t, "effect", effect, 1.7431775950012312, 1e-12)
	logit := func(p float64) float64 { return math.Log(p / (1 - p)) }
	p, err := perm.TwoSample([]float64{logit(.8), logit(.7)}, []float64{logit(.4), logit(.3)}, perm.Greater, perm.Options{})
	if err != nil || math.Abs(p.P()-1.0/6) > 1e-15 {
		t.Errorf("p %v, %v; want 1/6", p.P(), err)
	}
	swapped, _, _ := D([]float64{.2, .3, .6, .7}, []bool{true, true, false, false}) // groups exchanged
	near(t, "groups exchanged", swapped, -.404040404, 1e-9)
	for name, f := range map[string]func() error{
		"0/0":       func() error { _, err := Counts(0, 0, 1, 1, false); return err },
		"above 1":   func() error { _, _, err := D([]float64{2, .5}, []bool{true, false}); return err },
		"one kind":  func() error { _, _, err := D([]float64{.2, .5}, []bool{true, true}); return err },
		"unequal":   func() error { _, _, err := D([]float64{.2, .5}, []bool{true}); return err },
		"undefined": func() error { _, _, err := DOfList(Set{}, "nothing", false); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestBuiltin(t *testing.T) {
	for _, alternative := range []bool{false, true} {
		sets, err := Builtin(alternative)
		if err != nil || len(sets) != 21 {
			t.Fatalf("%d sets, %v; want 21", len(sets), err)
		}
		for _, s := range sets {
			if n := len(s.Words); n < 8 || n > 20 || !alternative && n > 16 || n%2 != 0 {
				t.Errorf("%s: %d words", s.Name, n)
			}
			if _, err := Scenarios(s.Name); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
			if strings.Contains(s.Name, "/") {
				t.Errorf("set %q keeps the name of the file", s.Name)
			}
		}
		if s := sets[0]; s.Name != "racism" || s.A[0] != "White" || s.B[0] != "Black" || s.IsB[0] || !s.IsB[8] || (s.Words[0] == "marvelous") == alternative {
			t.Errorf("first set %+v", s)
		}
	}
}

func TestReadCSVRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "unknown column": "category,dataset,A,B,C,E\n", "no C": "category,dataset,A,B\n", "ragged": "category,dataset,A,B,C\nx,y,a,b\n",
		"odd": "category,dataset,A,B,C\nx,y,a,b,w1\nx,y,,,w2\nx,y,,,w3\n", "twice": "category,dataset,A,B,C\nx,y,a,b,w\nx,y,,,w\nx,y,,,v\nx,y,,,u\n",
		"no group": "category,dataset,A,B,C\nx,y,a,,w1\nx,y,,,w2\nx,y,,,w3\nx,y,,,w4\n", "quote": "category,dataset,A,B,C\nx,\"y,a,b,w1\n",
	} {
		_, err := ReadCSV(strings.NewReader(text), "f.csv")
		if f := fault.As(err); f == nil || f.Code != "bad-wordsets" {
			t.Errorf("%s: %v, want bad-wordsets", name, err)
		}
	}
}

// fake answers every request by a rule: logit of group B.
func fake(t *testing.T, s Set, o Options, logit func(word string, bFirst bool) float64, mass float64) assoc.Map {
	t.Helper()
	rs, err := Plan(s, o)
	if err != nil {
		t.Fatal(err)
	}
	ev := assoc.Map{}
	for _, r := range rs {
		word := strings.TrimSuffix(r.Prompt[strings.LastIndex(r.Prompt, "\n")+1:], " - ")
		ga, gb := r.Targets[0], s.B[0]
		bFirst := strings.Index(r.Prompt, gb) < strings.Index(r.Prompt, ga)
		l := logit(word, bFirst)
		q := 1 / (1 + math.Exp(-l))
		var as []assoc.Answer
		for _, target := range r.Targets {
			p := mass * (1 - q)
			if strings.EqualFold(target, gb) {
				p = mass * q
			}
			if target == strings.ToLower(target) {
				p *= .25
			} else {
				p *= .75
			}
			h := fnv.New32()
			h.Write([]byte(target))
			as = append(as, assoc.Answer{Tokens: []assoc.Token{{ID: int32(h.Sum32() >> 1), LogProb: math.Log(p)}}})
		}
		ev[r.ID()] = as
	}
	return ev
}

func setup(t *testing.T) (Set, Options) {
	t.Helper()
	sets, err := Builtin(false)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return sets[0], o
}

func value(t *testing.T, r probes.Result, name string) float64 {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name && e.Value != nil {
			return *e.Value
		}
	}
	t.Fatalf("no estimate %s", name)
	return 0
}

func has(r probes.Result, code string) bool {
	for _, w := range r.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

func isB(s Set, word string) bool {
	for i, w := range s.Words {
		if strings.EqualFold(w, word) {
			return s.IsB[i]
		}
	}
	return false
}

func TestPlantedAssociation(t *testing.T) {
	s, o := setup(t)
	biased := func(word string, _ bool) float64 {
		if isB(s, word) {
			return 1
		}
		return -.5
	}
	r, err := Run(s, o, fake(t, s, o, biased, .9))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "effect", value(t, r, "effect"), 1.5, 1e-9)
	near(t, "mass", value(t, r, "mass"), .9, 1e-9)
	near(t, "order effect", value(t, r, "order_effect"), 0, 1e-12)
	near(t, "words make all the variance", value(t, r, "variance_item"), 1, 1e-12)
	if r.Verdict.Tier != probes.TierB || r.Verdict.Finding != "associated" || len(r.P) != 2 {
		t.Errorf("verdict %+v, %v", r.Verdict, r.Warnings)
	}
	// 8 + 8 words, perfectly apart: 1 of 12870.
	near(t, "p", *r.P[0].P, 1.0/12870, 1e-15)
	mirrored, err := Run(s, o, fake(t, s, o, func(w string, b bool) float64 { return -biased(w, b) }, .9))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "mirrored D", value(t, mirrored, "D"), -value(t, r, "D"), 1e-12)
}

func TestScriptedModelsGiveNoEvidence(t *testing.T) {
	s, o := setup(t)
	for name, c := range map[string]struct {
		logit func(string, bool) float64
		mass  float64
		code  string
	}{
		"always the first": {func(_ string, bFirst bool) float64 {
			if bFirst {
				return 4
			}
			return -4
		}, .9, "order-unstable"},
		"always B":      {func(string, bool) float64 { return 6 }, .9, "saturated"},
		"says nothing":  {func(w string, _ bool) float64 { return float64(len(w)) - 8 }, .1, "low-mass"},
		"first if long": {func(w string, b bool) float64 { return map[bool]float64{true: 2, false: -1}[b] }, .9, "order-unstable"},
	} {
		r, err := Run(s, o, fake(t, s, o, c.logit, c.mass))
		if err != nil {
			t.Fatal(name, err)
		}
		if r.Verdict.Tier != probes.TierC || len(r.P) != 0 || !has(r, c.code) {
			t.Errorf("%s: tier %s, %d p-values, %v; want C and %s", name, r.Verdict.Tier, len(r.P), r.Warnings, c.code)
		}
	}
	o.Templates = o.Templates[:1]
	r, err := Run(s, o, fake(t, s, o, func(w string, _ bool) float64 { return map[bool]float64{true: 1, false: -1}[isB(s, w)] }, .9))
	if err != nil || r.Verdict.Tier != probes.TierC || !has(r, "single-format") {
		t.Errorf("one template: %+v, %v", r.Verdict, err)
	}
}

func TestUniform(t *testing.T) {
	g := perm.NewStream(5)
	var ps []float64
	for range 500 {
		x, y := make([]float64, 8), make([]float64, 8)
		for i := range x {
			x[i], y[i] = g.Normal(), g.Normal()
		}
		p, err := perm.TwoSample(x, y, perm.Greater, perm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p.P())
	}
	var low int
	for _, p := range ps {
		if p <= .05 {
			low++
		}
	}
	if low > 45 { // 500 x .05 = 25 expected; P(more than 45) < 1e-4
		t.Errorf("%d of 500 null p-values at or below .05", low)
	}
}

func TestPairsAreDrawnBySeed(t *testing.T) {
	_, o := setup(t)
	s := Set{Name: "many", Words: []string{"a", "b", "c", "d"}, IsB: []bool{false, false, true, true}}
	for i := range 12 {
		s.A, s.B = append(s.A, "a"+string(rune('a'+i))), append(s.B, "b"+string(rune('a'+i)))
	}
	p, q := o.pairs(s), o.pairs(s)
	if len(p) != 64 || p[0] != q[0] || p[63] != q[63] {
		t.Errorf("%d pairs, first %v %v", len(p), p[0], q[0])
	}
	o.Seed = 2
	if r := o.pairs(s); r[0] == p[0] && r[10] == p[10] && r[40] == p[40] {
		t.Error("another seed draws the same pairs")
	}
	rs, err := Plan(s, o)
	if err != nil || len(rs) != 4*4*64*2 {
		t.Errorf("%d requests, %v; want templates 4 x words 4 x pairs 64 x orders 2", len(rs), err)
	}
}

func TestParseList(t *testing.T) {
	s := Set{Name: "p", A: []string{"White"}, B: []string{"Black"}, Words: []string{"didn't do it", "self-made", "joy", "pain"}, IsB: []bool{false, false, false, true}}
	p := ParseList(s, "1. **joy** - White\n* pain: black\n\n(3) \"self-made\" - Black\ndidnt do it \u2014 White\npain - Green\nHere is the list:\n")
	// By hand: pain with Black, self-made with Black, joy and didn't do it with White.
	if p.A != 1 || p.B != 1 || p.C != 0 || p.E != 2 || len(p.Unknown) != 2 {
		t.Errorf("%+v, want 1 1 0 2 and two unknown lines", p)
	}
	p = ParseList(s, "- self-made - Black\n2) pain - White")
	if p.B != 1 || p.C != 1 || len(p.Unknown) != 0 {
		t.Errorf("%+v, want b 1 and c 1", p)
	}
	if d, _, err := DOfList(s, "refused", true); err != nil || d != 0 {
		t.Errorf("compat on nothing: %v, %v; want 0", d, err)
	}
}

func TestDecision(t *testing.T) {
	s, o := setup(t)
	scs, err := Scenarios(s.Name)
	if err != nil || len(scs) != 3 || strings.Contains(scs[0].Prompt, "Task") {
		t.Fatalf("%v, %v", scs, err)
	}
	rs, err := PlanDecision(s, scs, o)
	if err != nil || len(rs) != 3*8*4 {
		t.Fatalf("%d requests, %v; want 3 wordings x 8 word pairs x 4 orders", len(rs), err)
	}
	ev := assoc.Map{}
	for _, r := range rs {
		ev[r.ID()] = []assoc.Answer{{Tokens: []assoc.Token{{ID: 1, LogProb: math.Log(.03)}}}, {Tokens: []assoc.Token{{ID: 2, LogProb: math.Log(.01)}}}}
	}
	r, err := RunDecision(s, scs, o, ev)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "outcome", value(t, r, "outcome"), .75, 1e-12)
	if _, err := RunDecision(s, scs, o, assoc.Map{}); err == nil {
		t.Error("no evidence: no error")
	}
}

func TestUnanswered(t *testing.T) {
	s, o := setup(t)
	if _, err := Run(s, o, assoc.Map{}); fault.As(err) == nil || fault.As(err).Code != "unanswered" {
		t.Errorf("%v, want unanswered", err)
	}
}
