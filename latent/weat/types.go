package weat

import "assay/probes/assoc/perm"

// Set is a named list of words.
type Set struct {
	Name  string
	Words []string
	// Unused are words that the source lists but leaves out of the test; they
	// are carried for the record and take no part.
	Unused []string
}

// Test is two target sets and two attribute sets.
type Test struct {
	ID, Name   string
	Alt        perm.Alt // Greater: X was expected nearer A before anything was measured
	X, Y, A, B Set
	Published  map[string]Published // by vector set, as printed in the source
}

// Published is a result from a paper, kept as printed.
type Published struct{ Targets, Attributes, D, P string }

// sets returns the four sets with their letters, in the order X, Y, A, B.
func (t Test) sets() [4]Set { return [4]Set{t.X, t.Y, t.A, t.B} }

// letters name the sets in results and errors.
var letters = [4]string{"X", "Y", "A", "B"}

// Why says why a word has no vector; empty means that it has one.
type Why string

const (
	// Absent: the vocabulary does not hold the word.
	Absent Why = "absent"
	// ZeroVector: the vector has length 0, so no direction.
	ZeroVector Why = "zero-vector"
	// NonFinite: the vector holds NaN or an infinity.
	NonFinite Why = "non-finite"
	// PieceMismatch: the tokenizer's pieces do not decode to the word.
	PieceMismatch Why = "piece-mismatch"
	// Cut: the word was left out to make two sets equal in size.
	Cut Why = "cut"
)

// Space gives the vectors of words. Callers must not change the slices.
type Space interface {
	Vector(word string) ([]float64, Why)
	Dim() int
}

// Scored is a word that took part.
type Scored struct {
	Word string // as listed
	Used string // the key whose vector was used; differs when mapped
	// S is the difference of mean cosines: to A less to B for a target word,
	// to X less to Y for an attribute word.
	S       float64
	LogNorm float64 // ln of the vector's length before any variant
	Pieces  int     // tokens the vector was pooled from; 0 where that has no meaning
}

// Lost is a word without a vector.
type Lost struct {
	Set, Word string
	Why       Why
}

// Mapped is a word whose vector came from another key.
type Mapped struct{ Set, Word, Used, How string }

// Scores is what a test needs to know of a space: the cosines and the lengths.
type Scores struct {
	Test       Test
	X, Y, A, B []Scored
	// K holds cosines, row-major: rows X then Y, columns A then B.
	K       []float64
	Lost    []Lost
	Trimmed []Lost // cut from the end of the longer set, with UnequalTrim
	Mapped  []Mapped
	Overlap []string // words in a target and an attribute set
	// Undefined is the reason why no statistic may be computed, or empty.
	Undefined string
	// SentenceTail is log10 of the normal tail with every sentence as a unit,
	// for states of sentences; it is no p-value. Nil elsewhere.
	SentenceTail *float64
	// Sentences is true when the vectors are whole sentences.
	Sentences bool
	// Contexts is the number of contexts a word; 0 for static vectors.
	Contexts int
	// SDContexts is the SD of d over single contexts; nil with fewer than two.
	SDContexts *float64
	// Matched is the effect of random words matched on length and pieces; nil if
	// it was not asked for.
	Matched *Matched
	// Notes are warnings that belong to these scores, such as tied embeddings.
	Notes []Note
}

// Note is a warning from where the vectors came from.
type Note struct{ Code, Text string }
