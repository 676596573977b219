package health

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/par"
	"assay/latent/internal/report"
	"assay/probes"
)

// Version is raised whenever any number of the test can change.
const Version = 1

// Options of Run. Default() is what the limits of the literature ask for.
type Options struct {
	View   string  `json:"view"`   // "" = resid_post.mean
	Layers string  `json:"layers"` // all | 0,8,16 | 25%,last
	Level  float64 `json:"level"`
	Limits
	Workers int `json:"-"` // 0 = one per core; changes no number

	Progress func(layers int64) `json:"-"` // if not nil, called after every layer
}

// Limits decide which activations are counted.
type Limits struct {
	MassiveAbs    float64 `json:"-"`              // 100: entries above it ...
	MassiveRatio  float64 `json:"-"`              // 1000: ... and above this times the median |x| of the token are massive
	Outlier       float64 `json:"-"`              // 6: fixed by the states file, which counts |x| >= 6
	OutlierTokens float64 `json:"outlier_tokens"` // .06: in this share of tokens ...
	OutlierLayers float64 `json:"outlier_layers"` // .25: ... in this share of layers makes an outlier unit
}

// Default returns the standard limits.
func Default() Options {
	return Options{Layers: "all", Level: .95, Limits: Limits{100, 1000, 6, .06, .25}}
}

// Validate reports the first option out of range.
func (o Options) Validate() error {
	if !(o.Level > .5 && o.Level < 1) {
		return fault.Usagef("health: level: %v, want between .5 and 1", o.Level)
	}
	if d := Default().Limits; o.Limits.MassiveAbs != d.MassiveAbs || o.Limits.MassiveRatio != d.MassiveRatio || o.Limits.Outlier != d.Outlier {
		return fault.Usagef("health: limits %v, %v and %v, want %v, %v and %v: states files count with these", o.Limits.MassiveAbs, o.Limits.MassiveRatio, o.Limits.Outlier, d.MassiveAbs, d.MassiveRatio, d.Outlier)
	}
	if l := o.Limits; !(l.OutlierTokens > 0 && l.OutlierTokens <= 1 && l.OutlierLayers > 0 && l.OutlierLayers <= 1) {
		return fault.Usagef("health: outlier shares %v and %v, want above 0 and at most 1", l.OutlierTokens, l.OutlierLayers)
	}
	return nil
}

// side is one file being read.
type side struct {
	s       latent.States
	in      latent.Info
	view    int
	v       latent.View
	role    string // "" alone, else a or b
	b       *report.Builder
	o       Options
	median  float64   // of the norm at the layer before
	outlier []float64 // by unit: layers in which it is an outlier
	layers  int       // layers with token sums
	cur     shape     // of the layer at hand
	crossed []crossing
}

// crossing is a limit crossed at a layer; warnings name the layers of each code once.
type crossing struct {
	code  string
	layer int
	what  string
}

func (s *side) crosses(code string, layer int, format string, args ...any) {
	s.crossed = append(s.crossed, crossing{code, layer, fmt.Sprintf(format, args...)})
}

// warn prints one warning per code: the layers, and the first of them in words.
func (s *side) warn() {
	of := ""
	if s.role != "" {
		of = s.role + ": "
	}
	for _, code := range []string{"rogue-unit", "rank-saturated", "first-token-massive"} {
		var layers []int
		first := ""
		for _, c := range s.crossed {
			if c.code != code || slices.Contains(layers, c.layer) {
				continue
			}
			if first == "" {
				first = c.what
			}
			layers = append(layers, c.layer)
		}
		if len(layers) > 0 {
			s.b.Warn(code, "%slayers %v; at layer %d %s", of, layers, layers[0], first)
		}
	}
}

// shape is what is computed from the rows of one layer.
type shape struct {
	x       geom.Rows // nil = not kept
	sampled bool
	all     geom.Spectrum
	half    geom.Spectrum
	halfN   int
	err     error // of all
	halfErr error
	jacks   jacks
	twonn   float64
}

// decompose fills cur of every side: all decompositions of a layer at a time,
// because each runs on one core.
func decompose(sides []*side, k, workers int) error {
	clouds := make([]*geom.Cloud, len(sides))
	for i, s := range sides {
		s.cur = shape{}
		var err error
		if s.cur.x, s.cur.sampled, err = s.rows(k); err != nil {
			return err
		}
		if x := s.cur.x; x != nil && x.Len() < 4 {
			return fault.Inputf("too-few-points", "health: %s layer %d: %d rows, want at least 4", s.v.Name(), s.v.Layers[k], x.Len())
		}
		if s.cur.x != nil {
			clouds[i] = geom.NewCloud(s.cur.x, workers)
		}
	}
	par.For(3*len(sides), workers, func(j int) {
		s, c := sides[j/3], clouds[j/3]
		switch {
		case c == nil:
		case j%3 == 0:
			s.cur.all, s.cur.err = geom.SpectrumOf(c)
		case j%3 == 1:
			var even []int
			for i := 0; i < c.X.Len(); i += 2 {
				even = append(even, i)
			}
			s.cur.halfN = len(even)
			s.cur.half, s.cur.halfErr = geom.SpectrumOf(c.Subset(even))
		default:
			s.cur.jacks, s.cur.twonn = newJacks(c), geom.TwoNN(c.Distances())
		}
	})
	return nil
}

// Run reads one file, or two files of the same texts (b not nil), layer by layer.
func Run(ctx context.Context, a, b latent.States, o Options) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	r := report.New("probe.state-health", Version, 0)
	sides := []*side{{s: a, in: a.Info(), b: r, o: o, median: math.NaN()}}
	var err error
	if sides[0].view, err = a.Info().View(o.View); err != nil {
		return probes.Result{}, err
	}
	if b != nil {
		if err := latent.Same(a, b); err != nil {
			return probes.Result{}, err
		}
		_, vb, err := latent.SameView(a.Info(), b.Info(), o.View)
		if err != nil {
			return probes.Result{}, err
		}
		sides[0].role = "a"
		sides = append(sides, &side{s: b, in: b.Info(), view: vb, role: "b", b: r, o: o, median: math.NaN()})
	}
	for _, s := range sides {
		s.v = s.in.Views[s.view]
		role := s.role
		if role == "" {
			role = "states"
		}
		r.Input(role, s.in)
	}
	layers, err := sides[0].v.Pick(o.Layers)
	if err != nil {
		return probes.Result{}, err
	}
	settings(r, sides[0], layers)
	for _, k := range layers {
		if err := ctx.Err(); err != nil {
			return probes.Result{}, err
		}
		if err := decompose(sides, k, o.Workers); err != nil {
			return probes.Result{}, err
		}
		if o.Progress != nil {
			o.Progress(1)
		}
		var js []jacks
		for _, s := range sides {
			j, err := s.layer(k)
			if err != nil {
				return probes.Result{}, err
			}
			js = append(js, j)
		}
		if len(js) == 2 {
			sides[0].differences(k, js[0], js[1])
		}
	}
	for _, s := range sides {
		s.warn()
		s.outlierUnits()
		if err := s.sameness(layers); err != nil {
			return probes.Result{}, err
		}
	}
	r.Verdict = probes.Verdict{
		Tier: probes.TierC, Finding: "descriptive",
		Says:       fmt.Sprintf("How states of %s spread, per layer, over %d layers; warnings name what crosses a limit.", sides[0].v.Name(), len(layers)),
		DoesNotSay: "That the model is good or broken, or what caused a difference: every figure depends on the texts.",
	}
	return r.Done(), nil
}

func settings(r *report.Builder, s *side, layers []int) {
	var ls []int
	for _, k := range layers {
		ls = append(ls, s.v.Layers[k])
	}
	l := s.o.Limits
	r.Settings = map[string]any{
		"view": s.v.Name(), "span": s.v.Span, "layers": ls, "level": s.o.Level,
		"massive_abs": l.MassiveAbs, "massive_ratio": l.MassiveRatio, "outlier": l.Outlier,
		"outlier_tokens": l.OutlierTokens, "outlier_layers": l.OutlierLayers,
	}
	r.N["layers"] = len(ls)
}

func (s *side) name(what string, k int) string {
	p := "health."
	if s.role != "" {
		p += s.role + "."
	}
	return fmt.Sprintf("%s%s@%s.%d", p, what, s.v.Name(), s.v.Layers[k])
}

func (s *side) add(what string, k int, v float64, unit, how, why string) {
	s.b.Add(s.name(what, k), v, unit, how, why)
}

// maxRows bounds the matrices of a spectrum.
const maxRows = 4096

// rows are the sample, else all rows if they are few enough; nil if neither.
func (s *side) rows(k int) (geom.Rows, bool, error) {
	x, _, err := s.s.Sample(s.view, k)
	if err != nil || x != nil {
		return x, true, err
	}
	if x, ok := s.s.Rows(s.view, k); ok && x.Len() <= maxRows {
		return x, false, nil
	}
	return nil, false, nil
}

func (s *side) layer(k int) (jacks, error) {
	if err := s.norms(k); err != nil {
		return jacks{}, err
	}
	if err := s.cosineOfCells(k); err != nil {
		return jacks{}, err
	}
	if err := s.massive(k); err != nil {
		return jacks{}, err
	}
	if err := s.tokenSums(k); err != nil {
		return jacks{}, err
	}
	x, sampled := s.cur.x, s.cur.sampled
	if x == nil {
		s.b.Warn("missing-part", "no sample and no rows: no spectrum, centred cosine or intrinsic dimension")
		return jacks{}, nil
	}
	s.b.N["rows.spectrum"] = x.Len()
	if docs, err := s.s.Docs(); err == nil && sampled && x.Len() < docs.Len() {
		s.b.Warn("sampled", "spectrum, centred cosine and dimension use %d of %d documents", x.Len(), docs.Len())
	}
	return s.spectrum(k, x)
}

func (s *side) spectrum(k int, x geom.Rows) (jacks, error) {
	on := fmt.Sprintf("%d documents", x.Len())
	sp, err := s.cur.all, s.cur.err
	if f := fault.As(err); f != nil && f.Code == "degenerate" {
		for _, w := range []string{"participation", "erank_ev", "erank_sv"} {
			s.add(w, k, math.NaN(), "dimensions", on, "degenerate")
		}
		return jacks{}, nil
	}
	if err != nil {
		return jacks{}, fmt.Errorf("health: %s layer %d: %w", s.v.Name(), s.v.Layers[k], err)
	}
	j := s.cur.jacks
	s.b.CI(s.name("participation", k), sp.PRDebiased, "dimensions", "debiased participation ratio, "+on, "degenerate", j.pr.ci(s.o.Level))
	s.add("participation.plain", k, sp.PR, "dimensions", "plug-in, biased down unless documents far outnumber dimensions, "+on, "")
	s.add("erank_ev", k, sp.ERank, "dimensions", "exp entropy of covariance eigenvalues, "+on, "")
	s.add("erank_sv", k, sp.RankMe, "dimensions", "exp entropy of singular values, not centred, "+on, "")
	s.add("top1", k, sp.Top1, "fraction", "share of variance of the first axis", "")
	s.add("top3", k, sp.Top3, "fraction", "share of variance of the first three axes", "")
	if half := s.cur.half; s.cur.halfErr == nil {
		s.add("erank_ev.half", k, half.ERank, "dimensions", fmt.Sprintf("%d documents", s.cur.halfN), "")
		s.add("erank_sv.half", k, half.RankMe, "dimensions", fmt.Sprintf("%d documents", s.cur.halfN), "")
		for _, p := range [][2]float64{{sp.ERank, half.ERank}, {sp.RankMe, half.RankMe}} {
			if math.Abs(p[0]-p[1]) > .1*p[0] {
				s.crosses("rank-saturated", s.v.Layers[k], "an effective rank is %.1f from all documents and %.1f from half of them", p[0], p[1])
			}
		}
	}
	shares, _ := geom.CosineShares(x, s.o.Workers)
	top := 0
	for i, v := range shares {
		if v > shares[top] {
			top = i
		}
	}
	s.b.CI(s.name("cosine.sample", k), j.cos.value, "cosine", "mean over pairs of documents, "+on, "degenerate", j.cos.ci(s.o.Level))
	s.b.CI(s.name("cosine.centred", k), j.cosC.value, "cosine", "the same about the mean, "+on, "degenerate", j.cosC.ci(s.o.Level))
	s.add("cosine.unit", k, float64(top), "unit", "unit with the largest share of the mean cosine", "")
	s.add("cosine.unit.share", k, shares[top], "fraction", "its share; may exceed 1", "degenerate")
	if shares[top] > .5 {
		s.crosses("rogue-unit", s.v.Layers[k], "unit %d carries %.2f of the mean cosine", top, shares[top])
	}
	s.add("twonn", k, s.cur.twonn, "dimensions", "intrinsic dimension from the two nearest neighbours, "+on, "too-few-points")
	return j, nil
}

// norms prints quantiles of |x| over all documents and the ratio of medians.
func (s *side) norms(k int) error {
	sq, err := s.s.SqNorm(s.view)
	if err != nil {
		return err
	}
	if sq == nil {
		s.b.Warn("missing-part", "no squared norms: no norm quantiles")
		return nil
	}
	n := len(s.v.Layers)
	v := make([]float64, len(sq)/n)
	for i := range v {
		v[i] = math.Sqrt(float64(sq[i*n+k]))
		if math.IsNaN(v[i]) || math.IsInf(v[i], 0) {
			return fault.Inputf("nonfinite", "health: document %d layer %d: norm %v, want a finite one", i, s.v.Layers[k], v[i])
		}
	}
	s.b.N["documents"] = len(v)
	sort.Float64s(v)
	for _, q := range []struct {
		name string
		q    float64
	}{{"q05", .05}, {"q50", .5}, {"q95", .95}, {"max", 1}} {
		s.add("norm."+q.name, k, geom.Quantile(v, q.q), "norm", "over documents", "")
	}
	med := geom.Quantile(v, .5)
	if !math.IsNaN(s.median) {
		s.add("norm.ratio", k, med/s.median, "ratio", "median norm over that of the layer before", "degenerate")
	}
	s.median = med
	return nil
}

// cosineOfCells is the mean pairwise cosine of all documents, from sums of unit vectors.
func (s *side) cosineOfCells(k int) error {
	c, err := s.s.Cells(s.view)
	if err != nil || c == nil {
		return err
	}
	u := make([]float64, s.v.Width)
	n, sq := 0, 0.0
	for i := range c.Len() {
		for j, v := range c.USum(i, k) {
			u[j] += v
		}
		n += c.Info(i).N
		sq += c.V(i)[k*c.Layers()+k] // number of vectors that are not zero
	}
	zero := n - int(math.Round(sq))
	s.add("cosine", k, geom.MeanCosine(u, n, zero), "cosine", fmt.Sprintf("mean over pairs of %d documents", n-zero), "too-few-points")
	return nil
}

// massive counts massive activations: entries of token vectors.
func (s *side) massive(k int) error {
	p, err := s.s.Peaks(s.v.Tap)
	if err != nil {
		return err
	}
	at := -1
	if p != nil {
		at = slices.Index(p.Layers, s.v.Layers[k])
	}
	if at < 0 {
		s.b.Warn("missing-part", "no peaks of %s: massive activations were not counted", s.v.Tap)
		return nil
	}
	nl := len(p.Layers)
	n := len(p.Max) / nl
	var count, docs, first int
	units := map[int32]int{}
	top := 0.0
	for i := range n {
		j := i*nl + at
		top = math.Max(top, float64(p.Max[j]))
		if p.Count[j] == 0 {
			continue
		}
		count += int(p.Count[j])
		docs++
		units[p.Dim[j]]++
		if p.Pos[j] == 0 {
			first++
		}
	}
	s.add("activation.max", k, top, "activation", "largest absolute token activation", "")
	s.add("massive.count", k, float64(count), "entries", "token entries above both limits", "")
	s.add("massive.documents", k, float64(docs), "documents", "documents with some", "")
	if docs == 0 {
		return nil
	}
	s.add("massive.first-position", k, float64(first)/float64(docs), "fraction", "of these documents, largest activation at the first position", "")
	s.add("massive.units", k, float64(len(units)), "units", "distinct units that hold a document's largest", "")
	if 2*first > n {
		s.crosses("first-token-massive", s.v.Layers[k], "%d of %d documents have their largest, massive activation at the first position", first, n)
	}
	return nil
}
