package membership

import (
	"fmt"

	"assay/internal/fault"
	"assay/probes"
)

// Ground is what a comparison of two sets of texts stands on. With neither a gate
// nor an assignment nothing but a description is possible.
type Ground struct {
	Gate       *GateResult
	Assignment *Assignment
}

// unit is a text as the tier sees it.
type unit struct {
	id, group string
	sha       [32]byte
	label     int
}

func (u unit) key() string {
	if u.group != "" {
		return u.group
	}
	return u.id
}

// grade computes the tier of a comparison of labelled texts: A when an assignment
// reproduces the labels, B when the gate is clean, there are enough texts and no text or
// near copy of one stands on both sides, else C.
func (g Ground) grade(units []unit) (probes.Tier, []Check, []probes.Warning, error) {
	var ws []probes.Warning
	warn := func(code, format string, args ...any) {
		ws = append(ws, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	byID, bySHA := make(map[string]int), make(map[[32]byte]unit)
	groups := [2]map[string]bool{{}, {}}
	n := [2]int{}
	repeats, grouped := 0, false
	for _, u := range units {
		if l, ok := byID[u.id]; ok {
			if l != u.label {
				return "", nil, nil, fault.Inputf("duplicate", "membership: text %q stands in both classes", u.id)
			}
			return "", nil, nil, fault.Inputf("duplicate", "membership: id %q appears twice", u.id)
		}
		byID[u.id] = u.label
		if u.sha != ([32]byte{}) {
			if o, ok := bySHA[u.sha]; ok {
				if o.label != u.label {
					return "", nil, nil, fault.Inputf("duplicate", "membership: texts %q and %q are the same text in both classes", o.id, u.id)
				}
				repeats++
			}
			bySHA[u.sha] = u
		}
		grouped = grouped || u.group != ""
		groups[u.label][u.key()] = true
		n[u.label]++
	}
	for k := range groups[0] {
		if groups[1][k] {
			return "", nil, nil, fault.Inputf("labels", "membership: group %q stands in both classes", k)
		}
	}
	if repeats > 0 {
		warn("duplicate-text", "%d texts repeat another of their class", repeats)
	}
	if g.Assignment != nil {
		keys, label := make([]string, len(units)), make([]int, len(units))
		for i, u := range units {
			keys[i], label[i] = u.key(), u.label
		}
		if err := g.Assignment.CheckSplit(keys, label); err != nil {
			return "", nil, nil, err
		}
		return probes.TierA, []Check{{"assignment", g.Assignment.Commitment, nil, true}}, ws, nil
	}
	if g.Gate == nil {
		warn("no-gate", "nothing shows whether the two sets differ without the model")
		return probes.TierC, []Check{{"gate", "not run", string(Clean), false}}, ws, nil
	}
	enough := n[0] >= wantClass && n[1] >= wantClass
	if grouped {
		enough = len(groups[0]) >= 50 && len(groups[1]) >= 50
	}
	checks := []Check{
		{"gate", string(g.Gate.Outcome), string(Clean), g.Gate.Outcome == Clean},
		{"enough-texts", fmt.Sprintf("%d and %d texts, %d and %d groups", n[1], n[0], len(groups[1]), len(groups[0])), "200 texts or 50 groups of each", enough},
		{"no-near-duplicates", len(g.Gate.Duplicates), 0, len(g.Gate.Duplicates) == 0},
		{"no-duplicate-text", repeats, 0, repeats == 0},
	}
	switch g.Gate.Outcome {
	case Confounded:
		warn("confounded", "the two sets can be told apart without the model (blind AUC %.3f, permutation p %.3g; words that tell most: %s): scores differ for that reason too",
			g.Gate.AUC, g.Gate.P, g.Gate.telling(5))
	case Inconclusive:
		warn("inconclusive", "the gate cannot rule out that the sets differ without the model (blind AUC %.3f +- %.3f)", g.Gate.AUC, g.Gate.SE)
	}
	if !enough {
		warn("underpowered", "%d and %d texts: at least 200 of each (or 50 groups) are wanted", n[1], n[0])
	}
	if failed(checks) == "" {
		return probes.TierB, checks, ws, nil
	}
	return probes.TierC, checks, ws, nil
}

func (g Ground) blind(res *probes.Result) {
	if g.Gate == nil {
		return
	}
	e := estimate("blind_auc", g.Gate.AUC, "1", fmt.Sprintf("larger of two models without access to the checkpoint, pairs inside folds; error by %d refits under permuted labels, permutation p %.3g",
		len(g.Gate.permuted), g.Gate.P))
	res.Estimates = append(res.Estimates, withCI(e, g.Gate.CI, .95))
	shown := *g.Gate // top words, near-duplicates and both models' AUCs; empty lists, never null
	shown.Top, shown.Duplicates = append([]Weight{}, shown.Top...), append([][2]string{}, shown.Duplicates...)
	res.Settings["gate"] = shown
}
