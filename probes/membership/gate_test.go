package membership

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
)

func TestWithinFolds(t *testing.T) {
	// By hand: 8 of 9 and 3 of 4 pairs.
	score := []float64{.9, .8, .4, .5, .3, .35, .7, .2, .6, .1}
	label := []int{1, 1, 1, 0, 0, 0, 1, 1, 0, 0}
	fold := []int{0, 0, 0, 0, 0, 0, 1, 1, 1, 1}
	auc, se, err := withinFolds(score, label, fold)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "AUC", auc, .8461538, 1e-7)
	near(t, "se", se, .1538462, 1e-7)
	ci := LogitInterval(auc, se, .95, 5)
	near(t, "lo", ci[0], .3517005, 1e-7)
	near(t, "hi", ci[1], .9823822, 1e-7)
}

// idTexts is the gate vector: 60 documents of 20 ids; members draw the smaller of
// two integers below 40 when shifted.
func idTexts(seed uint64, shifted bool) []Text {
	g := gen.New(seed)
	var out []Text
	for i := range 60 {
		x := Text{ID: fmt.Sprintf("d%02d", i)}
		if i < 30 {
			x.Label = 1
		}
		for range 20 {
			a, b := g.Below(40), g.Below(40)
			if shifted && x.Label == 1 {
				a = min(a, b)
			}
			x.IDs = append(x.IDs, int32(a))
		}
		out = append(out, x)
	}
	return out
}

func TestGateVector(t *testing.T) {
	// numpy 2.4 and scipy 1.17.
	r, err := Gate(idTexts(21, true), GateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first := idTexts(21, true)[0].IDs[:4]
	if !slices.Equal(first, []int32{1, 20, 3, 3}) {
		t.Fatalf("first document begins %v", first)
	}
	if got := r.Fold[:6]; !slices.Equal(got, []int{1, 2, 3, 4, 3, 3}) {
		t.Errorf("folds %v, want 1 2 3 4 3 3", got)
	}
	near(t, "AUC", r.AUC, .933333333, 1e-9)
	near(t, "DeLong", r.DeLong, .036514837, 1e-8)
	if r.Outcome != Confounded || r.P != .01 || !r.Underpower {
		t.Errorf("shifted: %s, p %v, underpowered %v", r.Outcome, r.P, r.Underpower)
	}
	r, err = Gate(idTexts(21, false), GateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "AUC without shift", r.Words, .455555556, 1e-9)
	if math.Abs(r.permutedSD(0)-.105) > .03 {
		t.Errorf("permutation sd %v, want about .105", r.permutedSD(0))
	}
	if r.Outcome == Confounded {
		t.Errorf("no shift: %s", r.Outcome)
	}
}

func (r GateResult) permutedSD(i int) float64 {
	m, s := 0.0, 0.0
	for _, v := range r.permutedPer[i] {
		m += v / float64(len(r.permutedPer[i]))
	}
	for _, v := range r.permutedPer[i] {
		s += (v - m) * (v - m) / float64(len(r.permutedPer[i])-1)
	}
	return math.Sqrt(s)
}

func TestGateRefuses(t *testing.T) {
	base := idTexts(1, false)
	edit := func(f func([]Text) []Text) []Text { return f(slices.Clone(base)) }
	for name, c := range map[string][]Text{
		"19 members":  base[11:],
		"label":       edit(func(x []Text) []Text { x[0].Label = 3; return x }),
		"same id":     edit(func(x []Text) []Text { x[1].ID = "d00"; return x }),
		"mixed group": edit(func(x []Text) []Text { x[0].Group, x[59].Group = "g", "g"; return x }),
		"nothing":     nil,
	} {
		if _, err := Gate(c, GateOptions{}); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
}

func TestNearDuplicates(t *testing.T) {
	long := strings.Repeat("one two three four five six seven eight nine ten ", 3)
	got := nearDuplicates([]Text{
		{ID: "m", Label: 1, Text: long + "and an ending"}, {ID: "n", Text: "a beginning " + long}, {ID: "o", Text: "nothing in common with the other texts here at all, it is quite another matter"},
		{ID: "short", Text: "one two"},
	})
	if len(got) != 1 || got[0] != [2]string{"m", "n"} {
		t.Errorf("near duplicates %v, want m and n", got)
	}
}

// demoTexts cuts the demo's texts into passages: two topics to tell apart.
func demoTexts(t testing.TB, part string, n int) []string {
	t.Helper()
	b, err := os.ReadFile("../../testdata/demo/texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]string
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, text := range all[part] {
		w := strings.Fields(text)
		for i := 0; i+60 <= len(w) && len(out) < n; i += 60 {
			out = append(out, strings.Join(w[i:i+60], " "))
		}
	}
	return out
}

func TestGateOnDemo(t *testing.T) {
	kjv, shk := demoTexts(t, "kjv", 160), demoTexts(t, "heldout_shk", 80)
	var shift, split []Text
	for i := range 80 {
		shift = append(shift, Text{ID: fmt.Sprintf("a%d", i), Label: 1, Text: kjv[i]}, Text{ID: fmt.Sprintf("b%d", i), Text: shk[i]})
	}
	for i, k := range hashOrder(kjv, "split") { // a random split of one source
		split = append(split, Text{ID: fmt.Sprintf("s%d", i), Label: i % 2, Text: k})
	}
	r, err := Gate(shift, GateOptions{Permutations: 19})
	if err != nil || r.Outcome != Confounded || r.AUC < .9 {
		t.Errorf("Bible against Shakespeare: %s, AUC %.3f, %v", r.Outcome, r.AUC, err)
	}
	r, err = Gate(split, GateOptions{Permutations: 19})
	if err != nil || r.Outcome == Confounded {
		t.Errorf("random split: %s, AUC %.3f +- %.3f, %v", r.Outcome, r.AUC, r.SE, err)
	}
}

func TestGateWorkers(t *testing.T) {
	x := idTexts(5, true)
	a, err := Gate(x, GateOptions{Permutations: 9, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(x)
	b, _ := Gate(x, GateOptions{Permutations: 9, Workers: 3})
	if a.AUC != b.AUC || a.SE != b.SE || a.P != b.P || a.Fold[0] != b.Fold[59] {
		t.Errorf("workers or row order change the gate: %v %v %v, %v %v %v", a.AUC, a.SE, a.P, b.AUC, b.SE, b.P)
	}
}

func BenchmarkGate(b *testing.B) {
	for _, n := range []int{100, 400, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			kjv, shk := demoTexts(b, "kjv", n), demoTexts(b, "shk", n)
			var x []Text
			for i := range min(n, len(kjv), len(shk)) {
				x = append(x, Text{ID: fmt.Sprintf("a%d", i), Label: 1, Text: kjv[i]}, Text{ID: fmt.Sprintf("b%d", i), Text: shk[i]})
			}
			for b.Loop() {
				if _, err := Gate(x, GateOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
