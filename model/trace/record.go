package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go/compress/zstd"
)

// A record is a run of rows of one document in the part file. Long documents
// take several; each names the one before it by its place in the file, and the
// last holds the document's own columns, so a document is there when its last
// record is.
//
//	stored u32, raw u32 (bytes of the body in the file and unpacked; equal if not
//	compressed), previous i64 (offset in the file, 0 = none), doc i32, last u32, body
const recordHead = 24

// recordRows is the most rows in one record, maxRecord the most bytes of its
// unpacked body; documents with long lists take more records.
const (
	recordRows = 1 << 16
	maxRecord  = 1 << 26
)

// rowsPerRecord is how many rows with lists of k entries go into one record.
func rowsPerRecord(k int) int { return max(min(recordRows, maxRecord/2/(80+8*k)), 1) }

type recordHeader struct {
	stored, raw uint32
	previous    int64
	doc         int32
	last        bool
}

func (h recordHeader) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, h.stored)
	b = binary.LittleEndian.AppendUint32(b, h.raw)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.previous))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.doc))
	last := uint32(0)
	if h.last {
		last = 1
	}
	return binary.LittleEndian.AppendUint32(b, last)
}

func parseRecordHeader(b []byte) (recordHeader, error) {
	if len(b) < recordHead {
		return recordHeader{}, errors.New("record cut short")
	}
	h := recordHeader{
		stored:   binary.LittleEndian.Uint32(b),
		raw:      binary.LittleEndian.Uint32(b[4:]),
		previous: int64(binary.LittleEndian.Uint64(b[8:])),
		doc:      int32(binary.LittleEndian.Uint32(b[16:])),
		last:     b[20] != 0,
	}
	if h.stored > h.raw || h.raw > maxRecord || h.doc < 0 || h.doc == math.MaxInt32 || h.previous < 0 {
		return h, fmt.Errorf("record of %d bytes for %d, document %d, previous %d", h.stored, h.raw, h.doc, h.previous)
	}
	return h, nil
}

// pack compresses a body when that makes it smaller.
func pack(z *zstd.Codec, raw []byte) ([]byte, error) {
	if len(raw) < 256 {
		return raw, nil
	}
	b, err := z.Encode(nil, raw)
	if err != nil || len(b) >= len(raw) {
		return raw, err
	}
	return b, nil
}

func unpack(z *zstd.Codec, h recordHeader, body []byte) ([]byte, error) {
	if uint32(len(body)) != h.stored {
		return nil, errors.New("record cut short")
	}
	if h.stored == h.raw {
		return body, nil
	}
	if most, err := checkZstd(body, int64(h.raw)); err != nil || most < int64(h.raw) {
		return nil, fmt.Errorf("record of %d bytes for %d: %w", h.stored, h.raw, errors.Join(err, errZstd))
	}
	raw, err := z.Decode(make([]byte, 0, h.raw), body)
	if err == nil && uint32(len(raw)) != h.raw {
		err = fmt.Errorf("record unpacks to %d bytes, want %d", len(raw), h.raw)
	}
	return raw, err
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
	has := uint32(0)
	for bit, there := range map[uint32]bool{hasID: t.ID != nil, hasTiles: t.ByteOff != nil, hasArgmax: t.ArgmaxID != nil,
		hasMoments: t.UMean != nil, hasTopID: t.TopID != nil, hasTopLogprob: t.TopLogprob != nil} {
		if there {
			has |= bit
		}
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(hi-lo))
	b = binary.LittleEndian.AppendUint32(b, has)
	for _, c := range [][]int32{t.Pos, t.Window, t.ID, t.ByteLen, t.Ctx, t.Rank, t.ArgmaxID} {
		if c != nil {
			for _, v := range c[lo:hi] {
				b = binary.LittleEndian.AppendUint32(b, uint32(v))
			}
		}
	}
	if t.ByteOff != nil {
		for _, v := range t.ByteOff[lo:hi] {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	}
	for _, v := range t.Scored[lo:hi] {
		x := byte(0)
		if v {
			x = 1
		}
		b = append(b, x)
	}
	for _, c := range [][]float32{t.Logprob, t.Entropy, t.SD, t.ArgmaxLogprob, t.UMean, t.USD} {
		if c != nil {
			b = appendFloats(b, c[lo:hi])
		}
	}
	if t.TopID != nil {
		for _, l := range t.TopID[lo:hi] {
			b = appendLength(b, len(l), l == nil)
			for _, v := range l {
				b = binary.LittleEndian.AppendUint32(b, uint32(v))
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
		n = math.MaxUint32
	}
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// body reads what appendRows wrote.
type body struct {
	b   []byte
	err error
}

func (r *body) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.err = errors.New("record cut short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *body) u32() int {
	if b := r.take(4); b != nil {
		return int(binary.LittleEndian.Uint32(b))
	}
	return 0
}

func (r *body) ints(dst []int32, n int) []int32 {
	b := r.take(4 * n)
	for i := 0; i+4 <= len(b); i += 4 {
		dst = append(dst, int32(binary.LittleEndian.Uint32(b[i:])))
	}
	return dst
}

func (r *body) floats(dst []float32, n int) []float32 {
	b := r.take(4 * n)
	for i := 0; i+4 <= len(b); i += 4 {
		dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(b[i:])))
	}
	return dst
}

// rows appends the rows to t.
func (r *body) rows(t *Tokens) error {
	n, has := r.u32(), r.u32()
	if r.err == nil && n > recordRows {
		r.err = fmt.Errorf("record of %d rows, want at most %d", n, recordRows)
	}
	if r.err != nil {
		return r.err
	}
	t.Pos = r.ints(t.Pos, n)
	t.Window = r.ints(t.Window, n)
	if has&hasID != 0 {
		t.ID = r.ints(t.ID, n)
	}
	if has&hasTiles != 0 {
		t.ByteLen = r.ints(t.ByteLen, n)
	}
	t.Ctx = r.ints(t.Ctx, n)
	t.Rank = r.ints(t.Rank, n)
	if has&hasArgmax != 0 {
		t.ArgmaxID = r.ints(t.ArgmaxID, n)
	}
	if has&hasTiles != 0 {
		b := r.take(8 * n)
		for i := 0; i+8 <= len(b); i += 8 {
			t.ByteOff = append(t.ByteOff, int64(binary.LittleEndian.Uint64(b[i:])))
		}
	}
	for _, x := range r.take(n) {
		t.Scored = append(t.Scored, x != 0)
	}
	t.Logprob = r.floats(t.Logprob, n)
	t.Entropy = r.floats(t.Entropy, n)
	t.SD = r.floats(t.SD, n)
	t.ArgmaxLogprob = r.floats(t.ArgmaxLogprob, n)
	if has&hasMoments != 0 {
		t.UMean = r.floats(t.UMean, n)
		t.USD = r.floats(t.USD, n)
	}
	if has&hasTopID != 0 {
		for range n {
			t.TopID = append(t.TopID, lists(r, r.ints))
		}
	}
	if has&hasTopLogprob != 0 {
		for range n {
			t.TopLogprob = append(t.TopLogprob, lists(r, r.floats))
		}
	}
	return r.err
}

func lists[T any](r *body, read func([]T, int) []T) []T {
	n := r.u32()
	if n == math.MaxUint32 || r.err != nil {
		return nil
	}
	if n > len(r.b)/4 {
		r.err = errors.New("record cut short")
		return nil
	}
	return read(make([]T, 0, n), n)
}
