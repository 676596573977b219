package embed

import (
	"strings"
	"sync"
	"unicode"

	"assay/latent/weat"
)

// Space says how a word is written before it is cut into pieces.
type Space string

const (
	// Spaced encodes the word after a space, as inside a sentence.
	Spaced Space = "yes"
	// Bare encodes the word alone.
	Bare Space = "no"
)

// Tokenizer is what this package needs of a tokenizer; *tokenize.Tokenizer
// satisfies it.
type Tokenizer interface {
	Encode(text string) (ids []int32, ends []int64, err error)
	Decode(ids []int32) (string, error)
	Token(id int32) (string, bool)
}

// Matrices is what Words needs of a model; *model.Model satisfies it.
type Matrices interface {
	Matrix(kind string) (rows, cols int, at func(i int, dst []float32), err error)
}

// Words is a token matrix with the tokenizer that cuts words into its rows. It
// is a weat.Source.
type Words struct {
	rows, dim int
	at        func(int, []float32)
	tok       Tokenizer
	space     Space
	scratch   sync.Pool
}

// NewWords opens the matrix "input" or "output" of a model.
func NewWords(m Matrices, kind string, tok Tokenizer, space Space) (*Words, error) {
	rows, dim, at, err := m.Matrix(kind)
	if err != nil {
		return nil, err
	}
	w := &Words{rows: rows, dim: dim, at: at, tok: tok, space: space}
	w.scratch.New = func() any { s := make([]float32, dim); return &s }
	return w, nil
}

// Rows returns the number of rows of the matrix.
func (w *Words) Rows() int { return w.rows }

// Dim returns the width of the matrix.
func (w *Words) Dim() int { return w.dim }

// Row writes row i into dst.
func (w *Words) Row(i int, dst []float64) {
	s := w.scratch.Get().(*[]float32)
	w.at(i, *s)
	for k, x := range *s {
		dst[k] = float64(x)
	}
	w.scratch.Put(s)
}

// Pieces returns the rows of a word.
func (w *Words) Pieces(word string) ([]int, weat.Why) {
	ids, err := Cut(w.tok, word, w.space)
	if err != nil {
		return nil, weat.PieceMismatch
	}
	out := make([]int, len(ids))
	for i, id := range ids {
		out[i] = int(id)
	}
	return out, w.check(word, ids)
}

func (w *Words) check(word string, ids []int32) weat.Why {
	return matches(w.tok, word, ids)
}

// Whole lists the words of two letters or more that are one row: what random
// words of one piece are drawn from, in the order of the rows.
func (w *Words) Whole() ([]string, error) {
	var out []string
	for i := range w.rows {
		if _, ok := w.tok.Token(int32(i)); !ok {
			continue // a row that the tokenizer does not use
		}
		text, err := w.tok.Decode([]int32{int32(i)})
		if err != nil {
			return nil, err
		}
		word := strings.TrimPrefix(text, " ")
		if len(word) < 2 || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) }) {
			continue
		}
		if rows, why := w.Pieces(word); why == "" && len(rows) == 1 && rows[0] == i {
			out = append(out, word)
		}
	}
	return out, nil
}

// Policy names the sub-token policy.
func (w *Words) Policy() string {
	if w.space == Bare {
		return "bare word, no special tokens"
	}
	return "after a space (or the tokenizer's own word mark), no special tokens"
}

// wordMark is what SentencePiece writes for a space.
const wordMark = "\u2581"

// Cut returns the ids of a word under a policy, without special tokens.
func Cut(tok Tokenizer, word string, space Space) ([]int32, error) {
	bare, _, err := tok.Encode(word)
	if err != nil || space == Bare {
		return bare, err
	}
	if len(bare) > 0 {
		if s, ok := tok.Token(bare[0]); ok && strings.HasPrefix(s, wordMark) {
			return bare, nil
		}
	}
	ids, _, err := tok.Encode(" " + word)
	return ids, err
}

// matches checks that ids decode to the word.
func matches(tok Tokenizer, word string, ids []int32) weat.Why {
	if len(ids) == 0 {
		return weat.PieceMismatch
	}
	text, err := tok.Decode(ids)
	if err != nil {
		return weat.PieceMismatch
	}
	return weat.CheckPieces(word, text)
}
