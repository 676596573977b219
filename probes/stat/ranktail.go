package stat

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/dsp/fourier"
)

// Natural logs throughout this file; -Inf is never returned for a statistic that
// the null hypothesis can reach.

// LogTailBinom returns ln P(Bin(n, q) >= h), q given as its natural log, by a
// log-sum-exp over the terms: no cancellation, no underflow. h <= 0 gives 0.
// O(n-h).
func LogTailBinom(h, n int, logq float64) float64 {
	switch {
	case n < 0 || h > n || math.IsNaN(logq) || logq > 0:
		return math.NaN()
	case h <= 0 || logq == 0:
		return 0
	case math.IsInf(logq, -1):
		return logq
	}
	log1mq := logOneMinusExp(logq)
	terms := make([]float64, 0, n-h+1)
	for i := h; i <= n; i++ {
		rest := 0.0
		if i < n { // 0 * -Inf at logq = 0 is excluded above
			rest = float64(n-i) * log1mq
		}
		terms = append(terms, LogChoose(int64(n), int64(i))+float64(i)*logq+rest)
	}
	return min(0, LogSumExp(terms))
}

// logOneMinusExp is ln(1-e^x) for x < 0 without cancellation.
func logOneMinusExp(x float64) float64 {
	if x > -math.Ln2 {
		return math.Log(-math.Expm1(x))
	}
	return math.Log1p(-math.Exp(x))
}

// LogSumExp returns ln of the sum of e^x_i, without overflow; -Inf for -Inf only.
func LogSumExp(x []float64) float64 {
	m := slices.Max(x)
	if math.IsInf(m, -1) {
		return m
	}
	s := 0.0
	for _, v := range x {
		s += math.Exp(v - m)
	}
	return m + math.Log(s)
}

// LogTailRankTotal returns ln P(sum of k independent uniform ranks on 1..m1 <=
// sum). Exact up to rounding; no floor.
func LogTailRankTotal(sum, k, m1 int) float64 {
	if k < 1 || m1 < 1 || sum < k {
		return math.NaN()
	}
	p := make([]float64, m1) // in deficits m1 - r, so that the tail is an upper one
	for i := range p {
		p[i] = 1 / float64(m1)
	}
	return logTailSum(p, k, k*m1-sum)
}

// LogFisherRanks returns ln P(sum of K draws of -ln(R/m1) >= y) for R uniform on
// 1..m1, with y = -sum ln(r/m1) of the observed ranks: Fisher's combination with
// the law of ranks in place of the chi-square, so it has no floor and loses
// nothing at rank 1. The law is taken on a grid of step min(.005, .05/K); terms of
// the null are rounded up and those of y down, so the answer is valid (never
// too small).
func LogFisherRanks(r []int, m1 int) float64 {
	if len(r) == 0 || m1 < 1 {
		return math.NaN()
	}
	return logFisherRanks(r, m1, min(.005, .05/float64(len(r))))
}

func logFisherRanks(r []int, m1 int, step float64) float64 {
	// The guard keeps a term that lies on the grid from moving by rounding
	// error; it is far below the step and on the valid side for both roundings.
	const guard = 1e-9
	y := 0
	for _, v := range r {
		if v < 1 || v > m1 {
			return math.NaN()
		}
		y += int(math.Floor(-math.Log(float64(v)/float64(m1))/step - guard))
		if v == m1 {
			y++ // -ln 1 = 0 exactly
		}
	}
	top := int(math.Ceil(math.Log(float64(m1))/step + guard))
	p := make([]float64, top+1)
	for v := 1; v <= m1; v++ {
		a := int(math.Ceil(-math.Log(float64(v)/float64(m1))/step + guard))
		if v == m1 {
			a = 0
		}
		p[min(a, top)] += 1 / float64(m1)
	}
	return logTailSum(p, len(r), y)
}

// logTailSum returns ln P(X_1 + ... + X_k >= y) for independent X on 0..len(p)-1
// with law p. The law is tilted by exp(theta x) so that its sum has mean y; then
// the masses that matter are the large ones, a Fourier transform adds no visible
// error, and the tail keeps its relative accuracy at any depth (the shift
// method of Wilson and Keich 2016). O(N log N) with N = k len(p).
func logTailSum(p []float64, k, y int) float64 {
	top := len(p) - 1
	for top > 0 && p[top] == 0 {
		top--
	}
	switch {
	case y <= 0:
		return 0
	case y > k*top:
		return math.Inf(-1)
	case y == k*top: // one way to get there
		return float64(k) * math.Log(p[top])
	}
	theta := tilt(p[:top+1], float64(y)/float64(k))
	q, logM := tilted(p[:top+1], theta)
	n := 1 << bits.Len(uint(k*top)) // > k*top, so nothing wraps round
	in := make([]float64, n)
	copy(in, q)
	f := fourier.NewFFT(n)
	c := f.Coefficients(nil, in)
	for i := range c {
		c[i] = powComplex(c[i], k)
	}
	sum := f.Sequence(in, c)
	// P = M^k e^{-theta y} sum_{s>=y} q_s e^{-theta (s-y)}
	tail := 0.0
	for s := k * top; s >= y; s-- {
		tail += max(0, sum[s]/float64(n)) * math.Exp(-theta*float64(s-y))
	}
	return min(0, float64(k)*logM-theta*float64(y)+math.Log(tail))
}

// tilt returns theta >= 0 with tilted mean equal to mean, 0 if the plain mean is
// already larger. Bisection on a monotone function.
func tilt(p []float64, mean float64) float64 {
	at := func(theta float64) float64 {
		q, _ := tilted(p, theta)
		m := 0.0
		for i, v := range q {
			m += float64(i) * v
		}
		return m
	}
	if at(0) >= mean {
		return 0
	}
	lo, hi := 0.0, 1/float64(len(p))
	for at(hi) < mean && hi < 1e3 {
		lo, hi = hi, 2*hi
	}
	for range 60 {
		mid := (lo + hi) / 2
		if at(mid) < mean {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// tilted returns p_i e^{theta i} / M and ln M.
func tilted(p []float64, theta float64) ([]float64, float64) {
	top := float64(len(p) - 1)
	q := make([]float64, len(p))
	m := 0.0
	for i, v := range p {
		q[i] = v * math.Exp(theta*(float64(i)-top)) // scaled by e^{-theta top}
		m += q[i]
	}
	for i := range q {
		q[i] /= m
	}
	return q, math.Log(m) + theta*top
}

func powComplex(z complex128, k int) complex128 {
	out := complex(1, 0)
	for ; k > 0; k >>= 1 {
		if k&1 == 1 {
			out *= z
		}
		z *= z
	}
	return out
}

// LogBlocks is the test `sum`: T = sum over k of S_kJ minus the mean of list k,
// against indices drawn uniformly. Exact by enumeration when the product of the
// list lengths is at most 2^20, else by draws+1 Monte Carlo, (1+hits)/(1+draws).
// Ties within 1e-12 max(1, sum |S - mean|) count as hits.
func LogBlocks(scores [][]float64, index []int, draws int, rng *rand.Rand) (logP float64, exact bool) {
	if len(scores) == 0 || len(scores) != len(index) {
		return math.NaN(), false
	}
	centred := make([][]float64, len(scores))
	size, observed, scale := 1.0, 0.0, 0.0
	for k, s := range scores {
		if len(s) == 0 || index[k] < 0 || index[k] >= len(s) {
			return math.NaN(), false
		}
		m := 0.0
		for _, v := range s {
			m += v
		}
		m /= float64(len(s))
		centred[k] = make([]float64, len(s))
		for j, v := range s {
			centred[k][j] = v - m
		}
		observed += centred[k][index[k]]
		scale += math.Abs(centred[k][index[k]])
		size *= float64(len(s))
	}
	limit := observed - 1e-12*max(1, scale)
	if size <= 1<<20 {
		return math.Log(countSums(centred, limit) / size), true
	}
	hits := 1
	for range draws {
		t := 0.0
		for _, c := range centred {
			t += c[rng.IntN(len(c))]
		}
		if t >= limit {
			hits++
		}
	}
	return math.Log(float64(hits) / float64(draws+1)), false
}

// countSums counts the choices of one value per list whose sum is at least limit:
// all sums of the first half of the lists against a sorted table of the second.
func countSums(lists [][]float64, limit float64) float64 {
	all := func(ls [][]float64) []float64 {
		sums := []float64{0}
		for _, l := range ls {
			next := make([]float64, 0, len(sums)*len(l))
			for _, s := range sums {
				for _, v := range l {
					next = append(next, s+v)
				}
			}
			sums = next
		}
		return sums
	}
	h := len(lists) / 2
	a, b := all(lists[:h]), all(lists[h:])
	slices.Sort(b)
	n := 0.0
	for _, s := range a {
		i, _ := slices.BinarySearchFunc(b, limit-s, cmp.Compare[float64])
		n += float64(len(b) - i)
	}
	return n
}
