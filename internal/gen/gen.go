// Package gen is the deterministic number stream of the published test
// vectors: splitmix64 and the three draws that the vectors are written in.
// A vector that says gen(7) means New(7) and then the draws in the order named.
//
// It refuses to be a source of randomness for a test of assay: randomisation
// of results uses math/rand/v2 with named streams. Its only merit is that ten
// lines in any language repeat it bit for bit.
//
// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators" (OOPSLA 2014), with the constants of Vigna's splitmix64.c.
package gen

// Stream is one generator. The zero value is seed 0.
type Stream struct{ s uint64 }

// New returns the stream of a seed.
func New(seed uint64) *Stream { return &Stream{s: seed} }

// Uint64 returns the next 64 bits of splitmix64.
func (g *Stream) Uint64() uint64 {
	g.s += 0x9e3779b97f4a7c15
	z := g.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// U returns the next uniform number in [0, 1), a multiple of 2^-53.
func (g *Stream) U() float64 { return float64(g.Uint64()>>11) * 0x1p-53 }

// Below returns the next integer in [0, n): floor(U * n).
func (g *Stream) Below(n int) int { return int(g.U() * float64(n)) }

// Z returns an approximately standard normal number: twelve U added from left
// to right starting at 0, minus 6. Mean 0, variance 1, range [-6, 6).
func (g *Stream) Z() float64 {
	t := 0.0
	for range 12 {
		t += g.U()
	}
	return t - 6
}
