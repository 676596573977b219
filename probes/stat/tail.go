package stat

import "math"

// LogTailT returns the natural logs of the upper and of the two-sided tail of
// T = rho sqrt((n-2)/(1-rho^2)) under Student's law with n-2 degrees of freedom:
// the usual approximate p-values of a rank correlation of n pairs. Ties are the
// caller's (use midranks). Relative error of the logs below 1e-9 down to
// log p = -10^5 and n = 10^8. |rho| = 1 gives -Inf, n < 3 or |rho| > 1 NaN.
//
// Incomplete beta function by Lentz's continued fraction (DLMF 8.17.22).
func LogTailT(rho float64, n int) (upper, two float64) {
	if n < 3 || !(math.Abs(rho) <= 1) {
		return math.NaN(), math.NaN()
	}
	// 1 - rho^2 as a product: near 1 the square loses digits.
	y := (1 - rho) * (1 + rho)
	return sides(rho, logHalfBeta(y, rho*rho, math.Log1p(-rho*rho), float64(n-2)/2))
}

// LogTailStudentT is LogTailT for a t statistic with df > 0 degrees of freedom.
func LogTailStudentT(t, df float64) (upper, two float64) {
	if !(df > 0) || math.IsNaN(t) {
		return math.NaN(), math.NaN()
	}
	if math.IsInf(t, 0) {
		return sides(t, math.Inf(-1))
	}
	q := t * t / df
	if math.IsInf(q, 0) { // t^2 overflows: ln(1/(1+q)) = ln df - 2 ln|t|
		return sides(t, logHalfBeta(0, 1, math.Log(df)-2*math.Log(math.Abs(t)), df/2))
	}
	return sides(t, logHalfBeta(1/(1+q), q/(1+q), -math.Log1p(q), df/2))
}

// LogTailTCorrected adds the fourth-cumulant term of the permutation law of a
// rank correlation to the upper Student tail: ln p + gr gs n rho^4 / 24, with gr
// and gs the excess kurtoses of the two rank vectors (-1.2 each without ties,
// so 0.06 n rho^4). It returns the corrected log p, at most 0, and the correction
// in nats. For rho <= 0 the correction is 0.
func LogTailTCorrected(rho float64, n int, gr, gs float64) (logP, correction float64) {
	upper, _ := LogTailT(rho, n)
	if rho > 0 {
		correction = gr * gs * float64(n) * math.Pow(rho, 4) / 24
	}
	return min(0, upper+correction), correction
}

// sides turns a two-sided log p and the sign of the statistic into both tails.
func sides(sign, logTwo float64) (upper, two float64) {
	if sign > 0 {
		return logTwo - math.Ln2, logTwo
	}
	return math.Log1p(-math.Exp(logTwo) / 2), logTwo
}

// logHalfBeta is ln I_x(a, 1/2), the regularised incomplete beta function, for
// 0 <= x <= 1 with y = 1-x and lnx = ln x given apart to keep their digits.
func logHalfBeta(x, y, lnx, a float64) float64 {
	const b = 0.5
	switch {
	case y == 0:
		return 0
	case math.IsInf(lnx, -1):
		return lnx
	}
	front := a*lnx + b*math.Log(y) - logBetaHalf(a)
	if x < (a+1)/(a+b+2) {
		return min(0, front-math.Log(a)+math.Log(betaCF(a, b, x)))
	}
	return math.Log1p(-math.Exp(front - math.Log(b) + math.Log(betaCF(b, a, y))))
}

// logBetaHalf is ln B(a, 1/2). The asymptotic series in 1/a avoids the
// cancellation of two large lgammas (DLMF 5.11.13).
func logBetaHalf(a float64) float64 {
	lnpi2 := math.Log(math.Pi) / 2
	if a >= 200 {
		return lnpi2 - (math.Log(a)/2 - 1/(8*a) + 1/(192*a*a*a) - 1/(640*a*a*a*a*a))
	}
	g, _ := math.Lgamma(a)
	h, _ := math.Lgamma(a + 0.5)
	return g + lnpi2 - h
}

// betaCF evaluates the continued fraction of the incomplete beta function by the
// modified Lentz method; it needs O(sqrt(max(a, b))) steps for x below
// (a+1)/(a+b+2).
func betaCF(a, b, x float64) float64 {
	const tiny = 1e-300
	nz := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c := 1.0
	d := 1 / nz(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m < 1e6; m++ {
		num := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / nz(1+num*d)
		c = nz(1 + num/c)
		h *= d * c
		num = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / nz(1+num*d)
		c = nz(1 + num/c)
		del := d * c
		h *= del
		if math.Abs(del-1) < 1e-16 {
			break
		}
	}
	return h
}

// LogTailNormal returns ln P(Z > z) of the standard normal law, relative error
// below 1e-13 for z up to 1e150. The two-sided log p of z is
// LogTailNormal(|z|) + ln 2.
func LogTailNormal(z float64) float64 {
	switch {
	case z < 0:
		return math.Log1p(-math.Erfc(-z/math.Sqrt2) / 2)
	case z < 10:
		return math.Log(math.Erfc(z/math.Sqrt2) / 2)
	}
	// Laplace's continued fraction of the Mills ratio, bottom up (DLMF 7.9.3);
	// 40 steps reach float64 from z = 10 on.
	f := z
	for k := 40.0; k >= 1; k-- {
		f = z + k/f
	}
	return -z*z/2 - math.Log(2*math.Pi)/2 - math.Log(f)
}
