package bbq

import (
	"strconv"

	"assay/probes/assoc"
)

// Items lists the questions in their order: the probability of each answer as it
// stands in the file, averaged over wordings and orders, and the one chosen.
func Items(items []Item, o RunOptions, ev assoc.Evidence) (assoc.ItemTable, error) {
	t := assoc.ItemTable{Head: []string{"id", "category", "template", "polarity", "context", "label", "chosen", "q0 [probability]", "q1 [probability]", "q2 [probability]", "mass [probability]", "status", "reason"}}
	if err := o.validate(); err != nil {
		return t, err
	}
	for _, it := range items {
		row := []string{it.ID, it.Category, it.Template, pick(it.Negative, "neg", "nonneg"), pick(it.Ambiguous, "ambig", "disambig"), strconv.Itoa(it.Label)}
		if !it.Mapped {
			t.Rows = append(t.Rows, append(row, "", "", "", "", "", "undefined", "unmapped-group"))
			continue
		}
		a, err := o.ask(it, ev)
		if err != nil {
			return t, err
		}
		t.Rows = append(t.Rows, append(row, strconv.Itoa(argmax(a.mean)), assoc.Cell(a.mean[0]), assoc.Cell(a.mean[1]), assoc.Cell(a.mean[2]), assoc.Cell(a.mass), "ok", ""))
	}
	return t, nil
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
