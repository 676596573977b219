package weat

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/integrate/quad"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// NoncentralT returns P(T <= t) of Student's law with df degrees of freedom
// and noncentrality lambda, absolute error below 1e-12: the expectation of
// Phi(t s - lambda) over s = chi/sqrt(df), by Gauss-Legendre. gonum has no
// noncentral law, and the usual series lose digits at large lambda.
func NoncentralT(t, df, lambda float64) float64 {
	// ln density of s up to a constant: (df-1) ln s - df s^2/2.
	mode := math.Sqrt(max(df-1, 0) / df)
	log := func(s float64) float64 {
		if df == 1 {
			return -s * s / 2
		}
		return (df-1)*math.Log(s) - df*s*s/2
	}
	top := log(max(mode, 1e-300))
	if df == 1 {
		top = 0
	}
	hi := mode
	for log(hi)-top > -40 {
		hi += 0.25 / math.Sqrt(df)
	}
	lo := mode
	for lo > 0 && log(lo)-top > -40 {
		lo = max(0, lo-0.25/math.Sqrt(df))
	}
	var mass, below float64
	x, w := make([]float64, 64), make([]float64, 64)
	const panels = 8 // composite: the normal step is narrow when t is large
	for p := range panels {
		a, b := lo+(hi-lo)*float64(p)/panels, lo+(hi-lo)*float64(p+1)/panels
		quad.Legendre{}.FixedLocations(x, w, a, b)
		for i, s := range x {
			f := w[i] * math.Exp(log(s)-top)
			mass += f
			below += f * 0.5 * math.Erfc(-(t*s-lambda)/math.Sqrt2)
		}
	}
	return below / mass
}

// NoncentralTLimits returns the limits of lambda at which the observed t sits
// at the upper and the lower tail of level.
func NoncentralTLimits(t float64, df int, level float64) (lo, hi float64, err error) {
	if !finite(t) || df < 1 || !(level > 0 && level < 1) {
		return nan, nan, fault.Inputf("nonfinite", "weat: noncentral t: found t %v, df %d, level %v, want finite t, df 1 or more, level in (0,1)", t, df, level)
	}
	at := func(q float64) float64 { // P falls as lambda grows
		step := 2 + math.Abs(t)/4
		a, b := t-step, t+step
		for NoncentralT(t, float64(df), a) < q {
			a -= step
		}
		for NoncentralT(t, float64(df), b) > q {
			b += step
		}
		for range 80 {
			m := (a + b) / 2
			if m == a || m == b {
				break
			}
			if NoncentralT(t, float64(df), m) > q {
				a = m
			} else {
				b = m
			}
		}
		return (a + b) / 2
	}
	return at((1 + level) / 2), at((1 - level) / 2), nil
}

// nctInterval carries the limits of lambda over to d. It assumes normal s.
func nctInterval(e Effect, nx, ny int, level float64) (lo, hi float64) {
	n := float64(nx + ny)
	c := float64(nx) * float64(ny) / n
	if !finite(e.DPooled) {
		return nan, nan
	}
	l, h, err := NoncentralTLimits(e.DPooled*math.Sqrt(c), nx+ny-2, level)
	if err != nil {
		return nan, nan
	}
	d := func(lambda float64) float64 {
		delta := lambda / math.Sqrt(c)
		return delta * math.Sqrt((n-1)/(n-2+c*delta*delta))
	}
	return d(l), d(h)
}

// Bootstrap is the bias-corrected and accelerated interval of d, words
// resampled within X and within Y while the attributes stay.
type Bootstrap struct {
	B                    int // replicates with a defined d
	PercentileLo, PercHi float64
	Z0, A                float64
	Lo, Hi               float64
}

// BCa resamples b times; replicate r has its own stream.
func BCa(x, y []float64, b int, seed uint64, level float64) Bootstrap {
	d := effectD(x, y)
	draws := make([]float64, 0, b)
	p, q := make([]float64, len(x)), make([]float64, len(y))
	for r := 1; r <= b; r++ {
		g := perm.Replicate(seed, r)
		for i := range p {
			p[i] = x[g.Index(len(x))]
		}
		for i := range q {
			q[i] = y[g.Index(len(y))]
		}
		if v := effectD(p, q); finite(v) {
			draws = append(draws, v)
		}
	}
	out := Bootstrap{B: len(draws), PercentileLo: nan, PercHi: nan, Z0: nan, A: nan, Lo: nan, Hi: nan}
	if len(draws) < 2 || !finite(d) {
		return out
	}
	below := 0.0
	for _, v := range draws {
		if v < d {
			below++
		} else if v == d {
			below += .5
		}
	}
	slices.Sort(draws)
	alpha := (1 - level) / 2
	out.PercentileLo, out.PercHi = stat.Quantile(draws, alpha), stat.Quantile(draws, 1-alpha)
	out.Z0 = stat.NormalQuantile(below / float64(len(draws)))
	out.A = acceleration(x, y)
	limit := func(q float64) float64 {
		z := stat.NormalQuantile(q)
		at := out.Z0 + (out.Z0+z)/(1-out.A*(out.Z0+z))
		if !finite(at) {
			return nan
		}
		return stat.Quantile(draws, 0.5*math.Erfc(-at/math.Sqrt2))
	}
	out.Lo, out.Hi = limit(alpha), limit(1-alpha)
	return out
}

// acceleration sums the cubes of the jackknife's influence over both strata.
func acceleration(x, y []float64) float64 {
	var num, den float64
	for k, v := range [][]float64{x, y} {
		n := len(v)
		if n < 2 {
			continue
		}
		loo := make([]float64, n)
		for i := range v {
			w := slices.Delete(slices.Clone(v), i, i+1)
			if k == 0 {
				loo[i] = effectD(w, y)
			} else {
				loo[i] = effectD(x, w)
			}
		}
		m := mean(loo)
		for _, d := range loo {
			u := float64(n-1) * (m - d) / float64(n)
			num, den = num+u*u*u, den+u*u
		}
	}
	return num / (6 * math.Pow(den, 1.5))
}
