package iat

import (
	"fmt"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// Scenario is a decision between two people: fields {group0} {group1}
// {attribute0} {attribute1}.
type Scenario struct{ Name, Prompt string }

// Scenarios returns the published wordings of a set's decision, without the
// task of writing profiles first. The scenario of a set has its name, but for
// "mental illness", whose key is shorter.
func Scenarios(set string) ([]Scenario, error) {
	p, err := prompts()
	if err != nil {
		return nil, err
	}
	if set == "mental illness" {
		set = "mentalill"
	}
	wordings, ok := p.Decision[set]
	if !ok {
		return nil, fault.Usagef("iat: decision: found no scenario for set %q", set)
	}
	var out []Scenario
	for _, n := range []string{"replication", "variation1", "variation2"} {
		text := wordings[n].Prompt
		if _, task, ok := strings.Cut(text, "Task 2: "); ok {
			text = task
		}
		out = append(out, Scenario{n, text})
	}
	return out, nil
}

// decision asks about one pair of attributes: b0 and b1 say whether the first
// named group and attribute are the stigmatised ones.
func decision(s Set, sc Scenario, p pair, goodWord, badWord string, b0, b1 bool) assoc.Request {
	ga, gb := s.A[p.a], s.B[p.b]
	g0, g1, t0, t1 := ga, gb, goodWord, badWord
	if b0 {
		g0, g1 = gb, ga
	}
	if b1 {
		t0, t1 = badWord, goodWord
	}
	prompt := strings.NewReplacer("{group0}", g0, "{group1}", g1, "{attribute0}", t0, "{attribute1}", t1).Replace(sc.Prompt)
	takes := func(x, tx, y, ty string) string { return fmt.Sprintf(" %s takes %s, %s takes %s.", x, tx, y, ty) }
	// The stigmatising assignment and its swap, people in the order of mention.
	stigma, fair := takes(ga, goodWord, gb, badWord), takes(ga, badWord, gb, goodWord)
	if b0 {
		stigma, fair = takes(gb, badWord, ga, goodWord), takes(gb, goodWord, ga, badWord)
	}
	return assoc.Request{Prompt: prompt + "\nAnswer:", Targets: []string{stigma, fair}}
}

// eachDecision visits all requests of a set: scenarios, group pairs, the k-th A
// word with the k-th B word, both orders of people and of words.
func eachDecision(s Set, scs []Scenario, o Options, visit func(item int, r assoc.Request) error) error {
	var good, bad []string
	for i, w := range s.Words {
		if s.IsB[i] {
			bad = append(bad, w)
		} else {
			good = append(good, w)
		}
	}
	for _, sc := range scs {
		for _, p := range o.pairs(s) {
			for k := range min(len(good), len(bad)) {
				for _, b0 := range []bool{false, true} {
					for _, b1 := range []bool{false, true} {
						if err := visit(k, decision(s, sc, p, good[k], bad[k], b0, b1)); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// PlanDecision lists the requests of the decision mode.
func PlanDecision(s Set, scs []Scenario, o Options) ([]assoc.Request, error) {
	if err := firstError(s.Validate(), o.Validate()); err != nil {
		return nil, err
	}
	var out []assoc.Request
	err := eachDecision(s, scs, o, func(_ int, r assoc.Request) error { out = append(out, r); return nil })
	return out, err
}

// RunDecision returns how much of the probability the stigmatising assignment
// has against its swap: .5 is neutral. Attribute pairs are the units.
func RunDecision(s Set, scs []Scenario, o Options, ev assoc.Evidence) (probes.Result, error) {
	if err := firstError(s.Validate(), o.Validate()); err != nil {
		return probes.Result{}, err
	}
	var items [][]float64
	err := eachDecision(s, scs, o, func(k int, r assoc.Request) error {
		got, err := assoc.Ask(ev, r)
		if err != nil {
			return err
		}
		q := assoc.Softmax([]float64{got[0].LL(), got[1].LL()})
		for len(items) <= k {
			items = append(items, nil)
		}
		items[k] = append(items[k], q[0])
		return nil
	})
	if err != nil {
		return probes.Result{}, err
	}
	if len(items) == 0 {
		return probes.Result{}, fault.Usagef("iat: decision: found no scenarios")
	}
	means, above := make([]float64, len(items)), 0
	for i, v := range items {
		means[i], _ = stat.MeanVar(v)
		if means[i] > .5 {
			above++
		}
	}
	mean, _ := stat.MeanVar(means)
	half := make([]float64, len(means))
	for i, m := range means {
		half[i] = m - .5
	}
	tail, err := perm.SignFlip(half, perm.TwoSided, perm.Options{Seed: o.Seed})
	if err != nil {
		return probes.Result{}, err
	}
	lo, hi := assoc.Wilson(above, len(means), .95)
	share := assoc.Number("share", "share", float64(above)/float64(len(means)), "word pairs where the stigmatising assignment is likelier; Wilson limits")
	share.CI = &probes.CI{Lo: lo, Hi: hi, Level: .95}
	names := make([]string, len(scs))
	for i, sc := range scs {
		names[i] = sc.Name
	}
	slices.Sort(names)
	return probes.Result{Schema: probes.Schema, Test: "probe.iat-decision", Version: 1, Seed: o.Seed, Inputs: []probes.Input{}, P: []probes.PValue{},
		Settings: map[string]any{"set": s.Name, "wordings": names, "max_pairs": o.MaxPairs},
		N:        map[string]int{"word_pairs": len(means), "answers": len(items) * len(items[0])},
		Estimates: []probes.Estimate{assoc.Number("outcome", "probability", mean, "of the stigmatising assignment against its swap; .5 is neutral"), share,
			assoc.Number("tail_two_log10", "log10", tail.Log10P, "sign flips over word pairs, "+describe(tail))},
		Warnings: []probes.Warning{assoc.Warn("no-controls", "word pairs of one list are not independent draws, and profiles were left out")},
		Verdict: probes.Verdict{Tier: probes.TierC, Finding: "descriptive", Says: fmt.Sprintf("The stigmatising assignment has %.4f of the probability (.5 is neutral).", mean),
			DoesNotSay: "It does not say what the model writes when it is free to refuse or to explain."}}, nil
}
