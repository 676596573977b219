package palimpsest

import (
	"fmt"
	"math"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// ShuffleOptions of the shuffle test. The zero value is ready to use.
type ShuffleOptions struct {
	Alpha     float64 // 0 = 0.05: with few copies nothing smaller can be reached by rank
	OtherTail bool    // copies differ from the true one in more than the order of the tail
}

// Shuffle compares a copy of the run's tail retrained in the true order with
// copies retrained on shuffled tails, all scored on the suspect's text: each number
// is the mean over texts of the summed log-probability of the completion. If the
// suspect's text is independent of the order, all c+1 are exchangeable, so the
// rank of the true one is exact: (1 + copies at least as large)/(c+1). More copies
// buy evidence, more text does not. Fewer than two copies and values that are not
// finite are errors.
//
// t_predictive assumes normal copies; z_paper is the paper's figure, for
// comparison only: with few copies its tail is far too small.
func Shuffle(trueOrder float64, copies []float64, o ShuffleOptions) (probes.Result, error) {
	if o.Alpha == 0 {
		o.Alpha = 0.05
	}
	if !(o.Alpha > 0 && o.Alpha < 1) {
		return probes.Result{}, fault.Usagef("palimpsest: shuffle: alpha %g, want between 0 and 1", o.Alpha)
	}
	c := len(copies)
	if c < 2 {
		return probes.Result{}, fault.Inputf("too-few", "palimpsest: shuffle: %d shuffled copies, want at least 2 (19 reach 0.05 by rank)", c)
	}
	for i, v := range append([]float64{trueOrder}, copies...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return probes.Result{}, fault.Inputf("nonfinite", "palimpsest: shuffle: score %d is %g, want finite (0 is the true order)", i, v)
		}
	}
	mean, variance := stat.MeanVar(copies)
	if variance == 0 {
		return probes.Result{}, fault.Inputf("constant", "palimpsest: shuffle: all %d copies score %g", c, mean)
	}
	hits := 0
	for _, v := range copies {
		if v >= trueOrder {
			hits++
		}
	}
	rank := math.Log(float64(1+hits) / float64(c+1))
	t := (trueOrder - mean) / math.Sqrt(variance*(1+1/float64(c)))
	logT, _ := stat.LogTailStudentT(t, float64(c-1))
	z := (trueOrder - mean) / (math.Sqrt(variance*float64(c-1)/float64(c)) + 1e-6)

	r := probes.Result{Schema: probes.Schema, Test: "palimpsest.shuffle", Version: 1, Inputs: []probes.Input{},
		Settings: map[string]any{"alpha": o.Alpha, "other_tail": o.OtherTail}, N: map[string]int{"copies": c},
		Estimates: []probes.Estimate{
			{Name: "score_true", Value: probes.Value(trueOrder), Unit: "nats", Method: "mean summed log-probability of the completions"},
			{Name: "score_copies", Value: probes.Value(mean), Unit: "nats", Method: fmt.Sprintf("mean of %d copies, sd %.6g", c, math.Sqrt(variance))},
			{Name: "t", Value: probes.Value(t), Unit: "standard deviations", Method: fmt.Sprintf("(S_true - mean)/(s sqrt(1+1/c)), df %d", c-1)},
			{Name: "z_paper", Value: probes.Value(z), Unit: "standard deviations", Method: "(S_true - mean)/(population sd + 1e-6), for comparison with the paper"},
		}, Warnings: []probes.Warning{}}
	null := "the suspect's text is independent of the order of the tail: true and shuffled copies are exchangeable"
	r.P = []probes.PValue{
		pValue("rank", rank, fmt.Sprintf("exact: (1+%d)/(%d+1), floor 1/%d", hits, c, c+1), null),
		pValue("t_predictive", logT, fmt.Sprintf("assumes normal copies: upper Student tail, df %d", c-1), null+"; their scores are normal"),
		pValue("z_paper", stat.LogTailNormal(z), "comparison only: normal tail with an estimated sd", null+"; their sd is known"),
	}
	if c < 19 {
		r.Warnings = append(r.Warnings, probes.Warning{Code: "few-copies", Text: fmt.Sprintf("%d copies: the exact rank p cannot fall below 1/%d", c, c+1)})
	}
	r.Verdict = shuffleVerdict(o, rank, logT, c)
	if o.OtherTail {
		for _, p := range r.P {
			r.Estimates = append(r.Estimates, probes.Estimate{Name: "diagnostic_" + p.Name, Value: probes.Value(p.Log10P), Unit: "log10 p", Method: p.Method})
		}
		r.P = []probes.PValue{}
	}
	return r, nil
}

// shuffleVerdict lets the exact rank decide where it can reach alpha, the
// predictive t otherwise.
func shuffleVerdict(o ShuffleOptions, rank, logT float64, c int) probes.Verdict {
	alpha := math.Log(o.Alpha)
	if o.OtherTail {
		return probes.Verdict{Tier: probes.TierC, Finding: InvalidSetup, Says: "copies differ in more than the order of the tail: no p-value is valid",
			DoesNotSay: "whether the suspect depends on this order"}
	}
	v := probes.Verdict{Tier: probes.TierB, Finding: NotFound, DoesNotSay: "that the suspect did not descend from this run"}
	p, by := logT, "the predictive t, which assumes normal copies"
	if -math.Log(float64(c+1)) <= alpha {
		v.Tier = probes.TierA
		p, by = rank, "the exact rank"
	}
	if p <= alpha {
		v.Finding = Dependence
		v.Says = fmt.Sprintf("the suspect's text fits the true order of the tail better than shuffled ones (p %s by %s, %d copies)", pText(p), by, c)
		v.DoesNotSay = "by which path, nor that any use was wrongful"
		return v
	}
	v.Says = fmt.Sprintf("no dependence on the order of the tail was found (p %s by %s, %d copies)", pText(p), by, c)
	return v
}
