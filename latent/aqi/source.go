package aqi

import (
	"math"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
)

// maxDense is the largest number of rows whose distances are all computed
// unless exact is asked for.
const maxDense = 4096

// maxPermuted is the largest number of units whose labels are permuted over a
// Gram matrix; beyond it cells or the sample serve.
const maxPermuted = 2048

// source gives vectors of one view of one file.
type source struct {
	s       latent.States
	in      latent.Info
	view    int
	v       latent.View
	d       *latent.Design
	cells   geom.Cells // nil = not kept
	layers  []int      // chosen indices into v.Layers
	kept    bool       // rows of all chosen layers are there
	sampled []int      // documents of the sample; nil = none
	workers int
}

func newSource(s latent.States, view int, d *latent.Design, layers string, workers int) (*source, error) {
	q := &source{s: s, in: s.Info(), view: view, d: d, workers: workers, kept: true}
	q.v = q.in.Views[view]
	var err error
	if q.layers, err = q.v.Pick(layers); err != nil {
		return nil, err
	}
	if q.cells, err = s.Cells(view); err != nil {
		return nil, err
	}
	for _, k := range q.layers {
		x, ok := s.Rows(view, k)
		if ok && x.Width() != q.v.Width {
			return nil, fault.Inputf("bad-states-file", "aqi: %s layer %d: width %d, want %d", q.v.Name(), q.v.Layers[k], x.Width(), q.v.Width)
		}
		q.kept = q.kept && ok
	}
	if _, q.sampled, err = s.Sample(view, q.layers[0]); err != nil {
		return nil, err
	}
	if !q.kept && q.cells == nil && q.sampled == nil {
		return nil, latent.NeedRows(q.in, q.v, q.v.Layers[q.layers[0]])
	}
	return q, nil
}

// rows is what a table or a probe is computed from: vectors, and the document
// of each (nil = row i is document i).
type rows struct {
	x    geom.Rows
	docs []int
}

// only keeps the documents of the design and returns their labels.
func (r rows) only(d *latent.Design) (x geom.Rows, docs, labels []int) {
	use, labels := d.Use(r.docs)
	docs = use
	if r.docs != nil {
		docs = make([]int, len(use))
		for i, u := range use {
			docs[i] = r.docs[u]
		}
	}
	return geom.Subset(r.x, use), docs, labels
}

// raw returns layer k's rows: all documents, or the sample.
func (q *source) raw(k int, sample bool) (rows, error) {
	if !sample {
		if x, ok := q.s.Rows(q.view, k); ok {
			return rows{x: x}, nil
		}
		return rows{}, latent.NeedRows(q.in, q.v, q.v.Layers[k])
	}
	x, docs, err := q.s.Sample(q.view, k)
	if err != nil {
		return rows{}, err
	}
	if x == nil {
		return rows{}, latent.NeedRows(q.in, q.v, q.v.Layers[k])
	}
	return rows{x, docs}, nil
}

// space returns sum_k alpha_k post(x_k).
func (q *source) space(alpha []float64, p post, sample bool) (rows, error) {
	var xs []geom.Rows
	var as []float64
	var docs []int
	for k, a := range alpha {
		if a == 0 {
			continue
		}
		r, err := q.raw(k, sample)
		if err != nil {
			return rows{}, err
		}
		docs = r.docs
		x, err := q.apply(p, r)
		if err != nil {
			return rows{}, err
		}
		if len(xs) > 0 && x.Width() != xs[0].Width() {
			return rows{}, fault.Inputf("width-differs", "aqi: layer %d: width %d after %s, want %d as the other layers of the pool", q.v.Layers[k], x.Width(), p.name, xs[0].Width())
		}
		xs, as = append(xs, x), append(as, a)
	}
	if len(xs) == 1 && as[0] == 1 {
		return rows{xs[0], docs}, nil
	}
	return rows{geom.Weighted(xs, as), docs}, nil
}

// table makes the table of the space from rows if they were kept, else from
// cells, else from the sample.
func (q *source) table(alpha []float64, p post, d *latent.Design) (*geom.Table, string, error) {
	kind := q.kind(p)
	t, err := q.tableOf(kind, alpha, p, d)
	return t, kind, err
}

func (q *source) kind(p post) string {
	switch {
	case q.kept:
		return "rows"
	case q.cells != nil && (p.name == "none" || p.name == "l2"):
		return "cells"
	}
	return "sample"
}

func (q *source) tableOf(kind string, alpha []float64, p post, d *latent.Design) (*geom.Table, error) {
	if kind == "cells" {
		if q.cells == nil {
			return nil, latent.NeedCells(q.in, q.v)
		}
		return d.CellTable(q.cells, alpha, p.name == "l2", q.workers)
	}
	r, err := q.space(alpha, p, kind == "sample")
	if err != nil {
		return nil, err
	}
	return d.RowTable(r.x, r.docs, q.workers)
}

// apply puts the post step over a layer's rows.
func (q *source) apply(p post, r rows) (geom.Rows, error) {
	switch p.name {
	case "none", "zscore":
		return r.x, nil
	case "l2":
		return geom.L2(r.x), nil
	}
	x, _, _ := r.only(q.d)
	m := geom.Mean(x, q.workers)
	switch p.name {
	case "center+l2":
		return geom.L2(geom.Shift(r.x, m)), nil
	case "abtt":
		axes, _, err := geom.Axes(x, q.workers)
		if err != nil {
			return nil, err
		}
		axes.N = min(axes.N, p.k)
		return geom.Without(geom.Shift(r.x, m), axes), nil
	}
	axes, sd, err := geom.Axes(x, q.workers)
	if err != nil {
		return nil, err
	}
	for a := range axes.N {
		for j := range axes.Row(a) {
			axes.Row(a)[j] /= sd[a]
		}
	}
	return geom.Project(geom.Shift(r.x, m), axes), nil
}

// spread is c_k, the root mean squared distance of the design's rows from
// their mean in layer k: the scale of the layer, free of labels.
func (q *source) spread(k int, p post) (float64, error) {
	t, _, err := q.table(geom.One(k, len(q.v.Layers)), p, q.d.Pooled())
	if err != nil {
		return 0, err
	}
	n, s := 0, 0.0
	for _, u := range t.Unit {
		n += u.N
		s += u.Q
	}
	return math.Sqrt(s / float64(n)), nil
}

// weights returns the layer weights of the headline vector: equal (or fixed)
// shares of the block outputs in the pool, each over its spread.
func (q *source) weights(o Options, p post, pl pool) (alpha, spread []float64, err error) {
	var in []int
	for _, k := range q.layers {
		l := q.v.Layers[k]
		if l >= 1 && (pl.kind != "mean" || l >= pl.lo && l <= pl.hi) {
			in = append(in, k)
		}
	}
	if pl.kind == "fixed" {
		in = q.layers
		if len(o.Space.Weights) != len(in) {
			return nil, nil, fault.Usagef("aqi: layer-pool: %d weights, want %d, one per layer", len(o.Space.Weights), len(in))
		}
	}
	if len(in) == 0 { // a view of the embedding output alone
		in = q.layers[len(q.layers)-1:]
	}
	alpha = make([]float64, len(q.v.Layers))
	spread = make([]float64, len(q.v.Layers))
	for i, k := range in {
		w := 1 / float64(len(in))
		if pl.kind == "fixed" {
			w = o.Space.Weights[i]
		}
		c := 1.0
		if o.Space.Scale != "none" {
			if c, err = q.spread(k, p); err != nil {
				return nil, nil, err
			}
			if c == 0 {
				return nil, nil, fault.Inputf("degenerate", "aqi: %s layer %d: all rows are equal, want some spread", q.v.Name(), q.v.Layers[k]).
					Hint("name the layers to use, or --layer-scale none")
			}
		}
		alpha[k], spread[k] = w/c, c
	}
	return alpha, spread, nil
}

// blockPairs counts blocks that hold both labels.
func (q *source) blockPairs() int {
	seen := map[[2]int][]int{}
	n := 0
	for c := range q.cells.Len() {
		in := q.cells.Info(c)
		l, _, ok := q.d.CellLabel(in)
		if !ok {
			continue
		}
		k := [2]int{in.Stratum, in.Block}
		if len(seen[k]) == 1 && seen[k][0] != l {
			n++
		}
		seen[k] = append(seen[k], l)
	}
	return n
}
