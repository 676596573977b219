package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
)

// column hashes the values of one column as they come: the values in
// little-endian order, null with all bits of its fixed part one.
type column struct {
	name, typ string
	n         uint64
	h         hash.Hash
	buf       []byte
}

func newColumn(name, typ string) *column {
	return &column{name: name, typ: typ, h: sha256.New(), buf: make([]byte, 0, 1<<13)}
}

// room empties the buffer when fewer than n bytes are left in it.
func (c *column) room(n int) {
	if len(c.buf)+n > cap(c.buf) {
		c.h.Write(c.buf)
		c.buf = c.buf[:0]
	}
}

func (c *column) u32(v uint32) {
	c.n++
	c.room(4)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, v)
}

func (c *column) u64(v uint64) {
	c.n++
	c.room(8)
	c.buf = binary.LittleEndian.AppendUint64(c.buf, v)
}

// i32s takes values in which Null, whose bits are all one, is null.
func (c *column) i32s(vs []int32) {
	for len(vs) > 0 {
		c.room(4 * min(len(vs), 256))
		n := min(len(vs), 256)
		for _, v := range vs[:n] {
			c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(v))
		}
		c.n += uint64(n)
		vs = vs[n:]
	}
}

func (c *column) i64s(vs []int64) {
	for _, v := range vs {
		c.u64(uint64(v))
	}
}

// f32s takes values in which NaN is null.
func (c *column) f32s(vs []float32) {
	for len(vs) > 0 {
		c.room(4 * min(len(vs), 256))
		n := min(len(vs), 256)
		for _, v := range vs[:n] {
			b := math.Float32bits(v)
			if v != v {
				b = math.MaxUint32
			}
			c.buf = binary.LittleEndian.AppendUint32(c.buf, b)
		}
		c.n += uint64(n)
		vs = vs[n:]
	}
}

func (c *column) f64(v float64) {
	if math.IsNaN(v) {
		c.u64(math.MaxUint64)
		return
	}
	c.u64(math.Float64bits(v))
}

func (c *column) bools(vs []bool) {
	for _, v := range vs {
		c.room(1)
		b := byte(0)
		if v {
			b = 1
		}
		c.buf = append(c.buf, b)
	}
	c.n += uint64(len(vs))
}

// nulls adds n nulls of a fixed part of size bytes.
func (c *column) nulls(n, size int) {
	for range n {
		c.room(size)
		for range size {
			c.buf = append(c.buf, 0xff)
		}
	}
	c.n += uint64(n)
}

func (c *column) bytes32(v *[32]byte) {
	if v == nil {
		c.nulls(1, 32)
		return
	}
	c.n++
	c.room(32)
	c.buf = append(c.buf, v[:]...)
}

// str adds a string; ok false is null.
func (c *column) str(v string, ok bool) {
	if !ok {
		c.u32(math.MaxUint32)
		return
	}
	c.u32(uint32(len(v)))
	c.room(math.MaxInt32) // empty the buffer: the string may be longer than it
	c.h.Write([]byte(v))
}

// i32Lists and f32Lists take nil as null.
func (c *column) i32Lists(vs [][]int32) {
	for _, v := range vs {
		c.length(len(v), v == nil)
		for _, x := range v {
			c.room(4)
			c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(x))
		}
	}
}

func (c *column) f32Lists(vs [][]float32) {
	for _, v := range vs {
		c.length(len(v), v == nil)
		for _, x := range v {
			c.room(4)
			c.buf = binary.LittleEndian.AppendUint32(c.buf, math.Float32bits(x))
		}
	}
}

func (c *column) length(n int, null bool) {
	if null {
		c.u32(math.MaxUint32)
		return
	}
	c.u32(uint32(n))
}

// values returns the SHA-256 of the values so far.
func (c *column) values() [32]byte {
	c.h.Write(c.buf)
	c.buf = c.buf[:0]
	return [32]byte(c.h.Sum(nil))
}

// rowsDigest combines columns, in order, into the rows digest of a table.
func rowsDigest(cols []*column) string {
	h := sha256.New()
	h.Write([]byte("assay.rows/1\n"))
	for _, c := range cols {
		v := c.values()
		b := append(append(append([]byte(c.name), 0), c.typ...), 0)
		b = append(binary.LittleEndian.AppendUint64(b, c.n), v[:]...)
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// extraDigests maps optional columns to the digests of their values.
func extraDigests(dst map[string]string, cols []*column) {
	for _, c := range cols {
		v := c.values()
		dst[c.name] = hex.EncodeToString(v[:])
	}
}

// digester computes both rows digests of a trace from documents in order.
type digester struct {
	tokens, docs           []*column
	tokenExtra, docExtra   []*column
	moments, topk, perDocs bool
	scores                 []string
}

func newDigester(o Options) *digester {
	d := &digester{moments: o.Moments, topk: o.TopK > 0, perDocs: o.PerDocument, scores: o.Scores}
	for _, c := range tokenColumns {
		d.tokens = append(d.tokens, newColumn(c.name, c.typ))
	}
	for _, c := range docColumns {
		d.docs = append(d.docs, newColumn(c.name, c.typ))
	}
	if o.Moments {
		d.tokenExtra = append(d.tokenExtra, newColumn("umean", "f32"), newColumn("usd", "f32"))
	}
	if o.TopK > 0 {
		d.tokenExtra = append(d.tokenExtra, newColumn("top_id", "list<i32>"), newColumn("top_logprob", "list<f32>"))
	}
	for _, s := range o.Scores {
		d.docExtra = append(d.docExtra, newColumn(scorePrefix+s, "f64"))
	}
	return d
}

// add takes one document with its rows (none in compact mode).
func (d *digester) add(doc *Doc, t *Tokens) {
	c := d.docs
	ints := []int64{doc.Bytes, doc.Chars, doc.Words, doc.Pieces, doc.Zlib}
	small := []int32{doc.Tokens, doc.Context, doc.Scored, doc.Windows}
	c[0].u32(uint32(doc.Doc))
	c[1].str(doc.ID, true)
	c[2].str(doc.Status, true)
	c[3].bytes32(&doc.SHA256)
	c[4].bytes32(doc.ContextSHA256)
	for i, v := range ints {
		c[5+i].u64(uint64(v))
	}
	for i, v := range small {
		c[10+i].u32(uint32(v))
	}
	c[14].f64(doc.SumLogprob)
	c[15].f64(doc.SumLogprob2)
	c[16].f64(doc.SumEntropy)
	c[17].u32(uint32(doc.Greedy))
	if doc.Label == nil {
		c[18].nulls(1, 4)
	} else {
		c[18].u32(uint32(*doc.Label))
	}
	c[19].str(doc.Group, doc.Group != "")
	if doc.Date.IsZero() {
		c[20].nulls(1, 4)
	} else {
		c[20].u32(uint32(days(doc.Date)))
	}
	c[21].str(string(doc.Meta), doc.Meta != nil)
	for i, s := range d.scores {
		d.docExtra[i].f64(score(doc, s))
	}
	if !d.perDocs {
		d.addTokens(doc.Doc, t)
	}
}

func (d *digester) addTokens(doc int32, t *Tokens) {
	n := t.Len()
	c := d.tokens
	for range n {
		c[0].u32(uint32(doc))
	}
	orNull := func(c *column, v []int32) {
		if v == nil {
			c.nulls(n, 4)
			return
		}
		c.i32s(v)
	}
	c[1].i32s(t.Pos)
	c[2].i32s(t.Window)
	orNull(c[3], t.ID)
	if t.ByteOff == nil {
		c[4].nulls(n, 8)
	} else {
		c[4].i64s(t.ByteOff)
	}
	orNull(c[5], t.ByteLen)
	c[6].bools(t.Scored)
	c[7].i32s(t.Ctx)
	c[8].f32s(t.Logprob)
	c[9].f32s(t.Entropy)
	c[10].f32s(t.SD)
	c[11].i32s(t.Rank)
	orNull(c[12], t.ArgmaxID)
	c[13].f32s(t.ArgmaxLogprob)
	e := d.tokenExtra
	if d.moments {
		e[0].f32s(t.UMean)
		e[1].f32s(t.USD)
		e = e[2:]
	}
	if d.topk {
		if t.TopID == nil {
			e[0].nulls(n, 4)
		} else {
			e[0].i32Lists(t.TopID)
		}
		e[1].f32Lists(t.TopLogprob)
	}
}

// content returns the digests of what was added.
func (d *digester) content() Content {
	c := Content{Docs: rowsDigest(d.docs)}
	if !d.perDocs {
		c.Tokens = rowsDigest(d.tokens)
	}
	if len(d.tokenExtra)+len(d.docExtra) > 0 {
		c.Extra = map[string]string{}
		extraDigests(c.Extra, d.tokenExtra)
		extraDigests(c.Extra, d.docExtra)
	}
	return c
}
