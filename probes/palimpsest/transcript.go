package palimpsest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// TranscriptSchema identifies the metadata of a transcript file.
const TranscriptSchema = "assay.transcript/1"

// Transcript is the table of what a run saw and when: one row per training
// sequence, columns of one length. Rows are stored in seeded random order, so
// that any prefix is a uniform sample. Optional columns are nil.
type Transcript struct {
	Meta Meta

	Seq       []int64   // join key with traces, unique
	Positions [][]int64 // 0-based global positions, one per pass, ascending
	IDs       [][]uint32
	Text      []string // instead of IDs

	Step   []int64 // of the last position; plots and checkpoint references
	Epoch  []int32
	Unit   []int64  // what was shuffled, when that is not the row
	Block  []string // column stratum: block of uniform shuffling
	Source []string // data source
	Wrong  []int64  // position under another seed of the same generator: a control that must read nothing

	// Derived from the contents by Derive; they survive dropping IDs and Text.
	SHA256    [][32]byte // of the ids as little-endian int32, or of the text's bytes
	Tokens    []int32    // ids, or words of the text
	Bytes     []int64    // of the text; nil for ids
	Surprisal []float64  // mean -ln of the unigram frequency, nats per token

	file iter.Seq2[Contents, error] // where the contents lie when they are not in memory
}

// Meta is the JSON object under the key assay.transcript.
type Meta struct {
	Schema        string     `json:"schema"`
	N             int64      `json:"n"`                    // sequences in the run
	Order         string     `json:"order,omitempty"`      // digest of the order
	Generator     string     `json:"generator,omitempty"`  // that drew the order
	Seed          string     `json:"seed,omitempty"`       // of the generator
	Regenerated   bool       `json:"regenerated"`          // the order was drawn again and equals the file
	Design        string     `json:"design"`               // all, uniform, late:F; empty = unknown selection
	Window        [2]float64 `json:"window"`               // fractions of the run that rows were drawn from
	SelectionSeed uint64     `json:"selection_seed"`       // of Select
	RowTokens     int        `json:"row_tokens,omitempty"` // ids kept of each row
	Tokenizer     string     `json:"tokenizer,omitempty"`  // digest
	Checks        []Check    `json:"checks,omitempty"`     // CheckOrder on the full order
}

// Len returns the number of rows.
func (t *Transcript) Len() int { return len(t.Seq) }

// singlePass reports whether every row was seen once.
func (t *Transcript) singlePass() bool {
	return !slices.ContainsFunc(t.Positions, func(p []int64) bool { return len(p) != 1 })
}

// Validate reports the first row that no test could use: a repeated or negative
// key, a missing, negative, repeated or too large position, or columns of unequal
// length. Two rows may not share a position unless Unit or Step groups them.
func (t *Transcript) Validate() error {
	n := len(t.Seq)
	if n == 0 {
		return fault.Inputf("empty", "palimpsest: transcript: no rows")
	}
	if len(t.Positions) != n {
		return fault.Inputf("malformed", "palimpsest: transcript: %d rows with positions, want %d", len(t.Positions), n)
	}
	for _, c := range []struct {
		name string
		n    int
	}{{"ids", len(t.IDs)}, {"text", len(t.Text)}, {"step", len(t.Step)}, {"epoch", len(t.Epoch)}, {"unit", len(t.Unit)},
		{"stratum", len(t.Block)}, {"source", len(t.Source)}, {"wrong_pos", len(t.Wrong)}, {"sha256", len(t.SHA256)}, {"tokens", len(t.Tokens)},
		{"bytes", len(t.Bytes)}, {"surprisal", len(t.Surprisal)}} {
		if c.n != 0 && c.n != n {
			return fault.Inputf("malformed", "palimpsest: transcript: column %s has %d rows, want %d", c.name, c.n, n)
		}
	}
	if t.IDs != nil && t.Text != nil {
		return fault.Inputf("malformed", "palimpsest: transcript: both ids and text, want one of them")
	}
	return t.validateKeys()
}

func (t *Transcript) validateKeys() error {
	seen := make([]int64, 0, len(t.Seq))
	for i, s := range t.Seq {
		if s < 0 {
			return rowFault(t, i, "seq %d, want at least 0", s)
		}
		seen = append(seen, s)
		if len(t.Positions[i]) == 0 {
			return rowFault(t, i, "no position")
		}
		last := int64(-1)
		for _, p := range t.Positions[i] {
			switch {
			case p < 0:
				return rowFault(t, i, "position %d, want at least 0", p)
			case p <= last:
				return rowFault(t, i, "position %d after %d, want ascending", p, last)
			case t.Meta.N > 0 && p >= t.Meta.N:
				return rowFault(t, i, "position %d, want below n = %d", p, t.Meta.N)
			}
			last = p
		}
	}
	slices.Sort(seen)
	for i := 1; i < len(seen); i++ {
		if seen[i] == seen[i-1] {
			return fault.Inputf("duplicate", "palimpsest: transcript: seq %d appears twice, want unique", seen[i])
		}
	}
	if t.Unit == nil && t.Step == nil {
		return t.validateDistinct()
	}
	return nil
}

// validateDistinct refuses two rows at one position: in a shuffle of sequences
// that is a sign of a wrong join, and it would pass silently as a tie.
func (t *Transcript) validateDistinct() error {
	var all []int64
	for _, p := range t.Positions {
		all = append(all, p...)
	}
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] == all[i-1] {
			return fault.Inputf("duplicate", "palimpsest: transcript: position %d belongs to two rows, want one", all[i]).
				Hint("if batches or blocks were shuffled, name them in column unit; if positions are steps, add column step")
		}
	}
	return nil
}

func rowFault(t *Transcript, i int, format string, args ...any) error {
	return fault.Inputf("malformed", "palimpsest: transcript: row %d (seq %d): %s", i, t.Seq[i], fmt.Sprintf(format, args...))
}

// DropContents forgets ids and text after Derive, which is all that a query needs.
func (t *Transcript) DropContents() { t.IDs, t.Text = nil, nil }

// Derive fills the derived columns from ids or text: digests, lengths and unigram
// surprisal, the frequencies being those of the transcript itself. Two passes.
func (t *Transcript) Derive() error {
	d := newDeriver(t.Len())
	switch {
	case t.IDs != nil:
		for _, r := range t.IDs {
			d.countIDs(r)
		}
		for _, r := range t.IDs {
			d.ids(r)
		}
	case t.Text != nil:
		for _, r := range t.Text {
			d.countText(r)
		}
		for _, r := range t.Text {
			d.text(r)
		}
	default:
		return fault.Inputf("malformed", "palimpsest: transcript: neither ids nor text")
	}
	d.into(t)
	return nil
}

// deriver computes the derived columns in two streaming passes: count, then add.
type deriver struct {
	idCount   []int64
	idCost    []float64 // -ln frequency, once counting is over
	wordCount map[string]int64
	total     int64

	sha       [][32]byte
	tokens    []int32
	bytes     []int64
	surprisal []float64
	buf       []byte
}

func newDeriver(rows int) *deriver {
	return &deriver{wordCount: map[string]int64{}, sha: make([][32]byte, 0, rows), tokens: make([]int32, 0, rows),
		surprisal: make([]float64, 0, rows)}
}

// maxID bounds the frequency table: no vocabulary is larger, and a hostile id must
// not size an allocation. Larger ids are counted together.
const maxID = 1<<24 - 1

func (d *deriver) countIDs(r []uint32) {
	for _, v := range r {
		v = min(v, maxID)
		if int(v) >= len(d.idCount) {
			d.idCount = append(d.idCount, make([]int64, int(v)+1-len(d.idCount))...)
		}
		d.idCount[v]++
	}
	d.total += int64(len(r))
}

func (d *deriver) ids(r []uint32) {
	if d.idCost == nil {
		d.idCost = make([]float64, len(d.idCount))
		for v, c := range d.idCount {
			if c > 0 {
				d.idCost[v] = -math.Log(float64(c) / float64(d.total))
			}
		}
	}
	d.buf = d.buf[:0]
	s := 0.0
	for _, v := range r {
		d.buf = binary.LittleEndian.AppendUint32(d.buf, v)
		s += d.idCost[min(v, maxID)]
	}
	d.add(sha256.Sum256(d.buf), len(r), s)
}

func (d *deriver) countText(s string) {
	for w := range words(s) {
		d.wordCount[strings.Clone(w)]++
		d.total++
	}
}

func (d *deriver) text(r string) {
	s, n := 0.0, 0
	for w := range words(r) {
		s -= math.Log(float64(d.wordCount[w]) / float64(d.total))
		n++
	}
	d.bytes = append(d.bytes, int64(len(r)))
	d.add(sha256.Sum256([]byte(r)), n, s)
}

func (d *deriver) add(sha [32]byte, tokens int, surprisal float64) {
	d.sha = append(d.sha, sha)
	d.tokens = append(d.tokens, int32(tokens))
	if tokens > 0 {
		surprisal /= float64(tokens)
	}
	d.surprisal = append(d.surprisal, surprisal)
}

func (d *deriver) into(t *Transcript) {
	t.SHA256, t.Tokens, t.Bytes, t.Surprisal = d.sha, d.tokens, d.bytes, d.surprisal
}

// parseDesign splits a design into its kind and, for late:F, its fraction.
func parseDesign(s string) (kind string, f float64, err error) {
	kind, arg, has := strings.Cut(s, ":")
	switch {
	case (kind == "all" || kind == "uniform") && !has:
		return kind, 0, nil
	case kind == "late":
		f, err = strconv.ParseFloat(arg, 64)
		if err == nil && f > 0 && f <= 0.5 {
			return kind, f, nil
		}
		return "", 0, fault.Usagef("palimpsest: design %q: found fraction %q, want above 0 and at most 0.5", s, arg)
	}
	return "", 0, fault.Usagef("palimpsest: design %q, want uniform, all or late:F", s)
}
