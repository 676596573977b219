package palimpsest

import (
	"fmt"
	"math"

	"assay/probes"
	"assay/probes/stat"
)

// result assembles what Query found.
func (q *query) result() probes.Result {
	s := q.s
	r := probes.Result{
		Schema: probes.Schema, Test: "palimpsest.query", Version: QueryVersion, Seed: q.o.Seed,
		Settings:  q.settings(),
		N:         map[string]int{"units": q.r.n, "references": len(q.refs), "strata": len(q.r.pairs), "run_sequences": int(s.Meta.N)},
		Estimates: q.estimates(), P: q.pValues(), Verdict: q.verdict(), Warnings: q.warn,
	}
	for i, m := range s.Models {
		role := "suspect"
		if i > 0 {
			role = "reference"
		}
		r.Inputs = append(r.Inputs, probes.Input{Role: role, Path: m.Name, Digest: m.Digest})
	}
	if s.Meta.Order != "" {
		r.Inputs = append(r.Inputs, probes.Input{Role: "order", Digest: s.Meta.Order})
	}
	for _, c := range q.checks {
		r.Checks = append(r.Checks, c.result())
	}
	r.Series = q.series()
	if r.Verdict.Tier == probes.TierC {
		for _, p := range r.P {
			r.Estimates = append(r.Estimates, probes.Estimate{Name: "diagnostic_" + p.Name, Value: probes.Value(p.Log10P), Unit: "log10 p", Method: p.Method})
		}
		r.P = []probes.PValue{}
	}
	if r.Warnings == nil {
		r.Warnings = []probes.Warning{}
	}
	return r
}

func (q *query) settings() map[string]any {
	s := q.s
	weights := make([]string, len(s.Models))
	for i, m := range s.Models {
		weights[i] = m.Weights
	}
	out := map[string]any{
		"design": s.Meta.Design, "selection_window": windowText(s.Meta.Window), "selection_seed": s.Meta.SelectionSeed,
		"regenerated": s.Meta.Regenerated, "generator": s.Meta.Generator, "row_tokens": s.Meta.RowTokens,
		"combine": q.o.Combine, "ref_basis": append([]string{}, q.o.RefBasis...), "alternative": "greater", "permutations": max(0, q.o.Perm),
		"controls": max(0, q.o.Controls), "alpha": q.o.Alpha, "level": q.o.Level, "tried": q.o.Tried, "weights": weights,
		"measure": s.Measure, "dropped": s.Dropped, "grouped_by": s.GroupedBy, "strata": append([]string{}, s.Strata...),
	}
	for k, v := range s.Settings {
		if _, ok := out[k]; !ok {
			out[k] = v
		}
	}
	return out
}

func (q *query) estimates() []probes.Estimate {
	lo, hi, method := q.r.rhoInterval(q.o.Level, q.o.Seed)
	e := []probes.Estimate{
		{Name: "rho", Value: probes.Value(q.r.rho), Unit: "rank correlation", Method: "Spearman, midranks; " + method, CI: ci(lo, hi, q.o.Level)},
		{Name: "z", Value: probes.Value(q.r.z), Unit: "standard deviations", Method: "rho sqrt(n-1); over strata sum (n_g-1) rho_g / sqrt(sum (n_g-1))"},
	}
	if d, se, ok := q.r.lateMinusEarly(); ok {
		h := stat.NormalQuantile((1+q.o.Level)/2) * se
		k, m := 0, 0
		for _, le := range q.r.late {
			k, m = k+len(le.late), m+len(le.early)
		}
		e = append(e, probes.Estimate{Name: "late_minus_early", Value: probes.Value(d), Unit: q.s.Measure, CI: ci(d-h, d+h, q.o.Level),
			Method: fmt.Sprintf("mean of %d late minus %d early units, Welch se %.6g", k, m, se)})
	}
	leak := 0.0
	for _, c := range q.checks {
		leak = max(leak, c.Leak)
	}
	e = append(e,
		probes.Estimate{Name: "tail_correction_nats", Value: probes.Value(q.r.correction), Unit: "nats", Method: "fourth cumulant of the permutation law, g_r g_s n rho^4/24"},
		probes.Estimate{Name: "rho_min_detectable", Value: probes.Value(q.rhoMin()), Unit: "rank correlation", Method: fmt.Sprintf("(z_alpha + z_0.9)/sqrt(n-1), one-sided alpha %g, power 0.9", q.o.Alpha)},
		probes.Estimate{Name: "leak", Value: probes.Value(leak), Unit: "rank correlation", Method: "largest |rho(t,c) rho(c,d)| over what is known from content and references"})
	e = append(e, probes.Estimate{Name: "control_reversed_rho", Value: probes.Value(-q.r.rho), Unit: "rank correlation", Method: "the same scores against the reversed order"})
	if q.wrong != nil {
		lo, hi, method := q.wrong.rhoInterval(q.o.Level, q.o.Seed)
		e = append(e, probes.Estimate{Name: "control_wrong_seed_rho", Value: probes.Value(q.wrong.rho), Unit: "rank correlation", CI: ci(lo, hi, q.o.Level),
			Method: fmt.Sprintf("the same scores against the generator's order from another seed, one-sided log10 p %.3f; %s", upperOf(*q.wrong)/math.Ln10, method)})
	}
	if q.nullZ != nil {
		e = append(e, probes.Estimate{Name: "control_orders_ks", Value: probes.Value(q.ksD), Unit: "Kolmogorov-Smirnov distance",
			Method: fmt.Sprintf("p-values of %d random orders against uniform, log10 p %.3f", len(q.nullZ), q.logKS/math.Ln10)})
	}
	for _, f := range q.refs {
		lo, hi, method := f.r.rhoInterval(q.o.Level, q.o.Seed)
		e = append(e, probes.Estimate{Name: "control_ref_rho " + f.name, Value: probes.Value(f.r.rho), Unit: "rank correlation", CI: ci(lo, hi, q.o.Level),
			Method: fmt.Sprintf("this reference as suspect, Holm log10 p %.3f; %s", f.holm/math.Ln10, method)})
	}
	return e
}

func ci(lo, hi, level float64) *probes.CI {
	if math.IsNaN(lo) || math.IsNaN(hi) {
		return nil
	}
	return &probes.CI{Lo: lo, Hi: hi, Level: level}
}

// pValue makes one p-value from a natural log.
func pValue(name string, logP float64, method, null string) probes.PValue {
	p := probes.PValue{Name: name, Log10P: logP / math.Ln10, Method: method, Null: null}
	if p.Log10P == 0 {
		p.Log10P = 0 // not -0
	}
	if v := math.Exp(logP); v > 1e-300 {
		p.P = &v
	}
	return p
}

func (q *query) null() string {
	n := fmt.Sprintf("given the sequences, suspect and references are independent of the order: every assignment of the %d positions to the %d units is equally likely", q.r.n, q.r.n)
	if len(q.r.pairs) > 1 {
		n += fmt.Sprintf(" within each of %d strata", len(q.r.pairs))
	}
	return n
}

func (q *query) pValues() []probes.PValue {
	null := q.null()
	out := []probes.PValue{}
	add := func(name string, logP float64, method string) {
		if !math.IsNaN(logP) && !math.IsInf(logP, 0) {
			out = append(out, pValue(name, logP, method, null))
		}
	}
	r := q.r
	if len(r.pairs) == 1 {
		add("spearman_t", r.upper, fmt.Sprintf("approximate: upper Student tail of rho sqrt((n-2)/(1-rho^2)), df %d", r.n-2))
		add("spearman_t_corrected", r.corrected, "approximate: the same with the fourth-cumulant term of the permutation law")
		add("spearman_t_two", r.two, "approximate: two-sided Student tail, as in the paper")
	} else {
		add("stratified_z", r.upper, "approximate: upper normal tail of the stratified Z")
		add("stratified_z_two", r.two, "approximate: two-sided normal tail of the stratified Z")
	}
	if r.hasPerm {
		method := fmt.Sprintf("exact: %d random orders, (1+hits)/(m+1), floor 1/%d", r.perm.Total, r.perm.Total+1)
		if r.perm.Exact {
			method = fmt.Sprintf("exact: all %d orders", r.perm.Total)
		}
		add("permutation", r.perm.Greater(), method)
	}
	if r.hasRankSum {
		method := "exact, no floor: late against early units, strict wins, Gaussian binomial tail"
		if len(r.pairs) > 1 {
			method = "upper bound of the exact tail: late against early units within strata, Chernoff bound"
		}
		add("rank_sum", r.rankSum, fmt.Sprintf("%s (log10 bound %.6g)", method, r.rankBound/math.Ln10))
	}
	if r.hasVerdict {
		method := "exact: min(1, 2 min(permutation, rank_sum))"
		switch {
		case !r.hasRankSum:
			method = "exact: permutation (late and early units overlap, so no rank_sum)"
		case !r.hasPerm:
			method = "exact: rank_sum (no permutations)"
		}
		if q.o.Tried > 1 {
			method += fmt.Sprintf(", times %d options tried", q.o.Tried)
		}
		add("verdict", q.logVerdict(), method)
	}
	return out
}
