package compare

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/geom"
	"assay/latent/health"
	"assay/latent/internal/report"
	"assay/probes"
	"assay/probes/stat"
)

// Version is raised whenever any number of the test can change.
const Version = 1

// Options of States. The names in JSON are those of the long flags, with _ for -.
type Options struct {
	View       string   `json:"view"`       // "" = resid_post.mean
	Layers     string   `json:"layers"`     // all | 0,8,16 | 25%,last
	Neighbours int      `json:"neighbours"` // 10
	Level      float64  `json:"level"`
	Moved      float64  `json:"moved"`     // 1e-3: relative rms above which a layer has moved
	NoStrata   bool     `json:"no_strata"` // of the change of separation
	Groups     []string `json:"groups"`
	Seed       uint64   `json:"seed"`
	Workers    int      `json:"-"` // 0 = one per core; changes no number

	// Progress, if not nil, is called with the layers done since the last call, of
	// three times the layers compared.
	Progress func(layers int64) `json:"-"`
}

// Default returns the standard comparison.
func Default() Options {
	return Options{Layers: "all", Neighbours: 10, Level: .95, Moved: 1e-3, Seed: 1}
}

// Validate reports the first option out of range.
func (o Options) Validate() error {
	switch {
	case !(o.Level > .5 && o.Level < 1):
		return fault.Usagef("compare: level: %v, want between .5 and 1", o.Level)
	case o.Neighbours < 1:
		return fault.Usagef("compare: neighbours: %d, want at least 1", o.Neighbours)
	case !(o.Moved > 0):
		return fault.Usagef("compare: moved: %v, want above 0", o.Moved)
	}
	return nil
}

func (o Options) step() {
	if o.Progress != nil {
		o.Progress(1)
	}
}

// Report is a result with the map of CKA between layers of A (rows) and B.
type Report struct {
	probes.Result
	Layers []int       // of the map
	Map    [][]float64 // debiased CKA; NaN where undefined
	Inside [][]float64 // the same of A with itself: the ruler is next to its diagonal
}

// States compares two files of states.
func States(ctx context.Context, a, b latent.States, o Options) (probes.Result, error) {
	r, err := Analyse(ctx, a, b, o)
	if err != nil {
		return probes.Result{}, err
	}
	return r.Result, nil
}

// maxRows bounds the matrices when there is no sample.
const maxRows = 4096

// pairing is the rows of both files.
type pairing struct {
	ctx        context.Context
	a, b       latent.States
	va, vb     int
	view       latent.View
	layers     []int
	docs       []int // of the sample; nil = all
	sameWidth  bool
	o          Options
	r          *report.Builder
	exact      bool // every vector is bit-equal so far
	firstMoved int  // layer number; -1 = none
}

// Analyse is States with the map.
func Analyse(ctx context.Context, a, b latent.States, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := latent.Same(a, b); err != nil {
		return nil, err
	}
	va, vb, err := latent.SameView(a.Info(), b.Info(), o.View)
	if err != nil {
		return nil, err
	}
	p := &pairing{ctx: ctx, a: a, b: b, va: va, vb: vb, view: a.Info().Views[va], o: o, exact: true, firstMoved: -1}
	p.sameWidth = p.view.Width == b.Info().Views[vb].Width
	if p.layers, err = p.view.Pick(o.Layers); err != nil {
		return nil, err
	}
	p.r = report.New("compare.states", Version, o.Seed)
	p.r.Input("a", a.Info())
	p.r.Input("b", b.Info())
	out := &Report{}
	for _, k := range p.layers {
		out.Layers = append(out.Layers, p.view.Layers[k])
	}
	p.r.Settings = map[string]any{
		"view": p.view.Name(), "span": p.view.Span, "layers": out.Layers, "neighbours": o.Neighbours, "level": o.Level, "moved": o.Moved,
	}
	if !p.sameWidth {
		p.r.Warn("width-differs", "width %d and %d: no shared basis, no Procrustes, no directions of group means", p.view.Width, b.Info().Views[vb].Width)
	}
	if err := p.run(out); err != nil {
		return nil, err
	}
	if err := p.healthDelta(); err != nil {
		return nil, err
	}
	if err := p.separation(); err != nil {
		return nil, err
	}
	p.verdict(out)
	p.checks()
	out.Result = p.r.Done()
	return out, nil
}

// checks says what the digests of the two files say; the names are those of
// probes/compare.
func (p *pairing) checks() {
	x, y := p.a.Info(), p.b.Info()
	for _, c := range []struct{ name, what, a, b string }{
		{"same-weights", "weights", x.Checkpoint, y.Checkpoint}, {"same-tokenizer", "tokenizer", x.Tokenizer, y.Tokenizer},
	} {
		ok := c.a != "" && c.a == c.b
		v := 1.0
		if ok {
			v = 0
		}
		p.r.Checks = append(p.r.Checks, probes.Check{Name: c.name, Value: v, Pass: ok, Text: fmt.Sprintf("digests of the %s %q and %q", c.what, c.a, c.b)})
	}
}

// rows returns layer k of both files: the sample, else all rows up to maxRows.
func (p *pairing) rows(k int) (x, y geom.Rows, err error) {
	x, dx, err := p.a.Sample(p.va, k)
	if err != nil {
		return nil, nil, err
	}
	y, dy, err := p.b.Sample(p.vb, k)
	if err != nil {
		return nil, nil, err
	}
	if x != nil && y != nil {
		if !slices.Equal(dx, dy) {
			return nil, nil, fault.Inputf("states-mismatch", "compare: layer %d: the samples hold different documents, want the same plan", p.view.Layers[k])
		}
		p.docs = dx
		return x, y, nil
	}
	x, ok := p.a.Rows(p.va, k)
	y, ok2 := p.b.Rows(p.vb, k)
	if !ok || !ok2 || x.Len() > maxRows {
		in := p.a.Info()
		if ok {
			in = p.b.Info()
		}
		return nil, nil, latent.NeedRows(in, p.view, p.view.Layers[k])
	}
	return x, y, nil
}

func (p *pairing) name(what string, k int) string {
	return fmt.Sprintf("compare.%s@%s.%d", what, p.view.Name(), p.view.Layers[k])
}

// run fills the maps, then measures layer by layer. Inner products are computed
// again for the second part: kept, those of all layers would be most of the memory.
func (p *pairing) run(out *Report) error {
	na, nb, err := p.maps(out)
	if err != nil {
		return err
	}
	n := len(na[0])
	best, shifted := math.Inf(-1), math.Inf(-1)
	for _, a := range na {
		for _, b := range nb {
			best, shifted = math.Max(best, a.Mutual(b, 0)), math.Max(shifted, a.Mutual(b, 1))
		}
	}
	for j, k := range p.layers {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		x, y, err := p.rows(k)
		if err != nil {
			return err
		}
		p.o.step()
		if err := p.layer(j, k, geom.NewCloud(x, p.o.Workers), geom.NewCloud(y, p.o.Workers), na[j], nb[j], out); err != nil {
			return err
		}
	}
	p.r.Add("compare.neighbours.max", best, "fraction", "largest share of common neighbours over all pairs of layers, centred", "")
	p.r.Add("compare.neighbours.max.shifted", shifted, "fraction", "the same with row i paired with row i+1: what searching over pairs of layers gives", "")
	p.r.Add("compare.neighbours.chance", float64(min(p.o.Neighbours, n-1))/float64(n-1), "fraction", "k/(n-1)", "")
	return nil
}

func (p *pairing) nearest(c *geom.Cloud, centred bool) geom.Neighbours {
	return geom.Nearest(c.Cosines(centred), p.o.Neighbours, p.o.Workers)
}

// layer prints everything about one layer.
func (p *pairing) layer(j, k int, cx, cy *geom.Cloud, na, nb geom.Neighbours, out *Report) error {
	x, y := cx.X, cy.X
	c := geom.CKAGram(cx.G, cy.G, p.o.Workers)
	var ci *probes.CI
	if !math.IsNaN(c.SE) {
		q := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(x.Len() - 1)}.Quantile(1 - (1-p.o.Level)/2)
		ci = &probes.CI{Lo: c.CKA - q*c.SE, Hi: c.CKA + q*c.SE, Level: p.o.Level}
	}
	on := fmt.Sprintf("%d documents", x.Len())
	p.r.CI(p.name("cka", k), c.CKA, "alignment", "debiased linear CKA, "+on+"; delete-one jackknife", "degenerate", ci)
	p.r.Add(p.name("cka.plain", k), c.Plain, "alignment", "biased: tends to 1 when width exceeds documents", "degenerate")
	if j+1 < len(p.layers) {
		p.r.Add(p.name("cka.ruler", k), out.Inside[j][j+1], "alignment", fmt.Sprintf("debiased CKA of layers %d and %d inside A", p.view.Layers[k], p.view.Layers[p.layers[j+1]]), "degenerate")
	}
	p.r.Add(p.name("neighbours", k), na.Mutual(nb, 0), "fraction", fmt.Sprintf("share of common %d nearest by cosine, centred", p.o.Neighbours), "")
	p.r.Add(p.name("neighbours.raw", k), p.nearest(cx, false).Mutual(p.nearest(cy, false), 0), "fraction", "the same without centring", "")
	rsa := math.NaN()
	if s, err := stat.Spearman(cx.Distances().Upper(), cy.Distances().Upper()); err == nil {
		rsa = s
	}
	p.r.Add(p.name("rsa", k), rsa, "rank correlation", "Spearman of Euclidean distances between documents", "degenerate")
	if !p.sameWidth {
		return nil
	}
	p.shared(k, x, y)
	rot, err := geom.Procrustes(cx, cy)
	if err != nil {
		return err
	}
	p.r.Add(p.name("procrustes", k), rot.S, "similarity", "nuclear norm of A'B, centred, norm 1; 1 = equal up to rotation", "degenerate")
	p.r.Add(p.name("procrustes.distance", k), 2*(1-rot.S), "squared distance", "2(1-s)", "degenerate")
	p.r.Add(p.name("procrustes.shifted", k), rot.Shifted, "similarity", "the same with row i of B replaced by row i+1", "degenerate")
	p.r.Add(p.name("procrustes.identity", k), rot.Identity, "similarity", "tr(A'B): no rotation", "degenerate")
	return p.means(k, x, y)
}

// shared measures drift in the shared basis.
func (p *pairing) shared(k int, x, y geom.Rows) {
	d := DriftOf(x, y)
	p.exact = p.exact && d.Equal
	if d.RelRMS > p.o.Moved && p.firstMoved < 0 {
		p.firstMoved = p.view.Layers[k]
	}
	p.r.Add(p.name("rel-rms", k), d.RelRMS, "ratio", "sqrt(sum |a-b|^2 / sum |a|^2)", "degenerate")
	p.r.Add(p.name("rel-rms.centred", k), d.RelRMSCentred, "ratio", "the same about the means", "degenerate")
	p.r.Add(p.name("cosine", k), d.Cosine, "cosine", "mean over documents", "degenerate")
	p.r.Add(p.name("cosine.centred", k), d.CosineCentred, "cosine", "the same about the means", "degenerate")
	p.r.Add(p.name("rel.median", k), d.MedianRel, "ratio", "median over documents of |a-b|/|a|", "degenerate")
}

// means compares where the groups lie: the direction from the common mean to each
// group's mean in A with the same in B.
func (p *pairing) means(k int, x, y geom.Rows) error {
	docs, err := p.a.Docs()
	if err != nil {
		return err
	}
	labels := p.a.Info().Labels
	if len(labels) < 2 {
		return nil
	}
	in := make([][]int, len(labels))
	for i := range x.Len() {
		d := i
		if p.docs != nil {
			d = p.docs[i]
		}
		if l := docs.Label[d]; l >= 0 {
			in[l] = append(in[l], i)
		}
	}
	ma, mb := geom.Mean(x, p.o.Workers), geom.Mean(y, p.o.Workers)
	for l, idx := range in {
		if len(idx) < 2 {
			continue
		}
		u, v := geom.Mean(geom.Subset(x, idx), p.o.Workers), geom.Mean(geom.Subset(y, idx), p.o.Workers)
		var uv, uu, vv float64
		for j := range u {
			a, b := u[j]-ma[j], v[j]-mb[j]
			uv += a * b
			uu += a * a
			vv += b * b
		}
		p.r.Add(p.name("mean."+labels[l], k), uv/math.Sqrt(uu*vv), "cosine", fmt.Sprintf("of the group's mean less the common mean, A against B, %d documents; noise lowers it", len(idx)), "degenerate")
	}
	return nil
}

// healthDelta adds the paired differences of state health.
func (p *pairing) healthDelta() error {
	o := health.Default()
	o.View, o.Layers, o.Level, o.Workers = p.view.Name(), p.o.Layers, p.o.Level, p.o.Workers
	h, err := health.Run(p.ctx, p.a, p.b, o)
	if err != nil {
		return err
	}
	for _, e := range h.Estimates {
		if len(e.Name) > 13 && e.Name[:13] == "health.delta." {
			p.r.Estimates = append(p.r.Estimates, e)
		}
	}
	return nil
}

// separation adds the change of the debiased separation where there are labels.
func (p *pairing) separation() error {
	if len(p.a.Info().Labels) < 2 {
		return nil
	}
	o := aqi.Default()
	o.Space.View, o.Space.Layers, o.Infer.Level = p.view.Name(), p.o.Layers, p.o.Level
	o.Groups, o.NoStrata, o.Seed, o.Workers = p.o.Groups, p.o.NoStrata, p.o.Seed, p.o.Workers
	d, err := aqi.Delta(p.ctx, p.a, p.b, o)
	if f := fault.As(err); f != nil && (f.Code == "too-few-units" || f.Code == "too-few-groups" || f.Code == "label-in-one-stratum" || f.Code == "degenerate") {
		p.r.Warn(f.Code, "the change of separation was left out: %s", err)
		return nil
	}
	if err != nil {
		return err
	}
	p.r.Estimates = append(p.r.Estimates, d.Estimates...)
	for _, w := range d.Warnings {
		p.r.Warn(w.Code, "%s", w.Text)
	}
	return nil
}

func (p *pairing) verdict(out *Report) {
	identical := p.sameWidth && p.exact
	p.r.Settings["identical"] = identical
	v := probes.Verdict{Tier: probes.TierC, Finding: "descriptive"}
	least, at := math.Inf(1), 0
	for i := range out.Map {
		if c := out.Map[i][i]; c < least {
			least, at = c, i
		}
	}
	switch {
	case identical:
		v.Finding = "identical"
		v.Says = "Every vector of A and B is the same."
	case math.IsInf(least, 1):
		v.Says = "No layer has a defined alignment."
	default:
		v.Says = fmt.Sprintf("Debiased CKA between A and B is lowest at layer %d: %.6g", out.Layers[at], least)
		if n := len(out.Layers); n > 1 {
			i := min(at, n-2)
			v.Says += fmt.Sprintf(", where neighbouring layers %d and %d of A have %.6g", out.Layers[i], out.Layers[i+1], out.Inside[i][i+1])
		}
		v.Says += "."
		if p.sameWidth {
			if p.firstMoved >= 0 {
				v.Says += fmt.Sprintf(" The first layer that moved by more than %g is %d.", p.o.Moved, p.firstMoved)
			} else {
				v.Says += fmt.Sprintf(" No layer moved by more than %g.", p.o.Moved)
			}
		}
	}
	v.DoesNotSay = "That behaviour changed or did not, or that one checkpoint was derived from the other."
	p.r.Verdict = v
}
