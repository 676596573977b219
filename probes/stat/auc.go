package stat

import (
	"fmt"
	"math"
)

// AUC returns the probability that a value of pos exceeds one of neg, ties counted
// half, and its standard error by DeLong, DeLong and Clarke-Pearson (1988), with
// divisors n-1. A side with fewer than two values and values that are not finite
// are errors. The error treats values as independent: cross-validated scores are
// not. O(N log N) by midranks (Sun and Xu 2014).
func AUC(pos, neg []float64) (auc, se float64, err error) {
	v10, v01, err := placements(pos, neg)
	if err != nil {
		return math.NaN(), math.NaN(), err
	}
	auc, s10 := MeanVar(v10)
	_, s01 := MeanVar(v01)
	return auc, math.Sqrt(s10/float64(len(pos)) + s01/float64(len(neg))), nil
}

// AUCDiff returns AUC(posA, negA) - AUC(posB, negB) for two scores of the same
// items (posA[i] and posB[i] are one item) and the paired DeLong standard error.
// Errors as for AUC; unequal lengths too.
func AUCDiff(posA, negA, posB, negB []float64) (diff, se float64, err error) {
	if len(posA) != len(posB) || len(negA) != len(negB) {
		return math.NaN(), math.NaN(), fmt.Errorf("stat: auc: %d+%d and %d+%d items, want the same items",
			len(posA), len(negA), len(posB), len(negB))
	}
	a10, a01, err := placements(posA, negA)
	if err != nil {
		return math.NaN(), math.NaN(), err
	}
	b10, b01, err := placements(posB, negB)
	if err != nil {
		return math.NaN(), math.NaN(), err
	}
	for i := range a10 {
		a10[i] -= b10[i]
	}
	for i := range a01 {
		a01[i] -= b01[i]
	}
	diff, s10 := MeanVar(a10)
	_, s01 := MeanVar(a01)
	return diff, math.Sqrt(s10/float64(len(posA)) + s01/float64(len(negA))), nil
}

// placements returns for each positive the share of negatives below it and for
// each negative the share of positives above it.
func placements(pos, neg []float64) (v10, v01 []float64, err error) {
	m, n := len(pos), len(neg)
	if m < 2 || n < 2 {
		return nil, nil, fmt.Errorf("stat: auc: %d positive and %d negative values, want at least 2 each", m, n)
	}
	all := append(append(make([]float64, 0, m+n), pos...), neg...)
	for i, v := range all {
		if !finite(v) {
			return nil, nil, fmt.Errorf("stat: auc: value %d is %g, want finite", i, v)
		}
	}
	joint, rp, rn := MidRanks(all), MidRanks(pos), MidRanks(neg)
	v10, v01 = make([]float64, m), make([]float64, n)
	for i := range v10 {
		v10[i] = (joint[i] - rp[i]) / float64(n)
	}
	for i := range v01 {
		v01[i] = 1 - (joint[m+i]-rn[i])/float64(m)
	}
	return v10, v01, nil
}
