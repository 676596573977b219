package weights

import (
	"encoding/binary"
	"math"
)

// The loops below take four values a step from one 64-bit load, which keeps
// them near the speed of memory without assembly. Data need not be aligned, so
// nothing is cast.

// widenF32 copies little-endian float32 values.
func widenF32(dst []float32, src []byte) {
	for len(dst) >= 2 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		dst[0] = math.Float32frombits(uint32(v))
		dst[1] = math.Float32frombits(uint32(v >> 32))
		dst, src = dst[2:], src[8:]
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

// widenBF16 widens bfloat16, which is the upper half of a float32.
func widenBF16(dst []float32, src []byte) {
	for len(dst) >= 4 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		dst[0] = math.Float32frombits(uint32(v) << 16)
		dst[1] = math.Float32frombits(uint32(v) & 0xffff0000)
		dst[2] = math.Float32frombits(uint32(v>>32) << 16)
		dst[3] = math.Float32frombits(uint32(v>>32) & 0xffff0000)
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

// widenF16 widens IEEE half precision. One test finds words whose four values
// are all normal, as nearly all are.
func widenF16(dst []float32, src []byte) {
	const exponent, low, high = 0x7c00_7c00_7c00_7c00, 0x0400_0400_0400_0400, 0x8000_8000_8000_8000
	for len(dst) >= 4 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		// An exponent of 31 carries when 1 is added, one of 0 does not when 31 is.
		if e := v & exponent; (e+low)&high == 0 && (e+exponent)&high == high {
			dst[0] = normalF16(uint32(v))
			dst[1] = normalF16(uint32(v >> 16))
			dst[2] = normalF16(uint32(v >> 32))
			dst[3] = normalF16(uint32(v >> 48))
		} else {
			dst[0] = fromF16(uint16(v))
			dst[1] = fromF16(uint16(v >> 16))
			dst[2] = fromF16(uint16(v >> 32))
			dst[3] = fromF16(uint16(v >> 48))
		}
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = fromF16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// normalF16 widens the low half of h, a normal value: the exponent's bias goes
// from 15 to 127.
func normalF16(h uint32) float32 {
	return math.Float32frombits(h<<16&0x8000_0000 | (h<<13&0x0fff_e000 + 112<<23))
}

// fromF16 is exact for every bit pattern; a NaN keeps its payload.
func fromF16(h uint16) float32 {
	if e := h & 0x7c00; e == 0 || e == 0x7c00 {
		return edgeF16(uint32(h&0x8000)<<16, uint32(h&0x7fff))
	}
	return normalF16(uint32(h))
}

// edgeF16 widens zeros, subnormals, infinities and NaN.
func edgeF16(sign, em uint32) float32 {
	if em >= 0x7c00 {
		return math.Float32frombits(sign | 0x7f800000 | (em&0x3ff)<<13)
	}
	// em counts multiples of 2^-24; both factors are exact.
	return math.Float32frombits(sign | math.Float32bits(float32(em)*0x1p-24))
}

// roundF64 rounds to nearest, ties to even. It returns the index of the first
// finite value that became infinite, or -1.
func roundF64(dst []float32, src []byte) int {
	overflow := -1
	for i := range dst {
		v := math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		dst[i] = float32(v)
		if overflow < 0 && math.IsInf(float64(dst[i]), 0) && !math.IsInf(v, 0) {
			overflow = i
		}
	}
	return overflow
}
