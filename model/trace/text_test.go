package trace

import (
	"encoding/hex"
	"slices"
	"testing"
)

// Expected counts: Python 3.11, len(re.findall(r"\S+", s)) and len(re.split(r"\s+", s)).
func TestWordsAndPieces(t *testing.T) {
	for _, c := range []struct {
		s             string
		pieces, words int64
	}{
		{"a b", 2, 2}, {" a b ", 4, 2}, {"", 1, 0}, {"  ", 2, 0}, {"a\u00a0b\u2003c", 3, 3}, {"a\u200bb", 1, 1}, {"x\x1cy", 2, 2}, {"a\u0085b", 2, 2},
		{"x\x1b\x1f\x1e\x1dy", 2, 2}, {"a\t\n b", 2, 2}, {"日本\u3000語", 2, 2},
	} {
		if w, p := words([]byte(c.s)); w != c.words || p != c.pieces {
			t.Errorf("%q: %d words, %d pieces; want %d, %d", c.s, w, p, c.words, c.pieces)
		}
	}
}

// Expected digests: the format's toy vector, Python hashlib.
func TestTextDigest(t *testing.T) {
	d := TextDoc(0, "toy", []byte("bbaaddccbbcc"))
	if d.Bytes != 12 || d.Chars != 12 || d.Words != 1 || d.Pieces != 1 || d.Zlib != 20 {
		t.Errorf("%+v", d)
	}
	if got, want := TextDigest([]Doc{d}), "sha256:97a03e4da763a9a552638a33b95093e61046eb180e6c649bbf7dd2b4ba913a99"; got != want {
		t.Errorf("text digest %s, want %s", got, want)
	}
	// Python: hashlib.sha256(struct.pack("<3i", 1, -1, 70000)).hexdigest()
	ids := IDsDoc(3, "i", []int32{1, -1, 70000})
	if got, want := hex.EncodeToString(ids.SHA256[:]), "e6a6d3fdc292c07bec8d893d74cd2831e73c8d764ce26329c24865be48b35d92"; got != want || ids.HasText() {
		t.Errorf("ids digest %s, want %s", got, want)
	}
	c := d.WithContext([]byte("ctx"), 2)
	if TextDigest([]Doc{c}) == TextDigest([]Doc{d}) || c.Context != 2 || d.ContextSHA256 != nil {
		t.Error("the context does not count")
	}
}

// The vector of the format: reported ends with and without trimmed offsets
// (daulet/tokenizers 1.27, tokenizers 0.23) give the same tiles.
func TestTiles(t *testing.T) {
	text := []byte("the quick 日本\n fox ")
	wantOff := []int64{0, 3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21}
	wantLen := []int32{3, 6, 1, 3, 0, 0, 3, 0, 0, 1, 4, 1}
	for _, ends := range [][]int64{
		{3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21, 22},
		{3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21, 21}, // the last token trimmed to nothing
	} {
		off, n, dropped, err := Tiles(ends, text)
		if err != nil || dropped != 0 || !slices.Equal(off, wantOff) || !slices.Equal(n, wantLen) {
			t.Errorf("%v: off %v, len %v, dropped %d, %v", ends, off, n, dropped, err)
		}
	}
	if _, _, dropped, err := Tiles([]int64{3, 9}, text); err != nil || dropped != 13 {
		t.Errorf("dropped %d, %v; want 13", dropped, err)
	}
	if _, _, _, err := Tiles([]int64{23}, text); err == nil {
		t.Error("an end past the text passes")
	}
	if off, n, dropped, err := Tiles(nil, nil); err != nil || len(off)+len(n) != 0 || dropped != 0 {
		t.Error("no tokens")
	}
}

// By hand on the tiles above: a token belongs where the last byte of its tile lies.
func TestSpan(t *testing.T) {
	x := Tokens{ByteOff: []int64{0, 3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21}, ByteLen: []int32{3, 6, 1, 3, 0, 0, 3, 0, 0, 1, 4, 1}}
	for _, c := range []struct {
		start, end int64
		lo, hi     int
		straddle   bool
	}{
		{0, 22, 0, 12, false},
		{0, 3, 0, 1, false},
		{4, 9, 1, 2, true},    // "quick": its tile starts at the space before
		{3, 9, 1, 2, false},   // with the space
		{10, 13, 3, 6, false}, // the code point with its zero-length tiles
		{13, 16, 6, 9, false}, // the other one
		{10, 12, 0, 0, false}, // ends inside a tile
		{11, 13, 3, 6, true},
		{16, 17, 9, 10, false},
		{5, 5, 0, 0, false},
		{22, 30, 0, 0, false},
	} {
		lo, hi, straddle := x.Span(c.start, c.end)
		if lo != c.lo || hi != c.hi || straddle != c.straddle {
			t.Errorf("Span(%d, %d) = %d, %d, %v; want %d, %d, %v", c.start, c.end, lo, hi, straddle, c.lo, c.hi, c.straddle)
		}
	}
	if lo, hi, _ := (Tokens{ID: []int32{1}}).Span(0, 1); lo != 0 || hi != 0 {
		t.Error("a span without tiles")
	}
}

// 1 + 1e100 + 1 - 1e100 = 2 (Neumaier 1974); plain addition gives 0.
func TestSum(t *testing.T) {
	var s sum
	for _, x := range []float64{1, 1e100, 1, -1e100} {
		s.add(x)
	}
	if s.value() != 2 {
		t.Errorf("sum = %v, want 2", s.value())
	}
}

// The constant and the table agree on what a document must have.
func TestRequiredMembers(t *testing.T) {
	n := 0
	for _, c := range docColumns {
		if required(c.name) == c.null {
			t.Errorf("%s: required %v, null %v", c.name, required(c.name), c.null)
		}
		if !c.null {
			n++
		}
	}
	if n != requiredMembers {
		t.Errorf("%d columns without null, requiredMembers is %d", n, requiredMembers)
	}
}
