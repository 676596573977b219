package stat_test

import (
	"fmt"
	"math"

	"assay/probes/stat"
)

// Six sequences in training order and how much better a model remembers each:
// the rank correlation, and how many of the 720 orders reach it.
func Example() {
	pos := []float64{1, 2, 3, 4, 5, 6}
	score := []float64{-2, -1.5, -1.8, -1.2, -1.2, -.9}
	rho, err := stat.Spearman(pos, score)
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := stat.PermuteRanks([]stat.RankPair{{R: stat.NewRanks(pos), S: stat.NewRanks(score)}}, stat.Perm{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("rho %.4f, %d of %d orders, p %.4f\n", rho, t.GE, t.Total, math.Exp(t.Greater()))
	// Output: rho 0.9276, 6 of 720 orders, p 0.0083
}

func ExampleLogFisherRanks() {
	// Three of ten secrets survived; their ranks are 1 of 1000.
	r := []int{1, 1, 1, 500, 400, 700, 300, 600, 900, 200}
	fmt.Printf("fisher log10 p %.1f\n", stat.LogFisherRanks(r, 1000)/math.Ln10)
	fmt.Printf("rank-sum log10 p %.1f\n", stat.LogTailRankTotal(3603, 10, 1000)/math.Ln10)
	// Output:
	// fisher log10 p -4.3
	// rank-sum log10 p -1.2
}
