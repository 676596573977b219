package perm

import (
	"math"
	"slices"
)

// BracketShares bounds the share of k-subsets whose sum is at least t. Values
// are rounded to a grid of 2^bits steps, so that a sum of k is off by at most
// k/2 steps: the share of rounded sums above t + k/2 is too small, the share
// of those at or above t - k/2 too large. A dynamic programme over (values
// taken, integer sum) counts both. Cost: n k^2 2^bits steps at most.
func BracketShares(values []float64, k int, t float64, bits int) (lo, hi float64) {
	least, most := slices.Min(values), slices.Max(values)
	if most == least {
		return 1, 1
	}
	mul := math.Ldexp(1, bits) / (most - least)
	q := make([]int, len(values))
	for i, v := range values {
		q[i] = int(math.Floor((v-least)*mul + 0.5))
	}
	qt := (t - float64(k)*least) * mul
	f := distribution(q, k)
	var all, above, reach float64
	for s, n := range f {
		all += n
		if x := float64(s); x > qt+float64(k)/2 {
			above += n
		}
		if x := float64(s); x >= qt-float64(k)/2 {
			reach += n
		}
	}
	return above / all, reach / all
}

// distribution returns the number of k-subsets of q by their sum. Row c only
// spans the sums that c of the values seen so far can have and that can still
// be completed to k, which is a small part of the whole table.
func distribution(q []int, k int) []float64 {
	q = slices.Clone(q)
	slices.Sort(q)
	n := len(q)
	sum := make([]int, n+1) // ascending prefix sums: the least and the largest sum of c of the first i
	for i, x := range q {
		sum[i+1] = sum[i] + x
	}
	rows := make([][]float64, k+1)
	for c := range rows {
		rows[c] = make([]float64, sum[n]-sum[n-c]+1)
	}
	rows[0][0] = 1
	for i, x := range q {
		for c := min(i, k-1); c >= max(0, k-(n-i)); c-- {
			lo, hi := sum[c], sum[i]-sum[i-c]
			from, to := rows[c][lo:hi+1], rows[c+1][lo+x:hi+1+x]
			for j, w := range from {
				to[j] += w
			}
		}
	}
	return rows[k]
}

// bracketBits chooses the grid and returns the bracket: finer while the
// bracket is wider than 2 % of p and still narrowing (choices that tie with
// the observed one stay between its ends on any grid), coarser while it would
// take more than 2e10 steps or maxBytes.
func bracketBits(values []float64, k int, t float64, maxBytes int64) (lo, hi float64, bits int) {
	kk := float64(k) * float64(k)
	fits := func(b int) bool {
		return float64(len(values))*kk*math.Ldexp(1, b) <= 2e10 && 4*kk*math.Ldexp(1, b) <= float64(maxBytes)
	}
	bits = 16
	for bits > 4 && !fits(bits) {
		bits--
	}
	lo, hi = BracketShares(values, k, t, bits)
	for hi-lo > 0.02*hi && fits(bits+1) {
		l, h := BracketShares(values, k, t, bits+1)
		bits++
		narrowing := h-l < 0.9*(hi-lo)
		lo, hi = max(lo, l), min(hi, h) // both are proven
		if !narrowing {
			break
		}
	}
	return lo, hi, bits
}
