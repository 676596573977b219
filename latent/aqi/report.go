package aqi

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/latent/geom"
	"assay/latent/internal/report"
	"assay/probes"
)

const nullText = "labels are exchangeable between units inside a stratum"

func (a *analysis) report() (*Report, error) {
	r := a.r
	b := report.New("aqi", Version, r.o.Seed)
	b.Input("states", r.q.in)
	r.settings(b)
	a.counts(b)
	checks := a.checks()
	tier := a.tier(checks)
	b.Settings["checks"] = checks

	out := &Report{}
	all := a.curve
	if a.head.name == "pool" {
		all = append([]*reading{a.head}, a.curve...)
	}
	for _, m := range all {
		a.estimates(b, m)
		out.Curve = append(out.Curve, a.rowsOf(m, tier)...)
	}
	a.paper(b)
	a.controlEstimates(b)
	a.learnedEstimates(b)
	best := a.pvalues(b, tier)
	a.warnings(b)
	if err := a.compat(b); err != nil {
		return nil, err
	}
	a.verdict(b, tier, best)
	out.Result = b.Done()
	var err error
	out.Items, err = a.items()
	return out, err
}

func (a *analysis) counts(b *report.Builder) {
	for l, g := range a.r.q.d.Groups {
		b.N["units."+g] = a.units[l]
		b.N["rows."+g] = a.rows[l]
		b.N["units"] += a.units[l]
		b.N["rows"] += a.rows[l]
	}
	b.N["layers"] = len(a.r.q.layers)
	b.N["strata"] = len(a.head.sep.Strata)
	if a.head.hasFar {
		b.N["rows.distances"] = a.head.farRows
	}
}

// unitsOf words how an estimate was computed.
func (m *reading) method(a *analysis) string {
	d := a.r.q.d
	var n []string
	for l := range d.Groups {
		n = append(n, fmt.Sprintf("%d", m.sep.Units[l]))
	}
	s := fmt.Sprintf("debiased (%s), from %s, %s units", d.Form, m.kind, strings.Join(n, "+"))
	if d.Stratified() {
		s += fmt.Sprintf(" in %d strata", len(m.sep.Strata))
	}
	return s
}

func (a *analysis) level() float64 { return a.r.o.Infer.Level }

func (a *analysis) estimates(b *report.Builder, m *reading) {
	r := a.r
	lvl := a.level()
	name := func(index string) string { return r.name(index, m.name) }
	how := m.method(a)
	if m.sep.Theta < 0 {
		b.Warn("r2-floor", "theta is negative, so R2 prints 0: %s", m.name)
	}
	b.CI(name("r2"), m.sep.R2, "fraction", how+"; delete-one jackknife, ends mapped from theta", "", &probes.CI{Lo: geom.R2(m.lo), Hi: geom.R2(m.hi), Level: lvl})
	b.CI(name("theta"), m.sep.Theta, "squared distance / within variance", how+"; delete-one jackknife", "", &probes.CI{Lo: m.lo, Hi: m.hi, Level: lvl})
	b.Add(name("r2.plain"), m.sep.Plain, "fraction", "B/(B+W) inside strata, biased up", "")
	if r.q.d.Stratified() {
		b.Add(name("r2.pooled"), m.pooled.R2, "fraction", "debiased, strata ignored", "")
		b.Add(name("agreement"), m.sep.Agreement, "ratio", "direction over strata: 1 = one direction, 0 = each its own", "r2-floor")
	}
	if m.perm != nil {
		b.Add(name("null.mean"), m.perm.NullMean, "fraction", "mean of plain R2 under "+m.nullMethod(), "")
		b.Add(name("null.q95"), m.perm.NullQ95, "fraction", "95 % point of plain R2 under "+m.nullMethod(), "")
	}
	for _, p := range m.posts {
		if p.post != r.post.name {
			b.CI(name("r2."+p.post), p.r2, "fraction", "debiased after post step "+p.post+", from "+p.method, "needs-rows", &probes.CI{Lo: p.lo, Hi: p.hi, Level: lvl})
		}
	}
	if len(r.q.d.Groups) > 2 {
		for _, p := range m.sep.Pairs {
			b.Add(name(fmt.Sprintf("r2.%s-%s", r.q.d.Groups[p.I], r.q.d.Groups[p.J])), p.R2, "fraction", how, "")
		}
	}
	one := "" // with two labels three indices are one number
	if len(r.q.d.Groups) == 2 {
		one = "; with two labels the plain R2 in another unit"
	}
	if r.o.wants("xbi") {
		b.Add(name("xbi"), m.mom.XBI.Value, "ratio", "W/(n min |m_i-m_j|^2); low = apart"+one, m.mom.XBI.Why)
	}
	if r.o.wants("chi") {
		b.Add(name("chi"), m.mom.CHI.Value, "ratio", "(B/(k-1))/(W/(n-k)); grows with n"+one, m.mom.CHI.Why)
	}
	if m.hasFar {
		a.farEstimates(b, m)
	}
}

func (a *analysis) farEstimates(b *report.Builder, m *reading) {
	r := a.r
	name := func(index string) string { return r.name(index, m.name) }
	on := fmt.Sprintf("%d rows", m.farRows)
	sp := func(s spreadOf) *probes.CI { return &probes.CI{Lo: s.lo, Hi: s.hi, Level: a.level()} }
	const half = "; range of 200 half-samples, not a confidence interval"
	if r.o.wants("dbs") {
		b.CI(name("dbs"), m.dbs.Value, "ratio", "Davies-Bouldin, "+on+half, m.dbs.Why, sp(m.dbs))
	}
	if r.o.wants("dunn") {
		b.CI(name("dunn"), m.dunn.Value, "ratio", "Dunn, "+on+half, m.dunn.Why, sp(m.dunn))
		b.Add(name("dunn.robust"), m.robust.Value, "ratio", "1st percentile of nearest-other over 95th percentile of within distances, "+on, m.robust.Why)
	}
	if r.o.wants("silhouette") {
		b.CI(name("silhouette"), m.sil.Value, "ratio", "silhouette, "+on+half, m.sil.Why, sp(m.sil))
	}
	if m.dup > 0 {
		b.Warn("duplicate-across-labels", "%d rows have an equal row under another label: %s", m.dup, m.name)
	}
	if m.cq != nil && m.cq.Dimension >= 30 {
		b.Add(name("chen-qin.z"), m.cq.Z, "standard deviations", "Chen-Qin, "+on, "too-few-points")
	}
	if m.probe != nil {
		ci := func(v, se float64) *probes.CI {
			return &probes.CI{Lo: math.Max(0, v-1.959963984540054*se), Hi: math.Min(1, v+1.959963984540054*se), Level: .95}
		}
		b.CI(name("probe.auroc"), m.probe.AUROC, "fraction", fmt.Sprintf("L2 logistic regression, held out by unit, %d folds, %s; jackknife with folds fixed", r.o.Folds, on), "", ci(m.probe.AUROC, m.probe.SE))
		b.CI(name("axis.auroc"), m.dom.AUROC, "fraction", fmt.Sprintf("difference of means, held out by unit, %d folds, %s; jackknife with folds fixed", r.o.Folds, on), "", ci(m.dom.AUROC, m.dom.SE))
	}
}

func (m *reading) nullMethod() string {
	s := m.perm.Scheme
	what := map[string]string{"labels": "label permutation over units", "swaps": "label swaps of blocks", "signs": "label swaps inside pairs"}[s.Kind]
	if s.Exact {
		return fmt.Sprintf("%s (%s), all %d arrangements", what, m.permKind, s.Count)
	}
	return fmt.Sprintf("%s (%s), %d draws", what, m.permKind, s.Count)
}

// rowsOf are the curve's rows of one space.
func (a *analysis) rowsOf(m *reading, tier probes.Tier) []CurveRow {
	r := a.r
	row := func(post, index string, v, lo, hi float64) CurveRow {
		return CurveRow{View: r.q.v.Name(), Layer: m.name, Post: post, Index: index, Value: opt(v), Lo: opt(lo), Hi: opt(hi)}
	}
	nan := math.NaN()
	first := row(r.post.name, "r2", m.sep.R2, geom.R2(m.lo), geom.R2(m.hi))
	if m.perm != nil {
		first.NullMean, first.NullQ = opt(m.perm.NullMean), opt(m.perm.NullQ95)
		if tier != probes.TierC {
			first.Log10P = opt(m.perm.Log10P())
		}
	}
	out := []CurveRow{first, row(r.post.name, "theta", m.sep.Theta, m.lo, m.hi), row(r.post.name, "r2.plain", m.sep.Plain, nan, nan)}
	for _, p := range m.posts {
		if p.post != r.post.name {
			out = append(out, row(p.post, "r2", p.r2, p.lo, p.hi))
		}
	}
	add := func(index string, v, lo, hi float64) {
		if r.o.wants(index) {
			out = append(out, row(r.post.name, index, v, lo, hi))
		}
	}
	add("xbi", m.mom.XBI.Value, nan, nan)
	add("chi", m.mom.CHI.Value, nan, nan)
	if m.hasFar {
		add("dbs", m.dbs.Value, m.dbs.lo, m.dbs.hi)
		add("dunn", m.dunn.Value, m.dunn.lo, m.dunn.hi)
		add("silhouette", m.sil.Value, m.sil.lo, m.sil.hi)
		if m.probe != nil {
			add("probe", m.probe.AUROC, m.probe.AUROC-1.96*m.probe.SE, m.probe.AUROC+1.96*m.probe.SE)
		}
	}
	return out
}

// paper prints the published formula of the headline vector and its comparable form.
func (a *analysis) paper(b *report.Builder) {
	l := a.r.o.Paper.Lambda
	h := a.head
	b.Add("aqi.paper", geom.Paper(h.mom, l), "published index", "lambda/XBI + (1-lambda) CHI of "+h.name+"; with two labels one number in two units, grows with n", h.mom.XBI.Why)
	b.Add("aqi.ref200", geom.Ref200(h.sep.Theta, l), "published index", "the same at 100 rows per label without sampling bias", "")
}

func (a *analysis) controlEstimates(b *report.Builder) {
	c := a.ctl
	b.Add("aqi.control.length.auroc", c.length, "fraction", "span length in tokens, later label positive", "")
	b.Add("aqi.control.bytes.auroc", c.bytes, "fraction", "bytes of text, later label positive", "")
	cv := func(name string, p float64, se float64, how string) {
		b.CI(name, p, "fraction", how, "", &probes.CI{Lo: math.Max(0, p-1.959963984540054*se), Hi: math.Min(1, p+1.959963984540054*se), Level: .95})
	}
	if c.words != nil {
		cv("aqi.control.words.auroc", c.words.AUROC, c.words.SE, "bag-of-words logistic regression, held out by unit")
	}
	if c.hasSource {
		b.Add("aqi.control.source.auroc", c.source, "fraction", "source column, held out by unit", "")
	}
	b.N["duplicates.across-labels"] = c.crossDup
	b.N["duplicates.across-units"] = c.dupTexts
	b.N["rows.outlier"] = c.outliers
	if c.outliers > 0 {
		b.Add("aqi.r2.without-outliers", c.trimmed, "fraction", "headline without rows more than 6 MAD from the median norm", "needs-rows")
	}
	if c.leaveTopic != nil {
		cv("aqi.probe.leave-topic-out.auroc", c.leaveTopic.AUROC, c.leaveTopic.SE, "probe of the headline vector, whole strata held out")
	}
	if c.leaveSource != nil {
		cv("aqi.probe.leave-source-out.auroc", c.leaveSource.AUROC, c.leaveSource.SE, "probe of the headline vector, whole sources held out")
	}
}

func (a *analysis) learnedEstimates(b *report.Builder) {
	for _, l := range a.learned {
		n := "aqi.learned." + l.Map
		b.Add(n+".r2", geom.R2(l.Theta), "fraction", "layer weights fitted on the other folds of blocks, scored on the held-out fold", "")
		b.Add(n+".theta", l.Theta, "squared distance / within variance", "held out", "")
		b.Add(n+".uniform.theta", l.Uniform, "squared distance / within variance", "equal weights on the same folds", "")
		b.Add(n+".permuted.theta", l.Permuted, "squared distance / within variance", fmt.Sprintf("mean over %d random label swaps of blocks, fitted and held out in the same way", permutedLearned), "")
		for f, w := range l.Weights {
			b.Add(fmt.Sprintf("%s.fold%d.entropy", n, f), l.Entropy[f], "nats", "of the layer weights", "")
			for i, v := range w {
				b.Add(fmt.Sprintf("%s.fold%d.weight.%d", n, f, a.inPool[i]), v, "fraction", "layer weight", "")
			}
		}
	}
}

// pvalues adds p in tiers A and B and returns the best layer with its family-wise p.
func (a *analysis) pvalues(b *report.Builder, tier probes.Tier) (best *geom.Family) {
	if a.head.perm == nil || tier == probes.TierC {
		return nil
	}
	h := a.head
	b.PValue(a.r.name("r2", h.name), h.perm.Log10P(), h.nullMethod(), nullText)
	if h.cq != nil && h.cq.Dimension >= 30 && !math.IsNaN(h.cq.Log10P) {
		b.PValue(a.r.name("chen-qin", h.name), h.cq.Log10P, "normal limit, upper tail", "the two labels have equal means; rows independent, no direction dominates (debiased participation ratio at least 30)")
	}
	var ds []geom.Draws
	for _, m := range a.curve {
		if m.perm == nil {
			return nil
		}
		ds = append(ds, *m.perm)
	}
	if len(ds) < 2 {
		return nil
	}
	f := geom.Familywise(ds)
	for i, m := range a.curve {
		b.PValue(a.r.name("r2.familywise", m.name), f.Log10P[i], "maximum over layers of the standardised statistic, "+m.nullMethod(), nullText+", in every layer")
	}
	return &f
}

func (a *analysis) items() ([]ItemRow, error) {
	h := a.head
	docs, err := a.r.q.s.Docs()
	if err != nil {
		return nil, err
	}
	var out []ItemRow
	use, labels := a.r.q.d.Use(nil)
	for i, d := range use {
		p, ok := h.proj[d]
		s, ok2 := h.rowSil[d]
		if !ok && !ok2 {
			continue
		}
		it := ItemRow{ID: docs.ID[d], Label: a.r.q.d.Groups[labels[i]], Tokens: int(docs.Span[d])}
		if ok {
			it.Projection = &p
		}
		if ok2 {
			it.Silhouette = &s
		}
		out = append(out, it)
	}
	// Rows on the wrong side first: smallest silhouette, then id.
	slices.SortStableFunc(out, func(x, y ItemRow) int {
		if x.Silhouette != nil && y.Silhouette != nil {
			return cmp.Compare(*x.Silhouette, *y.Silhouette)
		}
		return 0
	})
	return out, nil
}
