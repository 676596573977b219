package aqi

import (
	"fmt"
	"math"

	"assay/latent/geom"
)

// sidePosts adds theta under none, l2 and zscore beside the headline's step.
func (r *runner) sidePosts(m *reading, e entry) error {
	for _, name := range []string{"none", "l2", "zscore"} {
		if name == r.post.name {
			m.posts = append(m.posts, posted{name, m.sep.Theta, m.sep.R2, geom.R2(m.lo), geom.R2(m.hi), m.kind})
			continue
		}
		if name == "zscore" {
			z, jk, how, err := r.zscore(e)
			if err != nil {
				return err
			}
			p := posted{name, z.Theta, z.R2, math.NaN(), math.NaN(), how}
			if jk != nil {
				lo, hi := jk.Interval(r.o.Infer.Level)
				p.lo, p.hi = geom.R2(lo), geom.R2(hi)
			}
			m.posts = append(m.posts, p)
			continue
		}
		p, _ := parsePost(name)
		e2, err := r.reweigh(e, p)
		if err != nil {
			return err
		}
		t, kind, err := r.q.table(e2.alpha, p, r.q.d)
		if err != nil {
			return err
		}
		s, err := t.Separation()
		if err != nil {
			return err
		}
		j, err := t.Jackknife()
		if err != nil {
			return err
		}
		lo, hi := j.Interval(r.o.Infer.Level)
		m.posts = append(m.posts, posted{name, s.Theta, s.R2, geom.R2(lo), geom.R2(hi), kind})
	}
	return nil
}

// reweigh gives the headline vector the layer scales of another post step.
func (r *runner) reweigh(e entry, p post) (entry, error) {
	if e.layer >= 0 {
		return e, nil
	}
	pl, err := parsePool(r.o.Space.Pool)
	if err != nil {
		return e, err
	}
	e.alpha, _, err = r.q.weights(r.o, p, pl)
	return e, err
}

// zscore is the z-scored separation of a space: from rows or the sample, else
// for a single layer from sums per label without strata. NaN if none of these
// is there. jk is nil where there is no interval.
func (r *runner) zscore(e entry) (z geom.ZTheta, jk *geom.Jack, how string, err error) {
	q := r.q
	none := geom.ZTheta{Theta: math.NaN(), R2: math.NaN()}
	if len(q.d.Groups) != 2 {
		return none, nil, "two labels only", nil
	}
	if !q.kept && e.layer >= 0 && q.cells != nil {
		return r.zscoreSums(e)
	}
	if !q.kept && q.sampled == nil {
		return none, nil, "needs rows", nil
	}
	kind := "rows"
	if !q.kept {
		kind = "sample"
	}
	plain := post{name: "none"}
	t, err := q.tableOf(kind, e.alpha, plain, q.d)
	if err != nil {
		return none, nil, "", err
	}
	if t.Form == geom.Independent {
		z, j, err := t.ZRows()
		return z, &j, kind, err
	}
	// Families and pairs: D2u in the space where every dimension has unit within
	// variance, whose noise has the right form there, over the dimensions.
	by, dims := t.WithinScale()
	rs, err := q.space(e.alpha, plain, kind == "sample")
	if err != nil {
		return none, nil, "", err
	}
	s, err := q.d.RowTable(geom.ScaleDims(rs.x, by), rs.docs, q.workers)
	if err != nil {
		return none, nil, "", err
	}
	sep, err := s.Separation()
	if err != nil {
		return none, nil, "", err
	}
	th := sep.D2u / float64(dims)
	return geom.ZTheta{Theta: th, R2: geom.R2(th), Dims: dims}, nil, kind, nil
}

func (r *runner) zscoreSums(e entry) (geom.ZTheta, *geom.Jack, string, error) {
	q := r.q
	k := 0
	for i, l := range q.v.Layers {
		if l == e.layer {
			k = i
		}
	}
	sq, err := q.s.DimSq(q.view, k)
	if err != nil {
		return geom.ZTheta{}, nil, "", err
	}
	if sq.N == 0 {
		return geom.ZTheta{Theta: math.NaN(), R2: math.NaN()}, nil, "needs rows", nil
	}
	var n [2]int
	var s, q2 [2][]float64
	for l := range 2 {
		s[l] = make([]float64, q.v.Width)
		q2[l] = sq.Row(q.d.FileLabel(l))
	}
	for c := range q.cells.Len() {
		in := q.cells.Info(c)
		if l, _, ok := q.d.Pooled().CellLabel(in); ok {
			n[l] += in.N
			for j, v := range q.cells.Sum(c, k) {
				s[l][j] += v
			}
		}
	}
	how := "sums per label"
	if q.d.Stratified() {
		how = "sums per label, strata pooled"
	}
	return geom.ZSums(n, s, q2), nil, how, nil
}

// zscoreHeadline replaces the reading's separation by the z-scored one.
func (r *runner) zscoreHeadline(m *reading, e entry) error {
	z, jk, how, err := r.zscore(e)
	if err != nil {
		return err
	}
	if math.IsNaN(z.Theta) {
		return fmt.Errorf("aqi: post zscore: %s: %w", how, errNeedsRows(r.q))
	}
	m.sep.Theta, m.sep.R2, m.kind = z.Theta, z.R2, how
	m.lo, m.hi = math.NaN(), math.NaN()
	if jk != nil {
		m.jack = *jk
		m.lo, m.hi = jk.Interval(r.o.Infer.Level)
	}
	return nil
}
