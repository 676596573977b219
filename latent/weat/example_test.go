package weat_test

import (
	"fmt"

	"assay/latent/weat"
	"assay/probes/assoc/perm"
)

// A test on made-up vectors in the plane: X leans to A, Y to B (d by numpy 2.4).
func Example() {
	p := plane{"rose": {5, 1}, "lily": {4, 2}, "wasp": {1, 3}, "fly": {2, 5}, "love": {1, 0}, "peace": {4, 1}, "war": {0, 1}, "hate": {1, 4}}
	test := weat.Test{ID: "demo", Alt: perm.Greater,
		X: weat.Set{Name: "Flowers", Words: []string{"rose", "lily"}}, Y: weat.Set{Name: "Insects", Words: []string{"wasp", "fly"}},
		A: weat.Set{Name: "Pleasant", Words: []string{"love", "peace"}}, B: weat.Set{Name: "Unpleasant", Words: []string{"war", "hate"}}}
	o := weat.DefaultLoss()
	o.MinWords = 2
	sc, err := weat.Score(test, p, o)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := weat.Run(sc, weat.DefaultOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Verdict.Says)
	fmt.Println("tier", r.Verdict.Tier)
	// Output:
	// Measured against Unpleasant, Flowers is nearer Pleasant than Insects is, by d = 1.6978 of at most 1.7321, for these words and attributes. No p-value holds: the sign was not shown to survive centring.
	// tier C
}
