package stat

import (
	"math"
	"runtime"
	"slices"
	"sync"
)

// JackknifeRatio returns theta = sum a / sum u over independent units (documents,
// groups) and its delete-one jackknife standard error,
// se^2 = (D-1)/D sum (theta_(-d) - mean theta_(-d))^2. Confidence limits use
// Student's law with D-1 degrees of freedom. theta_(-d) comes from the totals, so
// the cost is O(D). Unequal lengths or a zero denominator give NaN; D = 1 gives
// theta with se NaN.
func JackknifeRatio(a, u []float64) (theta, se float64) {
	if len(a) != len(u) || len(a) == 0 {
		return math.NaN(), math.NaN()
	}
	theta = Sum(a) / Sum(u)
	d := float64(len(a))
	if len(a) < 2 {
		return theta, math.NaN()
	}
	// Two passes over values made on the fly: a million units need no third array.
	ta, tu := Sum(a), Sum(u)
	out := func(i int) float64 { return (ta - a[i]) / (tu - u[i]) }
	m := 0.0
	for i := range a {
		m += (out(i) - m) / float64(i+1)
	}
	v := 0.0
	for i := range a {
		v += (out(i) - m) * (out(i) - m)
	}
	return theta, math.Sqrt((d - 1) / d * v)
}

func leaveOneOut(a, u []float64) []float64 {
	ta, tu := Sum(a), Sum(u)
	out := make([]float64, len(a))
	for i := range out {
		out[i] = (ta - a[i]) / (tu - u[i])
	}
	return out
}

// Boot configures a bootstrap. The zero value is a 95 % percentile interval of
// 9,999 replicates from seed 0 of the stream "boot".
type Boot struct {
	B       int     // replicates; 0 means 9,999
	Seed    uint64  // of the run
	Stream  string  // names this use of the seed; "" means "boot"
	Level   float64 // of the interval; 0 means 0.95
	BCa     bool    // bias-corrected and accelerated (Efron 1987) instead of percentile
	Workers int     // goroutines; 0 means all cores. Never changes a result
}

func (o Boot) withDefaults() Boot {
	if o.B == 0 {
		o.B = 9999
	}
	if o.Level == 0 {
		o.Level = 0.95
	}
	if o.Stream == "" {
		o.Stream = "boot"
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}

// BootstrapRatio returns the limits of a bootstrap interval of sum a / sum u over
// whole units, quantiles of type 7. Fewer than two units, or unequal lengths, give
// NaN. O(B D).
func BootstrapRatio(a, u []float64, o Boot) (lo, hi float64) {
	if len(a) != len(u) || len(a) < 2 {
		return math.NaN(), math.NaN()
	}
	ratio := func(idx []int32) float64 {
		var sa, su float64
		for _, i := range idx {
			sa += a[i]
			su += u[i]
		}
		return sa / su
	}
	var jack []float64
	if o.BCa {
		jack = leaveOneOut(a, u)
	}
	return Interval(Bootstrap(len(a), o, ratio), Sum(a)/Sum(u), jack, o)
}

// Bootstrap evaluates stat on o.B samples of n indices drawn with replacement and
// returns the values in order of replicate. stat is called from several
// goroutines and must not keep idx.
func Bootstrap(n int, o Boot, stat func(idx []int32) float64) []float64 {
	o = o.withDefaults()
	out := make([]float64, o.B)
	var wg sync.WaitGroup
	for w := range o.Workers {
		wg.Go(func() {
			idx := make([]int32, n)
			for j := w; j < o.B; j += o.Workers {
				g := newPCG(o.Seed, o.Stream, uint64(j))
				for i := range idx {
					idx[i] = int32(below(g, uint64(n)))
				}
				out[j] = stat(idx)
			}
		})
	}
	wg.Wait()
	return out
}

// Interval turns bootstrap replicates into limits: percentile, or with o.BCa
// bias-corrected and accelerated, theta the estimate and jack its leave-one-out
// values. Replicates that are not finite give NaN limits.
func Interval(reps []float64, theta float64, jack []float64, o Boot) (lo, hi float64) {
	o = o.withDefaults()
	s := slices.Clone(reps)
	slices.Sort(s)
	if len(s) == 0 || !finite(s[0]) || !finite(s[len(s)-1]) {
		return math.NaN(), math.NaN()
	}
	pl, ph := (1-o.Level)/2, (1+o.Level)/2
	if o.BCa {
		below := 0.0
		for _, v := range s { // half of the ties, so that a symmetric law has no bias
			if v < theta {
				below++
			} else if v == theta {
				below += 0.5
			}
		}
		z0 := NormalQuantile(below / float64(len(s)))
		m := mean(jack)
		var s2, s3 float64
		for _, v := range jack {
			d := m - v
			s2 += d * d
			s3 += d * d * d
		}
		acc := s3 / (6 * math.Pow(s2, 1.5))
		adjust := func(p float64) float64 {
			z := z0 + NormalQuantile(p)
			return math.Exp(LogTailNormal(-(z0 + z/(1-acc*z))))
		}
		pl, ph = adjust(pl), adjust(ph)
	}
	return Quantile(s, pl), Quantile(s, ph)
}

// Quantile is the type 7 quantile (numpy's default) of sorted values, p in [0, 1].
// NaN for no values or p outside.
func Quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	h := p * float64(len(sorted)-1)
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}
