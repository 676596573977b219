package model

import "math"

// Rope is a rotary embedding: the first Dim channels of a head are rotated,
// channel c with c + Dim/2, or, Interleaved, 2c with 2c+1. (In memory the rows
// of q and k stand in one order for all, see channelOrder.)
type Rope struct {
	Dim         int  `json:"dim"`
	Interleaved bool `json:"interleaved,omitempty"`
	// Freq are the inverse frequencies of the Dim/2 pairs, Factor multiplies cos and sin (0 = 1).
	Freq   []Float `json:"freq"`
	Factor Float   `json:"factor,omitempty"`
	// Long replaces Freq for every position of a window longer than Original
	// (longrope); nil = never.
	Long     []Float `json:"long,omitempty"`
	Original int     `json:"original,omitempty"`

	extension string // how positions were extended, for people; the numbers are above
}

// long reports whether a window of n inputs takes the long frequencies.
func (r *Rope) long(n int) bool { return r != nil && r.Long != nil && n > r.Original }

// table fills cos or sin (the other may be nil), [T, 2, hd/2], for positions
// 0..T-1: channel c of the first half rotates with channel c of the second,
// whose sine is positive. Channels that are not rotated have cos 1, sin 0.
// Angles are float64, rounded once.
func (r *Rope) table(T, hd int, long bool, cos, sin []float32) { r.rows(0, T, hd, long, cos, sin) }

// rows is table for positions from, from+1, ... from+T-1.
func (r *Rope) rows(from, T, hd int, long bool, cos, sin []float32) {
	freq, half := r.Freq, hd/2
	if long {
		freq = r.Long
	}
	factor := one(r.Factor)
	for i := range cos {
		cos[i] = 1
	}
	clear(sin)
	for t := range T {
		for c := range r.Dim / 2 {
			s, k := math.Sincos(float64(from+t) * float64(freq[c]))
			a, b := t*hd+c, t*hd+half+c
			if cos != nil {
				cos[a], cos[b] = float32(k*factor), float32(k*factor)
			}
			if sin != nil {
				sin[a], sin[b] = float32(-s*factor), float32(s*factor)
			}
		}
	}
}

// one reads a multiplier whose zero value means 1.
func one(f Float) float64 {
	if f == 0 {
		return 1
	}
	return float64(f)
}

// slopes returns the ALiBi slopes of n heads (Press et al. 2022): powers of
// 2^(-8/p) for the largest power of two p <= n, then every second power of the
// sequence for 2p.
func slopes(n int) []float64 {
	p := 1
	for 2*p <= n {
		p *= 2
	}
	s := make([]float64, n)
	for i := range s {
		if i < p {
			s[i] = math.Exp2(-8 * float64(i+1) / float64(p))
		} else {
			s[i] = math.Exp2(-4 * float64(2*(i-p)+1) / float64(p))
		}
	}
	return s
}

// roundBF16 rounds to the nearest bfloat16, ties to even.
func roundBF16(x float32) float32 {
	b := math.Float32bits(x)
	b += 0x7fff + b>>16&1
	return math.Float32frombits(b &^ 0xffff)
}
