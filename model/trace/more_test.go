package trace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/compress/zstd"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace/part"
	"assay/model/trace/window"
)

// Reported ends may fall back; tiles do not.
func TestTilesDoNotOverlap(t *testing.T) {
	off, n, dropped, err := Tiles([]int64{3, 2, 5}, []byte("hello"))
	if err != nil || dropped != 0 || !slices.Equal(off, []int64{0, 3, 3}) || !slices.Equal(n, []int32{3, 0, 2}) {
		t.Errorf("off %v, len %v, dropped %d, %v", off, n, dropped, err)
	}
}

func TestShardRange(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 5, 31)
	w, err := Create("x.jsonl", of, Options{From: 1, To: 3, disk: newMem()})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []int{0, 3} {
		x := docs[k].without(Options{})
		if err := w.Append(x.Doc, x.Tokens); fault.As(err) == nil || !strings.Contains(err.Error(), "outside [1, 3)") {
			t.Errorf("document %d in shard [1, 3): %v", k, err)
		}
	}
	appendAll(t, w, docs[2:3], Options{})
	if _, err := w.Close(); fault.As(err) == nil || !strings.Contains(err.Error(), "1 of 2 documents stored, the first missing is 1") {
		t.Errorf("Close: %v", err)
	}
	of.Text = ""
	if _, err := Create("x.jsonl", of, Options{From: 1, To: 3, disk: newMem()}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("a shard without the digest of the input: %v", err)
	}
}

// Records that name themselves, or each other, as the one before end in an error.
func TestRecordsInACircle(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 1, 32)
	d := newMem()
	o := Options{disk: d}
	w, err := Create("x.jsonl", of, o)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, docs, Options{})
	last := bytes.Clone(w.pending)
	head, err := w.partHeader()
	if err != nil {
		t.Fatal(err)
	}
	at := w.frames.Payload()
	loop := recordHeader{doc: 0, previous: at}.append(nil) // an empty record before itself
	last[8], last[9], last[10] = byte(at), byte(at>>8), byte(at>>16)
	d = newMem()
	f, _ := d.create("x.jsonl.part")
	p, err := part.NewWriter(f, head)
	if err == nil {
		err = p.Frame(1, append(loop, last...))
	}
	if err != nil {
		t.Fatal(err)
	}
	if w, err = Resume("x.jsonl", of, Options{disk: d}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); fault.As(err) == nil || !strings.Contains(err.Error(), "is not its own") {
		t.Errorf("Close: %v", err)
	}
}

// Random access inside and across the pages of a row group.
func TestRandomPages(t *testing.T) {
	of := toyIdentity()
	of.Policy, of.Text = window.Policy{Name: "full", Window: 100, PrefixIDs: []int32{0}}, ""
	d := newMem()
	w, err := Create("x.parquet", of, Options{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	const n, rows = 2400, 50
	text := bytes.Repeat([]byte("ab"), rows)
	base := TextDoc(0, "", text)
	for k := range n {
		x := newTokens(rows)
		x.ID, x.ByteOff, x.ByteLen = make([]int32, rows), make([]int64, rows), make([]int32, rows)
		for i := range rows {
			x.ByteOff[i], x.ByteLen[i] = int64(2*i), 2
			x.Logprob[i], x.ArgmaxLogprob[i], x.Entropy[i], x.Rank[i] = -3-float32(k)/n, -1, 1.2, 1
		}
		b := base
		b.Doc, b.ID = int32(k), fmt.Sprint(k)
		if err := w.Append(b, x); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := open(d, "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	g := gen.New(33)
	for range 60 {
		k := g.Below(n)
		for _, doc := range []int{k, max(k-3, 0), min(k+2, n-1)} {
			x, err := r.Tokens(int32(doc))
			if err != nil {
				t.Fatal(err)
			}
			if want := -3 - float32(doc)/n; x.Logprob[0] != want || x.Logprob[rows-1] != want || x.ByteOff[rows-1] != 2*(rows-1) {
				t.Fatalf("document %d: logprob %v to %v, want %v", doc, x.Logprob[0], x.Logprob[rows-1], want)
			}
		}
	}
}

// A shard whose tokens were changed, with its seal and digests of lines gone.
func TestMergeChecksTokens(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 4, 34)
	d := newMem()
	p := shards(t, d, "jsonl", of, docs, Options{}, 2, 4)
	b := d.files[p[1]].b
	i := bytes.Index(b, []byte(`"sd":[null,`)) + len(`"sd":[null,`)
	b[i] = '2' // any other leading digit is a lawful sd
	if j := bytes.LastIndex(b, []byte(`,"sha256":"`)); j > 0 {
		b = append(b[:j:j], "}}\n"...)
	}
	d.put(p[1], b)
	if _, err := MergeWith("m.jsonl", MergeOptions{disk: d}, p...); fault.As(err) == nil || !strings.Contains(err.Error(), "s1.jsonl: content") {
		t.Errorf("merge: %v", err)
	}
}

// Tables of one run that differ in the documents alone are not a pair.
func TestPairDocuments(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 4, 35)
	d := newMem()
	writeAll(t, d, "a.parquet", of, docs, Options{})
	docs[0].Doc.Group = "another"
	writeAll(t, d, "b.parquet", of, docs, Options{})
	d.put("a.docs.parquet", d.files["b.docs.parquet"].b)
	if _, err := open(d, "a.parquet"); fault.As(err) == nil || !strings.Contains(err.Error(), "not of one trace") {
		t.Errorf("open: %v", err)
	}
}

// The bound that headers give is exact for frames that claim a size, as an encoder
// writes them from 256 bytes on, and every cut is noticed.
func TestZstdBound(t *testing.T) {
	z := &zstd.Codec{Level: zstd.SpeedDefault}
	for _, n := range []int{256, 257, 1000, 65791, 65792, 300000} {
		raw := bytes.Repeat([]byte("some text, "), n/11+1)[:n]
		b, err := z.Encode(nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := checkZstd(b, int64(n)); err != nil || got != int64(n) {
			t.Errorf("%d bytes: bound %d, %v", n, got, err)
		}
		if got, err := checkZstd(slices.Concat(b, b), int64(2*n)); err != nil || got != int64(2*n) {
			t.Errorf("two frames of %d bytes: bound %d, %v", n, got, err)
		}
		if _, err := checkZstd(b, int64(n)-200000); n > 200000 && err == nil {
			t.Errorf("%d bytes pass as fewer", n)
		}
		for cut := 1; cut < len(b); cut += 1 + len(b)/50 {
			if _, err := checkZstd(b[:cut], int64(n)); err == nil {
				t.Errorf("%d bytes cut at %d of %d pass", n, cut, len(b))
			}
		}
	}
}

// Hostile claims in a footer or page header are refused before anything is
// allocated for them.
func TestFooterClaims(t *testing.T) {
	for name, b := range map[string][]byte{
		"two billion row groups":  {0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0},
		"list longer than bytes":  {0x29, 0xf5, 0xff, 0x7f, 0},
		"string longer than file": {0x68, 0xff, 0xff, 0xff, 0x0f, 'x', 0},
		"no stop":                 {0x15, 0x02},
		"deep":                    bytes.Repeat([]byte{0x1c}, 100),
		"map":                     {0x1b, 0x01, 0x88, 0},
		"trailing":                {0, 0},
	} {
		if err := checkFooter(b); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	h := pageHeader{packed: 10, unpacked: maxPageBytes + 1, values: 1}
	for _, h := range []pageHeader{h, {packed: 11}, {packed: -1}, {packed: 5, unpacked: 5, values: maxPageValues + 1}, {packed: 5, unpacked: 5, levels: 6}} {
		if h.check(10) == nil {
			t.Errorf("page header %+v passes", h)
		}
	}
}
