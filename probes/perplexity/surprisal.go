package perplexity

import (
	"unicode"
	"unicode/utf8"

	"assay/internal/fault"
	"assay/model/trace"
)

// Word is one white-space separated word with the cost of its tokens.
type Word struct {
	Text       string
	Begin, End int64   // bytes, the space before it not included
	Bits       float64 // surprisal; a lower bound unless Whole
	Tokens     int
	Whole      bool // every token scored
	Straddle   bool // a token reaches over its beginning
}

// Words sums token costs to words: a word owns the white space before it, because
// most tokenizers glue that to the word's first token. The probability that
// a word *ends* where it does belongs to the next word's first token under such
// tokenizers; a trace does not hold the mass of all word-initial tokens, so that
// correction (Pimentel and Meister 2024) is not made.
func Words(d trace.DocTokens, text []byte) ([]Word, error) {
	if int64(len(text)) != d.Doc.Bytes {
		return nil, fault.Inputf("texts", "perplexity: document %q: found a text of %d bytes, want the %d that were scored", d.Doc.ID, len(text), d.Doc.Bytes)
	}
	if d.Tokens.Len() > 0 && d.Tokens.ByteOff == nil {
		return nil, fault.Inputf("columns", "perplexity: document %q has no byte offsets, want a trace of text", d.Doc.ID)
	}
	var out []Word
	owned := int64(0) // end of the word before
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if isSpace(r) {
			i += n
			continue
		}
		end := i
		for end < len(text) {
			r, n := utf8.DecodeRune(text[end:])
			if isSpace(r) {
				break
			}
			end += n
		}
		w := Word{Text: string(text[i:end]), Begin: int64(i), End: int64(end), Whole: true}
		lo, hi, straddle := d.Tokens.Span(owned, w.End)
		w.Straddle, w.Tokens = straddle, hi-lo
		nats := 0.0
		for t := lo; t < hi; t++ {
			if !d.Tokens.Scored[t] {
				w.Whole = false
				continue
			}
			nats -= float64(d.Tokens.Logprob[t])
		}
		w.Bits = bits(nats)
		w.Whole = w.Whole && hi > lo
		out = append(out, w)
		owned = w.End
		i = end
	}
	return out, nil
}

// isSpace is Python's str.isspace, as in the document table.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
