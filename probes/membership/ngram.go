package membership

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"assay/internal/fault"
)

// Overlap compares a generated continuation with the true rest of a text.
type Overlap struct {
	Generated, True int     // words
	Common          [13]int // Common[L]: generated words in common runs of at least L words, L 1..12
	Index           float64 // sum over L = 2..12 of Common[L]/Generated
	Parity          float64 // the same with the L = 2 term of the public code, which equals L = 3
	LongestWords    int
	LongestChars    int // longest common substring, code points
}

// Cover is the share of generated words in common runs of at least n words.
func (o Overlap) Cover(n int) float64 { return float64(o.Common[n]) / float64(o.Generated) }

// CoverRef divides by the longer of the two.
func (o Overlap) CoverRef(n int) float64 {
	return float64(o.Common[n]) / float64(max(o.Generated, o.True))
}

// CoverMean is the balanced form 2c/(G + max(G, R)).
func (o Overlap) CoverMean(n int) float64 {
	return 2 * float64(o.Common[n]) / float64(o.Generated+max(o.Generated, o.True))
}

// NGrams measures how far a continuation copies the true rest. Words are of the
// NFC form, split at white space with punctuation apart, case kept. An empty rest is
// an error; an empty generation gives zeros.
func NGrams(generated, rest string) (Overlap, error) {
	g, r := words(generated), words(rest)
	o := Overlap{Generated: len(g), True: len(r)}
	if len(r) == 0 {
		return o, fault.Inputf("empty", "membership: n-gram cover: the true rest is empty")
	}
	if len(g) == 0 {
		return o, nil
	}
	// run[i] = length of the longest common run that word i of g belongs to.
	run := make([]int, len(g))
	prev := make([]int, len(r)+1)
	for i := range g {
		cur := make([]int, len(r)+1)
		best := 0
		for j := range r {
			if g[i] == r[j] {
				cur[j+1] = prev[j] + 1
				best = max(best, cur[j+1])
			}
		}
		for k := range best {
			run[i-k] = max(run[i-k], best)
		}
		prev = cur
	}
	for _, n := range run {
		o.LongestWords = max(o.LongestWords, n)
		for l := 1; l <= min(n, 12); l++ {
			o.Common[l]++
		}
	}
	for l := 2; l <= 12; l++ {
		o.Index += o.Cover(l)
	}
	o.Parity = o.Index - o.Cover(2) + o.Cover(3)
	o.LongestChars = longest([]rune(norm.NFC.String(generated)), []rune(norm.NFC.String(rest)))
	return o, nil
}

func words(s string) []string {
	var out []string
	var w strings.Builder
	flush := func() {
		if w.Len() > 0 {
			out = append(out, w.String())
			w.Reset()
		}
	}
	for _, r := range norm.NFC.String(s) {
		switch {
		case unicode.IsSpace(r):
			flush()
		case unicode.IsPunct(r):
			flush()
			out = append(out, string(r))
		default:
			w.WriteRune(r)
		}
	}
	flush()
	return out
}

func longest(a, b []rune) int {
	prev, best := make([]int, len(b)+1), 0
	cur := make([]int, len(b)+1)
	for i := range a {
		for j := range b {
			if a[i] == b[j] {
				cur[j+1] = prev[j] + 1
				best = max(best, cur[j+1])
			} else {
				cur[j+1] = 0
			}
		}
		prev, cur = cur, prev
	}
	return best
}
