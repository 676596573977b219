package palimpsest

import (
	"fmt"
	"math"
	"strings"

	"assay/probes"
	"assay/probes/stat"
)

// leakShare is the part of |rho| that a failed check may explain before the test
// loses its p-value.
const leakShare = 0.1

// Codes returns the codes of the warnings that this package emits, and what each
// means.
func Codes() []probes.Warning {
	return []probes.Warning{
		{Code: "control-orders", Text: "p-values of random orders are not uniform: the approximate p is off for these data"},
		{Code: "control-wrong-seed", Text: "the score goes with an order that nobody trained in: the rows or the scores depend on something else"},
		{Code: "duplicates-dropped", Text: "more than 1 % of rows share their content and were left out"},
		{Code: "few-copies", Text: "fewer than 19 copies: the exact rank p cannot fall below 0.05"},
		{Code: "no-permutation", Text: "no permutations were drawn; the verdict rests on the rank-sum tail alone"},
		{Code: "nonfinite-dropped", Text: "rows without a finite score under some model were left out"},
		{Code: "options-tried", Text: "several options were tried on this pair; the verdict p is multiplied by their number"},
		{Code: "order-blocky", Text: "the order keeps runs of consecutive ids: blocks were shuffled, not rows"},
		{Code: "order-declared", Text: "the order is declared, not drawn again from its generator"},
		{Code: "order-drift", Text: "position goes with something known from the content"},
		{Code: "partial-trace", Text: "some rows of the transcript have no score"},
		{Code: "patterns-unblinded", Text: "patterns must have been chosen without knowledge of positions"},
		{Code: "ref-depends-on-order", Text: "a reference depends on the tested order; it hides or flips the signal"},
		{Code: "ref-unchecked", Text: "a single reference cannot be checked against others"},
		{Code: "tail-approx", Text: "Student's tail is off by more than 1 nat here; use the exact or the corrected p"},
		{Code: "wrong-sign", Text: "scores fall with position more than chance allows: the suspect has not seen the late rows, or a reference has"},
	}
}

func (q *query) warning(code, format string, args ...any) {
	q.warn = append(q.warn, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}

// judge collects warnings and the reasons that void the p-values.
func (q *query) judge() {
	s := q.s
	q.warn = append(q.warn, s.Warnings...)
	if !s.Meta.Regenerated {
		q.warning("order-declared", "the order was declared to be a uniform shuffle, not regenerated from its generator and seed")
	}
	if s.Partial {
		q.warning("partial-trace", "%d rows of the transcript have no score; the test is valid if what is missing depends on position alone or on content alone", s.Dropped.Unscored)
	}
	if n := s.Dropped.Nonfinite; n > 0 {
		q.warning("nonfinite-dropped", "%d rows without a finite score under some model were left out", n)
	}
	if q.o.Tried > 1 {
		q.warning("options-tried", "%d options were tried on this pair: log10 %d is added to the verdict's log10 p", q.o.Tried, q.o.Tried)
	}
	if q.r.correction > 1 {
		q.warning("tail-approx", "Student's tail understates p by about %.3g nats at rho %.3g and n %d: use the exact or the corrected p", q.r.correction, q.r.rho, q.r.n)
	}
	if q.nullZ != nil && q.logKS < math.Log(1e-3) {
		q.warning("control-orders", "p-values of %d random orders are not uniform (Kolmogorov-Smirnov p %s)", len(q.nullZ), pText(q.logKS))
	}
	if q.wrong != nil && upperOf(*q.wrong) < math.Log(1e-3) {
		q.warning("control-wrong-seed", "rho against the order of another seed is %.4f with p %s: nobody trained in that order", q.wrong.rho, pText(upperOf(*q.wrong)))
	}
	if q.o.Perm == None {
		q.warning("no-permutation", "no permutations were drawn: the verdict rests on the rank-sum tail alone")
	}
	q.judgeReferences()
	q.judgeChecks()
	if q.r.rho < 0 && q.wrongSign() <= math.Log(q.o.Alpha) {
		q.warning("wrong-sign", "rho is %.4f with two-sided p %s: scores fall with position. The suspect may hold only an early part of the run (restrict the window), or a reference may depend on the order", q.r.rho, pText(q.wrongSign()))
		q.invalid = append(q.invalid, "the sign of the dependence is the wrong one")
	}
}

// wrongSign is the two-sided log p of rho: exact for enumerated orders, Student or
// normal otherwise.
func (q *query) wrongSign() float64 {
	switch {
	case q.r.hasPerm && q.r.perm.Exact:
		return q.r.perm.TwoSided()
	case math.IsNaN(q.r.two):
		return upperOf(reading{rho: 1, n: q.r.n, upper: math.NaN()}) + math.Ln2
	}
	return q.r.two
}

func (q *query) judgeReferences() {
	for _, f := range q.refs {
		if f.holm < math.Log(1e-3) {
			q.warning("ref-depends-on-order", "reference %s as suspect: rho %.4f, Holm p %s: it depends on the tested order, which hides or flips the signal", f.name, f.r.rho, pText(f.holm))
			q.invalid = append(q.invalid, "reference "+f.name+" depends on the order")
		}
	}
	if len(q.refs) == 1 {
		q.warning("ref-unchecked", "with one reference its independence of the order rests on its declared basis (%s)", q.o.RefBasis[0])
	}
}

func (q *query) judgeChecks() {
	for _, c := range q.checks {
		if c.Pass {
			continue
		}
		q.warning(c.Code, "%s: %s", c.Name, c.Text)
		switch {
		case c.Leak > leakShare*math.Abs(q.r.rho):
			q.invalid = append(q.invalid, fmt.Sprintf("%s could explain %.3g of rho", c.Name, c.Leak))
		case c.Leak > 0: // a check of the rows that explains too little
		case c.Code == "order-blocky" && q.s.GroupedBy != "" && q.s.GroupedBy != "row":
		case c.Code == "order-drift" && q.s.Stratum != nil:
		default:
			q.invalid = append(q.invalid, c.Name+" rules out a uniform shuffle of these units")
		}
	}
}

func (q *query) allPass() bool {
	for _, c := range q.checks {
		if !c.Pass {
			return false
		}
	}
	return true
}

// tier is A if the order was drawn again and every check passed, C if something
// voids the p-values, else B.
func (q *query) tier() probes.Tier {
	switch {
	case len(q.invalid) > 0:
		return probes.TierC
	case q.s.Meta.Regenerated && q.s.Meta.Design != "" && !q.s.Partial && q.allPass():
		return probes.TierA
	}
	return probes.TierB
}

// logVerdict is the verdict's log p with the options tried.
func (q *query) logVerdict() float64 {
	return min(0, q.r.verdict+math.Log(float64(q.o.Tried)))
}

func (q *query) verdict() probes.Verdict {
	v := probes.Verdict{Tier: q.tier()}
	design := q.s.Meta.Design
	if design == "" {
		design = "undeclared"
	}
	on := fmt.Sprintf("rho %.4f over %d units, %s design", q.r.rho, q.r.n, design)
	premise := "given that the declared order was a uniform shuffle, "
	if v.Tier == probes.TierA {
		premise = ""
	}
	switch {
	case len(q.invalid) > 0:
		v.Finding = InvalidSetup
		v.Says = fmt.Sprintf("this set-up supports no verdict: %s (%s)", strings.Join(q.invalid, "; "), on)
		v.DoesNotSay = "whether the suspect depends on this order: neither derived nor independent may be concluded"
	case q.r.hasVerdict && q.logVerdict() <= math.Log(q.o.Alpha) && q.r.rho > 0:
		v.Finding = Dependence
		v.Says = fmt.Sprintf("%sthe suspect depends on the order in which this run saw its data (%s, p %s)", premise, on, pText(q.logVerdict()))
		v.DoesNotSay = "by which path (fine-tuned weights, a rerun with the same data seed, an ordered dump of the data, distillation), nor that any use was wrongful"
	default:
		v.Finding = NotFound
		p := "p not available"
		if q.r.hasVerdict {
			p = "p " + pText(q.logVerdict())
		}
		v.Says = fmt.Sprintf("%sno dependence on this order was found (%s, %s); a rho of %.4f would be found with probability 0.9 at alpha %g", premise, on, p, q.rhoMin(), q.o.Alpha)
		v.DoesNotSay = "that the suspect did not descend from this run: heavy further training, quantisation or merging can erase the trace; nor anything about the same data in another order"
	}
	return v
}

// rhoMin is the smallest rho found with power 0.9 at alpha.
func (q *query) rhoMin() float64 {
	return (stat.NormalQuantile(1-q.o.Alpha) + stat.NormalQuantile(0.9)) / math.Sqrt(float64(q.r.n-1))
}

// pText prints a p-value from its log, never as 0.
func pText(logP float64) string {
	l := logP / math.Ln10
	if l > -4 {
		return fmt.Sprintf("%.3g", math.Exp(logP))
	}
	e := math.Floor(l)
	m := math.Pow(10, l-e)
	if m >= 9.95 {
		m, e = 1, e+1
	}
	return fmt.Sprintf("%.1fe%.0f", m, e)
}
