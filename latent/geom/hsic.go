package geom

import (
	"math"

	"assay/internal/fault"
	"assay/latent/internal/par"
)

// HSIC returns the debiased Hilbert-Schmidt independence criterion of two n x n
// Gram matrices; diagonals are ignored. It is unbiased for tr(C_xy C_yx), 0 for
// independent rows, and does not depend on centring. NaN for n < 4.
//
//	[tr(KL) + sum(K) sum(L)/((n-1)(n-2)) - 2 r_K.r_L/(n-2)] / (n(n-3))
func HSIC(k, l []float64, n int) float64 {
	if n < 4 {
		return math.NaN()
	}
	return newHSIC(Dense{n, n, k}, Dense{n, n, l}, 1).value(-1)
}

// hsic holds the sums that HSIC and all its delete-one values need.
type hsic struct {
	n          int
	tr         float64   // tr(KL)
	sk, sl     float64   // sums of all entries
	rk, rl     []float64 // row sums
	rr         float64   // r_K . r_L
	kl, krl, l []float64 // (KL)_ii, (K r_L)_i, (L r_K)_i
}

func newHSIC(k, l Dense, workers int) *hsic {
	n := k.N
	h := &hsic{n: n, rk: make([]float64, n), rl: make([]float64, n), kl: make([]float64, n), krl: make([]float64, n), l: make([]float64, n)}
	par.For(n, workers, func(i int) {
		a, b := k.Row(i), l.Row(i)
		h.rk[i] = sum(a) - a[i]
		h.rl[i] = sum(b) - b[i]
		h.kl[i] = dot(a, b) - a[i]*b[i]
	})
	par.For(n, workers, func(i int) {
		a, b := k.Row(i), l.Row(i)
		h.krl[i] = dot(a, h.rl) - a[i]*h.rl[i]
		h.l[i] = dot(b, h.rk) - b[i]*h.rk[i]
	})
	h.tr, h.sk, h.sl, h.rr = sum(h.kl), sum(h.rk), sum(h.rl), dot(h.rk, h.rl)
	return h
}

// value is the statistic without row i (-1 = all rows), in constant time.
func (h *hsic) value(i int) float64 {
	n, tr, sk, sl, rr := float64(h.n), h.tr, h.sk, h.sl, h.rr
	if i >= 0 {
		n--
		tr -= 2 * h.kl[i]
		sk -= 2 * h.rk[i]
		sl -= 2 * h.rl[i]
		// Row sums lose column i: sum_j!=i (r_Kj - K_ji)(r_Lj - L_ji).
		rr += -h.rk[i]*h.rl[i] - h.krl[i] - h.l[i] + h.kl[i]
	}
	return (tr + sk*sl/((n-1)*(n-2)) - 2*rr/(n-2)) / (n * (n - 3))
}

func sum(v []float64) float64 {
	t := 0.0
	for _, x := range v {
		t += x
	}
	return t
}

// CKAResult is the debiased linear alignment of two sets of rows.
type CKAResult struct {
	CKA   float64 // NaN if a self-term is not positive
	SE    float64 // delete-one jackknife over rows; NaN if CKA or n < 5
	Plain float64 // with the diagonal, centred: tends to 1 when width exceeds n
}

// CKA compares two sets of rows by their Gram matrices. Widths may differ.
func CKA(x, y Rows, workers int) (CKAResult, error) {
	if x.Len() != y.Len() || x.Len() < 4 {
		return CKAResult{}, fault.Inputf("too-few-points", "geom: cka: %d and %d rows, want equal numbers of at least 4", x.Len(), y.Len())
	}
	return CKAGram(Gram(x, Mean(x, workers), workers), Gram(y, Mean(y, workers), workers), workers), nil
}

// CKAGram is CKA from the Gram matrices of centred rows.
func CKAGram(k, l Dense, workers int) CKAResult {
	kk, ll, kl := newHSIC(k, k, workers), newHSIC(l, l, workers), newHSIC(k, l, workers)
	at := func(i int) float64 {
		a, b := kk.value(i), ll.value(i)
		if a <= 0 || b <= 0 {
			return math.NaN()
		}
		return kl.value(i) / math.Sqrt(a*b)
	}
	r := CKAResult{CKA: at(-1), SE: math.NaN()}
	var xy, xx, yy float64
	for i := range k.N {
		a, b := k.Row(i), l.Row(i)
		xy += dot(a, b)
		xx += dot(a, a)
		yy += dot(b, b)
	}
	r.Plain = ratio(xy, math.Sqrt(xx*yy))
	n := k.N
	if n < 5 || math.IsNaN(r.CKA) {
		return r
	}
	loo := make([]float64, n)
	mean := 0.0
	for i := range loo {
		loo[i] = at(i)
		mean += loo[i] / float64(n)
	}
	v := 0.0
	for _, x := range loo {
		v += (x - mean) * (x - mean)
	}
	r.SE = math.Sqrt(v * float64(n-1) / float64(n))
	return r
}
