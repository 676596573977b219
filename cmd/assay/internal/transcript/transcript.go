// Package transcript turns stores of training ids and orders (tokenize/store)
// into the transcript table of probes/palimpsest, and the table into documents
// to score. It is here because neither of those packages may import the other.
package transcript

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes/palimpsest"
	"assay/tokenize/store"
	"assay/tokenize/text"
)

// Source says where a transcript comes from: a table (.parquet, .jsonl), or a
// store of ids with its training order.
type Source struct {
	Path   string
	Store  store.Options
	Order  string // file of the order; "" = rows stand in training order
	Kind   string // ids-by-position or position-by-id, for Order
	DType  string // of a headerless order file
	Padded bool   // ids at the end of the order that occurred before are padding
	// Generator (store.Generate) draws the order again from Seed: an order file must
	// equal it, and without a file it is the order.
	Generator string
	Seed      uint64
	Design    palimpsest.Design
	Tokens    int // ids kept of each row; 0 = all
}

// IsTable reports whether the path is a transcript table.
func (s Source) IsTable() bool {
	return strings.HasSuffix(s.Path, ".parquet") || strings.HasSuffix(s.Path, ".jsonl") || strings.HasSuffix(s.Path, ".jsonl.gz")
}

// Load returns the transcript with its derived columns filled.
func Load(s Source) (*palimpsest.Transcript, error) {
	if s.IsTable() {
		if s.Order != "" || s.Generator != "" {
			return nil, fault.Usagef("transcript: %s is a table with its own positions: want no --order and no --generator", s.Path)
		}
		return palimpsest.Open(s.Path, false)
	}
	if s.Order != "" && s.Kind == "" {
		return nil, fault.Usagef("transcript: --order %s: want --order-kind %s or %s", s.Order, store.IDsByPosition, store.PositionByID).
			Hint("entry p is the instance at position p, or entry i is the position of instance i? the file does not tell")
	}
	rows, err := store.Open(s.Path, s.Store)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	t := &palimpsest.Transcript{Meta: palimpsest.Meta{Schema: palimpsest.TranscriptSchema, N: int64(rows.Len()),
		Design: s.Design.Kind, Window: s.Design.Window, SelectionSeed: s.Design.Seed, RowTokens: s.Tokens}}
	if t.Meta.Design == "" {
		t.Meta.Design = "uniform"
	}
	if t.Meta.Window == ([2]float64{}) {
		t.Meta.Window[1] = 1
	}
	order, err := s.order(t, rows.Len())
	if err != nil {
		return nil, err
	}
	if order != nil && len(order) > rows.Len() {
		return nil, fault.Inputf("mismatch", "transcript: %s has %d positions, %s has %d rows", s.Order, len(order), s.Path, rows.Len())
	}
	if err := s.fill(t, rows, order); err != nil {
		return nil, err
	}
	return t, s.wrongSeed(t, len(order))
}

// order reads or draws the order of n rows, its digest and its checks; nil means
// row by row.
func (s Source) order(t *palimpsest.Transcript, n int) (store.Order, error) {
	if s.Order == "" && s.Generator == "" {
		t.Meta.Order = "rows of " + filepath.Base(s.Path)
		return nil, nil
	}
	order, err := s.drawn(t, n)
	if err != nil {
		return nil, err
	}
	t.Meta.N, t.Meta.Order = int64(len(order)), order.Digest()
	ids := make([]int64, len(order))
	for p, id := range order {
		ids[p] = int64(id)
	}
	t.Meta.Checks, err = palimpsest.CheckOrder(ids)
	return order, err
}

// drawn reads the order file and draws the order from its generator, whichever are
// named; if both are, they must be equal, and then the order counts as regenerated.
func (s Source) drawn(t *palimpsest.Transcript, n int) (order store.Order, err error) {
	if s.Order != "" {
		if order, err = store.ReadOrder(s.Order, store.OrderOptions{Direction: store.Direction(s.Kind), DType: s.DType, Padded: s.Padded}); err != nil {
			return nil, err
		}
		n = len(order)
	}
	if s.Generator == "" {
		return order, nil
	}
	again, err := store.Generate(s.Generator, s.Seed, n)
	if err != nil {
		return nil, err
	}
	t.Meta.Generator, t.Meta.Seed = s.Generator, strconv.FormatUint(s.Seed, 10)
	if order == nil {
		return again, nil
	}
	if p, same := order.Equal(again); !same {
		return nil, fault.Inputf("mismatch", "transcript: %s: position %d holds instance %d, the order of %s seed %d has %d there", s.Order, p, order[p], s.Generator, s.Seed, again[p]).
			Hint("another seed (runs that reshuffle add the epoch to it), another generator, or the file is written the other way round (--order-kind)")
	}
	t.Meta.Regenerated = true
	return order, nil
}

// wrongSeed adds the positions that the rows have under the generator's next seed
// but one million: far from the seeds that epochs of the same run take.
func (s Source) wrongSeed(t *palimpsest.Transcript, n int) error {
	if s.Generator == "" {
		return nil
	}
	wrong, err := store.Generate(s.Generator, (s.Seed+1_000_003)%math.MaxUint32, n)
	if err != nil {
		return err
	}
	at := wrong.Inverse()
	for _, id := range t.Seq {
		t.Wrong = append(t.Wrong, int64(at[id]))
	}
	return nil
}

// fill reads the selected rows.
func (s Source) fill(t *palimpsest.Transcript, rows store.Rows, order store.Order) error {
	d := s.Design
	if d.Kind != "all" {
		window := d.Window
		if window == ([2]float64{}) {
			window[1] = 1
		}
		if most := int(float64(t.Meta.N) * (window[1] - window[0])); d.Rows == 0 && most <= 10000 {
			d.Kind = "all"
		}
	}
	positions, err := palimpsest.Select(t.Meta.N, d)
	if err != nil {
		return err
	}
	for _, p := range positions {
		row := p
		if order != nil {
			row = int64(order[p])
		}
		ids, err := rows.Row(int(row), nil)
		if err != nil {
			return err
		}
		if s.Tokens > 0 && len(ids) > s.Tokens {
			ids = ids[:s.Tokens]
		}
		u := make([]uint32, len(ids))
		for i, id := range ids {
			u[i] = uint32(id)
		}
		t.Seq = append(t.Seq, row)
		t.Positions = append(t.Positions, []int64{p})
		t.IDs = append(t.IDs, u)
	}
	return t.Derive()
}

// Documents is a transcript as documents to score: doc_id is seq in decimal.
type Documents struct{ T *palimpsest.Transcript }

// Len returns the number of rows.
func (d Documents) Len() int { return d.T.Len() }

// Docs yields the rows in stored order.
func (d Documents) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		i := 0
		for c, err := range d.T.Contents() {
			if err != nil {
				yield(text.Doc{}, err)
				return
			}
			doc := text.Doc{ID: strconv.FormatInt(d.T.Seq[i], 10), Text: c.Text, HasText: c.IDs == nil}
			for _, id := range c.IDs {
				doc.IDs = append(doc.IDs, int32(id))
			}
			if !yield(doc, nil) {
				return
			}
			i++
		}
	}
}

// Digest identifies the rows of a transcript: SHA-256 over seq, last position and
// content digest of each, in stored order.
func Digest(t *palimpsest.Transcript) string {
	h := sha256.New()
	for i := range t.Seq {
		var b []byte
		b = binary.LittleEndian.AppendUint64(b, uint64(t.Seq[i]))
		for _, p := range t.Positions[i] {
			b = binary.LittleEndian.AppendUint64(b, uint64(p))
		}
		h.Write(append(b, t.SHA256[i][:]...))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
