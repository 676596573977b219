package stat

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// RhoSE returns the standard error of a rank correlation by its influence
// function, without assuming independence of the two variables:
//
//	phi_i = -3 rho - 9 + 12 (F_i G_i + A_i + B_i), centred,
//
// with F = (r-1/2)/n, G = (s-1/2)/n, A_i the mean of F over units scored above i
// and B_i the mean of G over units later than i, ties at half weight; se =
// sqrt(sum phi^2 / (n(n-1))). It does not hold when one value covers more than a
// twentieth of the units: use Bootstrap there. O(n log n). n below 3 is NaN.
func RhoSE(r, s Ranks) float64 {
	n := len(r.C)
	if n < 3 || len(s.C) != n {
		return math.NaN()
	}
	// A mid-distribution value (rank-1/2)/n from the doubled centred rank.
	unit := func(c int32) float64 { return (float64(c) + float64(n)) / (2 * float64(n)) }
	f, g := make([]float64, n), make([]float64, n)
	for i := range f {
		f[i], g[i] = unit(r.C[i]), unit(s.C[i])
	}
	a, b := meanAbove(f, s), meanAbove(g, r)
	for i := range a {
		a[i] = 12 * (f[i]*g[i] + a[i] + b[i]) // the constants vanish when centred
	}
	m := mean(a)
	for i := range a {
		a[i] = (a[i] - m) * (a[i] - m)
	}
	return math.Sqrt(Sum(a) / float64(n) / float64(n-1))
}

// meanAbove returns for each i (1/n) sum_j w_j h(key_j, key_i), h = 1, 1/2, 0 for
// key_j >, =, < key_i.
func meanAbove(w []float64, r Ranks) []float64 {
	n, key, idx := len(w), r.C, r.Order()
	slices.Reverse(idx)
	out := make([]float64, n)
	var above sum
	for lo := 0; lo < n; {
		hi := lo
		var here sum
		for ; hi < n && key[idx[hi]] == key[idx[lo]]; hi++ {
			here.add(w[idx[hi]])
		}
		v := (above.value() + here.value()/2) / float64(n)
		for _, i := range idx[lo:hi] {
			out[i] = v
		}
		above.add(here.value())
		lo = hi
	}
	return out
}

// RhoInterval returns the confidence limits of a rank correlation with standard
// error se: normal on the atanh scale, so they stay inside (-1, 1).
func RhoInterval(rho, se, level float64) (lo, hi float64) {
	if math.Abs(rho) >= 1 {
		return rho, rho
	}
	z := NormalQuantile((1 + level) / 2)
	half := z * se / ((1 - rho) * (1 + rho))
	c := math.Atanh(rho)
	return math.Tanh(c - half), math.Tanh(c + half)
}

// NormalQuantile is the inverse of the standard normal distribution function.
func NormalQuantile(p float64) float64 { return distuv.UnitNormal.Quantile(p) }

// StudentQuantile is the inverse of Student's distribution function with df > 0
// degrees of freedom.
func StudentQuantile(p, df float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(p)
}

// MeanDiff returns mean(a) - mean(b) and its Welch standard error
// sqrt(var(a)/|a| + var(b)/|b|), variances with divisor n-1. Fewer than two
// values on a side is an error. O(n).
func MeanDiff(a, b []float64) (diff, se float64, err error) {
	if len(a) < 2 || len(b) < 2 {
		return math.NaN(), math.NaN(), fmt.Errorf("stat: mean difference: %d and %d values, want at least 2 each", len(a), len(b))
	}
	ma, va := MeanVar(a)
	mb, vb := MeanVar(b)
	return ma - mb, math.Sqrt(va/float64(len(a)) + vb/float64(len(b))), nil
}

// MeanVar returns the mean and the variance with divisor n-1, by two compensated
// passes. NaN variance for fewer than two values.
func MeanVar(x []float64) (m, v float64) {
	m = mean(x)
	var s sum
	for _, e := range x {
		s.add((e - m) * (e - m))
	}
	if len(x) < 2 {
		return m, math.NaN()
	}
	return m, s.value() / float64(len(x)-1)
}
