package zlen

import (
	"bytes"
	_ "embed"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"assay/internal/gen"
)

//go:embed testdata/lengths.txt
var lengths string

// Expected lengths: Python 3.11 zlib.compress over zlib 1.2.13, testdata/lengths.py.
func TestCorpus(t *testing.T) {
	var c Counter
	lines := strings.Fields(lengths)
	if len(lines) != 3*1200 {
		t.Fatalf("%d fields in lengths.txt, want 3600", len(lines))
	}
	for i := range 1200 {
		b := corpus(i)
		got := fmt.Sprint(len(b), crc32.ChecksumIEEE(b))
		if want := lines[3*i] + " " + lines[3*i+1]; got != want {
			t.Fatalf("text %d: size and CRC %s, want %s: the generators differ", i, got, want)
		}
		if n := fmt.Sprint(c.Len(b)); n != lines[3*i+2] {
			t.Errorf("text %d of %d bytes: %s, want %s", i, len(b), n, lines[3*i+2])
		}
	}
}

// wordList is the word list of the ghost page: 7776 words of two syllables.
func wordList(i int) string {
	syl := func(q int) string { return "bcdfghjklmnpqrstvwxz"[q/5:q/5+1] + "aeiou"[q%5:q%5+1] }
	return syl(i/100) + syl(i%100)
}

// Expected lengths: vector V3 of the membership page, Python zlib over zlib 1.2.13.
func TestVectorV3(t *testing.T) {
	var ints []string
	for i := range 200 {
		ints = append(ints, fmt.Sprint(i))
	}
	text := func(seed uint64, index func(g *gen.Stream) int) []byte {
		g := gen.New(seed)
		var ws []string
		for range 40000 {
			ws = append(ws, wordList(index(g)))
		}
		return []byte(strings.Join(ws, " "))
	}
	uniform := text(3, func(g *gen.Stream) int { return g.Below(7776) })
	least := text(4, func(g *gen.Stream) int {
		return min(g.Below(7776), g.Below(7776), g.Below(7776), g.Below(7776))
	})
	random := make([]byte, 70000)
	g := gen.New(5)
	for i := range random {
		random[i] = byte(g.Below(256))
	}
	f := make([]byte, 33000)
	g = gen.New(9)
	for i := range f {
		f[i] = byte(65 + g.Below(16))
	}
	twice := func(n int) []byte { return append(bytes.Clone(f[:n]), f[:n]...) }
	for _, c := range []struct {
		name string
		b    []byte
		want int
	}{
		{"empty", nil, 8},
		{"a", []byte("a"), 9},
		{"pangram", []byte("The quick brown fox jumps over the lazy dog."), 51},
		{"40 a", bytes.Repeat([]byte("a"), 40), 12},
		{"integers", []byte(strings.Join(ints, " ")), 337},
		{"lorem", bytes.Repeat([]byte("Lorem ipsum dolor sit amet, consectetur adipiscing elit. "), 20), 72},
		{"utf-8", []byte("Zażółć gęślą jaźń 日本語テキスト"), 59},
		{"words", uniform, 90441},
		{"least of 4", least, 84987},
		{"least of 4, 100", least[:100], 77},
		{"least of 4, 1000", least[:1000], 528},
		{"least of 4, 10000", least[:10000], 4682},
		{"random", random, 70031},
		{"zeros", make([]byte, 1000000), 991},
		{"F F", twice(33000), 38106},
		{"32000 twice", twice(32000), 19040},
		{"32506 twice", twice(32506), 36832},
		{"32507 twice", twice(32507), 37554},
		{"32768 twice", twice(32768), 37843},
	} {
		if got := Len(c.b); got != c.want {
			t.Errorf("%s: %d bytes give %d, want %d", c.name, len(c.b), got, c.want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	c := new(Counter)
	b := corpus(7)
	if n := testing.AllocsPerRun(5, func() { c.Len(b) }); n != 0 {
		t.Errorf("%v allocations per call, want 0", n)
	}
}

func FuzzLen(f *testing.F) {
	for i := range 20 {
		f.Add(corpus(i)[:min(len(corpus(i)), 3000)], 1)
	}
	f.Add([]byte("abc"), 30000)
	f.Fuzz(func(t *testing.T, b []byte, times int) {
		b = bytes.Repeat(b, min(max(times, 1), 1+200000/(1+len(b))))
		// Stored blocks bound the length; a deflate symbol covers at most 258 bytes.
		n := Len(b)
		if most := len(b) + 5*(1+len(b)/8000) + 6; n < 8 || n > most {
			t.Fatalf("%d bytes give %d, want 8 to %d", len(b), n, most)
		}
	})
}

func BenchmarkLen(b *testing.B) {
	g := gen.New(1)
	for _, n := range []int{256, 4096, 65536, 1 << 20} {
		text := wordText(g, n)
		b.Run(fmt.Sprintf("words/%d", n), func(b *testing.B) {
			var c Counter
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				c.Len(text)
			}
		})
	}
}
