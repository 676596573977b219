package trace

import (
	"encoding/json"
	"time"
)

// Status of a document.
const (
	StatusOK          = "ok"
	StatusNoTokens    = "no-tokens"    // the text gives no ids
	StatusNoTargets   = "no-targets"   // ids, none of them scored
	StatusOverContext = "over-context" // policy full and a text longer than the window
)

// Null stands in for an absent integer: the text counts of a document that
// was given as ids, and window, ctx, rank and argmax_id of an unscored row.
const Null = -1

// Doc is one row of the document table.
type Doc struct {
	Doc           int32     // ordinal in the input
	ID            string    // the user's id, unique
	Status        string    // StatusOK, ...
	SHA256        [32]byte  // of the UTF-8 bytes, or of the ids as little-endian int32
	ContextSHA256 *[32]byte // of the context bytes; nil without a context

	// Counts of the text; Null when the input was ids.
	Bytes, Chars, Words, Pieces, Zlib int64

	Tokens, Context, Scored, Windows, Greedy int32

	// Sums over scored rows of l, l^2 and H (nats), of the stored float32
	// values in position order, Neumaier compensated.
	SumLogprob, SumLogprob2, SumEntropy float64

	Label  *int32             // nil = none
	Group  string             // empty = none
	Date   time.Time          // zero = none; days, UTC
	Meta   json.RawMessage    // canonical JSON object; nil = none
	Scores map[string]float64 // by name, without the "score." of the column; NaN = null
}

// Tokens are the rows of one document, in position order. All slices that are
// present have one length. Absent columns are nil: ByteOff and ByteLen when the
// input was ids; ID, ByteOff, ByteLen, ArgmaxID and TopID when redacted; UMean,
// USD, TopID and TopLogprob when not asked for.
//
// On an unscored row the integers hold Null and the floats NaN, so that a test
// that forgets Scored fails loudly.
type Tokens struct {
	Pos, Window, ID, ByteLen, Ctx, Rank, ArgmaxID []int32
	ByteOff                                       []int64
	Scored                                        []bool
	Logprob, Entropy, SD, ArgmaxLogprob           []float32 // nats
	UMean, USD                                    []float32 // nats
	TopID                                         [][]int32
	TopLogprob                                    [][]float32 // nats
}

// DocTokens is one document with its rows.
type DocTokens struct {
	Doc    Doc
	Tokens Tokens
}

// Len returns the number of rows.
func (t Tokens) Len() int { return len(t.Pos) }
