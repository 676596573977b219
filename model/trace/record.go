package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A record is a run of rows of one document in the part file. Long documents
// take several; each names the one before it by its place in the file, and the
// last holds the document's own columns, so a document is there when its last
// record is.
//
//	size u32 (of the body), doc i32, previous i64 (offset in the file, 0 = none), last u32, body
//
// What follows from the policy (pos, window, scored, ctx) is not stored, and no
// compression is worth its time here: about 27 bytes a token.
const recordHead = 20

// recordRows is the most rows in one record, maxRecord the most bytes of its body.
const (
	recordRows = 1 << 16
	maxRecord  = 1 << 26
)

// rowsPerRecord is how many rows with lists of k entries go into one record.
func rowsPerRecord(k int) int { return max(min(recordRows, maxRecord/2/(80+8*k)), 1) }

type recordHeader struct {
	size     uint32
	doc      int32
	previous int64
	last     bool
}

func (h recordHeader) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, h.size)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.doc))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.previous))
	last := uint32(0)
	if h.last {
		last = 1
	}
	return binary.LittleEndian.AppendUint32(b, last)
}

var errRecord = errors.New("record cut short or malformed")

func parseRecordHeader(b []byte) (recordHeader, error) {
	if len(b) < recordHead {
		return recordHeader{}, errRecord
	}
	h := recordHeader{
		size:     binary.LittleEndian.Uint32(b),
		doc:      int32(binary.LittleEndian.Uint32(b[4:])),
		previous: int64(binary.LittleEndian.Uint64(b[8:])),
		last:     b[16] != 0,
	}
	if h.size > maxRecord || h.doc < 0 || h.doc == math.MaxInt32 || h.previous < 0 {
		return h, fmt.Errorf("record of %d bytes, document %d, previous %d: %w", h.size, h.doc, h.previous, errRecord)
	}
	return h, nil
}

// Bits of the columns that a document may lack.
const (
	hasID = 1 << iota
	hasTiles
	hasArgmax
	hasMoments
	hasTopID
	hasTopLogprob
)

// appendRows appends the rows [lo, hi) of t.
func appendRows(b []byte, t *Tokens, lo, hi int) []byte {
	has := byte(0)
	for i, there := range [...]bool{t.ID != nil, t.ByteOff != nil, t.ArgmaxID != nil, t.UMean != nil, t.TopID != nil, t.TopLogprob != nil} {
		if there {
			has |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, uint64(hi-lo))
	b = append(b, has)
	for _, c := range [...][]int32{t.ID, t.ByteLen, t.Rank, t.ArgmaxID} {
		if c != nil {
			for _, v := range c[lo:hi] {
				b = binary.AppendUvarint(b, uint64(uint32(v+1))) // Null is 0
			}
		}
	}
	for _, c := range [...][]float32{t.Logprob, t.Entropy, t.SD, t.ArgmaxLogprob, t.UMean, t.USD} {
		if c != nil {
			b = appendFloats(b, c[lo:hi])
		}
	}
	if t.TopID != nil {
		for _, l := range t.TopID[lo:hi] {
			b = appendLength(b, len(l), l == nil)
			for _, v := range l {
				b = binary.AppendUvarint(b, uint64(uint32(v+1)))
			}
		}
	}
	if t.TopLogprob != nil {
		for _, l := range t.TopLogprob[lo:hi] {
			b = appendLength(b, len(l), l == nil)
			b = appendFloats(b, l)
		}
	}
	return b
}

func appendFloats(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func appendLength(b []byte, n int, null bool) []byte {
	if null {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(n)+1)
}

// body reads what appendRows wrote.
type body struct {
	b   []byte
	err error
}

func (r *body) fail() { r.b, r.err = nil, errRecord }

func (r *body) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *body) ints(dst []int32, n int) []int32 {
	for range n {
		v := r.uvarint()
		if r.err != nil {
			break
		}
		dst = append(dst, int32(uint32(v))-1)
	}
	return dst
}

func (r *body) floats(dst []float32, n int) []float32 {
	if 4*n > len(r.b) {
		r.fail()
		return dst
	}
	for i := range n {
		dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(r.b[4*i:])))
	}
	r.b = r.b[4*n:]
	return dst
}

// rows appends the stored columns of the rows to t; tiles start behind those that
// t has.
func (r *body) rows(t *Tokens) error {
	n := r.uvarint()
	if r.err != nil || n > recordRows || len(r.b) == 0 {
		return errRecord
	}
	has, k := r.b[0], int(n)
	r.b = r.b[1:]
	if has&hasID != 0 {
		t.ID = r.ints(t.ID, k)
	}
	if has&hasTiles != 0 {
		t.ByteLen = r.ints(t.ByteLen, k)
	}
	t.Rank = r.ints(t.Rank, k)
	if has&hasArgmax != 0 {
		t.ArgmaxID = r.ints(t.ArgmaxID, k)
	}
	t.Logprob = r.floats(t.Logprob, k)
	t.Entropy = r.floats(t.Entropy, k)
	t.SD = r.floats(t.SD, k)
	t.ArgmaxLogprob = r.floats(t.ArgmaxLogprob, k)
	if has&hasMoments != 0 {
		t.UMean = r.floats(t.UMean, k)
		t.USD = r.floats(t.USD, k)
	}
	if has&hasTopID != 0 {
		for range k {
			t.TopID = append(t.TopID, lists(r, r.ints))
		}
	}
	if has&hasTopLogprob != 0 {
		for range k {
			t.TopLogprob = append(t.TopLogprob, lists(r, r.floats))
		}
	}
	if r.err == nil && has&hasTiles != 0 {
		at := int64(0)
		if m := len(t.ByteOff); m > 0 {
			at = t.ByteOff[m-1] + int64(t.ByteLen[m-1])
		}
		for _, l := range t.ByteLen[len(t.ByteOff):] {
			t.ByteOff = append(t.ByteOff, at)
			at += int64(l)
		}
	}
	return r.err
}

func lists[T any](r *body, read func([]T, int) []T) []T {
	n := r.uvarint()
	if n == 0 || r.err != nil {
		return nil
	}
	if n-1 > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	return read(make([]T, 0, n-1), int(n-1))
}

// parseRecord reads the body of a last record behind the rows that t has.
func parseRecord(raw []byte, t *Tokens) (Doc, error) {
	r := body{b: raw}
	if err := r.rows(t); err != nil {
		return Doc{}, err
	}
	return parseDoc(r.b, nil)
}
