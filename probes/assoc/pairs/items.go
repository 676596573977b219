package pairs

import "assay/probes/assoc"

// Items lists the pairs in their order with every difference, more stereotyped
// sentence less the other.
func Items(ps []Pair, o Options, ev assoc.Evidence) (assoc.ItemTable, error) {
	t := assoc.ItemTable{Head: []string{"id", "group", "direction", "d_shared [nats]", "d_sum [nats]", "d_token [nats/token]", "d_byte [nats/byte]", "control [nats]", "shared_tokens", "status", "reason"}}
	if o.Encoder {
		t.Head = []string{"id", "group", "direction", "d_pll [nats]", "status", "reason"}
	}
	if err := o.Validate(); err != nil {
		return t, err
	}
	rows, err := o.collect(ps, ev)
	if err != nil {
		return t, err
	}
	for _, s := range rows {
		status, reason := "ok", ""
		if assoc.Cell(s.value(o.Score, o.Compat)) == "" {
			status, reason = "undefined", "no shared token"
		}
		row := []string{s.ID, s.Group, s.Direction}
		if o.Encoder {
			row = append(row, assoc.Cell(s.value(PLL, o.Compat)))
		} else {
			row = append(row, assoc.Cell(s.Shared), assoc.Cell(s.Sum), assoc.Cell(s.Token), assoc.Cell(s.Byte), assoc.Cell(s.control), assoc.Cell(float64(s.SharedTokens)))
		}
		t.Rows = append(t.Rows, append(row, status, reason))
	}
	return t, nil
}

// StereoItems lists the items with the mean log-probability per token of each
// sentence.
func StereoItems(ts []Triple, ev assoc.Evidence) (assoc.ItemTable, error) {
	t := assoc.ItemTable{Head: []string{"id", "target", "domain", "stereotype [nats/token]", "anti_stereotype [nats/token]", "unrelated [nats/token]", "status", "reason"}}
	items, err := scoreStereo(ts, ev)
	if err != nil {
		return t, err
	}
	for i, s := range items {
		t.Rows = append(t.Rows, []string{ts[i].ID, s.Target, s.Domain, assoc.Cell(s.Stereo), assoc.Cell(s.Anti), assoc.Cell(s.Unrel), "ok", ""})
	}
	return t, nil
}
