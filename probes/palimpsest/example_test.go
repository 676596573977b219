package palimpsest_test

import (
	"fmt"

	"assay/internal/gen"
	"assay/probes/palimpsest"
)

// A run of 1,000 sequences and a suspect that remembers late ones a little better.
// The order is declared, not drawn again from its generator, so the tier is B.
func Example() {
	g := gen.New(1)
	var units []palimpsest.Unit
	for i := range 1000 {
		late := float64(i) / 1000
		units = append(units, palimpsest.Unit{Seq: int64(i), Pos: int64(i), D: -3 + 0.6*late + 0.5*g.Z()})
	}
	r, err := palimpsest.Query(palimpsest.FromUnits(units), palimpsest.Options{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Verdict.Finding, r.Verdict.Tier)
	for _, e := range r.Estimates {
		if e.Name == "rho" {
			fmt.Printf("rho %.2f [%.2f, %.2f]\n", *e.Value, e.CI.Lo, e.CI.Hi)
		}
	}
	for _, p := range r.P {
		if p.Name == "permutation" || p.Name == "rank_sum" {
			fmt.Printf("%s: log10 p %.1f\n", p.Name, p.Log10P)
		}
	}
	// Output:
	// order_dependence B
	// rho 0.37 [0.31, 0.42]
	// permutation: log10 p -4.0
	// rank_sum: log10 p -28.4
}
