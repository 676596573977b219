package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"assay/internal/fault"
)

// TokenizerDiff is how two tokenizers differ.
type TokenizerDiff struct {
	Same    bool         `json:"same"` // every part that decides ids is equal
	OnlyA   int          `json:"only_a"`
	OnlyB   int          `json:"only_b"`
	Moved   int          `json:"moved"` // tokens of both under different ids
	Common  int          `json:"common"`
	Merges  string       `json:"merges"`  // same, or the first difference
	Special []Difference `json:"special"` // added tokens that differ
	Parts   []Difference `json:"parts"`   // other parts of tokenizer.json that differ
	Example []Difference `json:"example"` // first tokens that differ: ids on both sides
}

// vocabulary is what comparing needs of a tokenizer.json.
type vocabulary struct {
	ids     map[string]int
	merges  []string
	special map[string]string // content -> canonical description
	parts   map[string]string
}

// examples is how many differing tokens are shown.
const examples = 5

func parseTokenizer(text []byte) (*vocabulary, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	v := &vocabulary{ids: map[string]int{}, special: map[string]string{}, parts: map[string]string{}}
	var model map[string]json.RawMessage
	if err := json.Unmarshal(doc["model"], &model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if err := v.vocab(model["vocab"]); err != nil {
		return nil, err
	}
	if err := v.readMerges(model["merges"]); err != nil {
		return nil, err
	}
	var added []map[string]any
	if raw := doc["added_tokens"]; raw != nil {
		if err := json.Unmarshal(raw, &added); err != nil {
			return nil, fmt.Errorf("added_tokens: %w", err)
		}
	}
	for _, a := range added {
		s, _ := a["content"].(string)
		if id, ok := a["id"].(float64); ok {
			v.ids[s] = int(id)
		}
		b, err := json.Marshal(a) // keys in order
		if err != nil {
			return nil, err
		}
		v.special[s] = string(b)
	}
	for _, m := range []map[string]json.RawMessage{doc, model} {
		for k, raw := range m {
			switch k {
			case "model", "added_tokens", "vocab", "merges", "version", "truncation", "padding":
				continue // the rest of model follows; truncation and padding are switched off
			}
			v.parts[k] = canonical(raw)
		}
	}
	return v, nil
}

func (v *vocabulary) vocab(raw json.RawMessage) error {
	if len(bytes.TrimSpace(raw)) > 0 && bytes.TrimSpace(raw)[0] == '[' {
		var list [][]any
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("model.vocab: %w", err)
		}
		var scores strings.Builder
		for i, p := range list {
			if len(p) != 2 {
				return fmt.Errorf("model.vocab[%d]: found %d values, want a token and a score", i, len(p))
			}
			s, _ := p[0].(string)
			v.ids[s] = i
			fmt.Fprintln(&scores, s, p[1])
		}
		v.parts["vocab scores"] = scores.String()
		return nil
	}
	if err := json.Unmarshal(raw, &v.ids); err != nil {
		return fmt.Errorf("model.vocab: %w", err)
	}
	return nil
}

// readMerges takes both spellings, "a b" and ["a", "b"].
func (v *vocabulary) readMerges(raw json.RawMessage) error {
	if raw == nil || string(raw) == "null" {
		return nil
	}
	var list []any
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("model.merges: %w", err)
	}
	for i, m := range list {
		switch x := m.(type) {
		case string:
			v.merges = append(v.merges, x)
		case []any:
			if len(x) != 2 {
				return fmt.Errorf("model.merges[%d]: found %d parts, want 2", i, len(x))
			}
			v.merges = append(v.merges, fmt.Sprint(x[0], " ", x[1]))
		default:
			return fmt.Errorf("model.merges[%d]: found %T, want a string or a pair", i, m)
		}
	}
	return nil
}

// canonical is JSON with sorted keys and no spaces.
func canonical(raw json.RawMessage) string {
	var x any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&x) != nil {
		return string(raw)
	}
	b, err := json.Marshal(x)
	if err != nil {
		return string(raw)
	}
	return string(b)
}

func diffTokenizers(a, b *vocabulary) *TokenizerDiff {
	d := &TokenizerDiff{Merges: "same", Special: []Difference{}, Parts: []Difference{}, Example: []Difference{}}
	id := func(v *vocabulary, t string) string {
		if i, ok := v.ids[t]; ok {
			return fmt.Sprint(i)
		}
		return ""
	}
	var differ []string
	for t, i := range a.ids {
		j, ok := b.ids[t]
		switch {
		case !ok:
			d.OnlyA++
		case i != j:
			d.Moved++
		default:
			d.Common++
			continue
		}
		differ = append(differ, t)
	}
	d.Common += d.Moved
	for t := range b.ids {
		if _, ok := a.ids[t]; !ok {
			d.OnlyB++
			differ = append(differ, t)
		}
	}
	slices.Sort(differ)
	for _, t := range differ[:min(examples, len(differ))] {
		d.Example = append(d.Example, Difference{t, id(a, t), id(b, t)})
	}
	if i := firstDifference(a.merges, b.merges); i >= 0 {
		d.Merges = fmt.Sprintf("%d and %d, the first difference at %d", len(a.merges), len(b.merges), i)
	}
	d.Special = mapDiff(a.special, b.special)
	d.Parts = mapDiff(a.parts, b.parts)
	d.Same = d.OnlyA+d.OnlyB+d.Moved == 0 && d.Merges == "same" && len(d.Special)+len(d.Parts) == 0
	return d
}

func firstDifference(a, b []string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// mapDiff lists keys with different values in order of key; long values are cut.
func mapDiff(a, b map[string]string) []Difference {
	out := []Difference{}
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if a[k] != b[k] {
			out = append(out, Difference{k, cut(a[k]), cut(b[k])})
		}
	}
	return out
}

// longest is where a value of a listed difference is cut, in bytes.
const longest = 200

func cut(s string) string {
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}

var bareWord = regexp.MustCompile(`([:\[,]\s*)(-?Infinity|NaN)\b`)

// flatten turns a JSON document into its leaves by path, arrays as one value.
func flatten(text []byte) (map[string]string, error) {
	out := map[string]string{}
	if text == nil {
		return out, nil
	}
	var doc any // numbers as float64, so that 1e-5 and 0.00001 are one value
	err := json.Unmarshal(text, &doc)
	if err != nil { // Python writes bare words that JSON does not know
		err = json.Unmarshal(bareWord.ReplaceAll(text, []byte(`$1"$2"`)), &doc)
	}
	if err != nil {
		return nil, fault.Inputf("malformed", "config.json: %w", err)
	}
	var walk func(at string, x any)
	walk = func(at string, x any) {
		if m, ok := x.(map[string]any); ok && len(m) > 0 {
			for k, v := range m {
				p := k
				if at != "" {
					p = at + "." + k
				}
				walk(p, v)
			}
			return
		}
		b, err := json.Marshal(x)
		if err == nil {
			out[at] = string(b)
		}
	}
	walk("", doc)
	return out, nil
}
