package perplexity

import (
	"math"
	"testing"

	"assay/internal/calib"
	"assay/internal/gen"
)

// TestCompareNull: two checkpoints that differ by noise, document sizes uneven.
// ASSAY_NULLS=10000 runs the full size.
func TestCompareNull(t *testing.T) {
	g := gen.New(99)
	ps := map[string][]float64{}
	n := calib.Sets(t, 500)
	for rep := range n {
		a, b, u := make([]float64, 40), make([]float64, 40), make([]float64, 40)
		for d := range a {
			u[d] = float64(30 + g.Below(100))
			a[d] = u[d] * (2 + .3*g.Z())
			b[d] = a[d] + math.Sqrt(u[d])*g.Z()
		}
		r, err := Compare(Sample{Units: unitsOf(a, u)}, Sample{Units: unitsOf(b, u)}, Options{B: 999, Seed: uint64(rep)})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.P { // none where neighbours correlate: about one in twenty
			ps[p.Name] = append(ps[p.Name], math.Pow(10, p.Log10P))
		}
	}
	for _, name := range []string{"t_paired", "sign_flip"} {
		if len(ps[name]) < n*85/100 {
			t.Errorf("%s: %d of %d comparisons gave a p-value", name, len(ps[name]), n)
		}
		calib.Check(t, name, ps[name], calib.Uniform)
	}
}
