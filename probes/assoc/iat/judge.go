package iat

import (
	"fmt"
	"math"
	"strings"

	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/perm"
)

type verdictIn struct {
	d, base, mass      float64
	orderEffect, flips float64
	stable             assoc.Stability
	straddle           bool
	one, two           perm.Tail
	s                  Set
}

// judge writes warnings, p-values and the verdict.
func judge(r *probes.Result, o Options, v verdictIn) {
	warn := func(code, format string, args ...any) {
		r.Warnings = append(r.Warnings, assoc.Warn(code, fmt.Sprintf(format, args...)))
	}
	ok := true
	if v.mass < o.MassFloor {
		ok = false
		warn("low-mass", "the counted answers hold %.3f of the probability, want %.2f: the model would answer something else", v.mass, o.MassFloor)
	}
	if v.flips > maxFlips {
		ok = false
		warn("order-unstable", "%.2f of the answers change when the groups are named in the other order, want at most %.2f", v.flips, maxFlips)
	}
	if v.orderEffect > math.Abs(v.d)/3 {
		ok = false
		warn("order-unstable", "naming the groups in the other order moves D by %.4f, over a third of |D| %.4f", v.orderEffect, math.Abs(v.d))
	} else if v.stable.Unstable {
		ok = false
		warn("order-unstable", "%s: D from %.4f to %.4f", v.stable.Why, v.stable.Lo, v.stable.Hi)
	}
	if len(o.Templates) < 2 {
		ok = false
		warn("single-format", "one template: how much wording decides cannot be seen")
	}
	if v.base < .05 || v.base > .95 {
		ok = false
		warn("saturated", "group B is named with probability %.4f whatever the word", v.base)
	}
	if v.straddle {
		warn("seam-straddle", "a token crosses the seam between prompt and answer")
	}
	if v.one.Floor() > o.Alpha {
		warn("underpowered", "even perfect separation has p %.4g, above alpha %g", v.one.Floor(), o.Alpha)
	}
	side := "more"
	if v.d < 0 {
		side = "less"
	}
	r.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive",
		Says:       fmt.Sprintf("%s are linked with the words listed for them %s than with the other words, D = %.4f (0 is neutral).", strings.Join(v.s.B, ", "), side, v.d),
		DoesNotSay: "It does not say that a decision would follow, or that other words or wordings give the same; run the association test of the vectors on the same lists beside it."}
	if !ok {
		r.Verdict.Says += " No p-value holds: the format decides too much (see the warnings)."
		return
	}
	r.Verdict.Tier, r.Verdict.Finding = probes.TierB, "not-associated"
	const null = "given the logits, every choice of this many of the words as B words is equally likely"
	for _, t := range []struct {
		name string
		tail perm.Tail
	}{{"words", v.one}, {"words_two", v.two}} {
		r.P = append(r.P, probes.PValue{Name: t.name, Log10P: t.tail.Log10P, P: probes.Value(t.tail.P()), Method: describe(t.tail), Null: null})
	}
	if v.one.Log10P <= math.Log10(o.Alpha) {
		r.Verdict.Finding = "associated"
	}
}
