package aqi

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"assay/latent/geom"
	"assay/latent/internal/logit"
	"assay/probes/stat"
)

// entry is one space of the curve: a layer, or the headline vector.
type entry struct {
	name  string // number of the layer, or pool
	layer int    // number; -1 for pool
	alpha []float64
}

// posted is a separation under one post step.
type posted struct {
	post   string
	theta  float64
	r2     float64
	lo, hi float64 // of R2; NaN = no interval
	method string
}

// spreadOf is an index with the middle 95 % of its half-samples.
type spreadOf struct {
	geom.Index
	lo, hi float64
}

// reading is everything measured in one space.
type reading struct {
	entry
	kind     string // rows, cells or sample
	sep      geom.Sep
	jack     geom.Jack
	lo, hi   float64  // of theta
	pooled   geom.Sep // without strata
	posts    []posted
	mom      geom.Moments
	hasFar   bool // distances were computed
	dbs      spreadOf
	dunn     spreadOf
	robust   geom.Index
	sil      spreadOf
	dup      int
	farRows  int
	rowSil   map[int]float64 // document -> silhouette
	perm     *geom.Draws
	permKind string
	cq       *geom.ChenQin
	probe    *logit.CV
	dom      *logit.CV // difference of means on the same folds
	proj     map[int]float64
}

// runner carries the fixed parts of a run.
type runner struct {
	ctx    context.Context
	q      *source
	o      Options
	post   post
	scheme *geom.Scheme
	// permKind is the evidence that labels are permuted on: rows, cells, sample or "".
	permKind string
	fewBlock int // block pairs, if fewer than 12 made the sample serve
}

// design chooses the evidence for the p-value once for all layers.
func (r *runner) design(e entry) error {
	q := r.q
	units, _ := q.d.Counts()
	n := 0
	for _, u := range units {
		n += u
	}
	two := len(q.d.Groups) == 2
	blocks := 0
	if two && q.cells != nil && (r.post.name == "none" || r.post.name == "l2") {
		blocks = q.blockPairs()
	}
	switch {
	case q.kept && n <= maxPermuted:
		r.permKind = "rows"
	case blocks >= 12:
		r.permKind = "cells"
	case q.sampled != nil:
		r.permKind = "sample"
		if blocks > 0 {
			r.fewBlock = blocks
		}
	case blocks > 0:
		r.permKind, r.fewBlock = "cells", blocks
	default:
		return nil
	}
	t, err := q.tableOf(r.permKind, e.alpha, r.post, q.d)
	if err != nil {
		return err
	}
	mk := geom.NewLabels
	switch {
	case q.d.Form == geom.Pairs && two:
		mk = geom.NewSigns
	case r.permKind == "cells":
		mk = geom.NewSwaps
	}
	r.scheme, err = mk(t, r.o.Infer.Draws, r.o.Seed)
	return err
}

// measure reads one space.
func (r *runner) measure(e entry) (*reading, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	q := r.q
	m := &reading{entry: e}
	t, kind, err := q.table(e.alpha, r.post, q.d)
	if err != nil {
		return nil, err
	}
	m.kind = kind
	if m.sep, err = t.Separation(); err != nil {
		return nil, err
	}
	if m.jack, err = t.Jackknife(); err != nil {
		return nil, err
	}
	m.lo, m.hi = m.jack.Interval(r.o.Infer.Level)
	flat := t
	if q.d.Stratified() {
		if flat, _, err = q.table(e.alpha, r.post, q.d.Pooled()); err != nil {
			return nil, err
		}
	}
	if m.pooled, err = flat.Separation(); err != nil {
		return nil, err
	}
	m.mom = geom.MomentIndices(flat.Groups())
	if r.post.name == "zscore" {
		if err := r.zscoreHeadline(m, e); err != nil {
			return nil, err
		}
	}
	if err := r.sidePosts(m, e); err != nil {
		return nil, err
	}
	if r.scheme != nil {
		pt := t
		if r.permKind != kind {
			if pt, err = q.tableOf(r.permKind, e.alpha, r.post, q.d); err != nil {
				return nil, err
			}
		}
		d, err := r.scheme.Evaluate(pt)
		if err != nil {
			return nil, err
		}
		m.perm, m.permKind = &d, r.permKind
	}
	return m, r.far(m, e)
}

// far computes what needs rows: distances, the probe, projections.
func (r *runner) far(m *reading, e entry) error {
	q := r.q
	_, nrows := q.d.Counts()
	n := 0
	for _, c := range nrows {
		n += c
	}
	dense := q.kept && n <= maxDense
	stream := q.kept && !dense && r.o.Infer.Exact
	if !dense && !stream && q.sampled == nil {
		return nil
	}
	rs, err := q.space(e.alpha, r.post, !dense && !stream)
	if err != nil {
		return err
	}
	x, docs, labels := rs.only(q.d)
	k := len(q.d.Groups)
	m.farRows = x.Len()
	m.hasFar = true
	nan := math.NaN()
	m.dbs = spreadOf{geom.DaviesBouldin(x, labels, k), nan, nan}
	var p geom.Pairwise
	var cloud *geom.Cloud
	if stream {
		if p, err = geom.PairwiseStream(r.ctx, x, labels, k, q.workers); err != nil {
			return err
		}
		m.dunn, m.sil = spreadOf{p.Dunn, nan, nan}, spreadOf{p.Silhouette, nan, nan}
	} else if r.o.wants("dbs") || r.o.wants("dunn") || r.o.wants("silhouette") {
		cloud = geom.NewCloud(x, q.workers)
		d := cloud.Distances()
		p = geom.PairwiseIndices(d, labels, k)
		db, du, si := geom.HalfSamples(d, labels, k, halfSamples, q.workers, func(j int) []int { return halfOf(labels, k, r.o.Seed, j) })
		m.dbs = r.withSpread(m.dbs.Index, db)
		m.dunn = r.withSpread(p.Dunn, du)
		m.sil = r.withSpread(p.Silhouette, si)
	}
	m.robust, m.dup = p.Robust, p.Duplicates
	m.rowSil = map[int]float64{}
	for i, v := range p.Row {
		m.rowSil[docs[i]] = v
	}
	if stream { // probe and directions on the sample, if there is one
		if q.sampled == nil {
			return nil
		}
		if rs, err = q.space(e.alpha, r.post, true); err != nil {
			return err
		}
		x, docs, labels = rs.only(q.d)
	}
	if k == 2 && q.d.Form == geom.Independent {
		if cloud == nil {
			cloud = geom.NewCloud(x, q.workers)
		}
		cq := geom.ChenQinTest(cloud.G, labels)
		m.cq = &cq
	}
	if k == 2 && r.o.wants("probe") {
		return r.probe(m, x, docs, labels)
	}
	return nil
}

const halfSamples = 200

// halfOf draws half of each label's rows (rounded up) without replacement.
func halfOf(labels []int, k int, seed uint64, j int) []int {
	g := stat.NewRand(seed, "latent.half", uint64(j))
	var out []int
	for l := range k {
		var idx []int
		for i, v := range labels {
			if v == l {
				idx = append(idx, i)
			}
		}
		out = append(out, choose(g, idx, (len(idx)+1)/2)...)
	}
	slices.Sort(out)
	return out
}

func choose(g *rand.Rand, idx []int, m int) []int {
	for i := range m {
		j := i + g.IntN(len(idx)-i)
		idx[i], idx[j] = idx[j], idx[i]
	}
	return idx[:m]
}

func (r *runner) withSpread(i geom.Index, v []float64) spreadOf {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return spreadOf{i, math.NaN(), math.NaN()}
		}
	}
	slices.Sort(v)
	tail := (1 - r.o.Infer.Level) / 2
	return spreadOf{i, geom.Quantile(v, tail), geom.Quantile(v, 1-tail)}
}

// probe cross-validates by unit, and projects every row on the difference of
// means of the other folds.
func (r *runner) probe(m *reading, x geom.Rows, docs, labels []int) error {
	q := r.q
	outer := r.folds(docs, labels, "outer")
	inner := r.folds(docs, labels, "inner")
	unit := make([]int, len(docs))
	for i, d := range docs {
		unit[i] = q.unitKey(d)
	}
	cv, err := logit.CrossValidate(r.ctx, x, labels, outer, inner, unit, logit.Options{Workers: q.workers})
	if err != nil {
		return err
	}
	m.probe = &cv
	score := make([]float64, len(docs))
	m.proj = map[int]float64{}
	w := x.Width()
	for f := range slices.Max(outer) + 1 {
		var s [2][]float64
		var n [2]float64
		for l := range s {
			s[l] = make([]float64, w)
		}
		buf := make([]float64, w)
		for i, l := range labels {
			if outer[i] != f {
				x.At(i, buf)
				n[l]++
				for j, v := range buf {
					s[l][j] += v
				}
			}
		}
		if n[0] == 0 || n[1] == 0 {
			continue
		}
		norm := 0.0
		mid := make([]float64, w)
		for j := range w {
			a, b := s[0][j]/n[0], s[1][j]/n[1]
			s[1][j], mid[j] = b-a, (a+b)/2
			norm += (b - a) * (b - a)
		}
		norm = math.Sqrt(norm)
		for i := range labels {
			if outer[i] != f || norm == 0 {
				continue
			}
			x.At(i, buf)
			for j, v := range buf {
				score[i] += (v - mid[j]) * s[1][j] / norm
			}
			m.proj[docs[i]] = score[i]
		}
	}
	dom, err := logit.Rank(score, labels, outer, unit)
	if err != nil {
		return err
	}
	m.dom = &dom
	return nil
}
