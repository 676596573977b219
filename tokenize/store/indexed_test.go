package store

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"assay/internal/fault"
)

// idx is what an .idx file says; the zero tail means no modes.
type idx struct {
	magic    string
	version  uint64
	code     byte
	n, d     uint64
	sizes    []int32
	pointers []int64
	docs     []int64
	tail     []byte
}

// twoDocuments are 5 6 7 and 8 9 as u16.
func twoDocuments() idx {
	return idx{"MMIDIDX\x00\x00", 1, 8, 2, 3, []int32{3, 2}, []int64{0, 6}, []int64{0, 1, 2}, nil}
}

func (x idx) bytes() []byte {
	b := binary.LittleEndian.AppendUint64([]byte(x.magic), x.version)
	b = binary.LittleEndian.AppendUint64(append(b, x.code), x.n)
	b = binary.LittleEndian.AppendUint64(b, x.d)
	for _, v := range x.sizes {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	for _, v := range slices.Concat(x.pointers, x.docs) {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return append(b, x.tail...)
}

func putPair(t testing.TB, index, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.idx")
	for p, b := range map[string][]byte{path: index, filepath.Join(dir, "x.bin"): data} {
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestIndexed(t *testing.T) {
	want := [][]int32{{5, 6, 7}, {8, 9}}
	with := func(change func(*idx)) []byte {
		x := twoDocuments()
		change(&x)
		return x.bytes()
	}
	for name, x := range map[string]struct {
		index, data []byte
	}{
		"u16":        {twoDocuments().bytes(), le16(5, 6, 7, 8, 9)},
		"with modes": {with(func(x *idx) { x.tail = []byte{0, 0} }), le16(5, 6, 7, 8, 9)},
		"i16":        {with(func(x *idx) { x.code = 3 }), le16(5, 6, 7, 8, 9)},
		"u8":         {with(func(x *idx) { x.code, x.pointers = 1, []int64{0, 3} }), []byte{5, 6, 7, 8, 9}},
		"i8":         {with(func(x *idx) { x.code, x.pointers = 2, []int64{0, 3} }), []byte{5, 6, 7, 8, 9}},
		"i32":        {with(func(x *idx) { x.code, x.pointers = 4, []int64{0, 12} }), le16(5, 0, 6, 0, 7, 0, 8, 0, 9, 0)},
		"i64": {with(func(x *idx) { x.code, x.pointers = 5, []int64{0, 24} }),
			le16(5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Open(putPair(t, x.index, x.data), Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkRows(t, r, want)
		})
	}
	t.Run("a negative id", func(t *testing.T) {
		r, err := Open(putPair(t, with(func(x *idx) { x.code = 3 }), le16(5, 0xffff, 7, 8, 9)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = r.Row(0, nil)
		checkClass(t, err, fault.Input, "item 1: found -1")
	})
}

func TestIndexedRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*idx)
		part   string
	}{
		{"magic", func(x *idx) { x.magic = "MMIDIDX\x00\x01" }, "want the magic"},
		{"version", func(x *idx) { x.version = 2 }, "version 2"},
		{"float", func(x *idx) { x.code = 6 }, "dtype code 6"},
		{"double", func(x *idx) { x.code = 7 }, "dtype code 7"},
		{"more sequences than bytes", func(x *idx) { x.n = 1 << 62 }, "want 12 or 13"},
		{"counts that wrap", func(x *idx) { x.n, x.d = 1<<60, 1<<61 }, "want 12 or 13"},
		{"cut", func(x *idx) { x.docs = x.docs[:2] }, "want 12 or 13"},
		{"bytes left", func(x *idx) { x.tail = []byte{0, 0, 0} }, "want 12 or 13"},
		{"no sequences", func(x *idx) { *x = idx{magic: x.magic, version: 1, code: 8} }, "no sequences"},
		{"pointer outside", func(x *idx) { x.pointers[1] = 8 }, "sequence 1: found 2 ids from byte 8"},
		{"pointer far outside", func(x *idx) { x.pointers[1] = 1<<62 + 2 }, "sequence 1"},
		{"pointer negative", func(x *idx) { x.pointers[1] = -2 }, "found pointer -2"},
		{"pointer between ids", func(x *idx) { x.pointers[1] = 5 }, "found pointer 5"},
		{"size negative", func(x *idx) { x.sizes[0] = -3 }, "sequence 0: found size -3"},
		{"size too large", func(x *idx) { x.sizes[0] = 1 << 30 }, "sequence 0"},
		{"documents fall", func(x *idx) { x.docs[2] = 0 }, "document 2: found sequence 0"},
		{"document outside", func(x *idx) { x.docs[2] = 3 }, "document 2: found sequence 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := twoDocuments()
			tt.change(&x)
			_, err := OpenIndexed(putPair(t, x.bytes(), le16(5, 6, 7, 8, 9)))
			checkClass(t, err, fault.Input, tt.part)
		})
	}
	_, err := OpenIndexed(putPair(t, twoDocuments().bytes(), append(le16(5, 6, 7, 8, 9), 1)))
	checkClass(t, err, fault.Input, "multiple of the 2")
	_, err = OpenIndexed(putPair(t, nil, nil))
	checkClass(t, err, fault.Input, "header of 34")
	_, err = OpenIndexed(put(t, "y.idx", twoDocuments().bytes()))
	checkClass(t, err, fault.Input, "y.bin")
	_, err = Open(putPair(t, twoDocuments().bytes(), le16(5, 6, 7, 8, 9)), Options{Sample: "s.npy"})
	checkClass(t, err, fault.Usage, "found 1 of the doc, sample and shuffle indices")
}

func le32(x ...int32) (b []byte) {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

const (
	header1 = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }"
	header2 = "{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }"
)

// The mapping of Megatron's GPTDataset, by hand: documents 5 6 7 and 8 9 in the
// order second, first; samples of three ids that share one with the next.
func TestSamples(t *testing.T) {
	pair := putPair(t, twoDocuments().bytes(), le16(5, 6, 7, 8, 9))
	doc, shuffle := npy(t, header1, le32(1, 0)), npy(t, header1, le32(1, 0))
	sample := npy(t, header2, le32(0, 0, 1, 0, 1, 2))
	r, err := Open(pair, Options{Doc: doc, Sample: sample, Shuffle: shuffle})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := r.(*Samples).Order(); err != nil || !slices.Equal(o, Order{1, 0}) {
		t.Errorf("Order = %v, %v; want [1 0]", o, err)
	}
	checkRows(t, r, [][]int32{{5, 6, 7}, {8, 9, 5}})

	for _, tt := range []struct {
		name, doc, sample, shuffle, part string
		late                             bool // found when the row is read
	}{
		{"document outside", npy(t, header1, le32(2, 0)), sample, shuffle, "entry 0: found 2, want 0 to 1", false},
		{"sample outside", doc, sample, npy(t, header1, le32(0, 2)), "entry 1: found 2, want 0 to 1", false},
		{"sample index of one dimension", doc, doc, shuffle, "want two or more rows of 2", false},
		{"document index of two", sample, sample, shuffle, "want one dimension", false},
		{"documents fall", doc, npy(t, header2, le32(1, 0, 0, 0, 1, 2)), shuffle, "want them to rise", true},
		{"past the document index", doc, npy(t, header2, le32(0, 0, 2, 0, 2, 2)), shuffle, "want them to rise", true},
		{"negative", doc, npy(t, header2, le32(-1, 0, 0, 0, 1, 2)), shuffle, "want them to rise", true},
		{"last id outside", doc, npy(t, header2, le32(0, 0, 1, 3, 1, 3)), shuffle, "of a document of 3", true},
		{"first id outside", doc, npy(t, header2, le32(0, 3, 1, 0, 1, 2)), shuffle, "ids 3 to 2 of a document of 2", true},
		{"first id negative", doc, npy(t, header2, le32(0, -1, 1, 0, 1, 2)), shuffle, "ids -1 to 2", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := OpenSamples(pair, tt.doc, tt.sample, tt.shuffle)
			if tt.late {
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				_, err = s.Row(1, nil) // sample 0
				if err == nil {
					_, err = s.Row(0, nil)
				}
			}
			checkClass(t, err, fault.Input, tt.part)
		})
	}
}
