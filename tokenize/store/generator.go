package store

import "math/bits"

// PCG64 is numpy's default generator, seeded as numpy.random.default_rng(seed)
// is: PCG XSL-RR 128/64 (O'Neill 2014) with its state from SeedSequence. Each
// 64-bit output gives its low half first. math/rand/v2 has PCG-DXSM, which is
// another generator.
type PCG64 struct {
	hi, lo       uint64 // state
	incHi, incLo uint64
	half         uint32
	full         bool
}

// NewPCG64 returns the generator of a seed. Runs that reshuffle each epoch add
// the epoch to the seed.
func NewPCG64(seed uint64) *PCG64 {
	w := seedSequence(seed)
	p := &PCG64{}
	p.incHi, p.incLo = w[2]<<1|w[3]>>63, w[3]<<1|1
	p.step()
	var carry uint64
	p.lo, carry = bits.Add64(p.lo, w[1], 0)
	p.hi, _ = bits.Add64(p.hi, w[0], carry)
	p.step()
	return p
}

func (p *PCG64) step() {
	const mulHi, mulLo = 2549297995355413924, 4865540595714422341
	hi, lo := bits.Mul64(p.lo, mulLo)
	hi += p.hi*mulLo + p.lo*mulHi
	var carry uint64
	p.lo, carry = bits.Add64(lo, p.incLo, 0)
	p.hi, _ = bits.Add64(hi, p.incHi, carry)
}

// Uint64 returns the next output. It does not touch a half that Uint32 kept.
func (p *PCG64) Uint64() uint64 {
	p.step()
	return bits.RotateLeft64(p.hi^p.lo, -int(p.hi>>58))
}

// Uint32 returns the low half of an output, then its high half.
func (p *PCG64) Uint32() uint32 {
	if p.full {
		p.full = false
		return p.half
	}
	x := p.Uint64()
	p.half, p.full = uint32(x>>32), true
	return uint32(x)
}

// seedSequence is numpy.random.SeedSequence(seed).generate_state(4, uint64):
// the entropy is hashed into a pool of four words, which are mixed with each
// other and hashed out again (O'Neill, "Developing a seed_seq alternative").
func seedSequence(seed uint64) (out [4]uint64) {
	const (
		initA, multA = 0x43b0d7e5, 0x931e8875
		initB, multB = 0x8b51f9dd, 0x58f38ded
		mixL, mixR   = 0xca01f9dd, 0x4973f715
	)
	hash := uint32(initA)
	hashed := func(v uint32) uint32 {
		v ^= hash
		hash *= multA
		v *= hash
		return v ^ v>>16
	}
	mix := func(x, y uint32) uint32 {
		r := x*mixL - y*mixR
		return r ^ r>>16
	}
	// numpy writes an integer as its 32-bit words, low first, and fills the pool
	// with hashes of zero after them: the same as leading zero words.
	pool := [4]uint32{hashed(uint32(seed)), 0, 0, 0}
	pool[1] = hashed(uint32(seed >> 32))
	pool[2], pool[3] = hashed(0), hashed(0)
	for src := range pool {
		for dst := range pool {
			if src != dst {
				pool[dst] = mix(pool[dst], hashed(pool[src]))
			}
		}
	}
	hash = initB
	for i := range 8 {
		v := pool[i%4] ^ hash
		hash *= multB
		v *= hash
		v ^= v >> 16
		out[i/2] |= uint64(v) << (32 * (i % 2))
	}
	return out
}

// MT19937 is the Mersenne Twister (Matsumoto and Nishimura 1998), seeded as
// numpy.random.RandomState(seed) is.
type MT19937 struct {
	state [624]uint32
	at    int
}

// NewMT19937 returns the generator of a seed.
func NewMT19937(seed uint32) *MT19937 {
	m := &MT19937{at: 624}
	m.state[0] = seed
	for i := 1; i < len(m.state); i++ {
		prev := m.state[i-1]
		m.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return m
}

// Uint32 returns the next output.
func (m *MT19937) Uint32() uint32 {
	if m.at == len(m.state) {
		m.twist()
	}
	y := m.state[m.at]
	m.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (m *MT19937) twist() {
	n := len(m.state)
	for i := range n {
		y := m.state[i]&0x80000000 | m.state[(i+1)%n]&0x7fffffff
		next := m.state[(i+397)%n] ^ y>>1
		if y&1 != 0 {
			next ^= 0x9908b0df
		}
		m.state[i] = next
	}
	m.at = 0
}
