package text

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The first case is the vector of byte-level BPE with offsets from
// daulet/tokenizers 1.27 and tokenizers 0.23, under both settings of
// trim_offsets; the tiles must agree. The others by hand.
func TestTiles(t *testing.T) {
	const quick = "the quick 日本\n fox "
	tests := []struct {
		name    string
		text    string
		ends    []int64
		off     []int64
		length  []int32
		dropped int
	}{
		{"split characters", quick, []int64{3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21, 22},
			[]int64{0, 3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21}, []int32{3, 6, 1, 3, 0, 0, 3, 0, 0, 1, 4, 1}, 0},
		{"trimmed last space", quick, []int64{3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21, 21},
			[]int64{0, 3, 9, 10, 13, 13, 13, 16, 16, 16, 17, 21}, []int32{3, 6, 1, 3, 0, 0, 3, 0, 0, 1, 4, 1}, 0},
		{"white space left", "ab \x1c\u2003", []int64{2}, []int64{0}, []int32{7}, 0},
		{"text left", "ab c", []int64{2}, []int64{0}, []int32{2}, 2},
		{"no tokens", "ab", nil, []int64{}, []int32{}, 2},
		{"nothing", "", nil, []int64{}, []int32{}, 0},
		{"falling ends", "abcd", []int64{3, 1, 4}, []int64{0, 3, 3}, []int32{3, 0, 1}, 0},
		{"end past the text", "ab", []int64{9, 9}, []int64{0, 2}, []int32{2, 0}, 0},
		{"combining mark", "e\u0301", []int64{1}, []int64{0}, []int32{1}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			off, length, dropped := Tiles(tt.ends, tt.text)
			if !slices.Equal(off, tt.off) || !slices.Equal(length, tt.length) || dropped != tt.dropped {
				t.Errorf("got %v %v %d, want %v %v %d", off, length, dropped, tt.off, tt.length, tt.dropped)
			}
		})
	}
}

// Tiles follow each other without gap or overlap and end with the text less
// what was dropped, whatever the ends are.
func TestTilesTile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		text := "some text with spaces  "[:rng.IntN(24)]
		ends := make([]int64, rng.IntN(8))
		for i := range ends {
			ends[i] = rng.Int64N(30)
		}
		off, length, dropped := Tiles(ends, text)
		var at int64
		for i := range off {
			if off[i] != at || length[i] < 0 {
				t.Fatalf("%q %v: tile %d starts at %d with length %d, want start %d", text, ends, i, off[i], length[i], at)
			}
			at += int64(length[i])
		}
		if at+int64(dropped) != int64(len(text)) {
			t.Fatalf("%q %v: tiles end at %d, %d dropped, want together %d", text, ends, at, dropped, len(text))
		}
	}
}
