package palimpsest

import (
	"fmt"
	"math"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Plan says how many sequences a query needs.
type Plan struct {
	Rho, Alpha, Power float64
	Tests             int // verdicts that share alpha (Bonferroni)

	N      int64 // units for the rank correlation
	NExact int64 // units for the exact late-against-early tail

	// What N units are expected to show.
	Log10P   float64 // one-sided Student tail at Rho
	Log10PSD float64 // |rho| sqrt(n) / ln 10

	Tokens  int64   // scored, N times the row length; 0 without one
	Seconds float64 // at the given rate; 0 without one
}

// Preset is a rank correlation seen on a public model pair.
type Preset struct {
	Name string
	Rho  float64
}

// Presets are the correlations of pythia-6.9b-deduped with its own order, 10,000
// rows of 64 tokens, by reference, as printed by the notebook of
// RohithKuditipudi/blackbox-model-tracing.
func Presets() []Preset {
	return []Preset{
		{"pythia-6.9b-deduped none", 0.012},
		{"pythia-6.9b-deduped vs pythia-6.9b", 0.091},
		{"pythia-6.9b-deduped vs pythia-1b", 0.062},
		{"pythia-6.9b-deduped vs pythia-160m", 0.032},
		{"pythia-6.9b-deduped vs Llama-3-8B", 0.027},
	}
}

// Power returns the units needed to find a rank correlation rho > 0 at one-sided
// level alpha/tests with the given power:
//
//	n       = ceil(((z_alpha + z_beta)/rho)^2 + 1)
//	n exact = ceil((sqrt(2 ln(2/alpha)) + z_beta)^2 / (8 rho^2/9) + 1)
//
// 8/9 is the efficiency of thirds for a linear trend. Arguments outside (0, 1) or
// fewer than one test are errors.
func Power(rho, alpha, power float64, tests int) (Plan, error) {
	for _, c := range []struct {
		name string
		v    float64
	}{{"rho", rho}, {"alpha", alpha}, {"power", power}} {
		if !(c.v > 0 && c.v < 1) {
			return Plan{}, fault.Usagef("palimpsest: power: %s %g, want between 0 and 1", c.name, c.v)
		}
	}
	if tests < 1 {
		return Plan{}, fault.Usagef("palimpsest: power: %d tests, want at least 1", tests)
	}
	a := alpha / float64(tests)
	zb := stat.NormalQuantile(power)
	p := Plan{Rho: rho, Alpha: alpha, Power: power, Tests: tests}
	p.N = max(5, ceil(sq((zUpper(a)+zb)/rho)+1))
	p.NExact = max(5, ceil(sq(math.Sqrt(2*math.Log(2/a))+zb)/(8*rho*rho/9)+1))
	up, _ := stat.LogTailT(rho, int(min(p.N, math.MaxInt32)))
	p.Log10P = up / math.Ln10
	p.Log10PSD = rho * math.Sqrt(float64(p.N)) / math.Ln10
	return p, nil
}

// Cost adds tokens and time to a plan: rows of so many tokens, scored at so many
// tokens a second.
func (p Plan) Cost(rowTokens int, rate float64) Plan {
	p.Tokens = p.N * int64(rowTokens)
	if rate > 0 {
		p.Seconds = float64(p.Tokens) / rate
	}
	return p
}

// PilotRho is the correlation to plan with: the lower confidence limit of a pilot
// query, whose rows must stay out of the final test. A limit at or below 0 is an
// error: such a pilot supports no plan.
func PilotRho(r probes.Result) (float64, error) {
	for _, e := range r.Estimates {
		if e.Name != "rho" || e.CI == nil {
			continue
		}
		if e.CI.Lo <= 0 {
			return 0, fault.Inputf("too-few", "palimpsest: pilot: rho %.4f, %g %% interval [%.4f, %.4f] reaches 0: it supports no plan", *e.Value, 100*e.CI.Level, e.CI.Lo, e.CI.Hi).
				Hint("score a larger pilot, or plan with --rho")
		}
		return e.CI.Lo, nil
	}
	return 0, fault.Inputf("malformed", "palimpsest: pilot: no estimate rho with an interval, want the result of a query")
}

// zUpper is the upper alpha quantile of the normal law, also where 1 - alpha is 1.
func zUpper(alpha float64) float64 { return -stat.NormalQuantile(alpha) }

func sq(x float64) float64 { return x * x }

// ceil rounds up after a rounding error's worth of slack.
func ceil(x float64) int64 { return int64(math.Ceil(x - 1e-9)) }

// Result puts a plan into the common form; it has no p-value and no finding.
func (p Plan) Result() probes.Result {
	e := func(name string, v float64, unit, method string) probes.Estimate {
		return probes.Estimate{Name: name, Value: probes.Value(v), Unit: unit, Method: method}
	}
	r := probes.Result{Schema: probes.Schema, Test: "palimpsest.power", Version: 1, Inputs: []probes.Input{},
		Settings: map[string]any{"rho": p.Rho, "alpha": p.Alpha, "power": p.Power, "tests": p.Tests}, N: map[string]int{"units": int(p.N)},
		Estimates: []probes.Estimate{
			e("units", float64(p.N), "units", "((z_alpha + z_beta)/rho)^2 + 1"),
			e("units_exact", float64(p.NExact), "units", "rank-sum tail of thirds, (sqrt(2 ln(2/alpha)) + z_beta)^2 / (8 rho^2/9) + 1"),
			e("expected_log10_p", p.Log10P, "log10 p", fmt.Sprintf("Student tail at rho, sd %.3g", p.Log10PSD)),
		},
		P: []probes.PValue{}, Warnings: []probes.Warning{},
		Verdict: probes.Verdict{Tier: probes.TierC, Finding: "plan", Says: fmt.Sprintf("%d units find a rank correlation of %g with probability %g at alpha %g over %d tests", p.N, p.Rho, p.Power, p.Alpha, p.Tests),
			DoesNotSay: "that the correlation will be this large"}}
	if p.Tokens > 0 {
		r.Estimates = append(r.Estimates, e("tokens", float64(p.Tokens), "tokens", "units times row length"))
	}
	if p.Seconds > 0 {
		r.Estimates = append(r.Estimates, e("scoring_seconds", p.Seconds, "seconds", "tokens at the given rate, for one model"))
	}
	return r
}
