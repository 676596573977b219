package units

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/logit"
	"assay/latent/internal/report"
	"assay/probes"
)

// Direction is a unit vector fitted on labelled states: positive = second group.
type Direction struct {
	Vector     []float64
	View       string
	Layer      int
	Groups     []string // first, second
	Method     string   // means or probe
	Run, Text  string   // digests of the states it was fitted on
	Checkpoint string
	Rows       int
}

// FitOptions of Fit.
type FitOptions struct {
	Groups   []string `json:"groups"` // two; nil = the two labels of the file
	NoStrata bool     `json:"no_strata"`
	View     string   `json:"view"`
	Layer    string   `json:"layer"`  // one layer
	Method   string   `json:"method"` // means (default) or probe
	Lambda   float64  `json:"lambda"`
	Workers  int      `json:"-"`
}

// Fit finds the direction between two groups: the difference of their means
// (mean over strata), or the weights of an L2 logistic probe at penalty Lambda
// (default .1) taken back to the units' own scale. Rows are used where kept, else
// cells for means, else the sample.
func Fit(ctx context.Context, s latent.States, o FitOptions) (Direction, error) {
	if o.Method == "" {
		o.Method = "means"
	}
	if o.Method != "means" && o.Method != "probe" {
		return Direction{}, fault.Usagef("units: method %q, want means or probe", o.Method)
	}
	in := s.Info()
	view, err := in.View(o.View)
	if err != nil {
		return Direction{}, err
	}
	v := in.Views[view]
	k, err := oneLayer(v, o.Layer)
	if err != nil {
		return Direction{}, err
	}
	d, err := latent.NewDesign(s, o.Groups, !o.NoStrata)
	if err != nil {
		return Direction{}, err
	}
	if len(d.Groups) != 2 {
		return Direction{}, fault.Usagef("units: direction: %d groups, want 2", len(d.Groups))
	}
	out := Direction{View: v.Name(), Layer: v.Layers[k], Groups: d.Groups, Method: o.Method, Run: in.Run, Text: in.Text, Checkpoint: in.Checkpoint}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	x, docs, err := anyRows(s, view, k)
	if err != nil {
		return out, err
	}
	if o.Method == "probe" {
		if x == nil {
			return out, latent.NeedRows(in, v, v.Layers[k])
		}
		use, labels := d.Use(docs)
		lambda := o.Lambda
		if lambda == 0 {
			lambda = .1
		}
		out.Rows = len(use)
		if out.Vector, err = logit.Weights(geom.Subset(x, use), labels, lambda, o.Workers); err != nil {
			return out, err
		}
		return out, out.normalise()
	}
	var t *geom.Table
	if x != nil {
		t, err = d.RowTable(x, docs, o.Workers)
	} else {
		var c geom.Cells
		if c, err = s.Cells(view); err == nil && c == nil {
			return out, latent.NeedRows(in, v, v.Layers[k])
		}
		if err == nil {
			t, err = d.CellTable(c, geom.One(k, len(v.Layers)), false, o.Workers)
		}
	}
	if err != nil {
		return out, err
	}
	sep, err := t.Separation()
	if err != nil {
		return out, err
	}
	out.Vector = make([]float64, v.Width)
	for _, st := range sep.Strata {
		g := t.StratumGroups(st)
		for j := range out.Vector {
			out.Vector[j] += g[1].Mean[j] - g[0].Mean[j]
		}
		out.Rows += g[0].N + g[1].N
	}
	return out, out.normalise()
}

func (d *Direction) normalise() error {
	t := 0.0
	for _, v := range d.Vector {
		t += v * v
	}
	if !(t > 0) || math.IsInf(t, 0) {
		return fault.Inputf("degenerate", "units: direction: squared length %v, want a positive finite one", t)
	}
	for j := range d.Vector {
		d.Vector[j] /= math.Sqrt(t)
	}
	return nil
}

func oneLayer(v latent.View, layer string) (int, error) {
	ks, err := v.Pick(layer)
	if err != nil {
		return 0, err
	}
	if len(ks) != 1 {
		return 0, fault.Usagef("units: direction: %d layers, want one of %v", len(ks), v.Layers)
	}
	return ks[0], nil
}

// anyRows returns all rows, or the sample with its documents, or nil.
func anyRows(s latent.States, view, k int) (geom.Rows, []int, error) {
	if x, ok := s.Rows(view, k); ok {
		return x, nil, nil
	}
	x, docs, err := s.Sample(view, k)
	return x, docs, err
}

// ApplyOptions of Apply.
type ApplyOptions struct {
	Groups []string           // two, the second expected on the positive side; nil = the direction's
	Margin map[string]float64 // the model's own margin by id, to stand beside
	Level  float64            // .95
}

// Apply projects the states of other texts on a direction: AUROC of the labels
// there, with a jackknife over units, beside that of the model's own margin if
// given (does it know more than it says?). The texts must differ from those of the
// fit; within one file use the held-out probe of aqi.
func Apply(ctx context.Context, d Direction, s latent.States, o ApplyOptions) (probes.Result, error) {
	in := s.Info()
	if in.Text == d.Text {
		return probes.Result{}, fault.Inputf("same-texts", "units: direction: fitted on the same texts (%s), want others", d.Text).
			Hint("within one file, assay aqi reports the held-out axis and probe")
	}
	if len(o.Groups) == 0 {
		o.Groups = d.Groups
	}
	if o.Level == 0 {
		o.Level = .95
	}
	des, err := latent.NewDesign(s, o.Groups, false)
	if err != nil {
		return probes.Result{}, err
	}
	if len(des.Groups) != 2 {
		return probes.Result{}, fault.Usagef("units: direction: %d groups, want 2", len(des.Groups))
	}
	if err := ctx.Err(); err != nil {
		return probes.Result{}, err
	}
	score, docs, err := project(d, s)
	if err != nil {
		return probes.Result{}, err
	}
	use, labels := des.Use(docs)
	all, err := s.Docs()
	if err != nil {
		return probes.Result{}, err
	}
	sc, margin, unit := make([]float64, len(use)), make([]float64, len(use)), make([]int, len(use))
	known := o.Margin != nil
	for i, u := range use {
		doc := u
		if docs != nil {
			doc = docs[u]
		}
		sc[i], unit[i] = score[u], des.Unit(doc)*2+labels[i]
		if des.Form == geom.Pairs {
			unit[i] = des.Unit(doc)
		}
		if known {
			m, ok := o.Margin[all.ID[doc]]
			if !ok || math.IsNaN(m) {
				return probes.Result{}, fault.Inputf("bad-margin", "units: direction: margin of %q: %v, want a number for every document", all.ID[doc], m)
			}
			margin[i] = m
		}
	}
	one := make([]int, len(use))
	b := direction("apply", d, s)
	b.Settings["groups"] = des.Groups
	b.N["rows"] = len(use)
	cv, err := logit.Rank(sc, labels, one, unit)
	if err != nil {
		return probes.Result{}, err
	}
	q := distuv.UnitNormal.Quantile(1 - (1-o.Level)/2)
	ci := func(c logit.CV) *probes.CI {
		return &probes.CI{Lo: math.Max(0, c.AUROC-q*c.SE), Hi: math.Min(1, c.AUROC+q*c.SE), Level: o.Level}
	}
	b.CI("direction.auroc", cv.AUROC, "fraction", "projection on the direction, second group positive; jackknife over units", "", ci(cv))
	says := fmt.Sprintf("The direction tells the groups apart with AUROC %.3f on %d other texts", cv.AUROC, len(use))
	if known {
		own, err := logit.Rank(margin, labels, one, unit)
		if err != nil {
			return probes.Result{}, err
		}
		b.CI("direction.margin.auroc", own.AUROC, "fraction", "the model's own margin; jackknife over units", "", ci(own))
		says += fmt.Sprintf("; the model's own margin has %.3f", own.AUROC)
	}
	b.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive", Says: says + ".", DoesNotSay: "That the model uses the direction, or that it stands for the label's meaning."}
	return b.Done(), nil
}

// Shift measures how far a second checkpoint moved the same texts along a
// direction, in standard deviations of the first: mean of B minus mean of A over
// the sd of A, the same unit left out of both in the jackknife.
func Shift(ctx context.Context, d Direction, a, b latent.States, level float64) (probes.Result, error) {
	if err := latent.Same(a, b); err != nil {
		return probes.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return probes.Result{}, err
	}
	pa, da, err := project(d, a)
	if err != nil {
		return probes.Result{}, err
	}
	pb, db, err := project(d, b)
	if err != nil {
		return probes.Result{}, err
	}
	if len(pa) != len(pb) || (da == nil) != (db == nil) {
		return probes.Result{}, fault.Inputf("states-mismatch", "units: direction: %d and %d rows, want the same", len(pa), len(pb))
	}
	docs, err := a.Docs()
	if err != nil {
		return probes.Result{}, err
	}
	members := map[int][]int{}
	var order []int
	for i := range pa {
		doc := i
		if da != nil {
			doc = da[i]
		}
		u := int(docs.Unit[doc])
		if members[u] == nil {
			order = append(order, u)
		}
		members[u] = append(members[u], i)
	}
	shift := func(leave int) float64 {
		var n, sa, sb, saa float64
		for _, u := range order {
			if u == leave {
				continue
			}
			for _, i := range members[u] {
				n++
				sa += pa[i] - pa[0]
				sb += pb[i] - pa[0]
				saa += (pa[i] - pa[0]) * (pa[i] - pa[0])
			}
		}
		return (sb - sa) / n / math.Sqrt((saa-sa*sa/n)/(n-1))
	}
	r := direction("shift", d, a)
	r.Input("b", b.Info())
	r.N["rows"], r.N["units"] = len(pa), len(order)
	v := shift(math.MinInt)
	var ci *probes.CI
	if g := float64(len(order)); g >= 3 {
		loo, mean, ss := make([]float64, len(order)), 0.0, 0.0
		for i, u := range order {
			loo[i] = shift(u)
			mean += loo[i] / g
		}
		for _, x := range loo {
			ss += (x - mean) * (x - mean)
		}
		q := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: g - 1}.Quantile(1 - (1-level)/2)
		se := math.Sqrt(ss * (g - 1) / g)
		ci = &probes.CI{Lo: v - q*se, Hi: v + q*se, Level: level}
	}
	r.CI("direction.shift", v, "standard deviations of A", "mean projection of B minus that of A; paired jackknife over units", "degenerate", ci)
	r.Verdict = probes.Verdict{
		Tier: probes.TierC, Finding: "descriptive",
		Says:       fmt.Sprintf("B lies %.3f standard deviations from A along the direction (positive = towards %s).", v, d.Groups[1]),
		DoesNotSay: "That the change is specific to this direction: compare with directions of control behaviours.",
	}
	return r.Done(), nil
}

func direction(what string, d Direction, s latent.States) *report.Builder {
	b := report.New("probe.direction", Version, 0)
	b.Input("states", s.Info())
	b.Settings = map[string]any{"what": what, "view": d.View, "layer": d.Layer, "method": d.Method, "fitted_on": d.Run, "direction_groups": d.Groups}
	if s.Info().Checkpoint != d.Checkpoint {
		b.Settings["other_checkpoint"] = true
	}
	return b
}

// project returns x.d for the rows of a file, with their documents.
func project(d Direction, s latent.States) ([]float64, []int, error) {
	in := s.Info()
	view, err := in.View(d.View)
	if err != nil {
		return nil, nil, err
	}
	v := in.Views[view]
	if v.Width != len(d.Vector) {
		return nil, nil, fault.Inputf("width-differs", "units: direction: %s has width %d, want %d", in.Path, v.Width, len(d.Vector))
	}
	k, err := oneLayer(v, fmt.Sprint(d.Layer))
	if err != nil {
		return nil, nil, err
	}
	x, docs, err := anyRows(s, view, k)
	if err != nil {
		return nil, nil, err
	}
	if x == nil {
		return nil, nil, latent.NeedRows(in, v, d.Layer)
	}
	out, buf := make([]float64, x.Len()), make([]float64, v.Width)
	for i := range out {
		x.At(i, buf)
		for j, c := range d.Vector {
			out[i] += c * buf[j]
		}
		if math.IsNaN(out[i]) || math.IsInf(out[i], 0) {
			return nil, nil, fault.Inputf("nonfinite", "units: %s layer %d row %d: NaN or Inf, want finite values", in.Path, d.Layer, i)
		}
	}
	return out, docs, nil
}
