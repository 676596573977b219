package palimpsest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"assay/internal/gen"
	"assay/probes/stat"
)

func TestCombineByHand(t *testing.T) {
	s := []float64{1, 2, 4}
	a, b := []float64{0, 1, 1}, []float64{2, 1, 3}
	for _, c := range []struct {
		mode string
		refs [][]float64
		want []float64
	}{
		{"none", nil, []float64{1, 2, 4}},
		{"none", [][]float64{a}, []float64{1, 2, 4}},
		{"diff", [][]float64{a}, []float64{1, 1, 3}},
		{"mean", [][]float64{a, b}, []float64{0, 1, 2}},
		// Through (1,1), (2,2), (4,4) against (0,1,1): fit 1 at x=0 and 3 at x=1.
		{"regress", [][]float64{a}, []float64{0, -1, 1}},
	} {
		got, err := combine(s, c.refs, nil, c.mode)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-14 {
				t.Errorf("%s: %v, want %v", c.mode, got, c.want)
				break
			}
		}
	}
	if !slices.Equal(s, []float64{1, 2, 4}) {
		t.Error("combine changed its input")
	}
}

// Residuals are orthogonal to everything in the fit, also when columns depend on
// each other.
func TestRegressIsOrthogonal(t *testing.T) {
	g := gen.New(4)
	n := 200
	d, r, x := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range d {
		r[i], x[i] = g.Z(), 1e6+float64(g.Below(50))
		d[i] = 3 + 2*r[i] - 1e-3*x[i] + g.Z()
	}
	twice := make([]float64, n)
	for i := range x {
		twice[i] = 2*x[i] - 7
	}
	got, err := combine(d, [][]float64{r}, []Covariate{{"length", x}, {"bytes", twice}, {"flat", slices.Repeat([]float64{5}, n)}}, "regress")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][]float64{"reference": r, "covariate": x, "its double": twice} {
		if p, err := stat.Pearson(got, c); err != nil || math.Abs(p) > 1e-9 {
			t.Errorf("residual correlates %g with %s (%v)", p, name, err)
		}
	}
	if m := stat.Sum(got) / float64(n); math.Abs(m) > 1e-9 {
		t.Errorf("residual has mean %g", m)
	}
}

// Blocks of three rows were shuffled: a unit's count is the sum over its rows.
func TestPartitionUnits(t *testing.T) {
	tr := &Transcript{Meta: Meta{N: 60}}
	for i := range 60 {
		tr.Seq = append(tr.Seq, int64(i))
		tr.Positions = append(tr.Positions, []int64{int64(i)})
		tr.Unit = append(tr.Unit, int64(i/3))
		tr.Text = append(tr.Text, fmt.Sprintf("w%da w%db w%dc w%dd", i, i, i, i))
	}
	if err := tr.Derive(); err != nil {
		t.Fatal(err)
	}
	var d Doc
	for _, i := range []int{3, 4, 5, 30, 31, 59} {
		d.Text += tr.Text[i] + " . "
	}
	r, err := Partition(context.Background(), tr, docs(d), PartitionOptions{Perm: 99})
	if err != nil {
		t.Fatal(err)
	}
	if r.N["units"] != 20 || r.N["units_hit"] != 3 || r.N["matched_starts"] != 6 {
		t.Errorf("n %v, want 20 units, 3 hit, 6 starts", r.N)
	}
	// By hand: ranks 2, 11 and 20 of 20 hold 3, 2 and 1. T - E T = 3(-8.5) + 2(0.5) + 9.5 = -15;
	// sum (r-mean)^2 = 665, sum (h-mean)^2 = 14 - 36/20 = 12.2; z = -15/sqrt(665*12.2/19).
	near(t, "z", estimate(t, r, "z"), -15/math.Sqrt(665*12.2/19), 1e-12)
}
