package geom

import (
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"assay/internal/fault"
	"assay/latent/internal/par"
)

// Spectrum describes how the variance of rows is spread over directions.
type Spectrum struct {
	Eigen      []float64 // of the covariance (divisor n-1), descending, at most min(n, w)
	Total      float64   // trace of the covariance
	PR         float64   // participation ratio, plug-in: (sum e)^2 / sum e^2; biased down when n is not >> width
	PRDebiased float64   // (tr C)^2 / unbiased tr(C^2); NaN for n < 4, +Inf or negative when noise wins
	ERank      float64   // exp(entropy of e/sum e), centred
	RankMe     float64   // exp(entropy of s/sum s), s = singular values of the rows as they are
	Top1, Top3 float64   // share of variance
	N          int
}

// relZero is the relative size below which an eigenvalue of a Gram matrix is
// rounding: n eps times the largest, with a margin of 10.
func relZero(n int) float64 { return float64(n) * 2.2e-15 }

// SpectrumOf computes all of Spectrum from the smaller of the n x n and w x w
// matrices. Cost O(min^3) beyond the cloud.
func SpectrumOf(c *Cloud) (Spectrum, error) {
	n := c.G.N
	if n < 2 {
		return Spectrum{}, fault.Inputf("too-few-points", "geom: spectrum: %d rows, want at least 2", n)
	}
	s := Spectrum{N: n}
	wide := n <= c.X.Width()
	// The two decompositions take most of the time and are independent.
	var e, raw []float64
	var err, err2 error
	par.For(2, c.workers, func(i int) {
		switch {
		case i == 0 && wide:
			e, err = eigenvalues(c.G)
		case i == 0:
			e, err = eigenvalues(smaller(Shift(c.X, c.Mean), c.workers))
		case wide:
			raw, err2 = eigenvalues(c.Raw())
		default:
			raw, err2 = eigenvalues(smaller(c.X, c.workers))
		}
	})
	if err = errors.Join(err, err2); err != nil {
		return s, err
	}
	for _, v := range e {
		s.Eigen = append(s.Eigen, v/float64(n-1))
		s.Total += v / float64(n-1)
	}
	if s.Total == 0 {
		return s, fault.Inputf("degenerate", "geom: spectrum: all %d rows are equal, want some variance", n)
	}
	var e2, ent float64
	for _, e := range s.Eigen {
		e2 += e * e
		if p := e / s.Total; p > 0 {
			ent -= p * math.Log(p)
		}
	}
	s.PR, s.ERank = s.Total*s.Total/e2, math.Exp(ent)
	s.Top1 = s.Eigen[0] / s.Total
	for i := range min(3, len(s.Eigen)) {
		s.Top3 += s.Eigen[i] / s.Total
	}
	s.PRDebiased = math.NaN()
	if n >= 4 {
		s.PRDebiased = s.Total * s.Total / newHSIC(c.G, c.G, c.workers).value(-1)
	}
	s.RankMe = rankOf(raw)
	return s, nil
}

// rankOf is exp(entropy of sqrt(e)/sum sqrt(e)).
func rankOf(e []float64) float64 {
	t, h := 0.0, 0.0
	for _, v := range e {
		t += math.Sqrt(v)
	}
	for _, v := range e {
		if p := math.Sqrt(v) / t; p > 0 {
			h -= p * math.Log(p)
		}
	}
	return math.Exp(h)
}

// eigenvalues of a Gram matrix, descending, rounding cut to 0.
func eigenvalues(g Dense) ([]float64, error) {
	for _, v := range g.Data {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fault.Inputf("nonfinite", "geom: spectrum: NaN or Inf in the rows, want finite values")
		}
	}
	var e mat.EigenSym
	if !e.Factorize(mat.NewSymDense(g.N, slices.Clone(g.Data)), false) {
		return nil, fault.Inputf("nonfinite", "geom: spectrum: eigenvalues of a %d x %d matrix did not converge, want finite rows", g.N, g.N)
	}
	v := e.Values(nil)
	slices.Reverse(v)
	for i := range v {
		if v[i] < relZero(g.N)*v[0] {
			v[i] = 0
		}
	}
	return v, nil
}

// smaller returns XX' if n <= w, else X'X.
func smaller(x Rows, workers int) Dense {
	if x.Len() <= x.Width() {
		return Gram(x, nil, workers)
	}
	d := Collect(x)
	t := NewDense(d.W, d.N)
	for i := range d.N {
		for j, v := range d.Row(i) {
			t.Data[j*d.N+i] = v
		}
	}
	return Gram(t, nil, workers)
}

// PCA is the projection of rows on their first principal axes.
type PCA struct {
	Scores Dense     // n x k
	Share  []float64 // of variance
}

// Principal returns the first k principal components. The sign of each axis is
// such that its largest loading (in absolute value, first on ties) is positive.
func Principal(x Rows, k, workers int) (PCA, error) {
	n, w := x.Len(), x.Width()
	if n < 2 {
		return PCA{}, fault.Inputf("too-few-points", "geom: pca: %d rows, want at least 2", n)
	}
	k = min(k, n, w)
	c := Mean(x, workers)
	z := Shift(x, c)
	g := smaller(z, workers)
	var e mat.EigenSym
	if !e.Factorize(mat.NewSymDense(g.N, slices.Clone(g.Data)), true) {
		return PCA{}, fault.Inputf("nonfinite", "geom: pca: eigenvectors did not converge, want finite rows")
	}
	vals := e.Values(nil)
	var vec mat.Dense
	e.VectorsTo(&vec)
	total := 0.0
	for i := range g.N {
		total += g.Row(i)[i]
	}
	p := PCA{Scores: NewDense(n, k)}
	for a := range k {
		col := g.N - 1 - a
		v := mat.Col(nil, col, &vec)
		axis := v
		if g.N == n && n <= w { // Gram route: axis = X'u, scores = u sqrt(e)
			axis = SumChunks(n, w, workers, func(i int, buf, acc []float64) {
				z.At(i, buf)
				for j, b := range buf {
					acc[j] += v[i] * b
				}
			})
			normalise(axis)
		}
		top := 0
		for j := range axis {
			if math.Abs(axis[j]) > math.Abs(axis[top]) {
				top = j
			}
		}
		sign := 1.0
		if axis[top] < 0 {
			sign = -1
		}
		buf := make([]float64, w)
		for i := range n {
			z.At(i, buf)
			p.Scores.Row(i)[a] = sign * dot(buf, axis)
		}
		p.Share = append(p.Share, max(0, vals[col])/total)
	}
	return p, nil
}

// MeanCosine is (|sum u|^2 - n)/(n(n-1)) over unit vectors u: the mean cosine of
// all pairs of rows. zero counts rows without direction, which are left out.
func MeanCosine(sumU []float64, n, zero int) float64 {
	m := float64(n - zero)
	return (dot(sumU, sumU) - m) / (m * (m - 1))
}

// CosineShares returns each dimension's share of the mean pairwise cosine,
// U_k^2 - sum u_k^2 over its sum. Shares add to 1 and may exceed 1 or be negative.
func CosineShares(x Rows, workers int) (shares []float64, mean float64) {
	n, w := x.Len(), x.Width()
	acc := SumChunks(n, 2*w, workers, func(i int, buf, acc []float64) {
		u := buf[:w]
		x.At(i, u)
		normalise(u)
		for j, v := range u {
			acc[j] += v
			acc[w+j] += v * v
		}
	})
	shares = make([]float64, w)
	total := 0.0
	for j := range shares {
		shares[j] = acc[j]*acc[j] - acc[w+j]
		total += shares[j]
	}
	for j := range shares {
		shares[j] /= total
	}
	return shares, total / float64(n*(n-1))
}

// TwoNN estimates the intrinsic dimension from the ratio of the two nearest
// distances of each row (Facco et al. 2017): duplicates are dropped, so are the
// largest 10 % of ratios, and the slope of -ln(1-i/n) on ln mu goes through 0.
// NaN below 20 usable rows.
func TwoNN(d Dense) float64 {
	var mu []float64
	for i := range d.N {
		r1, r2 := math.Inf(1), math.Inf(1)
		for j, v := range d.Row(i) {
			switch {
			case j == i:
			case v < r1:
				r1, r2 = v, r1
			case v < r2:
				r2 = v
			}
		}
		if r1 > 0 {
			mu = append(mu, math.Log(r2/r1))
		}
	}
	n := len(mu)
	if n < 20 {
		return math.NaN()
	}
	slices.Sort(mu)
	var xy, xx float64
	for i := range int(float64(n) * .9) {
		y := -math.Log1p(-float64(i+1) / float64(n))
		xy += mu[i] * y
		xx += mu[i] * mu[i]
	}
	return xy / xx
}

// ParticipationJack is the debiased participation ratio of rows with Gram matrix
// g (any centre), and its value without each row. O(n^2).
func ParticipationJack(g Dense) (value float64, loo []float64) {
	h := newHSIC(g, g, 1)
	tr := 0.0
	for i := range g.N {
		tr += g.Row(i)[i]
	}
	at := func(i int) float64 {
		n, t, s := float64(g.N), tr, h.sk+tr // s = sum of all entries
		if i >= 0 {
			d := g.Row(i)[i]
			n, t, s = n-1, t-d, s-2*h.rk[i]-d
		}
		c := (t - s/n) / (n - 1)
		return c * c / h.value(i)
	}
	loo = make([]float64, g.N)
	for i := range loo {
		loo[i] = at(i)
	}
	return at(-1), loo
}

// CosineJack is the mean off-diagonal entry of a matrix of cosines, and its
// value without each row.
func CosineJack(c Dense) (value float64, loo []float64) {
	n := float64(c.N)
	r := make([]float64, c.N)
	total := 0.0
	for i := range r {
		r[i] = sum(c.Row(i)) - c.Row(i)[i]
		total += r[i]
	}
	loo = make([]float64, c.N)
	for i := range loo {
		loo[i] = (total - 2*r[i]) / ((n - 1) * (n - 2))
	}
	return total / (n * (n - 1)), loo
}
