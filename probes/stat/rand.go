package stat

import (
	"math/bits"
	"math/rand/v2"
)

// NewRand returns the generator of replicate j of a named stream: PCG-DXSM
// (math/rand/v2) whose two seed words are hashes of (seed, stream) and of
// (seed, stream, j). Equal arguments give equal sequences on every machine;
// different ones give unrelated sequences.
func NewRand(seed uint64, stream string, j uint64) *rand.Rand {
	return rand.New(newPCG(seed, stream, j))
}

func newPCG(seed uint64, stream string, j uint64) *rand.PCG {
	h := mix64(seed ^ 0xcbf29ce484222325)
	for i := range len(stream) {
		h = mix64(h ^ uint64(stream[i]))
	}
	return rand.NewPCG(h, mix64(h+mix64(j)))
}

// mix64 is the output function of splitmix64 (Steele, Lea and Flood 2014).
func mix64(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns an unbiased integer in [0, n), n > 0: Lemire's multiplication
// with rejection (ACM TOMACS 29(1), 2019). rand.Rand.Uint64N goes through an
// interface and takes twice as long in the permutation loop.
func below(g *rand.PCG, n uint64) uint64 {
	hi, lo := bits.Mul64(g.Uint64(), n)
	if lo < n {
		for t := -n % n; lo < t; {
			hi, lo = bits.Mul64(g.Uint64(), n)
		}
	}
	return hi
}
