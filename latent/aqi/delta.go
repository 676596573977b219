package aqi

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/report"
	"assay/probes"
	"assay/probes/stat"
)

// minDeltaUnits is the number of units (of both labels) that tier B asks of a
// difference.
const minDeltaUnits = 100

// shift is one space of both checkpoints.
type shift struct {
	entry
	a, b   geom.Sep
	ja, jb geom.Jack
	d      geom.Jack
	lo, hi float64
}

// Delta measures how a second checkpoint changed the separation of the same
// texts: theta_A - theta_B, the same unit left out of both in the jackknife.
// The null of its p-value is equal separation in the population of units.
// Widths may differ; texts, plan, labels, span and layers may not.
func Delta(ctx context.Context, a, b latent.States, o Options) (probes.Result, error) {
	r, err := AnalyseDelta(ctx, a, b, o)
	if err != nil {
		return probes.Result{}, err
	}
	return r.Result, nil
}

// AnalyseDelta is Delta with the table by layer.
func AnalyseDelta(ctx context.Context, a, b latent.States, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := latent.Same(a, b); err != nil {
		return nil, err
	}
	if _, _, err := latent.SameView(a.Info(), b.Info(), o.Space.View); err != nil {
		return nil, err
	}
	ra, err := newRunner(ctx, a, o)
	if err != nil {
		return nil, err
	}
	rb, err := newRunner(ctx, b, o)
	if err != nil {
		return nil, err
	}
	if ra.post.name == "zscore" {
		return nil, fault.Usagef("aqi: delta: post zscore is shown beside the headline, want none, l2, center+l2, abtt:K or whiten as the headline")
	}
	// The same evidence on both sides: rows only if both kept them.
	if ra.q.kept != rb.q.kept {
		ra.q.kept, rb.q.kept = false, false
	}
	ea, _, err := ra.headline()
	if err != nil {
		return nil, err
	}
	eb, _, err := rb.headline()
	if err != nil {
		return nil, err
	}
	head, err := deltaOf(ra, rb, ea, eb, ra.post)
	if err != nil {
		return nil, err
	}
	o.step()
	var curve []*shift
	for _, k := range ra.q.layers {
		e := entry{strconv.Itoa(ra.q.v.Layers[k]), ra.q.v.Layers[k], geom.One(k, len(ra.q.v.Layers))}
		s, err := deltaOf(ra, rb, e, e, ra.post)
		if err != nil {
			return nil, err
		}
		curve = append(curve, s)
		o.step()
	}
	ctl, err := ra.controls(ea)
	if err != nil {
		return nil, err
	}
	return deltaReport(ra, rb, head, curve, ctl)
}

func deltaOf(ra, rb *runner, ea, eb entry, p post) (*shift, error) {
	if err := ra.ctx.Err(); err != nil {
		return nil, err
	}
	s := &shift{entry: ea}
	read := func(r *runner, e entry) (sep geom.Sep, j geom.Jack, err error) {
		if e, err = r.reweigh(e, p); err != nil {
			return
		}
		t, _, err := r.q.table(e.alpha, p, r.q.d)
		if err != nil {
			return
		}
		if sep, err = t.Separation(); err != nil {
			return
		}
		j, err = t.Jackknife()
		return
	}
	var err error
	if s.a, s.ja, err = read(ra, ea); err != nil {
		return nil, err
	}
	if s.b, s.jb, err = read(rb, eb); err != nil {
		return nil, err
	}
	if s.d, err = geom.Difference(s.ja, s.jb); err != nil {
		return nil, err
	}
	s.lo, s.hi = s.d.Interval(ra.o.Infer.Level)
	return s, nil
}

// log10p is the two-sided p of t = difference/se. Two equal files differ by
// exactly 0 with no error: p = 1.
func (s *shift) log10p() float64 {
	if s.d.Theta == 0 {
		return 0
	}
	if s.d.SE == 0 {
		return math.NaN()
	}
	_, two := stat.LogTailStudentT(s.d.Theta/s.d.SE, float64(s.d.DF))
	return two / math.Ln10
}

func deltaReport(ra, rb *runner, head *shift, curve []*shift, ctl *controls) (*Report, error) {
	b := report.New("aqi.delta", Version, ra.o.Seed)
	b.Input("a", ra.q.in)
	b.Input("b", rb.q.in)
	ra.settings(b)
	units, rows := ra.q.d.Counts()
	for l, g := range ra.q.d.Groups {
		b.N["units."+g], b.N["rows."+g] = units[l], rows[l]
		b.N["units"] += units[l]
		b.N["rows"] += rows[l]
	}
	identical := ra.q.in.Checkpoint != "" && ra.q.in.Checkpoint == rb.q.in.Checkpoint && head.d.Theta == 0 && head.d.SE == 0
	b.Settings["identical"] = identical
	checks := []Check{
		{"units", float64(b.N["units"]), "at least 100", b.N["units"] >= minDeltaUnits},
		{"texts-across-units", float64(ctl.dupTexts), "0", ctl.dupTexts == 0},
	}
	b.Settings["checks"] = checks
	tier := probes.TierB
	for _, c := range checks {
		if !c.Pass {
			tier = probes.TierC
		}
	}
	out := &Report{}
	all := curve
	if head.name == "pool" {
		all = append([]*shift{head}, curve...)
	}
	for _, s := range all {
		name := func(i string) string { return ra.name(i, s.name) }
		lvl := ra.o.Infer.Level
		b.CI(name("delta.theta"), s.d.Theta, "squared distance / within variance", "theta_A - theta_B, paired delete-one jackknife", "", &probes.CI{Lo: s.lo, Hi: s.hi, Level: lvl})
		for _, x := range []struct {
			n   string
			sep geom.Sep
			j   geom.Jack
		}{{"a", s.a, s.ja}, {"b", s.b, s.jb}} {
			lo, hi := x.j.Interval(lvl)
			b.CI(name(x.n+".theta"), x.sep.Theta, "squared distance / within variance", "debiased, delete-one jackknife", "", &probes.CI{Lo: lo, Hi: hi, Level: lvl})
			b.CI(name(x.n+".r2"), x.sep.R2, "fraction", "debiased, ends mapped from theta", "", &probes.CI{Lo: geom.R2(lo), Hi: geom.R2(hi), Level: lvl})
			if x.sep.Theta < 0 {
				b.Warn("r2-floor", "theta is negative, so R2 prints 0: %s of %s", s.name, x.n)
			}
		}
		row := CurveRow{View: ra.q.v.Name(), Layer: s.name, Post: ra.post.name, Index: "delta.theta", Value: opt(s.d.Theta), Lo: opt(s.lo), Hi: opt(s.hi)}
		if tier != probes.TierC {
			row.Log10P = opt(s.log10p())
		}
		out.Curve = append(out.Curve, row)
	}
	if err := postOrder(b, ra, rb, head); err != nil {
		return nil, err
	}
	p := head.log10p()
	const null = "equal separation in the population of units that these were drawn from"
	if tier != probes.TierC && !math.IsNaN(p) {
		b.PValue(ra.name("delta.theta", head.name), p, fmt.Sprintf("t = difference/se, %d degrees of freedom, two-sided", head.d.DF), null)
	}
	if ctl.dupTexts > 0 {
		b.Warn("duplicate-text", "%d texts stand under two units", ctl.dupTexts)
	}
	if len(ra.q.layers) == 1 {
		b.Warn("layer-chosen", "the settings name layer %d", ra.q.v.Layers[ra.q.layers[0]])
	}
	v := probes.Verdict{Tier: tier, Finding: Descriptive}
	v.Says = fmt.Sprintf("AQI-R2 is %.2f in A and %.2f in B; theta differs by %.5f (interval %.5f to %.5f).", 100*head.a.R2, 100*head.b.R2, head.d.Theta, head.lo, head.hi)
	switch {
	case identical:
		v.Says = "A and B are the same checkpoint: the separation is equal by construction."
	case tier == probes.TierC:
		v.Says += " Descriptive: the conditions of a p-value are not met."
	case p < math.Log10(.05):
		v.Finding = "changed"
		v.Says += fmt.Sprintf(" The separation differs: log10 p %.2f.", p)
	default:
		v.Finding = "not-changed"
		v.Says += fmt.Sprintf(" No difference is shown: log10 p %.2f.", p)
	}
	v.DoesNotSay = "Which of the two is better aligned or safer, or what training caused the difference."
	b.Verdict = v
	out.Result = b.Done()
	return out, nil
}

// postOrder compares the order of A and B under the post steps that are shown
// side by side.
func postOrder(b *report.Builder, ra, rb *runner, head *shift) error {
	sign := map[bool][]string{}
	note := func(name string, d float64) {
		b.Add(ra.name("delta.theta."+name, head.name), d, "squared distance / within variance", "after post step "+name, "needs-rows")
		if !math.IsNaN(d) && d != 0 {
			sign[d > 0] = append(sign[d > 0], name)
		}
	}
	for _, name := range []string{"none", "l2"} {
		if name == ra.post.name {
			sign[head.d.Theta > 0] = append(sign[head.d.Theta > 0], name)
			continue
		}
		p, _ := parsePost(name)
		s, err := deltaOf(ra, rb, head.entry, head.entry, p)
		if err != nil {
			return err
		}
		note(name, s.d.Theta)
	}
	za, _, _, err := ra.zscore(head.entry)
	if err != nil {
		return err
	}
	eb, err := rb.reweigh(head.entry, post{name: "none"})
	if err != nil {
		return err
	}
	zb, _, _, err := rb.zscore(eb)
	if err != nil {
		return err
	}
	note("zscore", za.Theta-zb.Theta)
	if len(sign[true]) > 0 && len(sign[false]) > 0 {
		b.Warn("post-dependent", "A is more separated after %v, B after %v", sign[true], sign[false])
	}
	return nil
}
