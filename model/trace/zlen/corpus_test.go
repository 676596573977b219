package zlen

import (
	"strconv"
	"unicode/utf8"

	"assay/internal/gen"
)

// The texts of testdata/lengths.py, which see.

var words = []string{"the", "of", "and", "a", "in", "to", "is", "was", "it", "for", "as", "on", "with", "by", "at", "that", "from", "his", "he", "an",
	"were", "are", "which", "this", "be", "or", "had", "tokens", "model", "weights", "perplexity", "membership", "ghost", "palimpsest",
	"checkpoint", "trace", "states", "probe", "assay"}

var ranges = [][2]int{{0x41, 26}, {0x61, 26}, {0xe0, 32}, {0x400, 64}, {0x4e00, 4096}, {0x1f600, 64}, {0x20, 1}}

var kinds = []func(g *gen.Stream, size int) []byte{randomBytes, alphabet, wordText, byteRuns, scripts, numbers, copies}

func randomBytes(g *gen.Stream, size int) (out []byte) {
	for len(out) < size {
		out = append(out, byte(g.Below(256)))
	}
	return out
}

func alphabet(g *gen.Stream, size int) (out []byte) {
	k := 2 + g.Below(60)
	for len(out) < size {
		out = append(out, byte(65+g.Below(k)))
	}
	return out
}

func wordText(g *gen.Stream, size int) (out []byte) {
	for len(out) < size {
		out = append(out, words[min(g.Below(len(words)), g.Below(len(words)))]...)
		out = append(out, ' ')
	}
	return out
}

func byteRuns(g *gen.Stream, size int) (out []byte) {
	for len(out) < size {
		c := byte(97 + g.Below(8))
		for n := 1 + g.Below(400); n > 0; n-- {
			out = append(out, c)
		}
	}
	return out
}

func scripts(g *gen.Stream, size int) (out []byte) {
	for len(out) < size {
		r := ranges[g.Below(len(ranges))]
		out = utf8.AppendRune(out, rune(r[0]+g.Below(r[1])))
	}
	return out
}

func numbers(g *gen.Stream, size int) (out []byte) {
	i := g.Below(1e6)
	for len(out) < size {
		out = append(strconv.AppendInt(out, int64(i), 10), '\n')
		i += 1 + g.Below(3)
	}
	return out
}

// copies repeats earlier segments at the distances where the window's edges are.
func copies(g *gen.Stream, size int) (out []byte) {
	for len(out) < size {
		if len(out) < 40 || g.Below(3) == 0 {
			for n := 1 + g.Below(30); n > 0; n-- {
				out = append(out, byte(65+g.Below(50)))
			}
			continue
		}
		far := []int{10, 300, 4096, 4097, 32506, 32507, 32768, 70000}[g.Below(8)]
		at := max(0, len(out)-far-g.Below(3))
		out = append(out, out[at:min(len(out), at+3+g.Below(300))]...)
	}
	return out
}

func mixture(g *gen.Stream, size int) (out []byte) {
	for len(out) < size {
		kind := g.Below(7)
		out = append(out, kinds[kind](g, 1+g.Below(1+size/3))...)
	}
	return out
}

func corpus(i int) []byte {
	g := gen.New(uint64(i))
	var n int
	switch {
	case i%100 == 7:
		n = 60000 + g.Below(80000)
	case i%400 == 13:
		n = 1000000 + g.Below(300000)
	default:
		n = g.Below([]int{4, 40, 400, 4000, 40000}[g.Below(5)])
	}
	switch {
	case n > 1000000:
		return kinds[[]int{2, 3, 6}[i/400]](g, n)
	case i%8 == 7:
		return mixture(g, n)
	default:
		return kinds[i%8](g, n)
	}
}
