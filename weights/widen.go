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

// widenF16 widens IEEE half precision.
func widenF16(dst []float32, src []byte) {
	for len(dst) >= 4 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		dst[0] = fromF16(uint16(v))
		dst[1] = fromF16(uint16(v >> 16))
		dst[2] = fromF16(uint16(v >> 32))
		dst[3] = fromF16(uint16(v >> 48))
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = fromF16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// fromF16 is exact for every bit pattern; a NaN keeps its payload.
func fromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	em := uint32(h & 0x7fff)
	if e := em &^ 0x3ff; e == 0 || e == 0x7c00 {
		return edgeF16(sign, em)
	}
	// The exponent's bias goes from 15 to 127.
	return math.Float32frombits(sign | (em<<13 + 112<<23))
}

// edgeF16 widens zeros, subnormals, infinities and NaN.
func edgeF16(sign, em uint32) float32 {
	if em >= 0x7c00 {
		return math.Float32frombits(sign | 0x7f800000 | (em&0x3ff)<<13)
	}
	// em counts multiples of 2^-24; both factors are exact.
	return math.Float32frombits(sign | math.Float32bits(float32(em)*0x1p-24))
}

// roundF64 rounds to nearest, ties to even.
func roundF64(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}
