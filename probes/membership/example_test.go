package membership_test

import (
	"fmt"

	"assay/probes/membership"
)

// Five texts whose use was drawn by lot, five that were left out.
func ExampleEvaluate() {
	score := []float64{.9, .8, .7, .6, .55, .65, .5, .5, .4, .3}
	label := []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0}
	b, err := membership.Evaluate(score, label, nil, membership.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("AUC %.2f [%.2f, %.2f]\n", b.AUC, b.CI[0], b.CI[1])
	// Output: AUC 0.92 [0.49, 0.99]
}
