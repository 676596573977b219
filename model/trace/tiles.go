package trace

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Tiles turns the ends (in bytes) that a tokenizer reports for its tokens into
// tiles: spans that do not overlap and, unless the tokenizer dropped text, cover
// the document. Leading white space belongs to the token that follows it and a
// split code point to its first token, whether or not the tokenizer trims the
// offsets it reports. dropped is the number of bytes behind the last tile.
func Tiles(ends []int64, text []byte) (off []int64, length []int32, dropped int64, err error) {
	off, length = make([]int64, len(ends)), make([]int32, len(ends))
	at := int64(0)
	for i, e := range ends {
		if e < 0 || e > int64(len(text)) {
			return nil, nil, 0, fmt.Errorf("trace: token %d: end %d, want 0 to %d", i, e, len(text))
		}
		if i == len(ends)-1 && onlySpace(text[max(at, e):]) {
			e = int64(len(text))
		}
		e = max(at, e)
		off[i], length[i] = at, int32(e-at)
		at = e
	}
	return off, length, int64(len(text)) - at, nil
}

// onlySpace is about what a tokenizer's trimming leaves out: Unicode white space.
func onlySpace(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if !unicode.IsSpace(r) {
			return false
		}
		b = b[n:]
	}
	return true
}

// Span returns the rows [lo, hi) that belong to bytes [start, end) of the
// document: those whose tile's last byte lies in it, a zero-length tile with the
// token before it. straddle reports that the first of them starts before start.
// Without byte offsets, or for an empty span, it returns 0, 0.
func (t Tokens) Span(start, end int64) (lo, hi int, straddle bool) {
	if t.ByteOff == nil || start >= end {
		return 0, 0, false
	}
	// Tile ends do not fall: a tile belongs when its end is in (start, end].
	lo = t.endsAfter(start)
	hi = t.endsAfter(end)
	// A zero-length tile ends where the tile before it does and goes with that one;
	// before the first tile of the document there is none, and it belongs nowhere.
	if lo >= hi {
		return 0, 0, false
	}
	return lo, hi, t.ByteOff[lo] < start
}

// endsAfter returns the first row whose tile ends after byte x.
func (t Tokens) endsAfter(x int64) int {
	lo, hi := 0, len(t.ByteOff)
	for lo < hi {
		m := (lo + hi) / 2
		if t.ByteOff[m]+int64(t.ByteLen[m]) > x {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}
