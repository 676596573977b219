// Package calib holds p-values that were simulated under their null hypothesis
// against the law that they claim. Tests of all packages with p-values use it.
package calib

import (
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"assay/probes/stat"
)

// Law is what a p-value claims of itself under its null hypothesis.
type Law int

const (
	// Uniform: the p-value is uniform on (0, 1), up to steps that are small beside
	// the spread of the simulation.
	Uniform Law = iota
	// Valid: P(p <= a) is at most a for every a. Discrete and bounded p-values.
	Valid
)

// Sets is the number of simulated data sets: quick by default, ASSAY_NULLS for the
// full size by hand.
func Sets(t testing.TB, quick int) int {
	t.Helper()
	v := os.Getenv("ASSAY_NULLS")
	if v == "" {
		return quick
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("ASSAY_NULLS: found %q, want a positive number", v)
	}
	return n
}

// tail is the level of the binomial limits on the rejections: what a right p-value
// leaves once in a thousand simulations.
const tail = .001

// Check fails the test when p-values depart from their law: Kolmogorov-Smirnov p at
// most .01 (for Valid one-sided, an excess of small p-values only), or rejections at
// .05 or .001 outside what a binomial law of that level leaves (above it for Valid).
func Check(t testing.TB, name string, p []float64, law Law) {
	t.Helper()
	n := len(p)
	if n == 0 {
		t.Errorf("%s: no p-value", name)
		return
	}
	ks := onesided(p)
	if law == Uniform {
		var err error
		if _, ks, err = stat.KSUniform(p); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
	if ks <= math.Log(.01) {
		t.Errorf("%s: %d p-values: Kolmogorov-Smirnov p %.3g, want above .01", name, n, math.Exp(ks))
	}
	var rejected [2]int
	for i, a := range []float64{.05, .001} {
		for _, v := range p {
			if v <= a*(1+1e-9) {
				rejected[i]++
			}
		}
		if stat.LogTailBinom(rejected[i], n, math.Log(a)) < math.Log(tail) {
			t.Errorf("%s: %d of %d p-values at most %g: too many", name, rejected[i], n, a)
		}
		// P(X <= k) = P(n - X >= n - k) for the other side.
		if law == Uniform && stat.LogTailBinom(n-rejected[i], n, math.Log1p(-a)) < math.Log(tail) {
			t.Errorf("%s: %d of %d p-values at most %g: too few", name, rejected[i], n, a)
		}
	}
	t.Logf("%s: %d nulls, Kolmogorov-Smirnov p %.3f, rejected at .05: %.4f, at .001: %.5f", name, n, math.Exp(ks), float64(rejected[0])/float64(n), float64(rejected[1])/float64(n))
}

// onesided is the bound exp(-2 n d^2) on the one-sided Kolmogorov tail, in log; d is
// the largest excess of the empirical law over the uniform one.
func onesided(p []float64) float64 {
	s := slices.Clone(p)
	slices.Sort(s)
	d, n := 0.0, float64(len(s))
	for i, v := range s {
		d = max(d, float64(i+1)/n-v)
	}
	return -2 * n * d * d
}
