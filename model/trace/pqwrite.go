package trace

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// blankSeal holds the seal's place until the file is complete.
var blankSeal = strings.Repeat("0", 64)

// table writes one Parquet file.
type table struct {
	f      file
	buf    *bufio.Writer
	hash   hash.Hash // of the file, the seal blank
	size   int64
	w      *parquet.GenericWriter[any]
	cols   []*parquet.ColumnWriter
	specs  []spec
	inRow  int // rows in the open row group
	rows   int64
	values []parquet.Value
	err    error
}

func newTable(f file, name string, cols []spec) *table {
	t := &table{f: f, hash: sha256.New(), specs: cols}
	t.buf = bufio.NewWriterSize(f, 1<<18)
	t.w = parquet.NewGenericWriter[any](t, pqSchema(name, cols),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}),
		parquet.CreatedBy("assay", "1", ""),
		parquet.KeyValueMetadata(sealKey, blankSeal))
	t.cols = t.w.ColumnWriters()
	return t
}

// Write takes what the Parquet writer puts out.
func (t *table) Write(b []byte) (int, error) {
	t.hash.Write(b)
	n, err := t.buf.Write(b)
	t.size += int64(n)
	return n, err
}

// ints writes n values of an optional column from lo on; a nil column is null.
func (t *table) ints(k int, v []int32, lo, n int) {
	null := parquet.NullValue().Level(0, 0, k)
	t.values = t.values[:0]
	for i := range n {
		if v == nil || v[lo+i] == Null {
			t.values = append(t.values, null)
		} else {
			t.values = append(t.values, parquet.Int32Value(v[lo+i]).Level(0, 1, k))
		}
	}
	t.put(k)
}

func (t *table) floats(k int, v []float32, lo, n int) {
	null := parquet.NullValue().Level(0, 0, k)
	t.values = t.values[:0]
	for _, x := range v[lo : lo+n] {
		if x != x {
			t.values = append(t.values, null)
		} else {
			t.values = append(t.values, parquet.FloatValue(x).Level(0, 1, k))
		}
	}
	t.put(k)
}

func (t *table) put(k int) {
	if t.err != nil {
		return
	}
	if _, err := t.cols[k].WriteRowValues(t.values); err != nil {
		t.err = fmt.Errorf("column %s: %w", t.specs[k].name, err)
	}
}

// end counts n rows as written and closes a full row group.
func (t *table) end(n int) error {
	t.inRow += n
	t.rows += int64(n)
	if t.inRow >= groupRows && t.err == nil {
		t.err = t.w.Flush()
		t.inRow = 0
	}
	return t.err
}

// room returns how many of n rows go into the open row group.
func (t *table) room(n int) int { return min(n, groupRows-t.inRow, 4096) }

// finish writes the footer with the header, seals the file and syncs it.
func (t *table) finish(h Header) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	t.w.SetKeyValueMetadata(headerKey, string(b))
	if t.err == nil {
		t.err = t.w.Close()
	}
	if t.err == nil {
		t.err = t.buf.Flush()
	}
	if t.err != nil {
		return t.err
	}
	at, err := findSeal(t.f, t.size)
	if err != nil {
		return err
	}
	if _, err := t.f.WriteAt(hex.AppendEncode(nil, t.hash.Sum(nil)), at); err != nil {
		return err
	}
	return t.f.Sync()
}

// findSeal returns the offset of the seal's 64 digits in the footer of a file.
func findSeal(f io.ReaderAt, size int64) (int64, error) {
	at, footer, err := pqFooter(f, size)
	if err != nil {
		return 0, err
	}
	// A KeyValue in compact thrift: field 1 (key) and field 2 (value), each a
	// length and bytes.
	mark := []byte(fmt.Sprintf("\x18%c%s\x18\x40", len(sealKey), sealKey))
	i := bytes.LastIndex(footer, mark) // behind the statistics, which hold foreign bytes
	if i < 0 || i+len(mark)+64 > len(footer) {
		return 0, errNoSeal
	}
	return at + int64(i+len(mark)), nil
}

var errNoSeal = errors.New("the footer has no seal")

// sealed reports whether the seal of a file is that of its bytes.
func sealed(f io.ReaderAt, size int64) error {
	at, err := findSeal(f, size)
	if err != nil {
		return err
	}
	var found [64]byte
	if _, err := f.ReadAt(found[:], at); err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, at)); err != nil {
		return err
	}
	io.WriteString(h, blankSeal)
	if _, err := io.Copy(h, io.NewSectionReader(f, at+64, size-at-64)); err != nil {
		return err
	}
	if want := hex.EncodeToString(h.Sum(nil)); string(found[:]) != want {
		return fmt.Errorf("seal %.64q, the file gives %s", found, want)
	}
	return nil
}

// Values at the top level of the schema.

func optional(k int, v parquet.Value, null bool) parquet.Value {
	if null {
		return parquet.NullValue().Level(0, 0, k)
	}
	return v.Level(0, 1, k)
}

// tokens writes the rows of a document.
func (t *table) tokens(doc int32, x *Tokens) error {
	for lo := 0; lo < x.Len(); {
		n := t.room(x.Len() - lo)
		t.place(doc, x.Pos[lo:lo+n])
		t.ints(2, x.Window, lo, n)
		t.ints(3, x.ID, lo, n)
		t.offsets(x.ByteOff, lo, n)
		t.ints(5, x.ByteLen, lo, n)
		t.values = t.values[:0]
		for _, v := range x.Scored[lo : lo+n] {
			t.values = append(t.values, parquet.BooleanValue(v).Level(0, 0, 6))
		}
		t.put(6)
		t.ints(7, x.Ctx, lo, n)
		t.floats(8, x.Logprob, lo, n)
		t.floats(9, x.Entropy, lo, n)
		t.floats(10, x.SD, lo, n)
		t.ints(11, x.Rank, lo, n)
		t.ints(12, x.ArgmaxID, lo, n)
		t.floats(13, x.ArgmaxLogprob, lo, n)
		k := len(tokenColumns)
		if k < len(t.specs) && t.specs[k].name == "umean" {
			t.floats(k, x.UMean, lo, n)
			t.floats(k+1, x.USD, lo, n)
			k += 2
		}
		if k < len(t.specs) {
			var ids [][]int32
			if x.TopID != nil {
				ids = x.TopID[lo : lo+n]
			}
			t.lists(k, n, func(i int) (int, bool) { return listLen(ids, i) }, func(i, j int) parquet.Value { return parquet.Int32Value(ids[i][j]) })
			lps := x.TopLogprob[lo : lo+n]
			t.lists(k+1, n, func(i int) (int, bool) { return listLen(lps, i) }, func(i, j int) parquet.Value { return parquet.FloatValue(lps[i][j]) })
		}
		if err := t.end(n); err != nil {
			return err
		}
		lo += n
	}
	return t.err
}

// place writes the columns doc and pos.
func (t *table) place(doc int32, pos []int32) {
	t.values = t.values[:0]
	for range pos {
		t.values = append(t.values, parquet.Int32Value(doc).Level(0, 0, 0))
	}
	t.put(0)
	t.values = t.values[:0]
	for _, p := range pos {
		t.values = append(t.values, parquet.Int32Value(p).Level(0, 0, 1))
	}
	t.put(1)
}

func (t *table) offsets(off []int64, lo, n int) {
	t.values = t.values[:0]
	for i := range n {
		if off == nil {
			t.values = append(t.values, parquet.NullValue().Level(0, 0, 4))
		} else {
			t.values = append(t.values, parquet.Int64Value(off[lo+i]).Level(0, 1, 4))
		}
	}
	t.put(4)
}

func listLen[T any](v [][]T, i int) (n int, null bool) {
	if v == nil || v[i] == nil {
		return 0, true
	}
	return len(v[i]), false
}

// lists writes n rows of a LIST column: definition level 0 null, 1 empty, 2 a value.
func (t *table) lists(k, n int, length func(i int) (int, bool), value func(i, j int) parquet.Value) {
	if t.err != nil {
		return
	}
	t.values = t.values[:0]
	for i := range n {
		m, null := length(i)
		switch {
		case null:
			t.values = append(t.values, parquet.NullValue().Level(0, 0, k))
		case m == 0:
			t.values = append(t.values, parquet.NullValue().Level(0, 1, k))
		}
		for j := range m {
			t.values = append(t.values, value(i, j).Level(min(j, 1), 2, k))
		}
	}
	t.put(k)
}

// doc writes one row of the document table.
func (t *table) doc(d *Doc, scores []string) error {
	k := 0
	next := func(v parquet.Value, null bool) {
		if t.specs[k].null {
			v = optional(k, v, null)
		} else {
			v = v.Level(0, 0, k)
		}
		t.values = append(t.values[:0], v)
		t.put(k)
		k++
	}
	str := func(s string, null bool) { next(parquet.ByteArrayValue([]byte(s)), null) }
	i32 := func(v int32) { next(parquet.Int32Value(v), false) }
	i64 := func(v int64) { next(parquet.Int64Value(v), v == Null) }
	f64 := func(v float64) { next(parquet.DoubleValue(v), math.IsNaN(v)) }
	i32(d.Doc)
	str(d.ID, false)
	str(d.Status, false)
	next(parquet.FixedLenByteArrayValue(d.SHA256[:]), false)
	var context [32]byte
	if d.ContextSHA256 != nil {
		context = *d.ContextSHA256
	}
	next(parquet.FixedLenByteArrayValue(context[:]), d.ContextSHA256 == nil)
	for _, v := range [...]int64{d.Bytes, d.Chars, d.Words, d.Pieces, d.Zlib} {
		i64(v)
	}
	for _, v := range [...]int32{d.Tokens, d.Context, d.Scored, d.Windows} {
		i32(v)
	}
	f64(d.SumLogprob)
	f64(d.SumLogprob2)
	f64(d.SumEntropy)
	i32(d.Greedy)
	label := int32(0)
	if d.Label != nil {
		label = *d.Label
	}
	next(parquet.Int32Value(label), d.Label == nil)
	str(d.Group, d.Group == "")
	next(parquet.Int32Value(days(d.Date)), d.Date.IsZero())
	str(string(d.Meta), d.Meta == nil)
	for _, s := range scores {
		f64(score(d, s))
	}
	return t.end(1)
}
