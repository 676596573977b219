package palimpsest

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Calibrate reads the scores of a query against orders that nobody trained on,
// o.Controls of them (0 = 10,000), drawn within strata. It reports how the p-values
// behave for these very scores, ties and strata: uniformity of spearman_t, and for
// spearman_t and rank_sum the share at or below 0.05 and 0.001, which an honest p
// exceeds by no more than sampling allows. O(orders n log n).
func Calibrate(s *Sample, o Options) (probes.Result, error) {
	refs := len(s.L) - 1
	if err := o.Validate(refs); err != nil {
		return probes.Result{}, err
	}
	if o.Controls == 0 {
		o.Controls = 10000
	}
	if o.Controls < 100 {
		return probes.Result{}, fault.Usagef("palimpsest: calibrate: %d orders, want at least 100", o.Controls)
	}
	o = o.withDefaults(s.Len(), refs)
	d, err := combine(s.L[0], s.L[1:], s.Covariates, o.Combine)
	if err != nil {
		return probes.Result{}, err
	}
	c := calibration{s: s, o: o, l: s.layout(), d: d, approx: make([]float64, o.Controls), exact: make([]float64, o.Controls)}
	c.t = c.l.intRanks(s.Pos)
	if c.split, err = s.split(c.l); err != nil {
		return probes.Result{}, err
	}
	if _, err := s.read(c.l, c.t, d, c.split, nil); err != nil { // constant scores
		return probes.Result{}, err
	}
	if err := c.draw(); err != nil {
		return probes.Result{}, err
	}
	return c.result()
}

type calibration struct {
	s             *Sample
	o             Options
	l             layout
	t             []stat.Ranks
	d             []float64
	split         [][2][]int32
	approx, exact []float64 // log p of each order; exact is NaN without rank_sum
}

// draw reads every order; order j depends on the seed and j alone.
func (c *calibration) draw() error {
	workers := c.o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			e := make([]float64, len(c.d))
			for j := w; j < c.o.Controls; j += workers {
				copy(e, c.d)
				g := stat.NewRand(c.o.Seed, "calibrate", uint64(j))
				for _, idx := range c.l.groups {
					g.Shuffle(len(idx), func(a, b int) { e[idx[a]], e[idx[b]] = e[idx[b]], e[idx[a]] })
				}
				r, err := c.s.read(c.l, c.t, e, c.split, nil)
				if err != nil {
					errs[w] = err
					return
				}
				c.approx[j], c.exact[j] = upperOf(r), math.NaN()
				if r.hasRankSum {
					c.exact[j] = r.rankSum
				}
				if c.o.Progress != nil {
					c.o.Progress(1)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *calibration) result() (probes.Result, error) {
	m := float64(c.o.Controls)
	name := "spearman_t"
	if len(c.l.groups) > 1 {
		name = "stratified_z"
	}
	r := probes.Result{Schema: probes.Schema, Test: "palimpsest.calibrate", Version: 1, Seed: c.o.Seed, Inputs: []probes.Input{},
		Settings: map[string]any{"orders": c.o.Controls, "combine": c.o.Combine, "design": c.s.Meta.Design}, N: map[string]int{"units": c.l.n, "orders": c.o.Controls, "strata": len(c.l.groups)},
		P: []probes.PValue{}, Warnings: []probes.Warning{}}
	u := make([]float64, len(c.approx))
	for j, lp := range c.approx {
		u[j] = math.Exp(lp)
	}
	ks, logKS, err := stat.KSUniform(u)
	if err != nil {
		return r, fmt.Errorf("palimpsest: calibrate: %w", err)
	}
	r.Estimates = append(r.Estimates, probes.Estimate{Name: name + "_ks", Value: &ks, Unit: "Kolmogorov-Smirnov distance", Method: fmt.Sprintf("%d random orders", c.o.Controls)})
	r.P = append(r.P, pValue(name+"_uniform", logKS, "Kolmogorov-Smirnov, exact", "the p-values of random orders are uniform"))
	good := logKS > math.Log(1e-3)
	for _, k := range []struct {
		name string
		lp   []float64
	}{{name, c.approx}, {"rank_sum", c.exact}} {
		if math.IsNaN(k.lp[0]) {
			continue
		}
		for _, a := range []float64{0.05, 0.001} {
			hits := 0.0
			for _, lp := range k.lp {
				if lp <= math.Log(a)+1e-12 {
					hits++
				}
			}
			share := hits / m
			limit := a + 3.09*math.Sqrt(a*(1-a)/m) // 99.9 % of an exact test's shares
			r.Estimates = append(r.Estimates, probes.Estimate{Name: fmt.Sprintf("%s_share_%g", k.name, a), Value: probes.Value(share), Unit: "share of orders", Method: fmt.Sprintf("p at or below %g, %g of %d", a, hits, c.o.Controls)})
			r.Checks = append(r.Checks, probes.Check{Name: fmt.Sprintf("%s at or below %g", k.name, a), Value: share, Limit: limit, Pass: share <= limit, Text: "share of random orders; the limit holds 99.9 % of an exact test's"})
			good = good && share <= limit
		}
	}
	r.Verdict = probes.Verdict{Tier: probes.TierA, Finding: "calibrated", Says: fmt.Sprintf("over %d random orders of these %d units the p-values behave as they should", c.o.Controls, c.l.n),
		DoesNotSay: "whether the order of the run was random"}
	if !good {
		r.Verdict.Finding = "miscalibrated"
		r.Verdict.Says = fmt.Sprintf("over %d random orders of these %d units some p-values are too small: use the permutation p", c.o.Controls, c.l.n)
		r.Warnings = append(r.Warnings, probes.Warning{Code: "control-orders", Text: "p-values of random orders are not uniform"})
	}
	return r, nil
}
