package gguf

import (
	"encoding/binary"
	"math"
)

// Every product below is exact: a scale of 11 significant bits times one of at
// most 8 bits times a value of at most 6 (Q8_0: 11 and 8) fits the 24 bits of a
// float32. So only the last subtraction rounds, and the values are ggml's bit
// for bit however the compiler orders or fuses the operations.

// half widens the half-precision number at the start of b.
func half(b []byte) float32 {
	h := binary.LittleEndian.Uint16(b)
	sign, em := uint32(h&0x8000)<<16, uint32(h&0x7fff)
	switch e := em >> 10; e {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(em)*0x1p-24))
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | em&0x3ff<<13)
	}
	return math.Float32frombits(sign | (em<<13 + 112<<23))
}

func unpackQ40(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		dst[i] = d * float32(int(q&15)-8)
		dst[i+16] = d * float32(int(q>>4)-8)
	}
}

func unpackQ41(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i, q := range b[4:20] {
		dst[i] = float32(d*float32(q&15)) + m
		dst[i+16] = float32(d*float32(q>>4)) + m
	}
}

func unpackQ50(dst []float32, b []byte) {
	d, h := half(b), binary.LittleEndian.Uint32(b[2:])
	for i, q := range b[6:22] {
		lo, hi := int(q&15)|int(h>>i&1)<<4, int(q>>4)|int(h>>(i+16)&1)<<4
		dst[i] = d * float32(lo-16)
		dst[i+16] = d * float32(hi-16)
	}
}

func unpackQ51(dst []float32, b []byte) {
	d, m, h := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i, q := range b[8:24] {
		lo, hi := int(q&15)|int(h>>i&1)<<4, int(q>>4)|int(h>>(i+16)&1)<<4
		dst[i] = float32(d*float32(lo)) + m
		dst[i+16] = float32(d*float32(hi)) + m
	}
}

func unpackQ80(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:34] {
		dst[i] = d * float32(int8(q))
	}
}

// unpackQ2K: 16 groups of 16 values; two bits per value, four values of
// distance 32 in a byte of each half.
func unpackQ2K(dst []float32, b []byte) {
	scales, q, d, m := b[:16], b[16:80], half(b[80:]), half(b[82:])
	for g := range 16 {
		// Group g takes bits 2*(g/2%4) of 16 bytes of half g/8.
		from, shift := q[g/8*32+g%2*16:], g/2%4*2
		scale, low := float32(d*float32(scales[g]&15)), float32(m*float32(scales[g]>>4))
		for i := range 16 {
			dst[16*g+i] = float32(scale*float32(from[i]>>shift&3)) - low
		}
	}
}

// unpackQ3K: as Q2_K with a third bit in h and 6-bit signed scales.
func unpackQ3K(dst []float32, b []byte) {
	h, q, packed, d := b[:32], b[32:96], b[96:108], half(b[108:])
	for g := range 16 {
		// Low four bits in bytes 0 to 7, high two in bytes 8 to 11.
		s := int(packed[g%8]>>(g/8*4)&15) | int(packed[8+g%4]>>(g/4*2)&3)<<4
		scale := d * float32(s-32)
		from, shift := q[g/8*32+g%2*16:], g/2%4*2
		high, bit := h[g%2*16:], g/2
		for i := range 16 {
			v := int(from[i]>>shift&3) - 4*int(1-high[i]>>bit&1)
			dst[16*g+i] = scale * float32(v)
		}
	}
}

// scaleMin unpacks the 6-bit scale and minimum of group g of Q4_K and Q5_K.
func scaleMin(s []byte, g int) (scale, low float32) {
	if g < 4 {
		return float32(s[g] & 63), float32(s[g+4] & 63)
	}
	return float32(s[g+4]&15 | s[g-4]>>6<<4), float32(s[g+4]>>4 | s[g]>>6<<4)
}

func unpackQ4K(dst []float32, b []byte) {
	d, m, s, q := half(b), half(b[2:]), b[4:16], b[16:144]
	for g := range 8 {
		scale, low := scaleMin(s, g)
		scale, low = d*scale, m*low
		for i, v := range q[g/2*32 : g/2*32+32] {
			dst[32*g+i] = float32(scale*float32(v>>(g%2*4)&15)) - low
		}
	}
}

func unpackQ5K(dst []float32, b []byte) {
	d, m, s, h, q := half(b), half(b[2:]), b[4:16], b[16:48], b[48:176]
	for g := range 8 {
		scale, low := scaleMin(s, g)
		scale, low = d*scale, m*low
		for i, v := range q[g/2*32 : g/2*32+32] {
			n := v>>(g%2*4)&15 | h[i]>>g&1<<4
			dst[32*g+i] = float32(scale*float32(n)) - low
		}
	}
}

func unpackQ6K(dst []float32, b []byte) {
	low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
	for half := range 2 {
		l, h := low[64*half:], high[32*half:]
		for part := range 4 { // 32 values each
			for i := range 32 {
				q := int(l[part%2*32+i]>>(part/2*4)&15) | int(h[i]>>(2*part)&3)<<4
				scale := d * float32(int8(scales[8*half+2*part+i/16]))
				dst[128*half+32*part+i] = scale * float32(q-32)
			}
		}
	}
}
