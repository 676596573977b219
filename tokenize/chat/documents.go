package chat

import (
	"fmt"
	"iter"

	"assay/internal/fault"
	"assay/tokenize/text"
)

// Source is a sequence of rows with turns; *text.Source satisfies it.
type Source interface {
	Docs() iter.Seq2[text.Doc, error]
	Len() int
}

// Responses turns rows of chats into documents whose text is the content of the
// last message, which must be the assistant's, and whose context is all that the
// template puts before it. A row without turns is a chat of two: its context is the
// user's message, its text the assistant's. What the template puts behind it is dropped. So the
// tokens of the response alone are scored.
type Responses struct {
	Source   Source
	Template *Template
	Options  Options
}

// Len is the number of documents.
func (r Responses) Len() int { return r.Source.Len() }

// Docs yields the documents.
func (r Responses) Docs() iter.Seq2[text.Doc, error] {
	return each(r.Source, func(d *text.Doc) error {
		if d.Turns == nil {
			if !d.HasContext {
				return fault.Inputf("messages", "found no prompt, want one before the response")
			}
			d.Turns = []Message{{Role: "user", Content: d.Context}, {Role: "assistant", Content: d.Text}}
		}
		last := len(d.Turns) - 1
		if role := d.Turns[last].Role; role != "assistant" {
			return fault.Inputf("messages", "the last message is of role %q, want assistant: its content is what is scored", role)
		}
		o := r.Options
		o.Generation = false
		out, start, end, err := r.Template.Locate(d.Turns, last, o)
		if err != nil {
			return err
		}
		d.Context, d.HasContext, d.Text = out[:start], true, out[start:end]
		return nil
	})
}

// Prompts turns rows into documents whose text is a conversation with the
// assistant's turn opened: rows with turns, or the text as a user's turn behind
// the system prompt.
type Prompts struct {
	Source   Source
	Template *Template
	Options  Options
	// System is the system prompt of rows that have none of their own.
	System string
}

// Len is the number of documents.
func (p Prompts) Len() int { return p.Source.Len() }

// Docs yields the documents.
func (p Prompts) Docs() iter.Seq2[text.Doc, error] {
	return each(p.Source, func(d *text.Doc) error {
		if d.Turns == nil {
			d.Turns = Turns(d.System, p.System, d.Text)
		}
		o := p.Options
		o.Generation = true
		var err error
		d.Text, err = p.Template.Render(d.Turns, o)
		return err
	})
}

// Turns are a user's message behind the first system prompt that is not empty.
func Turns(system, otherwise, user string) []Message {
	if system == "" {
		system = otherwise
	}
	if system == "" {
		return []Message{{Role: "user", Content: user}}
	}
	return []Message{{Role: "system", Content: system}, {Role: "user", Content: user}}
}

func each(s Source, f func(d *text.Doc) error) iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for d, err := range s.Docs() {
			if err == nil {
				if err = f(&d); err != nil {
					if e := fault.As(err); e != nil {
						err = &fault.Fault{Class: e.Class, Code: e.Code, Hints: e.Hints, Err: fmt.Errorf("document %q (line %d): %w", d.ID, d.Line, err)}
					}
				}
			}
			if err != nil {
				yield(text.Doc{}, err)
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}
