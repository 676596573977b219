package aqi

import (
	"context"

	"assay/latent"
	"assay/latent/internal/report"
	"assay/probes"
)

// Gate is the judgement of labels alone: which tier a test of these labels can
// have, by which checks, with which warnings. Other tests of the same labels use
// it so that one set of rules decides.
type Gate struct {
	Tier     probes.Tier
	Checks   []Check
	Warnings []probes.Warning
}

// Judge runs the controls of Run without measuring a separation.
func Judge(ctx context.Context, s latent.States, o Options) (Gate, error) {
	if err := o.Validate(); err != nil {
		return Gate{}, err
	}
	r, err := newRunner(ctx, s, o)
	if err != nil {
		return Gate{}, err
	}
	a := &analysis{r: r, head: &reading{kind: "rows"}}
	a.units, a.rows = r.q.d.Counts()
	if a.assigned, err = r.assignment(); err != nil {
		return Gate{}, err
	}
	if a.ctl, err = r.controls(entry{alpha: make([]float64, len(r.q.v.Layers))}); err != nil {
		return Gate{}, err
	}
	g := Gate{Checks: a.checks()}
	g.Tier = a.tier(g.Checks)
	b := report.New("", 0, 0)
	a.warnings(b)
	g.Warnings = b.Done().Warnings
	return g, nil
}
