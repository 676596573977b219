package perplexity

import (
	"math"
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
	// Corrected bounds the surprisal with the beginning-of-word correction (Correct);
	// nil where it was not or cannot be made.
	Corrected *[2]float64
	lo, hi    int // rows
}

// Words sums token costs to words: a word owns the white space before it, because
// most tokenizers glue that to the word's first token. The probability that
// a word *ends* where it does belongs to the next word's first token under such
// tokenizers: Correct moves it back.
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
		w.Straddle, w.Tokens, w.lo, w.hi = straddle, hi-lo, lo, hi
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

// Correct makes the beginning-of-word correction (Pimentel and Meister 2024): where
// tokens carry the space before a word, that a word ends is only said by the next
// token, so
//
//	bits = raw bits - log2 M(after the word) + log2 M(before the word),
//
// M the mass of all tokens that begin a word (initial, white space in front, or the end of the
// text). The trace holds the K largest probabilities of every row (top-k columns): the
// mass of the others is unknown, so the answer is an interval, exact where K is the
// vocabulary. A word that begins the text without white space has M(before) = 1;
// the last word of a text, and words with unscored or straddling tokens, have none.
func Correct(d trace.DocTokens, ws []Word, initial func(id int32) bool) error {
	t := d.Tokens
	if t.Len() > 0 && (t.TopID == nil || t.ID == nil) {
		return fault.Inputf("columns", "perplexity: document %q has no top-k columns, want them for the beginning-of-word correction", d.Doc.ID).Hint("score with --topk 100 or more")
	}
	mass := func(row int) (lo, hi float64) {
		all := 0.0
		for k, id := range t.TopID[row] {
			p := math.Exp(float64(t.TopLogprob[row][k]))
			if all += p; initial(id) {
				lo += p
			}
		}
		return min(lo, 1), min(1, lo+max(0, 1-all))
	}
	for i := range ws {
		w := &ws[i]
		w.Corrected = nil
		if !w.Whole || w.Straddle || w.hi >= t.Len() || !t.Scored[w.hi] {
			continue
		}
		fromLo, fromHi := 1.0, 1.0
		if initial(t.ID[w.lo]) {
			fromLo, fromHi = mass(w.lo)
		}
		toLo, toHi := mass(w.hi)
		w.Corrected = &[2]float64{w.Bits + math.Log2(fromLo) - math.Log2(toHi), w.Bits + math.Log2(fromHi) - math.Log2(toLo)}
	}
	return nil
}
