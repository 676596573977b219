package score

import (
	"context"
	"fmt"

	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize/text"
)

// Survey is what the first pass over the input found.
type Survey struct {
	Of     trace.Identity
	Docs   int
	Tokens int64 // inputs of all forward passes

	warnings   []trace.Warning
	duplicates int
	duplicate  string // the first pair
	dropped    int
	droppedIn  string
	straddles  int
	specials   int
	special    string
	forged     int // chats whose messages hold special tokens
	token      string
	cut        int
	tooLong    string
	masked     bool
}

func (s *Survey) note(d *text.Doc, e *encoded, enc Encoder) {
	if e.dropped > 0 {
		if s.dropped == 0 {
			s.droppedIn = d.ID
		}
		s.dropped += e.dropped
	}
	if e.straddle {
		s.straddles++
	}
	if enc != nil && enc.Specials() != "none" {
		for _, turn := range d.Turns {
			if token, ok := enc.SpecialIn(turn.Content); ok {
				if s.forged == 0 {
					s.token = token
				}
				s.forged++
				break
			}
		}
	}
	if d.HasText && enc != nil && enc.Specials() == "none" {
		if token, ok := enc.SpecialIn(d.Text); ok {
			if s.specials == 0 {
				s.special = token
			}
			s.specials++
		}
	}
}

// Warnings lists what a reader of the trace has to know about the input.
func (s *Survey) Warnings() []trace.Warning {
	ws := append([]trace.Warning{}, s.warnings...)
	add := func(ok bool, code, format string, args ...any) {
		if ok {
			ws = append(ws, trace.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
		}
	}
	add(s.dropped > 0, "bytes-dropped", "the tokenizer dropped %d bytes of text, first in document %q", s.dropped, s.droppedIn)
	add(s.straddles > 0, "seam-straddle", "in %d documents a token crosses the seam of context and text", s.straddles)
	add(s.specials > 0, "specials-in-text", "%d documents contain the string of a special token (first %q); it was encoded as plain text", s.specials, s.special)
	add(s.forged > 0, "specials-in-text", "the messages of %d chats hold the string of a special token (first %q); it became the token, as in transformers", s.forged, s.token)
	add(s.cut > 0, "truncated", "%d tokens beyond --max-tokens were not scored", s.cut)
	add(s.duplicates > 0, "duplicate-text", "%d documents repeat another's text (first %s)", s.duplicates, s.duplicate)
	long := "under policy full (first: document %s); policy lmeval-rolling scores any length"
	if s.masked {
		long = "under policy pll (first: document %s); cut them into shorter ones, such as sentences"
	}
	add(s.tooLong != "", "docs-unscored", "documents longer than the window were not scored "+long, s.tooLong)
	return ws
}

// sampleWindows is how many windows the invariance sample scores again, and
// sampleTokens the most inputs of all of them together.
const (
	sampleWindows = 8
	sampleTokens  = 4096
)

// invariance scores the first windows alone and in company and returns the
// largest difference. It is part of every run, so that no trace has to be
// trusted about batching and padding.
func invariance(ctx context.Context, m Model, in Input, o Options) (*trace.Invariance, error) {
	var ws []model.Window
	tokens := 0
	ordinal := -1
	for d, err := range in.Docs() {
		if err != nil {
			return nil, err
		}
		ordinal++
		e, err := encode(o.Encoder, &d, o.Policy.Seam)
		if err != nil {
			return nil, err
		}
		plan, err := window.Plan(o.Policy, len(o.Policy.PrefixIDs), len(e.context), len(e.ids))
		if err != nil || len(plan) == 0 {
			continue
		}
		w := feed(ordinal, 0, plan[0], sequence(&o.Policy, &e), &o.Policy)
		if tokens += len(w.IDs); len(ws) > 0 && tokens > sampleTokens {
			break
		}
		if ws = append(ws, w); len(ws) == sampleWindows {
			break
		}
	}
	if len(ws) == 0 {
		return nil, fault.Inputf("no-targets", "score: no document gives a token to score").
			Hint("a text needs at least two tokens, or one and a BOS in front (--bos always)").
			Hint("a text longer than the window needs a policy such as lmeval-rolling")
	}
	rep, err := m.Invariance(ctx, ws)
	if err != nil {
		return nil, err
	}
	return &trace.Invariance{N: rep.N, MaxAbs: rep.MaxAbs}, nil
}
