package membership

import (
	"fmt"
	"math"

	"assay/probes"
)

// Findings of the verdicts.
const (
	FindingShown       = "difference_shown"
	FindingNotShown    = "not_shown"
	FindingDescriptive = "descriptive"
)

// notC is what a tier C verdict never says. The words that would claim more do
// not occur in it.
const notC = "scores of texts that differ in kind differ for other reasons; no p-value is valid here"

// notB is what even a small p does not say.
const notB = "how the texts reached the training data, nor that any single one of them did; the p-value rests on the checks listed"

func verdictC(why string) probes.Verdict {
	return probes.Verdict{Tier: probes.TierC, Finding: FindingDescriptive, Says: "descriptive only: " + why, DoesNotSay: notC}
}

// verdictB fills finding and words; the caller sets the tier. lnP is a natural log.
func verdictB(lnP, alpha float64, shown, not string) probes.Verdict {
	v := probes.Verdict{Finding: FindingNotShown, Says: fmt.Sprintf("%s (log10 p %.2f at alpha %g)", not, lnP/math.Ln10, alpha), DoesNotSay: "that the texts were unseen: weak training leaves no trace that these scores find"}
	if lnP <= math.Log(alpha) {
		v.Finding, v.DoesNotSay = FindingShown, notB
		v.Says = fmt.Sprintf("%s (log10 p %.2f at alpha %g)", shown, lnP/math.Ln10, alpha)
	}
	return v
}

func logP(name string, ln float64, method, null string) probes.PValue {
	p := probes.PValue{Name: name, Log10P: ln / math.Ln10, Method: method, Null: null}
	if x := math.Exp(ln); x > 0 {
		p.P = probes.Value(x)
	}
	return p
}

func estimate(name string, v float64, unit, method string) probes.Estimate {
	e := probes.Estimate{Name: name, Unit: unit, Method: method}
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		e.Value = probes.Value(v)
	}
	return e
}

func withCI(e probes.Estimate, ci [2]float64, level float64) probes.Estimate {
	if !math.IsNaN(ci[0]) && !math.IsNaN(ci[1]) && e.Value != nil {
		e.CI = &probes.CI{Lo: ci[0], Hi: ci[1], Level: level}
	}
	return e
}

func warn(code, format string, args ...any) probes.Warning {
	return probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)}
}
