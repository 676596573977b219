package geom

import (
	"math"
	"sync"

	"assay/latent/internal/par"
)

// Rows is an ordered set of vectors of one width. At must be safe for
// concurrent use and must not keep dst.
type Rows interface {
	Len() int
	Width() int
	At(i int, dst []float64) // writes row i into dst[:Width()]
}

// Matrix is a dense float32 matrix in row-major order, as states files hold it.
type Matrix struct {
	N, W int
	Data []float32
}

// Len returns the number of rows.
func (m Matrix) Len() int { return m.N }

// Width returns the number of columns.
func (m Matrix) Width() int { return m.W }

// At writes row i into dst.
func (m Matrix) At(i int, dst []float64) {
	for j, v := range m.Data[i*m.W : (i+1)*m.W] {
		dst[j] = float64(v)
	}
}

// Dense is a float64 matrix in row-major order.
type Dense struct {
	N, W int
	Data []float64
}

// NewDense returns a zero matrix.
func NewDense(n, w int) Dense { return Dense{n, w, make([]float64, n*w)} }

// Len returns the number of rows.
func (d Dense) Len() int { return d.N }

// Width returns the number of columns.
func (d Dense) Width() int { return d.W }

// At writes row i into dst.
func (d Dense) At(i int, dst []float64) { copy(dst, d.Row(i)) }

// Row returns row i without a copy.
func (d Dense) Row(i int) []float64 { return d.Data[i*d.W : (i+1)*d.W] }

// Collect copies rows into memory.
func Collect(x Rows) Dense {
	d := NewDense(x.Len(), x.Width())
	for i := range d.N {
		x.At(i, d.Row(i))
	}
	return d
}

type subset struct {
	Rows
	idx []int
}

func (s subset) Len() int                   { return len(s.idx) }
func (s subset) At(i int, dst []float64)    { s.Rows.At(s.idx[i], dst) }
func (s weighted) Len() int                 { return s.layers[0].Len() }
func (s weighted) Width() int               { return s.layers[0].Width() }
func (s unit) At(i int, dst []float64)      { s.Rows.At(i, dst); normalise(dst[:s.Width()]) }
func (s shifted) At(i int, dst []float64)   { s.Rows.At(i, dst); sub(dst, s.center) }
func (s scaledDim) At(i int, dst []float64) { s.Rows.At(i, dst); mul(dst, s.by) }

// Subset returns the rows idx of x, in that order, without a copy.
func Subset(x Rows, idx []int) Rows { return subset{x, idx} }

type weighted struct {
	layers []Rows
	alpha  []float64
	buf    *sync.Pool
}

// Weighted returns sum_k alpha_k x_k for layers of equal length and width.
func Weighted(layers []Rows, alpha []float64) Rows {
	w := layers[0].Width()
	return weighted{layers, alpha, &sync.Pool{New: func() any { b := make([]float64, w); return &b }}}
}

func (s weighted) At(i int, dst []float64) {
	p := s.buf.Get().(*[]float64)
	b := *p
	clear(dst[:len(b)])
	for k, x := range s.layers {
		if s.alpha[k] == 0 {
			continue
		}
		x.At(i, b)
		for j, v := range b {
			dst[j] += s.alpha[k] * v
		}
	}
	s.buf.Put(p)
}

type unit struct{ Rows }

// L2 returns x with every row divided by its Euclidean norm; a zero row stays zero.
func L2(x Rows) Rows { return unit{x} }

type shifted struct {
	Rows
	center []float64
}

// Shift returns x with c subtracted from every row.
func Shift(x Rows, c []float64) Rows { return shifted{x, c} }

type scaledDim struct {
	Rows
	by []float64
}

// ScaleDims returns x with dimension j multiplied by by[j].
func ScaleDims(x Rows, by []float64) Rows { return scaledDim{x, by} }

func normalise(v []float64) {
	n := math.Sqrt(dot(v, v))
	if n == 0 {
		return
	}
	for j := range v {
		v[j] /= n
	}
}

func sub(dst, c []float64) {
	for j, v := range c {
		dst[j] -= v
	}
}

func mul(dst, c []float64) {
	for j, v := range c {
		dst[j] *= v
	}
}

// dot is a plain inner product with four accumulators: fixed order, and the
// compiler keeps them in registers.
func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

func dist2(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1 float64
	i := 0
	for ; i+2 <= len(a); i += 2 {
		d0, d1 := a[i]-b[i], a[i+1]-b[i+1]
		s0 += d0 * d0
		s1 += d1 * d1
	}
	for ; i < len(a); i++ {
		d := a[i] - b[i]
		s0 += d * d
	}
	return s0 + s1
}

// chunk is the number of rows summed before partial sums are combined; it is
// fixed so that results do not depend on the number of workers.
const chunk = 512

// Mean returns the mean row. Sums run in chunks of fixed size, so the result
// is the same for any number of workers. An empty x gives zeros.
func Mean(x Rows, workers int) []float64 {
	n, w := x.Len(), x.Width()
	m := SumChunks(n, w, workers, func(i int, buf, acc []float64) {
		x.At(i, buf)
		for j, v := range buf {
			acc[j] += v
		}
	})
	for j := range m {
		m[j] /= float64(max(n, 1))
	}
	return m
}

// SumChunks calls add for every i in [0, n) with a scratch row and the
// accumulator of i's chunk, both of length w, and returns the sum of the
// accumulators in chunk order.
func SumChunks(n, w, workers int, add func(i int, buf, acc []float64)) []float64 {
	total := make([]float64, w)
	chunks := (n + chunk - 1) / chunk
	group := max(1, par.Workers(workers))
	// One group of chunks at a time bounds the memory to workers x w.
	for lo := 0; lo < chunks; lo += group {
		part := make([][]float64, min(group, chunks-lo))
		par.For(len(part), workers, func(g int) {
			acc, buf := make([]float64, w), make([]float64, w)
			for i := (lo + g) * chunk; i < min(n, (lo+g+1)*chunk); i++ {
				add(i, buf, acc)
			}
			part[g] = acc
		})
		for _, p := range part {
			for j, v := range p {
				total[j] += v
			}
		}
	}
	return total
}

// Scale returns the factors of ScaleDims.
func (s scaledDim) Scale() []float64 { return s.by }
