package membership

import (
	"encoding/json"
	"fmt"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
)

// Texts returns the gate's view of the labelled rows of a table, in their order:
// words where text is at hand, else token ids. A text that is missing in both is an error.
func (o EvalOptions) Texts(t Table, text map[string]string, ids map[string][]int32) ([]Text, error) {
	flat := o
	flat.Collapse = false
	e, err := flat.cut(t)
	if err != nil {
		return nil, err
	}
	var out []Text
	at := make(map[string]int)
	for i, r := range e.rows {
		x := Text{ID: r.ID, Group: e.group[i], Label: e.label[i]}
		words, ok := text[r.ID]
		if ok {
			x.Text = words
		} else if x.IDs, ok = ids[r.ID]; !ok {
			return nil, fault.Inputf("texts", "membership: gate: %q: found neither text nor token ids", r.ID).Hint("give the texts by --text")
		}
		if o.Collapse {
			key := x.Group
			if key == "" {
				key = x.ID
			}
			if k, seen := at[key]; seen {
				out[k].Text = strings.TrimSpace(out[k].Text + "\n" + x.Text)
				out[k].IDs = append(out[k].IDs, x.IDs...)
				continue
			}
			at[key] = len(out)
			x.ID, x.Group = key, ""
		}
		out = append(out, x)
	}
	return out, nil
}

// TokenIDs reads the ids of every document of a trace, for a gate without texts.
func TokenIDs(r *trace.Reader) (map[string][]int32, error) {
	if err := r.Need("id"); err != nil {
		return nil, err
	}
	out := make(map[string][]int32)
	for d, err := range r.Columns("id") {
		if err != nil {
			return nil, err
		}
		out[d.Doc.ID] = append([]int32(nil), d.Tokens.ID...)
	}
	return out, nil
}

// GroupBy takes every row's group from another field of its document: set, or a
// free field such as x_author. A document without the field is an error.
func GroupBy(t *Table, r *trace.Reader, field string) error {
	if field == "group" {
		return nil
	}
	at := make(map[string]string, len(t.Rows))
	for d, err := range r.Docs() {
		if err != nil {
			return err
		}
		m := map[string]any{}
		if len(d.Meta) > 0 {
			if err := json.Unmarshal(d.Meta, &m); err != nil {
				return fault.Inputf("malformed", "membership: document %q: meta: %w", d.ID, err)
			}
		}
		v, ok := m[field]
		if inner, nested := m["meta"].(map[string]any); !ok && nested {
			v, ok = inner[field]
		}
		if !ok {
			return fault.Inputf("group", "membership: document %q: found no field %q to group by", d.ID, field)
		}
		at[d.ID] = fmt.Sprint(v)
	}
	for i := range t.Rows {
		t.Rows[i].Group = at[t.Rows[i].ID]
	}
	return nil
}

// Features describes the rows of a table by its scores, for Infer. Labelled texts are
// not asked for: the caller names the two sets.
func (t Table) Features(in map[string]bool) Features {
	f := Features{Names: t.Names}
	for _, r := range t.Rows {
		if in == nil || in[r.ID] {
			f.Rows = append(f.Rows, FeatureRow{ID: r.ID, Group: r.Group, SHA256: r.SHA256, X: r.Score})
		}
	}
	return f
}

// Cases are the rows of a table with one of its scores, for Claim.
func (t Table) Cases(score string, in map[string]bool) ([]Case, error) {
	for i, n := range t.Names {
		if n != score {
			continue
		}
		var out []Case
		for _, r := range t.Rows {
			if in == nil || in[r.ID] {
				out = append(out, Case{ID: r.ID, Group: r.Group, SHA256: r.SHA256, Score: r.Score[i]})
			}
		}
		return out, nil
	}
	return nil, fault.Usagef("membership: score: found %q, want one of %s", score, strings.Join(t.Names, ", "))
}
