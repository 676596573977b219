package geom

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"assay/latent/internal/par"
)

// tile is the number of rows of a Gram tile: two tiles of width 4096 are 8 MB.
const tile = 128

// load copies rows [lo, hi) less center (nil = 0) into buf.
func load(x Rows, lo, hi int, center, buf []float64) blas64.General {
	w := x.Width()
	g := blas64.General{Rows: hi - lo, Cols: w, Stride: w, Data: buf[:(hi-lo)*w]}
	for i := lo; i < hi; i++ {
		r := g.Data[(i-lo)*w : (i-lo+1)*w]
		x.At(i, r)
		if center != nil {
			sub(r, center)
		}
	}
	return g
}

// Gram returns the matrix of inner products of rows less center (nil = 0).
// Cost n^2 w / 2 multiplications; memory n^2 and two tiles per worker.
func Gram(x Rows, center []float64, workers int) Dense {
	n, w := x.Len(), x.Width()
	g := NewDense(n, n)
	tiles := (n + tile - 1) / tile
	// Two tiles per worker, whatever the number of pairs. A sync.Pool would be
	// emptied by every collection, and tiles are what causes them.
	rows := min(n, tile)
	spare := make(chan []float64, tiles*(tiles+1)/2)
	par.For(tiles*(tiles+1)/2, workers, func(p int) {
		i, j := tilePair(p, tiles)
		ilo, ihi := i*tile, min(n, (i+1)*tile)
		jlo, jhi := j*tile, min(n, (j+1)*tile)
		var both []float64
		select {
		case both = <-spare:
		default:
			both = make([]float64, 2*rows*w)
		}
		defer func() { spare <- both }()
		a := load(x, ilo, ihi, center, both[:rows*w])
		b := a
		if i != j {
			b = load(x, jlo, jhi, center, both[rows*w:])
		}
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, a, b, 0, blas64.General{Rows: ihi - ilo, Cols: jhi - jlo, Stride: n, Data: g.Data[ilo*n+jlo:]})
		for r := ilo; r < ihi; r++ {
			for c := jlo; c < jhi; c++ {
				g.Data[c*n+r] = g.Data[r*n+c]
			}
		}
	})
	return g
}

// tilePair maps 0.. to the pairs i <= j < tiles in row order.
func tilePair(p, tiles int) (i, j int) {
	for p >= tiles-i {
		p -= tiles - i
		i++
	}
	return i, i + p
}

// CenterGram subtracts row and column means in place: the Gram matrix of
// centred rows, for a g of rows whose mean is not far from 0.
func CenterGram(g Dense) {
	n := g.N
	mean := make([]float64, n)
	all := 0.0
	for i := range n {
		for _, v := range g.Row(i) {
			mean[i] += v
		}
		mean[i] /= float64(n)
		all += mean[i] / float64(n)
	}
	for i := range n {
		r := g.Row(i)
		for j := range r {
			r[j] += all - mean[i] - mean[j]
		}
	}
}

// Quantile returns the q-th quantile of sorted values by linear interpolation
// at q (n-1), the default of numpy. NaN if there are none.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	h := q * float64(len(sorted)-1)
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}

// Median returns the median of values in any order.
func Median(v []float64) float64 {
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return Quantile(s, .5)
}
