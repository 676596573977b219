package swap

import (
	"maps"
	"slices"
	"strconv"

	"assay/probes/assoc"
)

// Items lists the scenarios in their order: the log-odds of yes against no and
// the probability of both together, averaged over the headline prompts.
func Items(items []Item, o RunOptions, ev assoc.Evidence) (assoc.ItemTable, error) {
	var t assoc.ItemTable
	if err := o.validate(); err != nil || len(items) == 0 {
		return t, err
	}
	levels, numbers := slices.Sorted(maps.Keys(items[0].Levels)), slices.Sorted(maps.Keys(items[0].Numbers))
	t.Head = slices.Concat([]string{"item", "question"}, levels, numbers, []string{"margin_yes [logits]", "mass [probability]", "status", "reason"})
	margin, mass := make([]float64, len(items)), make([]float64, len(items))
	for _, p := range o.Prompts {
		for i, it := range items {
			got, err := assoc.Ask(ev, o.request(it, p))
			if err != nil {
				return t, err
			}
			ll, m, _, err := forms().Options(got)
			if err != nil {
				return t, err
			}
			margin[i] += (ll[0] - ll[1]) / float64(len(o.Prompts))
			mass[i] += m / float64(len(o.Prompts))
		}
	}
	rows := make([]Row, len(items))
	for i, it := range items {
		rows[i] = Row{Question: it.Question, Levels: it.Levels, Numbers: it.Numbers, Y: margin[i]}
	}
	fit, err := FitWith(rows, Options{Base: o.Base, Draws: 99, Seed: o.Seed})
	if err != nil {
		return t, err
	}
	for i, it := range items {
		row := []string{strconv.Itoa(i + 1), it.Question}
		for _, k := range levels {
			row = append(row, it.Levels[k])
		}
		for _, k := range numbers {
			row = append(row, assoc.Cell(it.Numbers[k]))
		}
		status, reason := "ok", ""
		if slices.Contains(fit.Unbalanced, it.Question) {
			status, reason = "undefined", "unbalanced"
		}
		t.Rows = append(t.Rows, append(row, assoc.Cell(margin[i]), assoc.Cell(mass[i]), status, reason))
	}
	return t, nil
}
