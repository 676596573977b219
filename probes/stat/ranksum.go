package stat

import (
	"math"
	"math/cmplx"
	"runtime"
	"sync"
)

// LogTailRankSum returns ln P(U >= u) for the Mann-Whitney statistic U of k
// against m untied units whose k*m comparisons come from a random order: the
// exact tail, and beside it the Chernoff bound exp(K(lam) - lam u) >= P, which a
// sceptic can check with one sum. With ties, let u count strict wins only: the
// result is then an upper bound of the exact tail.
//
// The law's generating function is the Gaussian binomial coefficient (Mann and
// Whitney 1947). P is its coefficient sum, read off the contour through the
// saddle point, so no tail is too deep: relative error of the log below 1e-9.
// u <= 0 gives 0, u > k m gives -Inf, k or m below 1 NaN. O(min(k, m)) memory;
// O(400 min(k, m)) time at worst, on all cores.
func LogTailRankSum(u, k, m int64) (logP, logBound float64) {
	switch {
	case k < 1 || m < 1:
		return math.NaN(), math.NaN()
	case u <= 0:
		return 0, 0
	case u > k*m:
		return math.Inf(-1), math.Inf(-1)
	}
	g := newGaussBinomial(k, m)
	if u == k*m {
		return -g.logChoose(), -g.logChoose()
	}
	if 2*u <= k*m {
		rest, _ := LogTailRankSum(k*m-u+1, k, m)
		return math.Log1p(-math.Exp(rest)), min(0, g.tilted(g.saddle(u), u))
	}
	lam := g.saddle(u)
	logBound = g.tilted(lam, u)
	return min(0, logBound+math.Log(g.contour(lam, u))), min(0, logBound)
}

// RankSum is one stratum of a stratified rank-sum test.
type RankSum struct {
	U, K, M int64 // strict wins, late units, early units
}

// LogBoundRankSum returns the smallest Chernoff bound of the log tail of
// sum_g w_g U_g with van Elteren's weights w_g = 1/(k_g+m_g+1), for strata that
// are ordered independently. It is an upper bound of the exact tail, at most 0.
// Strata with k or m below 1 carry nothing and are skipped.
func LogBoundRankSum(strata []RankSum) float64 {
	type part struct {
		g gaussBinomial
		w float64
	}
	var ps []part
	var excess, limit, vars float64 // sum w (u - km/2), its largest value, variance
	for _, s := range strata {
		if s.K < 1 || s.M < 1 {
			continue
		}
		w := 1 / float64(s.K+s.M+1)
		g := newGaussBinomial(s.K, s.M)
		half := float64(s.K) * float64(s.M) / 2
		ps = append(ps, part{g, w})
		excess += w * (float64(s.U) - half)
		limit += w * half
		vars += w * w * g.sigma * g.sigma
	}
	if len(ps) == 0 || excess <= 0 {
		return 0
	}
	if excess >= limit*(1-1e-15) { // every stratum at its largest value
		lp := 0.0
		for _, p := range ps {
			lp -= p.g.logChoose()
		}
		return lp
	}
	slope := func(lam float64) float64 {
		d := 0.0
		for _, p := range ps {
			d += p.w * p.g.slope(p.w*lam)
		}
		return d - excess
	}
	lam := solveUp(slope, excess/vars)
	b := -lam * excess
	for _, p := range ps {
		b += p.g.even(p.w * lam)
	}
	return min(0, b)
}

// gaussBinomial holds the sizes of a rank-sum law, lo <= hi. Its cumulant
// generating function about the mean is
//
//	sum_{i=1..lo} [e(z(hi+i)) - e(zi)],  e(w) = ln(sinh(w/2)/(w/2)),
//
// because the (hi+i)/i of the Gaussian binomial cancel the binomial coefficient.
// e is even and small near 0, where ln(exp(w)-1) would cancel.
type gaussBinomial struct {
	lo, hi int64
	sigma  float64
}

func newGaussBinomial(k, m int64) gaussBinomial {
	a, b := float64(k), float64(m)
	return gaussBinomial{min(k, m), max(k, m), math.Sqrt(a * b * (a + b + 1) / 12)}
}

func (g gaussBinomial) logChoose() float64 { return LogChoose(g.lo+g.hi, g.lo) }

// excess is u minus the mean lo*hi/2, exact in float64 while 2*u is.
func (g gaussBinomial) excess(u int64) float64 { return float64(2*u-g.lo*g.hi) / 2 }

// even is the cumulant generating function about the mean at real lam.
func (g gaussBinomial) even(lam float64) float64 {
	var s sum
	for i := int64(1); i <= g.lo; i++ {
		s.add(logSinhc(lam*float64(g.hi+i)) - logSinhc(lam*float64(i)))
	}
	return s.value()
}

// slope is the derivative of even.
func (g gaussBinomial) slope(lam float64) float64 {
	var s float64
	for i := int64(1); i <= g.lo; i++ {
		a, b := float64(g.hi+i), float64(i)
		s += a*langevin(lam*a) - b*langevin(lam*b)
	}
	return s
}

// sd is the standard deviation of the law tilted by lam.
func (g gaussBinomial) sd(lam float64) float64 {
	var s float64
	for i := int64(1); i <= g.lo; i++ {
		a, b := float64(g.hi+i), float64(i)
		s += b*b*invSinh2(lam*b) - a*a*invSinh2(lam*a)
	}
	return math.Sqrt(max(s, 0))
}

// tilted is K(lam) - lam u, the log of the Chernoff bound at lam.
func (g gaussBinomial) tilted(lam float64, u int64) float64 {
	return g.even(lam) - lam*g.excess(u)
}

// saddle returns the lam that minimises the bound, but at least 0.5/sigma, where
// the contour integral is still well conditioned.
func (g gaussBinomial) saddle(u int64) float64 {
	least := 0.5 / g.sigma
	x := g.excess(u)
	if g.slope(least) >= x {
		return least
	}
	return solveUp(func(lam float64) float64 { return g.slope(lam) - x }, x/(g.sigma*g.sigma))
}

// solveUp finds the root of an increasing f by doubling from x and bisection.
// Any nearby value serves its callers, so 1e-10 relative is enough.
func solveUp(f func(float64) float64, x float64) float64 {
	lo, hi := 0.0, x
	for f(hi) < 0 && hi < 1e6 {
		lo, hi = hi, 2*hi
	}
	for range 60 {
		mid := (lo + hi) / 2
		if f(mid) < 0 {
			lo = mid
		} else {
			hi = mid
		}
		if hi-lo < 1e-10*hi {
			break
		}
	}
	return (lo + hi) / 2
}

// contour returns P(U >= u) / exp(K(lam) - lam u) by the integral
// (1/pi) Int_0^pi Re[exp(K(lam+iy) - K(lam) - iyu) / (1 - exp(-lam-iy))] dy.
// Both rules converge geometrically: the integrand is analytic and either
// periodic (midpoint) or a Gaussian that has died at 12 sd (trapezoid).
func (g gaussBinomial) contour(lam float64, u int64) float64 {
	sd := g.sd(lam)
	node, log := math.NaN(), g.directLog(lam, u)
	var h, first float64
	var n int
	if sd >= 200 {
		h, first, n = 0.06/sd, 0, 201
		node = math.Hypot(lam, 12/sd) * float64(g.lo+g.hi)
	} else {
		all := 1 + int(45*max(sd, 1/lam)) // both laws fall at least like e^-|u|/scale: e^-45 folds over
		h = 2 * math.Pi / float64(all)
		first, n = h/2, (all+1)/2
	}
	if node <= seriesRadius {
		log = g.seriesLog(lam, u)
	}
	// The integrand at each node, in any order; the sum is in node order.
	vals := make([]float64, n)
	parallel(n, func(j int) {
		y := first + h*float64(j)
		e := cmplx.Exp(log(y))
		vals[j] = real(e / -cexpm1(complex(-lam, -y)))
	})
	if first == 0 {
		vals[0] /= 2
	} else if odd := int(math.Round(2*math.Pi/h))%2 == 1; odd {
		vals[n-1] /= 2 // the middle node of an odd midpoint rule is y = pi itself
	}
	return Sum(vals) * h / math.Pi
}

// directLog returns y -> K(lam+iy) - K(lam) - iyu by the product over units:
// (1 - q^j e^{-iyj})/(1 - q^j) = 1 + (1 - e^{-iyj})/expm1(lam j), which loses
// nothing for small lam j.
func (g gaussBinomial) directLog(lam float64, u int64) func(float64) complex128 {
	var once sync.Once
	var clo, chi []float64
	rest := float64(g.lo*g.hi - u)
	return func(y float64) complex128 {
		once.Do(func() {
			clo, chi = make([]float64, g.lo), make([]float64, g.lo)
			for i := range clo {
				clo[i] = 1 / math.Expm1(lam*float64(i+1))
				chi[i] = 1 / math.Expm1(lam*float64(g.hi+int64(i)+1))
			}
		})
		sum, num, den := complex(0, 0), complex(1, 0), complex(1, 0)
		step := turn(y / 2)
		var up, down complex128 // turns by half of y(hi+i) and of yi
		for i := range clo {
			if i%32 == 0 { // the recurrence adds angles; start it afresh before its error shows
				up, down = turn(y*float64(g.hi+int64(i)+1)/2), turn(y*float64(i+1)/2)
			}
			num *= unitFactor(chi[i], up)
			den *= unitFactor(clo[i], down)
			up, down = up*step, down*step
			if i%8 == 7 { // one logarithm for eight factors; each is at most about 1/lam
				sum += cmplx.Log(num / den)
				num, den = 1, 1
			}
		}
		return sum + cmplx.Log(num/den) + complex(0, y*rest)
	}
}

// turn is e^{ix}.
func turn(x float64) complex128 {
	s, c := math.Sincos(x)
	return complex(c, s)
}

// unitFactor is 1 + c (1 - e^{-ib}) for a half turn h = e^{ib/2}.
func unitFactor(c float64, h complex128) complex128 {
	s := 2 * c * imag(h)
	return complex(1+s*imag(h), s*real(h))
}

// seriesRadius bounds |z|(k+m) for the power series; its terms fall like
// (4/2pi)^2p, so that seriesTerms of them reach float64.
const (
	seriesRadius = 4
	seriesTerms  = 42
)

// seriesLog is directLog by the power series of e, whose sums over units do not
// depend on y: 42 sums instead of 201. It makes the tail of 10^6 units a matter
// of milliseconds when the dependence is moderate.
func (g gaussBinomial) seriesLog(lam float64, u int64) func(float64) complex128 {
	size := float64(g.lo + g.hi)
	var coef [seriesTerms]float64 // of (z size)^(2p), p = 1..
	for i := int64(1); i <= g.lo; i++ {
		a, b := float64(g.hi+i)/size, float64(i)/size
		a, b = a*a, b*b
		pa, pb := 1.0, 1.0
		for p := range coef {
			pa, pb = pa*a, pb*b
			coef[p] += pa - pb
		}
	}
	for p := range coef {
		coef[p] *= sinhcCoef(p + 1)
	}
	x := g.excess(u)
	eval := func(z complex128) complex128 {
		w := z * complex(size, 0)
		w *= w
		s := complex(0, 0)
		for p := seriesTerms - 1; p >= 0; p-- {
			s = (s + complex(coef[p], 0)) * w
		}
		return s - z*complex(x, 0)
	}
	at := eval(complex(lam, 0))
	return func(y float64) complex128 { return eval(complex(lam, y)) - at }
}

// sinhcCoef is the coefficient of w^(2p) in ln(sinh(w/2)/(w/2)):
// (-1)^(p+1) zeta(2p) / (p (2 pi)^(2p)).
func sinhcCoef(p int) float64 {
	z := 1.0
	switch p {
	case 1:
		z = math.Pi * math.Pi / 6
	case 2:
		z = math.Pow(math.Pi, 4) / 90
	case 3:
		z = math.Pow(math.Pi, 6) / 945
	default:
		for n := 400.0; n >= 2; n-- { // 400^-7/7 < 1e-18
			z += math.Pow(n, float64(-2*p))
		}
	}
	c := z / (float64(p) * math.Pow(2*math.Pi, float64(2*p)))
	if p%2 == 0 {
		return -c
	}
	return c
}

// logSinhc is ln(sinh(w/2)/(w/2)) for w >= 0.
func logSinhc(w float64) float64 {
	switch {
	case w < 0.2: // next term 2e-19 relative to the first
		q := w * w
		return q * (1./24 + q*(-1./2880+q*(1./181440+q*(-1./9676800+q/479001600))))
	case w < 30:
		return math.Log(math.Sinh(w/2) / (w / 2))
	}
	return w/2 + math.Log1p(-math.Exp(-w)) - math.Log(w)
}

// langevin is the derivative of logSinhc: coth(w/2)/2 - 1/w.
func langevin(w float64) float64 {
	if w < 0.1 {
		q := w * w
		return w * (1./12 - q*(1./720-q/30240))
	}
	return 0.5/math.Tanh(w/2) - 1/w
}

// invSinh2 is 1/(4 sinh^2(w/2)).
func invSinh2(w float64) float64 {
	s := 2 * math.Sinh(w/2)
	return 1 / (s * s)
}

// cexpm1 is exp(z) - 1 without cancellation near 0.
func cexpm1(z complex128) complex128 {
	s, c := math.Sincos(imag(z) / 2)
	e := math.Exp(real(z))
	return complex(math.Expm1(real(z))-2*e*s*s, 2*e*s*c)
}

// LogChoose is ln of the binomial coefficient C(n, k); -Inf outside 0 <= k <= n.
func LogChoose(n, k int64) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	k = min(k, n-k)
	if k <= 64 { // lgamma differences lose digits for small k and large n
		s := 0.0
		for i := int64(1); i <= k; i++ {
			s += math.Log(float64(n-k+i) / float64(i))
		}
		return s
	}
	return logFactorial(n) - logFactorial(k) - logFactorial(n-k)
}

func logFactorial(n int64) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

// parallel calls f(0..n-1) on all cores. f writes only what belongs to its index.
func parallel(n int, f func(int)) {
	w := min(runtime.GOMAXPROCS(0), n)
	if w <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	for k := range w {
		wg.Go(func() {
			for i := k; i < n; i += w {
				f(i)
			}
		})
	}
	wg.Wait()
}
