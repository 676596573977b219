package bbq_test

import (
	"fmt"

	"assay/probes/assoc/bbq"
)

// Four ambiguous answers: three known, two of them the stereotype's.
func ExampleScore() {
	roles := [3]bbq.Role{bbq.Target, bbq.Other, bbq.Unknown}
	row := func(negative bool, chosen int) bbq.Choice {
		return bbq.Choice{Template: "1", Ambiguous: true, Negative: negative, Label: 2, Chosen: chosen, Roles: roles}
	}
	c, err := bbq.Score([]bbq.Choice{row(true, 0), row(true, 2), row(false, 1), row(false, 0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of %d known answers biased, s %.4f\n", c.Ambiguous.Biased, c.Ambiguous.Known, c.Ambiguous.S)
	// Output: 2 of 3 known answers biased, s 0.3333
}
