package palimpsest

import (
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Correct adjusts the verdicts of several queries (suspects, transcripts, passes)
// for each other: Holm for the verdicts, under any dependence, and BH for ranking.
// It returns copies with the p-values verdict_holm and verdict_bh, whose findings
// follow Holm at each result's alpha. Results without a verdict p (tier C) stay as
// they are and are not counted: no p-value was looked at. A method other than holm
// or none is an error; none returns the results as they are.
func Correct(rs []probes.Result, method string) ([]probes.Result, error) {
	if method == "none" || len(rs) == 0 {
		return rs, nil
	}
	if method != "holm" && method != "" {
		return nil, fault.Usagef("palimpsest: correct %q, want holm or none", method)
	}
	out := slices.Clone(rs)
	var at []int
	var logP []float64
	for i, r := range rs {
		for _, p := range r.P {
			if p.Name == "verdict" {
				at = append(at, i)
				logP = append(logP, p.Log10P*math.Ln10)
			}
		}
	}
	holm, bh := stat.Holm(logP), stat.BH(logP)
	for k, i := range at {
		r := &out[i]
		null := r.P[len(r.P)-1].Null
		r.P = append(slices.Clone(r.P),
			pValue("verdict_holm", holm[k], fmt.Sprintf("Holm over %d verdicts", len(at)), null),
			pValue("verdict_bh", bh[k], fmt.Sprintf("Benjamini-Hochberg over %d verdicts, for ranking", len(at)), null))
		alpha, ok := r.Settings["alpha"].(float64)
		if ok && r.Verdict.Finding == Dependence && holm[k] > math.Log(alpha) {
			r.Verdict.Finding = NotFound
			r.Verdict.Says = fmt.Sprintf("no dependence on this order was found once %d verdicts are allowed for (Holm p %s; unadjusted: %s)", len(at), pText(holm[k]), r.Verdict.Says)
			r.Verdict.DoesNotSay = "that the suspect did not descend from this run"
		}
	}
	return out, nil
}
