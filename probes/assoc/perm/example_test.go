package perm_test

import (
	"fmt"

	"assay/probes/assoc/perm"
)

// Three values against three: of the 20 choices only the observed one reaches
// its sum of 12, so p is 1/20.
func ExampleTwoSample() {
	t, err := perm.TwoSample([]float64{5, 4, 3}, []float64{2, 1, 0}, perm.Greater, perm.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %v of %v, p %.2f\n", t.Method, t.GE, t.Total, t.P())
	// Output: tail-count: 1 of 20, p 0.05
}
