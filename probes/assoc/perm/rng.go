package perm

// Stream is splitmix64 (Steele, Lea, Flood 2014): a counter and a mixer, so
// that replicate r of a seed is found without drawing the r-1 before it and
// results do not depend on how replicates are shared out.
type Stream struct{ state uint64 }

const golden = 0x9E3779B97F4A7C15

func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return z ^ (z >> 31)
}

// NewStream returns the stream of a seed.
func NewStream(seed uint64) *Stream { return &Stream{seed} }

// Replicate returns the stream of replicate r = 1, 2, ...: its state is the
// r-th output of the stream of seed.
func Replicate(seed uint64, r int) Stream { return Stream{mix(seed + uint64(r)*golden)} }

// Uint64 returns the next 64 bits.
func (s *Stream) Uint64() uint64 {
	s.state += golden
	return mix(s.state)
}

// Float64 returns a number in [0, 1): the upper 53 bits.
func (s *Stream) Float64() float64 { return float64(s.Uint64()>>11) * 0x1p-53 }

// Index returns floor(U n), in [0, n).
func (s *Stream) Index(n int) int { return int(s.Float64() * float64(n)) }

// Normal returns the sum of 12 uniforms minus 6: variance 1, nearly normal,
// and the same in every language, which is what test vectors need.
func (s *Stream) Normal() float64 {
	var t float64
	for range 12 {
		t += s.Float64()
	}
	return t - 6
}
