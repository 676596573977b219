package ghost

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/optimize"

	"assay/internal/fault"
	"assay/probes/stat"
)

// SkewNormal is the law with density 2/Omega phi(z) Phi(Alpha z), z = (x-Xi)/Omega
// (Azzalini 1985), fitted by maximum likelihood.
type SkewNormal struct {
	Xi, Omega, Alpha float64
	LogLik           float64 // nats
	KS, KSP          float64 // Kolmogorov-Smirnov distance and its p (parameters taken as known)
}

const logRoot2Pi = 0.9189385332046727 // ln sqrt(2 pi)

// logPhi is ln of the standard normal CDF, also far out in its lower tail.
func logPhi(z float64) float64 { return stat.LogTailNormal(-z) }

func logSkewDensity(z, alpha float64) float64 {
	return math.Ln2 - z*z/2 - logRoot2Pi + logPhi(alpha*z)
}

// LogSkewNormalCDF returns ln F(x) by quadrature of the density relative to its
// largest value below x, so that deep tails keep their digits (the closed form
// Phi(z) - 2 T(z, alpha) with Owen's T cancels there).
func LogSkewNormalCDF(x, xi, omega, alpha float64) float64 {
	z := (x - xi) / omega
	if math.IsNaN(z) || math.IsNaN(alpha) || omega <= 0 {
		return math.NaN()
	}
	// The log density is concave: find its largest point at or below z, then
	// integrate panel by panel to the left until a panel adds nothing.
	peak := z
	slope := func(t float64) float64 { return logSkewDensity(t+1e-6, alpha) - logSkewDensity(t-1e-6, alpha) }
	if slope(z) < 0 {
		lo, hi := min(-40, z-40), z
		for range 100 {
			m := (lo + hi) / 2
			if slope(m) > 0 {
				lo = m
			} else {
				hi = m
			}
		}
		peak = lo
	}
	top := logSkewDensity(peak, alpha)
	f := func(t float64) float64 { return math.Exp(logSkewDensity(t, alpha) - top) }
	// Natural width: where the density left of the peak has fallen by about e.
	width := 1.0
	for f(peak-width) < math.Exp(-1) && width > 1e-12 {
		width /= 2
	}
	total := 0.0
	for a := z; a > peak; {
		b := max(peak, a-.25)
		total += quad.Fixed(f, b, a, 24, quad.Legendre{}, 0)
		a = b
	}
	for a := peak; ; a -= width {
		part := quad.Fixed(f, a-width, a, 24, quad.Legendre{}, 0)
		total += part
		if part <= 1e-18*total {
			break
		}
	}
	return min(0, top+math.Log(total))
}

// LogCDF returns ln F(x) of the fitted law.
func (s SkewNormal) LogCDF(x float64) float64 { return LogSkewNormalCDF(x, s.Xi, s.Omega, s.Alpha) }

// FitSkewNormal fits by maximum likelihood from several starting shapes, since the
// likelihood is flat at Alpha = 0. Fewer than 20 values, or values that are
// constant or not finite, are errors.
func FitSkewNormal(x []float64) (SkewNormal, error) {
	if len(x) < 20 {
		return SkewNormal{}, fault.Inputf("too-few", "ghost: skew-normal fit: found %d values, want at least 20", len(x))
	}
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return SkewNormal{}, fault.Inputf("nonfinite", "ghost: skew-normal fit: value %d is %v, want a finite number", i, v)
		}
	}
	m, v := stat.MeanVar(x)
	sd := math.Sqrt(v)
	if !(sd > 0) {
		return SkewNormal{}, fault.Inputf("constant", "ghost: skew-normal fit: all values are equal")
	}
	loss := func(p []float64) float64 {
		omega := math.Exp(p[1])
		l := float64(len(x)) * p[1]
		for _, v := range x {
			l -= logSkewDensity((v-p[0])/omega, p[2])
		}
		if math.IsNaN(l) {
			return math.Inf(1)
		}
		return l
	}
	best := SkewNormal{LogLik: math.Inf(-1)}
	for _, a := range []float64{-3, -.5, .5, 3} {
		delta := a / math.Sqrt(1+a*a) * math.Sqrt(2/math.Pi)
		omega := sd / math.Sqrt(1-delta*delta)
		start := []float64{m - omega*delta, math.Log(omega), a}
		r, err := optimize.Minimize(optimize.Problem{Func: loss}, start, &optimize.Settings{
			MajorIterations: 2000,
			Converger:       &optimize.FunctionConverge{Absolute: 1e-10, Iterations: 60},
		}, &optimize.NelderMead{})
		if r == nil || (err != nil && math.IsInf(r.F, 0)) {
			return SkewNormal{}, fmt.Errorf("ghost: skew-normal fit: %w", err)
		}
		if -r.F > best.LogLik {
			best = SkewNormal{Xi: r.X[0], Omega: math.Exp(r.X[1]), Alpha: r.X[2], LogLik: -r.F}
		}
	}
	u := make([]float64, len(x))
	for i, v := range x {
		u[i] = math.Exp(best.LogCDF(v))
	}
	d, logP, err := stat.KSUniform(u)
	if err != nil {
		return best, fmt.Errorf("ghost: skew-normal fit: %w", err)
	}
	best.KS, best.KSP = d, math.Exp(logP)
	return best, nil
}
