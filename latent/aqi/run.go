package aqi

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/report"
	"assay/probes"
)

// Report is a result with its tables.
type Report struct {
	probes.Result
	Curve []CurveRow // layers.csv
	Items []ItemRow  // items.csv
}

// CurveRow is one number of the curve by layer. Lo, Hi, Log10P, NullMean and
// NullQ95 are nil where there is none; Log10P is nil in tier C.
type CurveRow struct {
	View, Layer, Post, Index        string
	Value                           *float64
	Lo, Hi, Log10P, NullMean, NullQ *float64
}

// ItemRow sorts mislabelled rows to the top: a document's place on the axis
// between the centroids of the other folds (positive = second group's side).
type ItemRow struct {
	ID, Label              string
	Projection, Silhouette *float64
	Tokens                 int
}

// Run measures the separation of labelled groups in one file of states.
func Run(ctx context.Context, s latent.States, o Options) (probes.Result, error) {
	r, err := Analyse(ctx, s, o)
	if err != nil {
		return probes.Result{}, err
	}
	return r.Result, nil
}

// analysis is one file, measured.
type analysis struct {
	r        *runner
	head     *reading
	curve    []*reading // layers in order
	ctl      *controls
	learned  []Learned
	inPool   []int // layer numbers of the headline vector
	units    []int
	rows     []int
	assigned bool
}

// Analyse is Run with the tables by layer and by document.
func Analyse(ctx context.Context, s latent.States, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	a, err := measureAll(ctx, s, o, true)
	if err != nil {
		return nil, err
	}
	return a.report()
}

func newRunner(ctx context.Context, s latent.States, o Options) (*runner, error) {
	in := s.Info()
	view, err := in.View(o.Space.View)
	if err != nil {
		return nil, err
	}
	d, err := latent.NewDesign(s, o.Groups, !o.NoStrata)
	if err != nil {
		return nil, err
	}
	q, err := newSource(s, view, d, o.Space.Layers, o.Workers)
	if err != nil {
		return nil, err
	}
	p, err := parsePost(o.Space.Post)
	if err != nil {
		return nil, err
	}
	return &runner{ctx: ctx, q: q, o: o, post: p}, nil
}

// measureAll reads the headline vector, every layer and the controls.
func measureAll(ctx context.Context, s latent.States, o Options, full bool) (*analysis, error) {
	r, err := newRunner(ctx, s, o)
	if err != nil {
		return nil, err
	}
	a := &analysis{r: r}
	a.units, a.rows = r.q.d.Counts()
	if a.assigned, err = r.assignment(); err != nil {
		return nil, err
	}
	head, spread, err := r.headline()
	if err != nil {
		return nil, err
	}
	for k, w := range head.alpha {
		if w != 0 {
			a.inPool = append(a.inPool, r.q.v.Layers[k])
		}
	}
	if full {
		if err := r.design(head); err != nil {
			return nil, err
		}
	}
	if a.head, err = r.measure(head); err != nil {
		return nil, err
	}
	o.step()
	for _, k := range r.q.layers {
		e := entry{strconv.Itoa(r.q.v.Layers[k]), r.q.v.Layers[k], geom.One(k, len(r.q.v.Layers))}
		m, err := r.measure(e)
		if err != nil {
			return nil, err
		}
		a.curve = append(a.curve, m)
		o.step()
	}
	if a.ctl, err = r.controls(head); err != nil {
		return nil, err
	}
	if full {
		if err := r.leaveOut(a.ctl, head); err != nil {
			return nil, err
		}
	}
	pl, _ := parsePool(o.Space.Pool)
	if pl.kind == "learned" {
		l, _, err := r.learner(head.alpha, spread)
		if err != nil {
			return nil, err
		}
		for _, m := range pl.maps {
			x, err := l.run(m, o.Folds, o.Seed, o.Workers)
			if err != nil {
				return nil, err
			}
			a.learned = append(a.learned, x)
		}
	}
	return a, nil
}

// headline is the vector that the first number is about: the pool, or with pool
// none the last chosen layer.
func (r *runner) headline() (entry, []float64, error) {
	pl, err := parsePool(r.o.Space.Pool)
	if err != nil {
		return entry{}, nil, err
	}
	q := r.q
	if pl.kind == "none" {
		k := q.layers[len(q.layers)-1]
		return entry{strconv.Itoa(q.v.Layers[k]), q.v.Layers[k], geom.One(k, len(q.v.Layers))}, nil, nil
	}
	alpha, spread, err := q.weights(r.o, r.post, pl)
	return entry{"pool", -1, alpha}, spread, err
}

// assignment checks that the auditor's own draw reproduces every label.
func (r *runner) assignment() (bool, error) {
	as := r.o.Side.Assignment
	if as == nil {
		return false, nil
	}
	docs, err := r.q.s.Docs()
	if err != nil {
		return false, err
	}
	use, labels := r.q.d.Use(nil)
	for i, d := range use {
		got, ok := as.Labels[docs.ID[d]]
		if want := r.q.d.Groups[labels[i]]; !ok || got != want {
			return false, fault.Inputf("assignment", "aqi: assignment: document %q: label %q, want %q as in the states", docs.ID[d], got, want).
				Hint("the assignment must be the draw that these texts were made with")
		}
	}
	have := make(map[string]bool, len(docs.ID))
	for _, id := range docs.ID {
		have[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(as.Labels)) {
		if !have[id] {
			return false, fault.Inputf("assignment", "aqi: assignment: document %q: not in the states, want the draw of exactly these texts", id)
		}
	}
	return true, nil
}

func errNeedsRows(q *source) error { return latent.NeedRows(q.in, q.v, q.v.Layers[q.layers[0]]) }

// name is an estimate's name: aqi.<index>@<view>.<layer>.
func (r *runner) name(index, layer string) string {
	return fmt.Sprintf("aqi.%s@%s.%s", index, r.q.v.Name(), layer)
}

func opt(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// settings are all effective options.
func (r *runner) settings(b *report.Builder) {
	o := r.o
	indices := o.Indices
	if len(indices) == 0 {
		indices = Indices()
	}
	var layers []int
	for _, k := range r.q.layers {
		layers = append(layers, r.q.v.Layers[k])
	}
	b.Settings = map[string]any{
		"groups": r.q.d.Groups, "view": r.q.v.Name(), "span": r.q.v.Span, "layers": layers,
		"layer_pool": o.Space.Pool, "layer_scale": o.Space.Scale, "post": r.post.name,
		"strata": len(r.q.d.Strata), "form": r.q.d.Form.String(),
		"lambda": o.Paper.Lambda, "compat": o.Paper.Compat, "indices": indices,
		"perm": o.Infer.Draws, "level": o.Infer.Level, "exact": o.Infer.Exact, "probe_folds": o.Folds,
	}
	if r.post.name == "abtt" {
		b.Settings["post"] = fmt.Sprintf("abtt:%d", r.post.k)
	}
	if o.Paper.Compat == "aqi-eval" {
		b.Settings["gamma"] = o.Paper.Gamma
	}
	if o.Space.Pool == "fixed" {
		b.Settings["layer_weights"] = o.Space.Weights
	}
	if o.Side.Assignment != nil {
		b.Settings["assignment"] = o.Side.Assignment.Digest
	}
}
