package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Type is how a tensor's values are stored.
type Type uint32

// The types read here, with ggml's numbers.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q2_K Type = 10
	Q3_K Type = 11
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// format says how many values a block holds and in how many bytes, at which
// bytes its half-precision scales stand, and how to unpack it.
type format struct {
	name          string
	values, bytes int
	scales        []int
	unpack        func(dst []float32, block []byte) // nil: plain numbers
}

// format returns the description of a type that is read here.
func (t Type) format() (format, bool) {
	switch t {
	case F32:
		return format{name: "F32", values: 1, bytes: 4}, true
	case F16:
		return format{name: "F16", values: 1, bytes: 2}, true
	case BF16:
		return format{name: "BF16", values: 1, bytes: 2}, true
	case Q4_0:
		return format{"Q4_0", 32, 18, []int{0}, unpackQ40}, true
	case Q4_1:
		return format{"Q4_1", 32, 20, []int{0, 2}, unpackQ41}, true
	case Q5_0:
		return format{"Q5_0", 32, 22, []int{0}, unpackQ50}, true
	case Q5_1:
		return format{"Q5_1", 32, 24, []int{0, 2}, unpackQ51}, true
	case Q8_0:
		return format{"Q8_0", 32, 34, []int{0}, unpackQ80}, true
	case Q2_K:
		return format{"Q2_K", 256, 84, []int{80, 82}, unpackQ2K}, true
	case Q3_K:
		return format{"Q3_K", 256, 110, []int{108}, unpackQ3K}, true
	case Q4_K:
		return format{"Q4_K", 256, 144, []int{0, 2}, unpackQ4K}, true
	case Q5_K:
		return format{"Q5_K", 256, 176, []int{0, 2}, unpackQ5K}, true
	case Q6_K:
		return format{"Q6_K", 256, 210, []int{208}, unpackQ6K}, true
	}
	return format{}, false
}

func (t Type) String() string {
	if f, ok := t.format(); ok {
		return f.name
	}
	// Types that exist and are refused; gaps have no name.
	names := strings.Split("Q8_1,,,,,,Q8_K,IQ2_XXS,IQ2_XS,IQ3_XXS,IQ1_S,IQ4_NL,IQ3_S,IQ2_S,IQ4_XS,I8,I16,I32,I64,F64,IQ1_M,,,,,TQ1_0,TQ2_0,,,,,MXFP4,NVFP4", ",")
	if i := uint64(t) - 9; i < uint64(len(names)) && names[i] != "" {
		return names[i]
	}
	return fmt.Sprintf("number %d", uint32(t))
}

func typeList() string {
	var names []string
	for t := range BF16 + 1 {
		if f, ok := t.format(); ok {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, " ")
}

// Plain says whether the values are single numbers and not blocks.
func (t Type) Plain() bool { return t == F32 || t == F16 || t == BF16 }

// RowBytes returns the bytes of a row of n values, 0 if n does not fill blocks.
func (t Type) RowBytes(n int) int {
	f, ok := t.format()
	if !ok || n%f.values != 0 {
		return 0
	}
	return n / f.values * f.bytes
}

// size returns the bytes of a tensor with these dimensions, innermost first.
func (f format) size(dims []int) (int64, bool) {
	if len(dims) > 0 && dims[0]%f.values != 0 || len(dims) == 0 && f.values > 1 {
		return 0, false
	}
	n, empty := uint64(f.bytes), false
	for i, d := range dims {
		if i == 0 {
			d /= f.values
		}
		if d == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt/uint64(f.values) { // the values have to be countable too
			return 0, false
		}
		n = lo
	}
	if empty {
		return 0, true
	}
	return int64(n), true
}

// Unpack turns whole blocks into values; len(dst) fits len(src). It panics for
// a plain type.
func (t Type) Unpack(dst []float32, src []byte) {
	f, _ := t.format()
	for len(src) >= f.bytes && len(dst) >= f.values {
		f.unpack(dst[:f.values:f.values], src[:f.bytes:f.bytes])
		dst, src = dst[f.values:], src[f.bytes:]
	}
}

// NonFinite looks at the scales of blocks. It returns the number of values in
// blocks with a scale that is infinite or NaN and the index of the first, and
// whether all scales are zero.
func (t Type) NonFinite(src []byte) (count, first int64, zero bool) {
	f, _ := t.format()
	first, zero = -1, true
	for i := int64(0); len(src) >= f.bytes; i++ {
		bad := false
		for _, at := range f.scales {
			h := binary.LittleEndian.Uint16(src[at:])
			bad = bad || h&0x7c00 == 0x7c00
			zero = zero && h&0x7fff == 0
		}
		if bad {
			count += int64(f.values)
			if first < 0 {
				first = i * int64(f.values)
			}
		}
		src = src[f.bytes:]
	}
	return count, first, zero
}
