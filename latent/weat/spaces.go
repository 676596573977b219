package weat

import (
	"math"

	"assay/internal/fault"
)

// Shifted is a space after a variant. Lengths for the balance check stay those
// of the raw vectors: they are a property of the word, not of the variant.
type Shifted struct {
	Space
	Shift Shift
}

// Vector returns the shifted vector.
func (s Shifted) Vector(word string) ([]float64, Why) {
	v, why := s.Space.Vector(word)
	if why != "" {
		return nil, why
	}
	return s.Shift.Apply(v), ""
}

func (s Shifted) logNorm(word string) float64 {
	v, why := s.Space.Vector(word)
	if why != "" {
		return math.NaN()
	}
	return math.Log(length(v))
}

// Pieces returns how many tokens the word was pooled from, 0 if that has no
// meaning in the space below.
func (s Shifted) Pieces(word string) int { return piecesOf(s.Space, word) }

func piecesOf(sp Space, word string) int {
	if p, ok := sp.(interface{ Pieces(string) int }); ok {
		return p.Pieces(word)
	}
	return 0
}

func logNormOf(sp Space, word string, v []float64) float64 {
	if p, ok := sp.(interface{ logNorm(string) float64 }); ok {
		return p.logNorm(word)
	}
	return math.Log(length(v))
}

func length(v []float64) float64 {
	// Scaled, so that neither tiny nor huge vectors lose their length.
	var m float64
	for _, x := range v {
		m = max(m, math.Abs(x))
	}
	if m == 0 || math.IsInf(m, 0) {
		return m
	}
	var s float64
	for _, x := range v {
		s += (x / m) * (x / m)
	}
	return m * math.Sqrt(s)
}

// unit returns v/|v|, or why it has no direction.
func unit(v []float64) ([]float64, Why) {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, NonFinite
		}
	}
	n := length(v)
	if n == 0 {
		return nil, ZeroVector
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / n
	}
	return out, ""
}

// WordShift returns the shift of a variant over the given words of a space,
// each word once, in the order given; words without a vector are passed over.
func WordShift(sp Space, words []string, v Variant) (Shift, error) {
	m, err := NewMoments(sp.Dim())
	if err != nil {
		return Shift{}, err
	}
	seen := map[string]bool{}
	for _, w := range words {
		if seen[w] {
			continue
		}
		seen[w] = true
		if x, why := sp.Vector(w); why == "" {
			m.Add(x)
		}
	}
	return m.Shift(v)
}

// Pool is how the vectors of a word's pieces become one.
type Pool string

const (
	// PoolMean averages; the default for input and output embeddings.
	PoolMean Pool = "mean"
	// PoolMeanUnit averages after scaling each piece to length 1.
	PoolMeanUnit Pool = "mean-unit"
	// PoolFirst takes the first piece.
	PoolFirst Pool = "first"
	// PoolLast takes the last piece; the default for hidden states.
	PoolLast Pool = "last"
)

// Join pools the vectors of one word's pieces.
func (p Pool) Join(pieces [][]float64) ([]float64, Why) {
	if len(pieces) == 0 {
		return nil, PieceMismatch
	}
	switch p {
	case PoolFirst:
		return pieces[0], ""
	case PoolLast:
		return pieces[len(pieces)-1], ""
	}
	out := make([]float64, len(pieces[0]))
	for _, v := range pieces {
		if p == PoolMeanUnit {
			var why Why
			if v, why = unit(v); why != "" {
				return nil, why
			}
		}
		for i, x := range v {
			out[i] += x
		}
	}
	for i := range out {
		out[i] /= float64(len(pieces))
	}
	return out, ""
}

func (p Pool) valid() error {
	switch p {
	case PoolMean, PoolMeanUnit, PoolFirst, PoolLast:
		return nil
	}
	return fault.Usagef("weat: pool: found %q, want mean, mean-unit, first or last", string(p))
}

// Source is one embedding matrix of a checkpoint and the checkpoint's way of
// cutting words into its rows. The sub-token policy (leading space or not, no
// special tokens) is the source's and is declared by Policy.
type Source interface {
	Rows
	// Pieces returns the row numbers of a word, or why it has none:
	// PieceMismatch when they do not decode to the word.
	Pieces(word string) ([]int, Why)
	// Policy names the sub-token policy for the record.
	Policy() string
}

// Embedding is a Source as a space: each word pooled from its rows after the
// shift of a variant.
type Embedding struct {
	src   Source
	pool  Pool
	shift Shift
}

// NewEmbedding pools the rows of a source.
func NewEmbedding(src Source, pool Pool, shift Shift) (*Embedding, error) {
	if err := pool.valid(); err != nil {
		return nil, err
	}
	return &Embedding{src, pool, shift}, nil
}

// Dim returns the width of the matrix.
func (e *Embedding) Dim() int { return e.src.Dim() }

// Vector returns the pooled vector.
func (e *Embedding) Vector(word string) ([]float64, Why) { return e.pooled(word, e.shift) }

func (e *Embedding) pooled(word string, shift Shift) ([]float64, Why) {
	ids, why := e.src.Pieces(word)
	if why != "" {
		return nil, why
	}
	rows := make([][]float64, len(ids))
	for i, id := range ids {
		if id < 0 || id >= e.src.Rows() {
			return nil, PieceMismatch // the tokenizer knows more ids than the matrix has rows
		}
		row := make([]float64, e.src.Dim())
		e.src.Row(id, row)
		rows[i] = shift.Apply(row)
	}
	return e.pool.Join(rows)
}

func (e *Embedding) logNorm(word string) float64 {
	v, why := e.pooled(word, Shift{})
	if why != "" {
		return math.NaN()
	}
	return math.Log(length(v))
}

// Pieces returns the number of tokens of a word.
func (e *Embedding) Pieces(word string) int {
	ids, _ := e.src.Pieces(word)
	return len(ids)
}

// CheckPieces compares what a tokenizer's pieces decode to with the word, the
// one leading space that the policy may add aside.
func CheckPieces(word, decoded string) Why {
	if decoded == word || decoded == " "+word {
		return ""
	}
	return PieceMismatch
}
