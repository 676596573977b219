package units

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/report"
	"assay/probes"
)

// SimilarityOptions of Similarity.
type SimilarityOptions struct {
	Groups []string `json:"groups"` // two; nil = the two labels of the file
	View   string   `json:"view"`
	Layers string   `json:"layers"`
	Level  float64  `json:"level"` // .95
}

// Similarity is the mean cosine over all cross pairs of two groups, layer by
// layer, from cell sums (no pairs are formed) or rows. Most of it is the common
// mean direction, so with pairs the matched minus the unmatched cosine stands
// beside it. With layer 0 kept, the first group is also held at layer 0.
func Similarity(ctx context.Context, s latent.States, o SimilarityOptions) (probes.Result, error) {
	if o.Level == 0 {
		o.Level = .95
	}
	in := s.Info()
	view, err := in.View(o.View)
	if err != nil {
		return probes.Result{}, err
	}
	v := in.Views[view]
	layers, err := v.Pick(o.Layers)
	if err != nil {
		return probes.Result{}, err
	}
	d, err := latent.NewDesign(s, o.Groups, false)
	if err != nil {
		return probes.Result{}, err
	}
	if len(d.Groups) != 2 {
		return probes.Result{}, fault.Usagef("units: similarity: %d groups, want 2", len(d.Groups))
	}
	cells, err := s.Cells(view)
	if err != nil {
		return probes.Result{}, err
	}
	b := report.New("probe.group-similarity", Version, 0)
	b.Input("states", in)
	b.Settings = map[string]any{"groups": d.Groups, "view": v.Name(), "span": v.Span, "level": o.Level}
	units, rows := d.Counts()
	for l, g := range d.Groups {
		b.N["units."+g], b.N["rows."+g] = units[l], rows[l]
	}
	b.N["layers"] = len(layers)
	name := func(what string, k int) string {
		return fmt.Sprintf("similarity.%s@%s.%d", what, v.Name(), v.Layers[k])
	}
	var fixed *geom.Table
	mean := 0.0
	for _, k := range layers {
		if err := ctx.Err(); err != nil {
			return probes.Result{}, err
		}
		x, docs, err := anyRows(s, view, k)
		if err != nil {
			return probes.Result{}, err
		}
		t, err := unitTable(d, cells, x, docs, k, len(v.Layers))
		if err != nil {
			return probes.Result{}, err
		}
		if t == nil {
			return probes.Result{}, latent.NeedCells(in, v)
		}
		c := crossOf(t, t)
		mean += c.value / float64(len(layers))
		b.CI(name("cosine", k), c.value, "cosine", "mean over all cross pairs; jackknife over units or cells inside each group", "degenerate", c.ci(o.Level))
		raw, err := rawTable(d, cells, x, docs, k, len(v.Layers))
		if err != nil {
			return probes.Result{}, err
		}
		b.Add(name("cosine.means", k), crossOf(raw, raw).ofMeans, "cosine", "between the two mean vectors", "degenerate")
		if v.Layers[k] == 0 {
			fixed = t
		}
		if fixed != nil {
			f := crossOf(fixed, t)
			b.CI(name("cosine.first-at-0", k), f.value, "cosine", "first group held at layer 0", "degenerate", f.ci(o.Level))
		}
		if d.Form == geom.Pairs && x != nil {
			m, u := matched(d, x, docs)
			b.Add(name("matched", k), m, "cosine", "mean over pairs", "degenerate")
			b.Add(name("matched-minus-unmatched", k), m-u, "cosine", "mean over pairs less the mean over all other cross pairs", "degenerate")
		}
	}
	b.Add("similarity.cosine", mean, "cosine", "mean over layers", "degenerate")
	b.Verdict = probes.Verdict{
		Tier: probes.TierC, Finding: "descriptive",
		Says:       fmt.Sprintf("The mean cosine over all cross pairs of %s and %s is %.4f, averaged over %d layers.", d.Groups[0], d.Groups[1], mean, len(layers)),
		DoesNotSay: "That the groups share meaning: most of the cosine is the mean direction common to all texts.",
	}
	return b.Done(), nil
}

// unitTable is the table of unit vectors of a layer: from rows, else cells; nil if neither.
func unitTable(d *latent.Design, c geom.Cells, x geom.Rows, docs []int, k, layers int) (*geom.Table, error) {
	free := d.Pooled().Independent()
	switch {
	case c != nil:
		return free.CellTable(c, geom.One(k, layers), true, 1)
	case x != nil:
		return free.RowTable(geom.L2(x), docs, 1)
	}
	return nil, nil
}

// rawTable is unitTable without the division by the norm.
func rawTable(d *latent.Design, c geom.Cells, x geom.Rows, docs []int, k, layers int) (*geom.Table, error) {
	free := d.Pooled().Independent()
	if c != nil {
		return free.CellTable(c, geom.One(k, layers), false, 1)
	}
	return free.RowTable(x, docs, 1)
}

// cross is a mean cross cosine with its jackknife.
type cross struct {
	value, ofMeans, se float64
	df                 int
}

func (c cross) ci(level float64) *probes.CI {
	if c.df < 1 {
		return nil
	}
	q := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(c.df)}.Quantile(1 - (1-level)/2)
	return &probes.CI{Lo: c.value - q*c.se, Hi: c.value + q*c.se, Level: level}
}

// crossOf is U_A.U_B / (n_A n_B), A from the first table, B from the second.
func crossOf(ta, tb *geom.Table) cross {
	w := ta.Width()
	sum := func(t *geom.Table, label int) ([]float64, float64) {
		u, buf, n := make([]float64, w), make([]float64, w), 0.0
		for i, x := range t.Unit {
			if x.Label != label {
				continue
			}
			t.At(i, buf)
			for j, v := range buf {
				u[j] += v + float64(x.N)*t.Center[j]
			}
			n += float64(x.N)
		}
		return u, n
	}
	ua, na := sum(ta, 0)
	ub, nb := sum(tb, 1)
	ab := inner(ua, ub)
	c := cross{value: ab / (na * nb), ofMeans: ab / math.Sqrt(inner(ua, ua)*inner(ub, ub))}
	buf := make([]float64, w)
	v := 0.0
	for label, t := range []*geom.Table{ta, tb} {
		other, n, m := ub, na, nb
		if label == 1 {
			other, n, m = ua, nb, na
		}
		var h, tau []float64
		total := 0.0
		for i, x := range t.Unit {
			if x.Label != label {
				continue
			}
			t.At(i, buf)
			for j := range buf {
				buf[j] += float64(x.N) * t.Center[j]
			}
			r := float64(x.N)
			if n == r {
				return c
			}
			loo := (ab - inner(buf, other)) / ((n - r) * m)
			hh := n / r
			h = append(h, hh)
			tau = append(tau, hh*c.value-(hh-1)*loo)
			total += tau[len(tau)-1] / hh
		}
		for i := range tau {
			v += (tau[i] - total) * (tau[i] - total) / (h[i] - 1) / float64(len(tau))
		}
		c.df += len(tau) - 1
	}
	c.se = math.Sqrt(v)
	return c
}

// matched is the mean cosine of pairs and of all other cross pairs.
func matched(d *latent.Design, x geom.Rows, docs []int) (match, other float64) {
	use, labels := d.Use(docs)
	u := geom.Collect(geom.L2(geom.Subset(x, use)))
	mate := map[int]int{}
	for i, r := range use {
		doc := r
		if docs != nil {
			doc = docs[r]
		}
		if labels[i] == 0 {
			mate[d.Unit(doc)] = i
		}
	}
	w := u.W
	sa, sb := make([]float64, w), make([]float64, w)
	n := 0.0
	for i, r := range use {
		if labels[i] != 1 {
			continue
		}
		doc := r
		if docs != nil {
			doc = docs[r]
		}
		j := mate[d.Unit(doc)]
		match += inner(u.Row(i), u.Row(j))
		for k := range w {
			sa[k] += u.Row(j)[k]
			sb[k] += u.Row(i)[k]
		}
		n++
	}
	other = (inner(sa, sb) - match) / (n * (n - 1))
	return match / n, other
}

func inner(a, b []float64) float64 {
	t := 0.0
	for i, v := range a {
		t += v * b[i]
	}
	return t
}
