package iat

import "assay/probes/assoc"

// Items lists the words of a set in their order: whom the model puts with each,
// averaged as in the result.
func Items(s Set, o Options, ev assoc.Evidence) (assoc.ItemTable, error) {
	t := assoc.ItemTable{Head: []string{"set", "word", "goes_with", "p_b [probability]", "logit_b [nats]", "status", "reason"}}
	p, lambda, err := Chances(s, o, ev)
	if err != nil {
		return t, err
	}
	for i, w := range s.Words {
		with := "A"
		if s.IsB[i] {
			with = "B"
		}
		t.Rows = append(t.Rows, []string{s.Name, w, with, assoc.Cell(p[i]), assoc.Cell(lambda[i]), "ok", ""})
	}
	return t, nil
}

// Chances returns the probability of group B after each word and its mean logit
// (nats), averaged over wordings, orders and pairs.
func Chances(s Set, o Options, ev assoc.Evidence) (p, lambda []float64, err error) {
	if err := firstError(s.Validate(), o.Validate()); err != nil {
		return nil, nil, err
	}
	a, err := collect(s, o, ev)
	if err != nil {
		return nil, nil, err
	}
	p, lambda = a.summary(-1, -1, nil)
	return p, lambda, nil
}
