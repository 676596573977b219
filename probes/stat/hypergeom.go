package stat

import "math"

// LogFisherExact returns ln P(X >= a): of n1+n0 units of which a+b have a property, n1
// drawn without replacement contain at least a (Fisher's exact test, one-sided).
// a of n1 and b of n0 have it. NaN for counts outside 0..n. O(min(a+b, n1)).
func LogFisherExact(a, n1, b, n0 int64) float64 {
	if a < 0 || b < 0 || a > n1 || b > n0 {
		return math.NaN()
	}
	k := a + b
	if a <= max(0, k-n0) {
		return 0
	}
	var terms []float64
	for x := a; x <= min(k, n1); x++ {
		terms = append(terms, LogChoose(n1, x)+LogChoose(n0, k-x))
	}
	return min(0, LogSumExp(terms)-LogChoose(n1+n0, k))
}
