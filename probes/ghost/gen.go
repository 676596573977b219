package ghost

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// block is block(label, k, j, c): HMAC-SHA256 under the seed. Labels keep
// the uses apart; the version string in front keeps them apart from every
// other use of the same key.
func block(seed [32]byte, label string, k, j, c int) [32]byte {
	m := hmac.New(sha256.New, seed[:])
	m.Write([]byte("assay.secret/1\x00"))
	m.Write([]byte(label))
	m.Write([]byte{0})
	var b [12]byte
	binary.BigEndian.PutUint32(b[0:], uint32(k))
	binary.BigEndian.PutUint32(b[4:], uint32(j))
	binary.BigEndian.PutUint32(b[8:], uint32(c))
	m.Write(b[:])
	var out [32]byte
	m.Sum(out[:0])
	return out
}

// stream reads the blocks c = 0, 1, ... of one (label, k, j) as big-endian
// 32-bit integers.
type stream struct {
	seed    [32]byte
	label   string
	k, j, c int
	buf     [32]byte
	at      int // next unread byte of buf; 32 = refill
}

func newStream(seed [32]byte, label string, k, j int) *stream {
	return &stream{seed: seed, label: label, k: k, j: j, at: 32}
}

func (s *stream) uint32() uint32 {
	if s.at == len(s.buf) {
		s.buf = block(s.seed, s.label, s.k, s.j, s.c)
		s.c++
		s.at = 0
	}
	v := binary.BigEndian.Uint32(s.buf[s.at:])
	s.at += 4
	return v
}

// below returns a uniform integer in [0, m), m >= 1. It refuses the incomplete
// last cycle of 2^32, so there is no modulo bias.
func (s *stream) below(m int) int {
	limit := uint64(1<<32) / uint64(m) * uint64(m)
	for {
		if v := uint64(s.uint32()); v < limit {
			return int(v % uint64(m))
		}
	}
}

// perm returns a uniform permutation of 0..n-1 (Fisher and Yates, from the top).
func (s *stream) perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := s.below(i + 1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// NonceCommitment is what the beacon form publishes first: SHA-256(03 nonce).
func NonceCommitment(nonce [32]byte) [32]byte {
	return sha256.Sum256(append([]byte{3}, nonce[:]...))
}

// BeaconSeed is the seed of the beacon form: HMAC-SHA256(nonce, "assay.beacon/1"
// 00 beacon). The beacon is a public random value that appeared after the
// nonce commitment; with it nobody can try many seeds until the planted
// phrase happens to be likely.
func BeaconSeed(nonce [32]byte, beacon []byte) [32]byte {
	m := hmac.New(sha256.New, nonce[:])
	m.Write([]byte("assay.beacon/1\x00"))
	m.Write(beacon)
	var out [32]byte
	m.Sum(out[:0])
	return out
}
