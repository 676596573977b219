package geom

import (
	"math"

	"assay/latent/internal/par"
)

// Cloud is a set of rows with the inner products of all pairs, computed once:
// cosines, distances, alignment and spectra follow from them. Memory n^2.
type Cloud struct {
	X       Rows
	Mean    []float64
	G       Dense     // inner products about the mean
	along   []float64 // (x_i - mean).mean
	mm      float64   // |mean|^2
	workers int
}

// NewCloud costs n^2 w / 2 multiplications.
func NewCloud(x Rows, workers int) *Cloud {
	m := Mean(x, workers)
	c := &Cloud{X: x, Mean: m, G: Gram(x, m, workers), along: make([]float64, x.Len()), mm: dot(m, m), workers: workers}
	par.For((x.Len()+chunk-1)/chunk, workers, func(g int) {
		buf := make([]float64, x.Width())
		for i := g * chunk; i < min(x.Len(), (g+1)*chunk); i++ {
			x.At(i, buf)
			sub(buf, m)
			c.along[i] = dot(buf, m)
		}
	})
	return c
}

// Subset is the cloud of some rows, without new inner products.
func (c *Cloud) Subset(idx []int) *Cloud {
	n := len(idx)
	s := &Cloud{X: Subset(c.X, idx), G: NewDense(n, n), along: make([]float64, n), workers: c.workers}
	s.Mean = Mean(s.X, c.workers)
	on := make([]float64, n) // z_i . mean of the subset's z
	var b, g float64
	for i, p := range idx {
		r := s.G.Row(i)
		for j, q := range idx {
			r[j] = c.G.Row(p)[q]
			on[i] += r[j] / float64(n)
		}
		b += c.along[p] / float64(n)
		g += on[i] / float64(n)
	}
	for i, p := range idx {
		s.along[i] = c.along[p] + on[i] - b - g
	}
	s.mm = c.mm + 2*b + g
	CenterGram(s.G)
	return s
}

// Raw is the matrix of inner products of the rows as they are.
func (c *Cloud) Raw() Dense {
	n := c.G.N
	k := NewDense(n, n)
	par.For(n, c.workers, func(i int) {
		r := k.Row(i)
		for j, v := range c.G.Row(i) {
			r[j] = v + c.along[i] + c.along[j] + c.mm
		}
	})
	return k
}

// Cosines is the matrix of cosines between rows, about the mean or as they are.
// A zero row has cosine 0 with every row, itself included.
func (c *Cloud) Cosines(centred bool) Dense {
	n := c.G.N
	var k Dense
	if centred {
		k = NewDense(n, n)
		copy(k.Data, c.G.Data)
	} else {
		k = c.Raw()
	}
	norm := make([]float64, n)
	top := 0.0
	for i := range n {
		top = math.Max(top, k.Row(i)[i])
	}
	for i := range n {
		// A row below the rounding of the products has no direction here.
		if d := k.Row(i)[i]; d > 1e-28*top {
			norm[i] = math.Sqrt(d)
		}
	}
	par.For(n, c.workers, func(i int) {
		r := k.Row(i)
		for j := range r {
			if norm[i] == 0 || norm[j] == 0 {
				r[j] = 0
			} else {
				r[j] /= norm[i] * norm[j]
			}
		}
	})
	return k
}

// Distances is the matrix of Euclidean distances between rows. A pair that is
// close for its distance from the mean is computed from its difference, and so
// are all pairs of a narrow cloud.
func (c *Cloud) Distances() Dense {
	x := c.X
	if x.Width() <= direct {
		return directDistances(Collect(x), c.workers)
	}
	n := c.G.N
	d := NewDense(n, n)
	par.For(n, c.workers, func(i int) {
		var a, b []float64
		r := d.Row(i)
		g := c.G.Row(i)
		for j := i + 1; j < n; j++ {
			both := g[i] + c.G.Row(j)[j]
			v := both - 2*g[j]
			if v < near*both {
				if a == nil {
					a, b = make([]float64, x.Width()), make([]float64, x.Width())
					x.At(i, a)
				}
				x.At(j, b)
				v = dist2(a, b)
			}
			r[j] = math.Sqrt(v)
		}
	})
	for i := range n {
		for j := range i {
			d.Row(i)[j] = d.Row(j)[i]
		}
	}
	return d
}

func directDistances(x Dense, workers int) Dense {
	d := NewDense(x.N, x.N)
	par.For(x.N, workers, func(i int) {
		for j := range x.N {
			d.Row(i)[j] = math.Sqrt(dist2(x.Row(i), x.Row(j)))
		}
	})
	return d
}

// Distances is Cloud.Distances of rows that nothing else is asked about.
func Distances(x Rows, workers int) Dense {
	if x.Width() <= direct {
		return directDistances(Collect(x), workers)
	}
	return NewCloud(x, workers).Distances()
}

// Cosines is Cloud.Cosines of the rows as they are.
func Cosines(x Rows, workers int) Dense { return Gram(L2(x), nil, workers) }
