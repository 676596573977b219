package states

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"assay/internal/fault"
	"assay/model/states/items"
	"assay/tokenize/chat"
)

// Templated renders documents in a chat template: a text or prompt is the user's
// turn behind the system prompt, a response the assistant's. Without a response the
// assistant's turn is opened; what the template puts behind a response is dropped.
type Templated struct {
	Input
	Template *chat.Template
	Options  chat.Options
	System   string
}

// Items yields the documents with Rendered set.
func (t Templated) Items() iter.Seq2[items.Item, error] {
	return func(yield func(items.Item, error) bool) {
		for it, err := range t.Input.Items() {
			if err == nil {
				err = t.render(&it)
			}
			if err != nil {
				yield(items.Item{}, err)
				return
			}
			if !yield(it, nil) {
				return
			}
		}
	}
}

func (t Templated) render(it *items.Item) error {
	if it.IDs != nil {
		return fault.Usagef("states: document %q is ids: a chat template takes texts", it.ID)
	}
	o := t.Options
	o.Generation = !it.HasResponse
	turns := chat.Turns("", t.System, it.Text[:it.Seam])
	user := len(turns) - 1
	if it.HasResponse {
		turns = append(turns, chat.Message{Role: "assistant", Content: it.Text[it.Seam:]})
	}
	wrap := func(err error) error {
		f := fault.As(err)
		if f == nil {
			return err
		}
		return &fault.Fault{Class: f.Class, Code: f.Code, Hints: f.Hints, Err: fmt.Errorf("states: document %q (line %d): %w", it.ID, it.Line, err)}
	}
	out, start, end, err := t.Template.Locate(turns, user, o)
	if err != nil {
		return wrap(err)
	}
	r := &items.Rendered{Text: out, User: [2]int{start, end}, Response: [2]int{len(out), len(out)}}
	if it.HasResponse {
		_, a, b, err := t.Template.Locate(turns, user+1, o)
		if err != nil {
			return wrap(err)
		}
		r.Text, r.Response = out[:b], [2]int{a, b}
	}
	it.Rendered = r
	return nil
}

// Digest is that of the template and everything that goes into it beside the
// documents.
func (t Templated) Digest() (string, error) {
	date := ""
	if !t.Options.Date.IsZero() {
		date = t.Options.Date.Format(time.DateOnly)
	}
	b, err := json.Marshal(struct { // keys of maps are sorted
		Source, System string
		Tokens         map[string]string
		Vars           map[string]any
		Date           string
	}{t.Template.Source(), t.System, t.Options.Tokens, t.Options.Vars, date})
	if err != nil {
		return "", fmt.Errorf("states: template: %w", err)
	}
	sum := sha256.Sum256(append([]byte("assay.template/1\n"), b...))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
