package assoc_test

import (
	"fmt"
	"math"

	"assay/probes/assoc"
)

// A choice between two answers, each in two spellings.
func ExampleForms() {
	f := assoc.Forms{{"yes", "Yes"}, {"no", "No"}}
	answer := func(p float64, id int32) assoc.Answer {
		return assoc.Answer{Tokens: []assoc.Token{{ID: id, LogProb: math.Log(p)}}}
	}
	ll, mass, _, err := f.Options([]assoc.Answer{answer(.3, 1), answer(.3, 2), answer(.1, 3), answer(.2, 4)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("yes %.1f, no %.1f, together %.1f\n", math.Exp(ll[0]), math.Exp(ll[1]), mass)
	// Output: yes 0.6, no 0.3, together 0.9
}
