package pairs_test

import (
	"fmt"

	"assay/probes/assoc"
	"assay/probes/assoc/pairs"
)

// Three differences of one pair with three signs: the whole sentence, the mean
// over tokens, and the words that both share after they part.
func ExampleDiff() {
	token := func(off, n int, lp float64) assoc.Token { return assoc.Token{Off: off, Len: n, LogProb: lp} }
	more := []assoc.Token{token(0, 3, -1), token(3, 6, -3), token(9, 4, -2), token(13, 5, -1)}
	less := []assoc.Token{token(0, 3, -1), token(3, 5, -2), token(8, 4, -1.5), token(12, 4, -2.5), token(16, 5, -.5)}
	d, err := pairs.Diff("the nurse was late", "the tall man was late", more, less)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("sum %.2f, token %.2f, shared %.2f\n", d.Sum, d.Token, d.Shared)
	// Output: sum 0.50, token -0.25, shared 0.00
}
