package stat

import (
	"cmp"
	"math"
	"slices"
)

// Holm returns step-down adjusted log p-values, in input order: sorted
// increasingly, max over j <= i of log p_j + ln(K-j+1), at most 0. They control
// the family-wise error under any dependence (Holm 1979). O(K log K).
func Holm(logP []float64) []float64 {
	k := len(logP)
	out := make([]float64, k)
	worst := math.Inf(-1)
	for j, i := range ascending(logP) {
		worst = max(worst, logP[i]+math.Log(float64(k-j)))
		out[i] = min(0, worst)
	}
	return out
}

// BH returns step-up adjusted log p-values, in input order: sorted increasingly,
// min over j >= i of log p_j + ln(K/j), at most 0. They control the false
// discovery rate when the tests are independent or positively dependent
// (Benjamini and Hochberg 1995). O(K log K).
func BH(logP []float64) []float64 {
	k := len(logP)
	out := make([]float64, k)
	best := 0.0
	idx := ascending(logP)
	for j := k - 1; j >= 0; j-- {
		best = min(best, logP[idx[j]]+math.Log(float64(k)/float64(j+1)))
		out[idx[j]] = best
	}
	return out
}

func ascending(x []float64) []int {
	idx := make([]int, len(x))
	for i := range idx {
		idx[i] = i
	}
	slices.SortStableFunc(idx, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	return idx
}
