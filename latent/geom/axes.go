package geom

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"assay/internal/fault"
)

// Axes returns the principal axes of rows about their mean, as unit rows, with
// the standard deviation along each (divisor n-1), in descending order.
// Directions without variance are left out.
func Axes(x Rows, workers int) (axes Dense, sd []float64, err error) {
	n, w := x.Len(), x.Width()
	if n < 2 {
		return Dense{}, nil, fault.Inputf("too-few-points", "geom: axes: %d rows, want at least 2", n)
	}
	z := Shift(x, Mean(x, workers))
	g := smaller(z, workers)
	var e mat.EigenSym
	if !e.Factorize(mat.NewSymDense(g.N, slices.Clone(g.Data)), true) {
		return Dense{}, nil, fault.Inputf("nonfinite", "geom: axes: eigenvectors did not converge, want finite rows")
	}
	val := e.Values(nil)
	var vec mat.Dense
	e.VectorsTo(&vec)
	for c := g.N - 1; c >= 0 && val[c] > relZero(g.N)*val[g.N-1] && val[c] > 0; c-- {
		sd = append(sd, math.Sqrt(val[c]/float64(n-1)))
	}
	axes = NewDense(len(sd), w)
	if n <= w { // axis = X'u / s
		u := NewDense(len(sd), n)
		for a := range sd {
			for i := range n {
				u.Row(a)[i] = vec.At(i, g.N-1-a)
			}
		}
		buf := make([]float64, w)
		for i := range n {
			z.At(i, buf)
			for a := range sd {
				c, row := u.Row(a)[i], axes.Row(a)
				for j, v := range buf {
					row[j] += c * v
				}
			}
		}
		for a := range sd {
			normalise(axes.Row(a))
		}
		return axes, sd, nil
	}
	for a := range sd {
		for j := range w {
			axes.Row(a)[j] = vec.At(j, g.N-1-a)
		}
	}
	return axes, sd, nil
}

type projected struct {
	Rows
	axes Dense
}

func (p projected) Width() int { return p.axes.N }
func (p projected) At(i int, dst []float64) {
	b := make([]float64, p.Rows.Width())
	p.Rows.At(i, b)
	for a := range p.axes.N {
		dst[a] = dot(p.axes.Row(a), b)
	}
}

// Project returns the coordinates of rows along axes.
func Project(x Rows, axes Dense) Rows { return projected{x, axes} }

type without struct {
	Rows
	axes Dense
}

func (p without) At(i int, dst []float64) {
	p.Rows.At(i, dst)
	for a := range p.axes.N {
		r := p.axes.Row(a)
		c := dot(r, dst[:len(r)])
		for j, v := range r {
			dst[j] -= c * v
		}
	}
}

// Without returns rows with their components along orthonormal axes removed.
func Without(x Rows, axes Dense) Rows { return without{x, axes} }
