// Package answer scores the requests of the probes of behaviour (probes/assoc)
// with a checkpoint: the log-probability of each target after a prompt, and a
// file of such answers from which every result can be recomputed without it.
//
// Prompt and target are one text for the tokenizer. Trailing spaces of the prompt
// belong to the target, whose tokens are those that end after the seam; a token
// that begins before it is reported as straddling. Targets of one prompt share a
// forward pass where the ids allow. An encoder answers requests for masked tokens
// alone: each token of the target is hidden in turn, one pass a token, with what
// stands on both sides in view (pseudo-log-likelihood, Salazar et al. 2020).
//
// A request in a chat is the user's turn, rendered by the caller's template with the
// assistant's turn opened; special tokens are read in it and none are added.
//
// The package refuses requests for a chat without a template, for masked tokens of a model
// that predicts the next one and for anything else of an encoder, a text longer
// than the model's positions, a target without a token that can be scored, and a
// file of answers made by another checkpoint or tokenizer.
package answer

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model"
	"assay/probes/assoc"
)

// Model is what Score needs of *model.Model.
type Model interface {
	Score(ctx context.Context, ws iter.Seq2[model.Window, error], o model.ScoreOptions, emit func(model.Window, model.Scores) error) error
}

// Encoder is what Score needs of *tokenize.Tokenizer.
type Encoder interface {
	Encode(text string) (ids []int32, ends []int64, err error)
}

// Options of Score.
type Options struct {
	Prefix  []int32 // ids in front of every text
	Limit   int     // longest window; 0 = no limit
	Encoder bool    // the model is one: model.Info.Encoder
	Suffix  []int32 // with Encoder: ids behind every text
	Mask    int32   // with Encoder: the id that hides a token
	// Chat renders a system prompt ("" for none) and a user's turn, with the
	// assistant's turn opened; ChatEncoder reads special tokens in such a text.
	Chat        func(system, user string) (string, error)
	ChatEncoder Encoder
	Progress    func(tokens int)
}

// slot says which token of which answer a target of a window is.
type slot struct {
	id            string
	target, token int
}

// plan is the windows of some requests and where their targets go.
type plan struct {
	windows []model.Window
	slots   [][][]slot // by window and target: equal tokens at one place are scored once
	answers assoc.Map
}

// Tokens returns the inputs of all forward passes that the requests need.
func Tokens(tok Encoder, rs []assoc.Request, o Options) (windows int, tokens int64, err error) {
	p, err := prepare(tok, rs, o)
	if err != nil {
		return 0, 0, err
	}
	for _, w := range p.windows {
		tokens += int64(len(w.IDs))
	}
	return len(p.windows), tokens, nil
}

// Score answers the requests, each once.
func Score(ctx context.Context, m Model, tok Encoder, rs []assoc.Request, o Options) (assoc.Map, error) {
	p, err := prepare(tok, rs, o)
	if err != nil {
		return nil, err
	}
	windows := func(yield func(model.Window, error) bool) {
		for _, w := range p.windows {
			if !yield(w, nil) {
				return
			}
		}
	}
	so := model.ScoreOptions{LogprobOnly: true, Progress: o.Progress}
	err = m.Score(ctx, windows, so, func(w model.Window, s model.Scores) error {
		for j, slots := range p.slots[w.Doc] {
			for _, at := range slots {
				p.answers[at.id][at.target].Tokens[at.token].LogProb = min(0, float64(s.Logprob[j]))
			}
		}
		return nil
	})
	return p.answers, err
}

func prepare(tok Encoder, rs []assoc.Request, o Options) (*plan, error) {
	p := &plan{answers: assoc.Map{}}
	for _, r := range rs {
		id := r.ID()
		if _, done := p.answers[id]; done {
			continue
		}
		if err := p.add(tok, r, id, o); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add encodes the targets of a request, longest first, so that one whose inputs
// begin another's rides in its window.
func (p *plan) add(tok Encoder, r assoc.Request, id string, o Options) error {
	if r.Chat || r.System != "" {
		if o.Chat == nil {
			return fault.Usagef("answer: request %s: wants a chat template, and none is open", id).Hint("name one with --template auto, or ask with plain prompts")
		}
		text, err := o.Chat(r.System, r.Prompt)
		if err != nil {
			return fmt.Errorf("answer: request %s: %w", id, err)
		}
		r.Prompt, tok, o.Prefix = text+r.Prefix, o.ChatEncoder, nil
	}
	switch {
	case r.Masked && !o.Encoder:
		return fault.Usagef("answer: request %s: wants masked tokens, and the checkpoint predicts the next one", id).Hint("pll is for encoders such as BERT")
	case !r.Masked && o.Encoder:
		return fault.Usagef("answer: request %s: wants what follows a prompt, and the checkpoint is an encoder, which sees both sides", id).Hint("of the probes only pairs has a score for encoders: --score pll")
	case r.Masked:
		return p.addMasked(tok, r, id, o)
	}
	answers := make([]assoc.Answer, len(r.Targets))
	type job struct {
		target, first int
		ids           []int32
	}
	jobs := make([]job, len(r.Targets))
	for i, t := range r.Targets {
		ids, first, a, err := encode(tok, r.Prompt, t, o.Prefix, 1)
		if err != nil {
			return fmt.Errorf("answer: request %s: target %q: %w", id, t, err)
		}
		if o.Limit > 0 && len(ids)-1 > o.Limit {
			return fault.Inputf("window", "answer: request %s: target %q: found %d tokens, want at most %d (the model's positions)", id, t, len(ids)-1, o.Limit)
		}
		answers[i], jobs[i] = a, job{i, first, ids}
	}
	p.answers[id] = answers
	slices.SortStableFunc(jobs, func(a, b job) int { return len(b.ids) - len(a.ids) })
	from := len(p.windows)
	for _, j := range jobs {
		in := j.ids[:len(j.ids)-1]
		k := from
		for k < len(p.windows) && !p.fits(k, in, j.ids, j.first) {
			k++
		}
		if k == len(p.windows) {
			p.windows, p.slots = append(p.windows, model.Window{Doc: k, IDs: in}), append(p.slots, nil)
		}
		for t := j.first; t < len(j.ids); t++ {
			p.place(k, int32(t-1), j.ids[t], slot{id, j.target, t - j.first})
		}
	}
	return nil
}

// addMasked hides the tokens of each target in turn, one window a token.
func (p *plan) addMasked(tok Encoder, r assoc.Request, id string, o Options) error {
	answers := make([]assoc.Answer, len(r.Targets))
	for i, t := range r.Targets {
		ids, first, a, err := encode(tok, r.Prompt, t, o.Prefix, 0)
		if err != nil {
			return fmt.Errorf("answer: request %s: target %q: %w", id, t, err)
		}
		whole := slices.Concat(ids, o.Suffix)
		if o.Limit > 0 && len(whole) > o.Limit {
			return fault.Inputf("window", "answer: request %s: target %q: found %d tokens, want at most %d (the model's positions)", id, t, len(whole), o.Limit)
		}
		answers[i] = a
		for at := first; at < len(ids); at++ {
			in := slices.Clone(whole)
			in[at] = o.Mask
			k := len(p.windows)
			p.windows, p.slots = append(p.windows, model.Window{Doc: k, IDs: in}), append(p.slots, nil)
			p.place(k, int32(at), ids[at], slot{id, i, at - first})
		}
	}
	p.answers[id] = answers
	return nil
}

// fits reports whether a target can ride in window k: its inputs begin the
// window's, and the model takes no more targets than inputs.
func (p *plan) fits(k int, in, ids []int32, first int) bool {
	w := p.windows[k]
	if !slices.Equal(w.IDs[:len(in)], in) {
		return false
	}
	n := len(w.Targets)
	for t := first; t < len(ids); t++ {
		if p.find(k, int32(t-1), ids[t]) < 0 {
			n++
		}
	}
	return n <= len(w.IDs)
}

// find returns the target of a window at a row; -1 if it has none.
func (p *plan) find(k int, row, id int32) int {
	w := p.windows[k]
	for j := range w.Targets {
		if w.Rows[j] == row && w.Targets[j] == id {
			return j
		}
	}
	return -1
}

func (p *plan) place(k int, row, id int32, at slot) {
	j := p.find(k, row, id)
	if j < 0 {
		w := &p.windows[k]
		j = len(w.Targets)
		w.Targets, w.Rows, p.slots[k] = append(w.Targets, id), append(w.Rows, row), append(p.slots[k], nil)
	}
	p.slots[k][j] = append(p.slots[k][j], at)
}

// encode returns the ids of prompt and target behind the prefix, the first that
// is scored, not below least, and the answer to fill.
func encode(tok Encoder, prompt, target string, prefix []int32, least int) (all []int32, first int, a assoc.Answer, err error) {
	ids, ends, err := tok.Encode(prompt + target)
	if err != nil {
		return nil, 0, a, err
	}
	seam := int64(len(strings.TrimRight(prompt, " ")))
	cut := 0
	for cut < len(ends) && ends[cut] <= seam {
		cut++
	}
	if prompt == "" {
		cut = 0
	}
	a.Straddle = cut > 0 && cut < len(ids) && ends[cut-1] < seam
	all = slices.Concat(prefix, ids)
	first = len(prefix) + cut
	skipped := 0
	if first < least { // nothing stands before the first token: it has no probability
		first, skipped = 1, 1
	}
	if first >= len(all) {
		return nil, 0, a, fault.Inputf("no-tokens", "found no token that can be scored after the prompt")
	}
	start := max(0, edge(ends, cut+skipped)-int64(len(prompt)))
	for i := cut + skipped; i < len(ids); i++ {
		end := max(start, ends[i]-int64(len(prompt)))
		a.Tokens = append(a.Tokens, assoc.Token{ID: ids[i], Off: int(start), Len: int(end - start)})
		start = end
	}
	return all, first, a, nil
}

func edge(ends []int64, i int) int64 {
	if i == 0 {
		return 0
	}
	return ends[i-1]
}
