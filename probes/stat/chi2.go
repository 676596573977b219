package stat

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// LogTailChi2 returns ln P(X >= x) for the chi-squared law with df > 0 degrees of
// freedom. Where gonum's complemented incomplete gamma function underflows, a
// continued fraction takes over. Relative error below 1e-10. NaN for df <= 0.
func LogTailChi2(x, df float64) float64 {
	if !(df > 0) || math.IsNaN(x) {
		return math.NaN()
	}
	if x <= 0 {
		return 0
	}
	if x < df+1 || x < 200 {
		if q := mathext.GammaIncRegComp(df/2, x/2); q > 1e-290 {
			return math.Log(q)
		}
	}
	// Legendre's continued fraction of Gamma(a, y), modified Lentz (DLMF 8.9.2).
	a, y := df/2, x/2
	b := y + 1 - a
	c := 1e300
	d := 1 / b
	h := d
	for i := 1.0; i < 1e5; i++ {
		an := -i * (i - a)
		b += 2
		d = 1 / (an*d + b)
		c = b + an/c
		h *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	g, _ := math.Lgamma(a)
	return -y + a*math.Log(y) - g + math.Log(h)
}

// KruskalWallis tests whether values differ between groups: H with the tie
// correction, its log p by chi-squared with (groups - 1) degrees of freedom, and
// eta2 = H/(n-1), the share of the variance of the ranks that lies between groups.
// code[i] in [0, groups) is the group of value i; empty groups do not count. Fewer
// than two groups with values, unequal lengths and constant values are errors.
// O(n).
func KruskalWallis(r Ranks, code []int32, groups int) (h, logP, eta2 float64, err error) {
	n := len(r.C)
	if len(code) != n {
		return h, logP, eta2, fmt.Errorf("stat: kruskal-wallis: %d values and %d codes", n, len(code))
	}
	sum, count := make([]float64, groups), make([]float64, groups)
	total := 0.0
	for i, c := range r.C {
		if g := code[i]; g < 0 || int(g) >= groups {
			return h, logP, eta2, fmt.Errorf("stat: kruskal-wallis: code %d of value %d, want 0 to %d", g, i, groups-1)
		}
		sum[code[i]] += float64(c)
		count[code[i]]++
		total += float64(c) * float64(c)
	}
	between, k := 0.0, 0.0
	for g, s := range sum {
		if count[g] > 0 {
			between += s * s / count[g]
			k++
		}
	}
	if k < 2 {
		return h, logP, eta2, fmt.Errorf("stat: kruskal-wallis: %g groups, want at least 2", k)
	}
	if total == 0 {
		return h, logP, eta2, fmt.Errorf("stat: kruskal-wallis: %w", ErrConstant)
	}
	eta2 = between / total
	h = eta2 * float64(n-1)
	return h, LogTailChi2(h, k-1), eta2, nil
}
