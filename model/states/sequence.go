package states

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"assay/internal/fault"
	"assay/model/score"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/model/trace/window"
)

// Spans.
const (
	SpanText     = "text"     // tokens of the document's own characters
	SpanPrompt   = "prompt"   // those of the prompt
	SpanResponse = "response" // those of the response, the token across the seam too
	SpanTemplate = "template" // what a chat template puts after the user's turn, up to the response
	SpanAll      = "all"      // everything that is fed, special ids too
)

// Spans lists the spans.
func Spans() []string { return []string{SpanText, SpanPrompt, SpanResponse, SpanTemplate, SpanAll} }

// sequence is a document as it is fed.
type sequence struct {
	ids    []int32 // special ids in front, then the document's tokens
	lo, hi int     // span, as positions
	pieces []piece
	doc    trace.Doc // what the text digest covers
	bytes  int32
	own    bool // a token is predicted at its own place, not at the one before
}

// piece is one window: it feeds ids[begin:end) and gives the positions [lo, hi)
// their vectors.
type piece struct{ begin, end, lo, hi int }

// encode turns an item into ids and its span. Prompt and response are one text for
// the tokenizer; trailing spaces of the prompt belong to the response, as in traces.
func encode(it *items.Item, enc score.Encoder, prefix []int32, span string) (sequence, error) {
	var s sequence
	if it.IDs != nil {
		s.ids = append(append(s.ids, prefix...), it.IDs...)
		s.lo, s.hi = len(prefix), len(s.ids)
		if span == SpanAll {
			s.lo = 0
		}
		if span == SpanPrompt || span == SpanResponse {
			return s, noResponse(it.ID, span)
		}
		s.doc = trace.IDsDoc(0, it.ID, it.IDs)
		return s, nil
	}
	if enc == nil {
		return s, fault.Inputf("no-tokenizer", "states: document %q is text, and there is no tokenizer", it.ID).
			Hint("give token ids instead (--ids), or a tokenizer.json (--tokenizer)")
	}
	fed := it.Text
	if it.Rendered != nil {
		fed = it.Rendered.Text
	}
	ids, ends, err := enc.Encode(fed)
	if err != nil {
		f := fault.As(err)
		if f == nil {
			return s, fault.Inputf("text", "states: document %q: %w", it.ID, err)
		}
		return s, &fault.Fault{Class: f.Class, Code: f.Code, Hints: f.Hints, Err: fault.New(f.Class, f.Code, "states: document %q: %w", it.ID, err)}
	}
	s.ids = append(append(s.ids, prefix...), ids...)
	s.bytes = int32(len(it.Text))
	prompt, response := it.Text[:it.Seam], it.Text[it.Seam:]
	s.doc = trace.Doc{ID: it.ID, SHA256: sha256.Sum256([]byte(it.Text))}
	if it.HasResponse {
		s.doc.SHA256 = sha256.Sum256([]byte(response))
		s.doc = s.doc.WithContext([]byte(prompt), 0)
	}
	if it.Rendered != nil {
		return s, s.rendered(it, ends, len(prefix), span)
	}
	if span == SpanTemplate {
		return s, fault.Usagef("states: span %s: needs a chat template", span)
	}
	first := 0 // tokens in front that cover no byte, such as an added word mark
	for first < len(ends) && ends[first] == 0 {
		first++
	}
	cut := first
	for at := int64(len(strings.TrimRight(prompt, " "))); cut < len(ends) && ends[cut] <= at; cut++ {
	}
	p := len(prefix)
	switch span {
	case SpanAll:
		s.lo, s.hi = 0, len(s.ids)
	case SpanPrompt:
		s.lo, s.hi = p+first, p+cut
	case SpanResponse:
		s.lo, s.hi = p+cut, len(s.ids)
	default:
		s.lo, s.hi = p+first, len(s.ids)
	}
	if !it.HasResponse && (span == SpanPrompt || span == SpanResponse) {
		return s, noResponse(it.ID, span)
	}
	return s, nil
}

// rendered finds the span in a document that a chat template holds; ends are those
// of the tokens after the p special ids in front. A token belongs to a text that it
// overlaps, else to the template.
func (s *sequence) rendered(it *items.Item, ends []int64, p int, span string) error {
	r := it.Rendered
	// covering is the tokens with a byte in [from, to).
	covering := func(from, to int) (lo, hi int) {
		for lo < len(ends) && ends[lo] <= int64(from) {
			lo++
		}
		for hi = lo; hi < len(ends) && (hi == 0 || ends[hi-1] < int64(to)); hi++ {
		}
		return p + lo, p + max(lo, hi)
	}
	switch span {
	case SpanAll:
		s.lo, s.hi = 0, len(s.ids)
	case SpanResponse:
		if !it.HasResponse {
			return noResponse(it.ID, span)
		}
		s.lo, s.hi = covering(r.Response[0], r.Response[1])
	case SpanTemplate:
		_, s.lo = covering(r.User[0], r.User[1])
		s.hi, _ = covering(r.Response[0], r.Response[1])
	case SpanText:
		if it.HasResponse {
			return fault.Usagef("states: document %q: span %s: prompt and response stand apart in a chat template", it.ID, span).
				Hint("take --span prompt, response, template or all")
		}
		s.lo, s.hi = covering(r.User[0], r.User[1])
	default: // the prompt: a row of text alone is one
		s.lo, s.hi = covering(r.User[0], r.User[1])
	}
	return nil
}

func noResponse(id, span string) error {
	return fault.Inputf("no-response", "states: document %q: span %s, and the row has no prompt and response", id, span)
}

// textSHA is the digest that finds equal texts.
func (s *sequence) textSHA(it *items.Item) (sha [8]byte) {
	sum := s.doc.SHA256
	if it.IDs == nil {
		sum = sha256.Sum256([]byte(it.Text))
	}
	copy(sha[:], sum[:])
	return sha
}

// checkIDs refuses ids outside the vocabulary.
func (s *sequence) checkIDs(id string, vocab int) error {
	for i, x := range s.ids {
		if x < 0 || int(x) >= vocab {
			return fault.Inputf("id", "states: document %q: id %d at position %d, want 0 to %d (the checkpoint's vocabulary)", id, x, i, vocab-1).
				Hint("the ids were made with another tokenizer than this checkpoint's")
		}
	}
	return nil
}

// policies are the window policies under which every token of a document is fed by
// the window that scores it. The others leave a token out, most of them the last.
func policies() []string { return []string{"full", "hf-stride", "mimir"} }

// split cuts a sequence into windows. ok is false where policy full cannot take it.
func (s *sequence) split(p window.Policy) (ok bool, err error) {
	n := len(s.ids)
	if p.Name == "full" {
		s.pieces = []piece{{0, n, 0, n}}
		return n <= p.Window, nil
	}
	ws, err := window.Plan(p, 0, 0, n)
	if err != nil {
		return false, err
	}
	done := 0
	for _, w := range ws {
		s.pieces = append(s.pieces, piece{w.Begin, w.Hi, done, w.Hi})
		if done < w.Begin || w.Hi-w.Begin > p.Window {
			return false, fault.Usagef("states: policy %s leaves position %d without a vector, want one of %s", p.Name, done, strings.Join(policies(), ", "))
		}
		done = w.Hi
	}
	if done < n { // a single id is never scored
		s.pieces = append(s.pieces, piece{done, n, done, n})
	}
	return true, nil
}

// lensAt returns the positions that the lens reads: the last of the span and up to
// three spread evenly before it.
func (s *sequence) lensAt() []int32 {
	n := s.hi - s.lo
	k := min(n, 4)
	var out []int32
	for i := 1; i <= k; i++ {
		out = append(out, int32(s.lo+(n*i+k-1)/k-1))
	}
	return out
}

// target is the id that a position predicts: the one after it, -1 at the end of
// the text, or in encoders its own.
func (s *sequence) target(at int32) int32 {
	if s.own {
		return s.ids[at]
	}
	if int(at)+1 < len(s.ids) {
		return s.ids[at+1]
	}
	return -1
}

// order is the document's place in the order in which the lens takes documents.
func lensOrder(seed uint64, id string) uint64 {
	b := binary.LittleEndian.AppendUint64([]byte("assay.lens/1\n"), seed)
	sum := sha256.Sum256(append(b, id...))
	return binary.BigEndian.Uint64(sum[:])
}
