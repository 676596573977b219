package stat

import (
	"fmt"
	"math"
	"slices"
)

// KSUniform tests whether p-values (or any values) are uniform on [0, 1]. It
// returns the Kolmogorov-Smirnov distance d and the log of its two-sided
// p-value: exact by Durbin's matrix (Marsaglia, Tsang and Wang 2003) for
// n d^2 < 4, and beyond by twice the exact one-sided law (Birnbaum and Tingey
// 1951), whose relative error there is below 1e-10. Values outside [0, 1] and
// an empty sample are errors. Ties are conservative. O(n log n + (n d)^3 log n).
func KSUniform(x []float64) (d, logP float64, err error) {
	n := len(x)
	if n == 0 {
		return math.NaN(), math.NaN(), fmt.Errorf("stat: uniformity: no values")
	}
	s := slices.Clone(x)
	slices.Sort(s)
	if !(s[0] >= 0 && s[n-1] <= 1) { // NaN sorts first
		return math.NaN(), math.NaN(), fmt.Errorf("stat: uniformity: values from %g to %g, want 0 to 1", s[0], s[n-1])
	}
	for i, v := range s {
		d = max(d, v-float64(i)/float64(n), float64(i+1)/float64(n)-v)
	}
	return d, logKSTail(n, d), nil
}

func logKSTail(n int, d float64) float64 {
	switch f := float64(n); {
	case d*f <= 0.5:
		return 0
	case d >= 1:
		return math.Inf(-1)
	case f*d*d >= 4:
		return min(0, math.Ln2+logSmirnov(n, d))
	}
	return math.Log1p(-durbin(n, d))
}

// logSmirnov is the log of the one-sided tail P(D+ >= d), a sum of positive terms:
// d sum_j C(n,j) (d+j/n)^(j-1) (1-d-j/n)^(n-j).
func logSmirnov(n int, d float64) float64 {
	f := float64(n)
	terms := make([]float64, 0, n)
	top := math.Inf(-1)
	for j := range n + 1 {
		x := float64(j) / f
		if 1-d-x <= 0 {
			break
		}
		t := LogChoose(int64(n), int64(j)) + (float64(j)-1)*math.Log(d+x) + (f-float64(j))*math.Log1p(-d-x)
		terms = append(terms, t)
		top = max(top, t)
	}
	for i, t := range terms {
		terms[i] = math.Exp(t - top)
	}
	return math.Log(d) + top + math.Log(Sum(terms))
}

// durbin is P(D < d) by the matrix power of Marsaglia, Tsang and Wang.
func durbin(n int, d float64) float64 {
	f := float64(n)
	k := int(f*d) + 1
	m := 2*k - 1
	h := float64(k) - f*d
	a := make([]float64, m*m)
	for i := range m {
		for j := range m {
			if i-j+1 >= 0 {
				a[i*m+j] = 1
			}
		}
	}
	for i := range m {
		a[i*m] -= math.Pow(h, float64(i+1))
		a[(m-1)*m+i] -= math.Pow(h, float64(m-i))
	}
	if 2*h > 1 {
		a[(m-1)*m] += math.Pow(2*h-1, float64(m))
	}
	for i := range m {
		for j := range m {
			for g := 1; g <= i-j+1; g++ {
				a[i*m+j] /= float64(g)
			}
		}
	}
	q, e := matPower(a, m, n)
	s := q[(k-1)*m+k-1]
	for i := 1; i <= n; i++ { // times n!/n^n
		s *= float64(i) / f
		if s < 1e-140 {
			s *= 1e140
			e -= 140
		}
	}
	return s * math.Pow(10, float64(e))
}

// matPower returns a^n scaled by 10^-e.
func matPower(a []float64, m, n int) (v []float64, e int) {
	v = make([]float64, m*m)
	for i := range m {
		v[i*m+i] = 1
	}
	b, eb := slices.Clone(a), 0
	scale := func(x []float64, e int) int {
		if x[(m/2)*m+m/2] > 1e140 {
			for i := range x {
				x[i] *= 1e-140
			}
			return e + 140
		}
		return e
	}
	for {
		if n&1 == 1 {
			v = matMul(v, b, m)
			e = scale(v, e+eb)
		}
		if n >>= 1; n == 0 {
			return v, e
		}
		b = matMul(b, b, m)
		eb = scale(b, 2*eb)
	}
}

func matMul(a, b []float64, m int) []float64 {
	c := make([]float64, m*m)
	for i := range m {
		row := c[i*m : (i+1)*m]
		for k := range m {
			if x := a[i*m+k]; x != 0 {
				for j, y := range b[k*m : (k+1)*m] {
					row[j] += x * y
				}
			}
		}
	}
	return c
}
