package aqi

import (
	"context"
	"fmt"
	"math"
	"testing"

	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// bigCells are cell sums of synthetic documents in one slab; unit vectors share
// it, which changes no cost.
type bigCells struct {
	c, k, w, n int
	sum        []float64
	q          []float64
}

func (b *bigCells) Len() int    { return b.c }
func (b *bigCells) Layers() int { return b.k }
func (b *bigCells) Width() int  { return b.w }
func (b *bigCells) Info(i int) geom.Cell {
	return geom.Cell{Label: i % 2, Stratum: -1, Block: i / 2, N: b.n, Units: b.n}
}
func (b *bigCells) Sum(i, k int) []float64 {
	o := (i*b.k + k) * b.w
	return b.sum[o : o+b.w]
}
func (b *bigCells) USum(i, k int) []float64 { return b.Sum(i, k) }
func (b *bigCells) Q(i int) []float64       { return b.q[i*b.k*b.k : (i+1)*b.k*b.k] }
func (b *bigCells) V(i int) []float64       { return b.Q(i) }

// bigStates is a file of cells (and a sample) with more documents than memory
// would hold as rows.
type bigStates struct {
	*mem.States
	cells  *bigCells
	sample []geom.Matrix
	docs   []int
}

func (s *bigStates) Cells(int) (geom.Cells, error)      { return s.cells, nil }
func (s *bigStates) SqNorm(int) ([]float32, error)      { return nil, nil }
func (s *bigStates) DimSq(int, int) (geom.Dense, error) { return geom.Dense{}, nil }
func (s *bigStates) Rows(int, int) (geom.Rows, bool)    { return nil, false }
func (s *bigStates) Sample(_, k int) (geom.Rows, []int, error) {
	if s.sample == nil {
		return nil, nil, nil
	}
	return s.sample[k], s.docs, nil
}

// noise is a cheap stream of about unit variance.
type noise uint64

func (g *noise) next() float64 {
	*g = *g*6364136223846793005 + 1442695040888963407
	return float64(int64(*g)) / (1 << 63) * math.Sqrt(3)
}

func big(docs, k, w, cells, sample int) *bigStates {
	set := mem.Set{Name: "big", First: 0}
	for i := range docs {
		set.Label = append(set.Label, []string{"a", "b"}[i%2])
	}
	set.Layers = []geom.Dense{{N: docs, W: 0}}
	s := &bigStates{States: mem.New(set)}
	s.Inf.Views = []latent.View{{Tap: "resid_post", Pool: "mean", Span: "text", Width: w}}
	for l := range k {
		s.Inf.Views[0].Layers = append(s.Inf.Views[0].Layers, l)
	}
	g := noise(1)
	n := docs / cells
	c := &bigCells{c: cells, k: k, w: w, n: n, sum: make([]float64, cells*k*w), q: make([]float64, cells*k*k)}
	for i := range c.sum {
		c.sum[i] = g.next() * math.Sqrt(float64(n))
	}
	for i := range cells {
		for l := range k {
			c.q[i*k*k+l*k+l] = float64(n * w)
		}
	}
	s.cells = c
	for l := range k {
		if sample == 0 {
			break
		}
		m := geom.Matrix{N: sample, W: w, Data: make([]float32, sample*w)}
		for i := range m.Data {
			m.Data[i] = float32(g.next())
		}
		s.sample = append(s.sample, m)
		_ = l
	}
	for i := range sample {
		s.docs = append(s.docs, i)
	}
	return s
}

// BenchmarkCells is separation, interval, swaps, layer pooling from cells.
func BenchmarkCells(b *testing.B) {
	for _, c := range []struct{ docs, k, w, cells int }{{2000, 5, 256, 64}, {10000, 13, 1024, 128}, {100000, 33, 4096, 256}} {
		b.Run(fmt.Sprintf("docs=%d/layers=%d/width=%d", c.docs, c.k, c.w), func(b *testing.B) {
			s := big(c.docs, c.k, c.w, c.cells, 0)
			o := Default()
			o.Indices = []string{"r2", "xbi", "chi"}
			for b.Loop() {
				if _, err := Run(context.Background(), s, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLearned adds cross-fitted layer weights.
func BenchmarkLearned(b *testing.B) {
	for _, c := range []struct{ docs, k, w, cells int }{{2000, 5, 256, 64}, {100000, 33, 4096, 256}} {
		b.Run(fmt.Sprintf("docs=%d/layers=%d/width=%d", c.docs, c.k, c.w), func(b *testing.B) {
			s := big(c.docs, c.k, c.w, c.cells, 0)
			o := Default()
			o.Indices = []string{"r2"}
			r, err := newRunner(context.Background(), s, o)
			if err != nil {
				b.Fatal(err)
			}
			head, spread, err := r.headline()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				l, _, err := r.learner(head.alpha, spread)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := l.run("softmax", 5, 1, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDistances is DBS, Dunn, silhouette and their half-samples on the
// sample of one layer.
func BenchmarkDistances(b *testing.B) {
	for _, c := range []struct{ m, w int }{{128, 256}, {512, 1024}, {1024, 4096}} {
		b.Run(fmt.Sprintf("sample=%d/width=%d", c.m, c.w), func(b *testing.B) {
			s := big(10000, 1, c.w, 64, c.m)
			o := Default()
			o.Indices = []string{"r2", "dbs", "dunn", "silhouette"}
			r, err := newRunner(context.Background(), s, o)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				m := &reading{}
				if err := r.far(m, entry{alpha: []float64{1}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
