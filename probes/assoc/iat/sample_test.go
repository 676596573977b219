package iat

import (
	"math"
	"slices"
	"strings"
	"testing"

	"assay/probes"
	"assay/probes/assoc"
)

// TestSamples: answers written by rule give the D of that rule, and what cannot be
// counted is counted apart.
func TestSamples(t *testing.T) {
	s, err := FromLists("t", []string{"rose", "lily"}, []string{"wasp"}, []string{"love", "peace", "joy"}, []string{"war", "hate", "pain"})
	if err != nil {
		t.Fatal(err)
	}
	o, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	n := Samples{Draws: 20}
	qs, err := PlanSamples(s, o, n)
	if err != nil || len(qs) != 60 { // three wordings list the words, answer-only does not
		t.Fatalf("%d questions, %v", len(qs), err)
	}
	again, _ := PlanSamples(s, o, n)
	if !slices.Equal(qs, again) || qs[0].ID() == qs[1].ID() {
		t.Error("questions are not drawn by the seed alone")
	}
	orders := map[bool]int{}
	for _, q := range qs {
		orders[strings.Index(q.Prompt, "wasp") < max(strings.Index(q.Prompt, "rose"), strings.Index(q.Prompt, "lily"))]++
	}
	if orders[true] < 15 || orders[false] < 15 {
		t.Errorf("orders of mention %v of 60", orders)
	}
	write := func(rule func(word string, i int) string) assoc.Texts {
		texts := assoc.Texts{}
		for i, q := range qs {
			var b strings.Builder
			for _, w := range s.Words {
				b.WriteString("- " + w + " - " + rule(w, i) + "\n")
			}
			texts[q.ID()] = b.String()
		}
		return texts
	}
	bad := func(w string) bool { return slices.Contains([]string{"war", "hate", "pain"}, w) }
	for _, c := range []struct {
		name         string
		rule         func(string, int) string
		d            float64
		usable, none int
	}{
		{"stereotype", func(w string, _ int) string {
			if bad(w) {
				return "Wasp"
			}
			return "rose"
		}, 1, 60, 0},
		{"reversed", func(w string, _ int) string {
			if bad(w) {
				return "lily"
			}
			return "wasp"
		}, -1, 60, 0},
		{"one group", func(string, int) string { return "wasp" }, 0, 0, 60},
		{"half refuse", func(w string, i int) string {
			switch {
			case i%2 == 1:
				return "I cannot say"
			case bad(w):
				return "wasp"
			}
			return "rose"
		}, 1, 30, 30},
	} {
		r, err := RunSamples(s, o, n, write(c.rule))
		if err != nil {
			t.Fatal(err)
		}
		if r.N["usable"] != c.usable || r.N["unusable"] != c.none || r.Verdict.Tier != probes.TierC {
			t.Errorf("%s: n %v, tier %s", c.name, r.N, r.Verdict.Tier)
		}
		if e := r.Estimates[0]; (e.Value == nil) != (c.usable == 0) || e.Value != nil && *e.Value != c.d {
			t.Errorf("%s: %+v, want D %v", c.name, e, c.d)
		}
		if c.name == "half refuse" && r.N["lines_unknown"] != 180 {
			t.Errorf("%d unknown lines, want 30 answers of 6", r.N["lines_unknown"])
		}
	}
	if _, err := RunSamples(s, o, n, assoc.Texts{}); err == nil {
		t.Error("no answers: no error")
	}
	o.Templates = o.Templates[3:]
	if _, err := PlanSamples(s, o, n); err == nil {
		t.Error("a wording without the list of words: no error")
	}
}

// TestOverSets: scipy 1.17, stats.ttest_1samp([.2, .5, .1, .4], 0): t 3.286335345,
// p .0462050914.
func TestOverSets(t *testing.T) {
	var rs []probes.Result
	for _, d := range []float64{.2, .5, .1, .4} {
		rs = append(rs, probes.Result{Estimates: []probes.Estimate{assoc.Number("D", "1", d, "")}})
	}
	rs = append(rs, probes.Result{Estimates: []probes.Estimate{assoc.Undefined("D", "1", "")}})
	r, err := OverSets(rs, 1)
	if err != nil || r.N["sets"] != 4 || r.N["undefined"] != 1 {
		t.Fatal(r.N, err)
	}
	if got := *r.Estimates[1].Value; math.Abs(got-3.286335345) > 1e-8 {
		t.Errorf("t %v", got)
	}
	if got := math.Pow(10, *r.Estimates[2].Value); math.Abs(got-.0462050914) > 1e-8 {
		t.Errorf("p %v", got)
	}
	if _, err := OverSets(rs[:1], 1); err == nil {
		t.Error("one set: no error")
	}
}
