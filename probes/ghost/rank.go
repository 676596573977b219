package ghost

import "math"

// Combine names a way to combine the ranks of K secrets.
type Combine string

// The three exact combinations.
const (
	Fisher  Combine = "fisher"   // some secrets may be lost (default)
	RankSum Combine = "rank-sum" // equal effect in all
	Sum     Combine = "sum"      // most power for a common shift
)

// rank is 1 + the number of other values that are at least x[j]; values within
// 1e-12 max(1, |x_j|) are ties, and ties count against the claim.
func rank(x []float64, j int) int {
	limit := x[j] - 1e-12*max(1, math.Abs(x[j]))
	r := 1
	for i, v := range x {
		if i != j && v >= limit {
			r++
		}
	}
	return r
}
