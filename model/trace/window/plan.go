package window

import (
	"errors"

	"assay/internal/fault"
)

// Window is one forward pass over S[Begin:End), S = prefix, context, document
// and (pll) suffix ids in that order.
type Window struct {
	Begin, End int // inputs
	Lo, Hi     int // targets S[Lo:Hi), all of them document ids; End >= Hi-1
	// ReplaceBOS feeds the prefix's first id in place of S[Begin].
	ReplaceBOS bool
	// Prefix ids are fed before S[Begin] (Policy.EachWindow).
	Prefix int
	// Masked: Policy.MaskID is fed in the place of S[Lo], the one target, which is
	// predicted there from all other inputs.
	Masked bool
}

// Ctx returns the number of ids that the prediction of S[i] could see.
func (w Window) Ctx(i int) int {
	if w.Masked {
		return w.End - w.Begin - 1
	}
	return w.Prefix + i - w.Begin
}

// Feed returns the number of inputs that reach the last target: S[Begin:Hi-1)
// after Prefix ids. What End holds beyond it changes no result of a causal model;
// a masked window is fed whole.
func (w Window) Feed() int {
	if w.Masked {
		return w.End - w.Begin
	}
	return w.Prefix + w.Hi - 1 - w.Begin
}

var (
	// ErrTooLong: policy full or pll, and a document longer than the window.
	ErrTooLong = errors.New("document longer than the window")
	// ErrTooShort: a llama.cpp rule and fewer ids than two contexts.
	ErrTooShort = errors.New("document shorter than two contexts")
)

// Plan returns the windows of one document with the given numbers of prefix,
// context and document ids, in order. Windows without a document target are
// left out; those that stay are numbered from 0. No position is a target twice.
//
// The error wraps ErrTooLong or ErrTooShort when the policy cannot score this
// document, and is a usage fault when the policy can score none.
func Plan(p Policy, prefix, context, tokens int) ([]Window, error) {
	if err := p.Validate(0); err != nil {
		return nil, err
	}
	if prefix < 0 || context < 0 || tokens < 0 || prefix > maxCount || context > maxCount || tokens > maxCount {
		return nil, fault.Inputf("malformed", "window: %d prefix, %d context, %d document ids: want 0 to %d", prefix, context, tokens, maxCount)
	}
	if p.MaxTokens > 0 {
		tokens = min(tokens, p.MaxTokens)
	}
	if tokens == 0 {
		return nil, nil
	}
	pl := &planner{policy: p, prefix: prefix, doc: prefix + context, n: prefix + context + tokens, l: p.Window, first: 1}
	if p.EachWindow && prefix > 0 {
		if p.Window-prefix < 1 || p.Stride > p.Window-prefix {
			return nil, fault.Usagef("window: policy %s with %d prefix ids before every window: window %d, stride %d leave no room", p.Name, prefix, p.Window, p.Stride)
		}
		// Plan over the ids after the prefix: all of them have a row before them.
		pl.l, pl.first, pl.each = p.Window-prefix, 0, prefix
		pl.doc, pl.n, pl.prefix = context, context+tokens, 0
	}
	if err := p.rule().plan(pl); err != nil {
		return nil, err
	}
	return pl.ws, nil
}

// maxCount bounds what Plan computes with; the file stores int32.
const maxCount = 1<<31 - 1

// planner collects the windows of one document. Indices are those of the
// window rules: 0 is the first id that the rule counts.
type planner struct {
	policy Policy
	prefix int // ids of P in front
	doc    int // index of the first document id
	n      int // ids in all
	l      int // ids that a window holds
	first  int // 1: the first id of a window has no row before it; 0: the prefix is
	each   int // prefix ids fed before every window
	ws     []Window
}

// add keeps the window [b, e) with targets [lo, hi), as far as these are document ids.
func (pl *planner) add(b, e, lo, hi int, bos bool) {
	lo = max(lo, pl.doc)
	if lo >= hi {
		return
	}
	pl.ws = append(pl.ws, Window{Begin: b + pl.each, End: e + pl.each, Lo: lo + pl.each, Hi: hi + pl.each, ReplaceBOS: bos, Prefix: pl.each})
}

// skip returns the number of leading windows, step apart, that end before the
// first document id when the first of them ends at size. Skipping them bounds
// the work by the document, whatever the length of the context.
func (pl *planner) skip(size, step int) int { return max(0, (pl.doc-size)/step) }

func planFull(pl *planner) error {
	if pl.n-1 > pl.l {
		return fault.New(fault.Input, "too-long", "window: policy full: %d ids to feed, window holds %d: %w", pl.n-1+pl.each, pl.policy.Window, ErrTooLong).
			Hint("score long documents with policy lmeval-rolling or hf-stride")
	}
	pl.add(0, pl.n-1, pl.first, pl.n, false)
	return nil
}

func planStride(pl *planner) error {
	s, prev := pl.policy.Stride, 0
	for b := s * pl.skip(pl.l, s); ; b += s {
		e := min(b+pl.l, pl.n)
		pl.add(b, e, max(prev, b+pl.first), e, false)
		if prev = e; e == pl.n {
			return nil
		}
	}
}

// planRolling works in S, one ahead of the document indices in which
// lm-evaluation-harness counts: its targets D[0:L) are S[1:L+1).
func planRolling(pl *planner) error {
	if pl.prefix != 1 {
		return fault.Usagef("window: policy lmeval-rolling: %d prefix ids, want exactly 1 (BOS, else EOS)", pl.prefix)
	}
	t, step := pl.n-1, pl.l-pl.policy.Context+1
	done := min(pl.l, t)
	pl.add(0, done, 1, done+1, false)
	for done += step * pl.skip(done+1, step); done < t; {
		end := done + min(step, t-done)
		pl.add(end-pl.l, end, done+1, end+1, false)
		done = end
	}
	return nil
}

func planLlama(pl *planner) error {
	c := pl.l
	if pl.n < 2*c {
		return tooShort(pl, c)
	}
	for j := pl.doc / c; j < pl.n/c; j++ {
		b := j * c
		pl.add(b, b+c, b+c/2+1, b+c, pl.prefix > 0)
	}
	return nil
}

func planLlamaStride(pl *planner) error {
	s := pl.policy.Stride
	c := pl.l + s/2
	if pl.n < 2*c {
		return tooShort(pl, c)
	}
	for j := pl.skip(c, s); j*s < pl.n-c; j++ {
		b := j * s
		pl.add(b, b+c, b+c-s, b+c, false)
	}
	return nil
}

func tooShort(pl *planner, c int) error {
	return fault.New(fault.Input, "too-short", "window: policy %s: %d ids, want at least %d (two contexts of %d): %w", pl.policy.Name, pl.n, 2*c, c, ErrTooShort).
		Hint("a smaller --window needs fewer ids")
}

func planMimir(pl *planner) error {
	s := pl.l / 2
	for i := s * pl.skip(s, s); i < pl.n; i += s {
		b, e := max(i+s-pl.l, 0), min(i+s, pl.n)
		pl.add(b, e, max(i, b+pl.first), e, false)
	}
	return nil
}

func planOren(pl *planner) error {
	c, s, t := pl.l, pl.policy.Stride, pl.n-1
	for b := s * pl.skip(c+1, s); ; b += s {
		e, off := min(b+c, t), 0
		if b > 0 {
			off = c - s
		}
		pl.add(b, e, b+off+1, e+1, false)
		if e == t {
			return nil
		}
	}
}

// planMasked feeds the whole sequence once for each document id.
func planMasked(pl *planner) error {
	end := pl.n + len(pl.policy.SuffixIDs)
	if end > pl.l {
		return fault.New(fault.Input, "too-long", "window: policy pll: %d ids to feed, window holds %d: %w", end, pl.l, ErrTooLong).
			Hint("cut the text into shorter documents, such as sentences or paragraphs")
	}
	for i := pl.doc; i < pl.n; i++ {
		pl.ws = append(pl.ws, Window{Begin: 0, End: end, Lo: i, Hi: i + 1, Masked: true})
	}
	return nil
}

func planGPTQ(pl *planner) error {
	for b := pl.doc / pl.l * pl.l; b+pl.l <= pl.n; b += pl.l {
		pl.add(b, b+pl.l, b+pl.first, b+pl.l, false)
	}
	return nil
}
