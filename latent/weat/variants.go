package weat

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"assay/internal/fault"
)

// Variant names a linear change of the space that a real association survives.
type Variant string

const (
	// Raw leaves vectors as they are.
	Raw Variant = "raw"
	// Centred takes the mean vector off.
	Centred Variant = "centred"
	// ABTT3 takes the mean and the top 3 principal directions off, "all but
	// the top" (Mu and Viswanath 2018, arXiv 1702.01417).
	ABTT3 Variant = "abtt3"
)

// Variants lists all, in the order of output.
func Variants() []Variant { return []Variant{Raw, Centred, ABTT3} }

// removed is the number of directions that ABTT3 takes off.
const removed = 3

// Moments collects the mean and the covariance of rows, one pass.
type Moments struct {
	n     int64
	shift []float64 // the first row: sums of differences from it lose no digits to a large mean
	sum   []float64
	cross []float64 // upper triangle of the sum of products
	block []float64
	rows  int
}

// maxMomentsDim keeps the D^2 sums below 512 MiB.
const maxMomentsDim = 8192

// NewMoments prepares for rows of d numbers.
func NewMoments(d int) (*Moments, error) {
	if d < 1 || d > maxMomentsDim {
		return nil, fault.Inputf("unsupported", "weat: moments: found %d dimensions, want 1 to %d", d, maxMomentsDim)
	}
	return &Moments{sum: make([]float64, d)}, nil // D^2 sums wait for a block of real rows
}

const momentsBlock = 64

// Add takes a row of d numbers.
func (m *Moments) Add(v []float64) {
	if m.shift == nil {
		m.shift = append([]float64{}, v...)
		m.block = make([]float64, momentsBlock*len(v))
	}
	row := m.block[m.rows*len(v):][:len(v)]
	for i, x := range v {
		row[i] = x - m.shift[i]
		m.sum[i] += row[i]
	}
	m.n++
	if m.rows++; m.rows == momentsBlock {
		m.flush()
	}
}

func (m *Moments) flush() {
	d := len(m.sum)
	if m.cross == nil {
		m.cross = make([]float64, d*d)
	}
	if m.rows > 0 {
		blas64.Syrk(blas.Trans, 1, blas64.General{Rows: m.rows, Cols: d, Stride: d, Data: m.block}, 1,
			blas64.Symmetric{N: d, Stride: d, Data: m.cross, Uplo: blas.Upper})
	}
	m.rows = 0
}

// Mean returns the mean row.
func (m *Moments) Mean() []float64 {
	out := make([]float64, len(m.sum))
	for i, s := range m.sum {
		out[i] = m.shift[i] + s/float64(m.n)
	}
	return out
}

// Rows returns how many rows were added.
func (m *Moments) Rows() int64 { return m.n }

// Shift returns the variant's mean and, for ABTT3, its directions.
func (m *Moments) Shift(v Variant) (Shift, error) {
	if v == Raw {
		return Shift{}, nil
	}
	if m.n < 2 {
		return Shift{}, fault.Inputf("too-few", "weat: variant %s: found %d vectors, want 2 or more to centre on", v, m.n)
	}
	s := Shift{Mean: m.Mean()}
	if v == Centred {
		return s, nil
	}
	m.flush()
	d := len(m.sum)
	cov := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, m.cross[i*d+j]-m.sum[i]*m.sum[j]/float64(m.n))
		}
	}
	var err error
	s.Dirs, err = principal(d, min(removed, d), func(dst, w *mat.Dense) { dst.Mul(cov, w) })
	return s, err
}

// Shift is what a variant takes off a vector; the zero value nothing.
type Shift struct {
	Mean []float64
	Dirs [][]float64 // orthonormal
}

// Apply returns v without the mean and the directions, in a new slice.
func (s Shift) Apply(v []float64) []float64 {
	out := append([]float64{}, v...)
	for i, m := range s.Mean {
		out[i] -= m
	}
	base := append([]float64{}, out...)
	for _, d := range s.Dirs {
		c := dot(base, d)
		for i, x := range d {
			out[i] -= c * x
		}
	}
	return out
}

// Rows is a matrix of vectors that need not be in memory as float64: an
// embedding matrix. Row writes row i into dst.
type Rows interface {
	Rows() int
	Dim() int
	Row(i int, dst []float64)
}

// ShiftOf returns the shift of a variant over all rows of a matrix: one pass
// for the mean, about 20 for the directions, by subspace iteration to a
// residual of 1e-10 and with no temporary larger than a block of rows.
func ShiftOf(m Rows, v Variant) (Shift, error) {
	if v == Raw {
		return Shift{}, nil
	}
	n, d := m.Rows(), m.Dim()
	if n < 2 || d < 1 {
		return Shift{}, fault.Inputf("too-few", "weat: variant %s: found %d rows of %d, want 2 or more to centre on", v, n, d)
	}
	s, row := Shift{Mean: make([]float64, d)}, make([]float64, d)
	for i := range n {
		m.Row(i, row)
		for j, x := range row {
			s.Mean[j] += x
		}
	}
	for j := range s.Mean {
		s.Mean[j] /= float64(n)
	}
	if v == Centred {
		return s, nil
	}
	block := mat.NewDense(min(n, 256), d, nil)
	apply := func(dst, w *mat.Dense) {
		dst.Zero()
		_, k := w.Dims()
		for from := 0; from < n; from += 256 {
			b := block.Slice(0, min(256, n-from), 0, d).(*mat.Dense)
			rows, _ := b.Dims()
			for i := range rows {
				r := b.RawRowView(i)
				m.Row(from+i, r)
				for j, c := range s.Mean {
					r[j] -= c
				}
			}
			xw := mat.NewDense(rows, k, nil)
			xw.Mul(b, w)
			add := mat.NewDense(d, k, nil)
			add.Mul(b.T(), xw)
			dst.Add(dst, add)
		}
	}
	var err error
	s.Dirs, err = principal(d, min(removed, d), apply)
	return s, err
}

// principal returns the k leading eigenvectors of a positive semidefinite
// operator by subspace iteration with Rayleigh-Ritz, to residuals of 1e-10 of
// the largest eigenvalue or as far as rounding lets them fall. A block wider
// than k makes the last direction converge by the ratio of eigenvalue k to one
// much further down.
func principal(d, k int, apply func(dst, w *mat.Dense)) ([][]float64, error) {
	const tol, rounds = 1e-13, 400
	b := min(d, 4*k+4)
	w, y := mat.NewDense(d, b, nil), mat.NewDense(d, b, nil)
	for i := range d { // a fixed start without structure: fractional parts of multiples of square roots
		for j := range b {
			x := float64(i+1) * math.Sqrt(float64(2+j))
			w.Set(i, j, x-math.Floor(x)-0.5)
		}
	}
	orthonormalise(w)
	best := math.Inf(1)
	for range rounds {
		apply(y, w)
		var small mat.Dense
		small.Mul(w.T(), y)
		sym := mat.NewSymDense(b, nil)
		for i := range b {
			for j := i; j < b; j++ {
				sym.SetSym(i, j, (small.At(i, j)+small.At(j, i))/2)
			}
		}
		var e mat.EigenSym
		if !e.Factorize(sym, true) {
			return nil, fault.Inputf("nonfinite", "weat: principal directions: found an operator that is not finite")
		}
		values := e.Values(nil)
		var vectors, ritz, image mat.Dense
		e.VectorsTo(&vectors)
		ritz.Mul(w, &vectors)
		image.Mul(y, &vectors)
		worst := 0.0
		for c := range k {
			j, ss := b-1-c, 0.0
			for i := range d {
				r := image.At(i, j) - values[j]*ritz.At(i, j)
				ss += r * r
			}
			worst = max(worst, math.Sqrt(ss))
		}
		top := values[b-1]
		stalled := worst <= 1e-10*top && worst > 0.5*best
		if top <= 0 || worst <= tol*top || stalled {
			return columns(&ritz, k), nil
		}
		best = min(best, worst)
		w.Copy(&image)
		orthonormalise(w)
	}
	return nil, fault.Inputf("near-singular", "weat: principal directions: not converged in %d rounds: the leading eigenvalues are nearly equal", rounds)
}

// columns returns the last k columns, largest eigenvalue first.
func columns(m *mat.Dense, k int) [][]float64 {
	_, b := m.Dims()
	out := make([][]float64, k)
	for c := range k {
		out[c] = mat.Col(nil, b-1-c, m)
	}
	return out
}

// orthonormalise is Gram-Schmidt, twice, which is as good as Householder.
func orthonormalise(w *mat.Dense) {
	d, b := w.Dims()
	for j := range b {
		v := mat.Col(nil, j, w)
		for range 2 {
			for i := range j {
				u := mat.Col(nil, i, w)
				c := dot(u, v)
				for r := range v {
					v[r] -= c * u[r]
				}
			}
		}
		n := math.Sqrt(dot(v, v))
		if n < 1e-300 { // the operator has rank below b: any direction does
			v = make([]float64, d)
			v[j%d], n = 1, 1
		}
		for r := range v {
			w.Set(r, j, v[r]/n)
		}
	}
}

func dot(a, b []float64) float64 {
	var s float64
	for i, x := range a {
		s += x * b[i]
	}
	return s
}
