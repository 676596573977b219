package weights

import (
	"encoding/binary"
	"math"

	"assay/internal/fault"
	"assay/weights/internal/mapped"
)

// Values reads ranges of one tensor, so that a caller can go through a tensor of
// any size with a small buffer. It is for one goroutine.
type Values struct {
	c     *Checkpoint
	t     *tensor
	whole []float32 // of a packed GGUF tensor, which is unpacked at once
}

// Values opens the named tensor for Read.
func (c *Checkpoint) Values(name string) (*Values, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t, err := c.tensor(name)
	if err != nil {
		return nil, err
	}
	if t.block == nil && t.DType.Size() == 0 {
		return nil, fault.Inputf("unsupported", "weights: tensor %q: found dtype %s, which has no values that could be read", name, t.DType)
	}
	return &Values{c: c, t: t}, nil
}

// Read fills dst with the values from index at on, in the order of the file,
// widened without rounding. 64-bit integers beyond 2^53 have no float64 and are
// refused. Values of a packed GGUF tensor are those that F32 gives; the first
// call unpacks the tensor, which takes 4 bytes a value until the reader is dropped.
func (v *Values) Read(at int, dst []float64) error {
	t := v.t
	if at < 0 || at > t.Len()-len(dst) {
		return fault.Inputf("tensor", "weights: tensor %q: values %d to %d: found %d, want a range inside", t.Name, at, at+len(dst), t.Len())
	}
	if t.block != nil {
		if v.whole == nil {
			v.whole = make([]float32, t.Len())
			if err := v.c.F32(t.Name, v.whole); err != nil {
				return err
			}
		}
		for i := range dst {
			dst[i] = float64(v.whole[at+i])
		}
		return nil
	}
	v.c.mu.RLock()
	defer v.c.mu.RUnlock()
	if v.c.closed {
		return errClosed(t.Name)
	}
	size := t.DType.Size()
	err := mapped.Guard(func() error {
		if i := widenAny(dst, t.raw()[at*size:], t.DType); i >= 0 {
			return fault.Inputf("unsupported", "weights: tensor %q: index %d: found an integer beyond 2^53, which float64 cannot hold", t.Name, at+i)
		}
		return nil
	})
	if err = cmpErr(err, t.file.Changed()); err != nil && fault.As(err) == nil {
		return pathError(t.File, err)
	}
	return err
}

// widenAny returns the index of the first value that float64 cannot hold, or -1.
func widenAny(dst []float64, src []byte, d DType) int {
	le := binary.LittleEndian
	var at func(i int) float64
	switch d {
	case F64:
		at = func(i int) float64 { return math.Float64frombits(le.Uint64(src[8*i:])) }
	case F32:
		at = func(i int) float64 { return float64(math.Float32frombits(le.Uint32(src[4*i:]))) }
	case BF16:
		at = func(i int) float64 { return float64(math.Float32frombits(uint32(le.Uint16(src[2*i:])) << 16)) }
	case F16:
		at = func(i int) float64 { return float64(fromF16(le.Uint16(src[2*i:]))) }
	case F8E5M2:
		at = func(i int) float64 { return float64(fromF16(uint16(src[i]) << 8)) }
	case F8E4M3:
		at = func(i int) float64 { return fromE4M3(src[i]) }
	case I32:
		at = func(i int) float64 { return float64(int32(le.Uint32(src[4*i:]))) }
	case U32:
		at = func(i int) float64 { return float64(le.Uint32(src[4*i:])) }
	case I16:
		at = func(i int) float64 { return float64(int16(le.Uint16(src[2*i:]))) }
	case U16:
		at = func(i int) float64 { return float64(le.Uint16(src[2*i:])) }
	case I8:
		at = func(i int) float64 { return float64(int8(src[i])) }
	case I64, U64:
		const most = 1 << 53
		for i := range dst {
			u := le.Uint64(src[8*i:])
			dst[i] = float64(u)
			if d == I64 {
				dst[i] = float64(int64(u))
			}
			if math.Abs(dst[i]) > most {
				return i
			}
		}
		return -1
	default: // U8, Bool
		at = func(i int) float64 { return float64(src[i]) }
	}
	for i := range dst {
		dst[i] = at(i)
	}
	return -1
}

// fromE4M3 widens the 8-bit type without infinities: bias 7, three bits of mantissa.
func fromE4M3(b byte) float64 {
	e, m := int(b>>3&15), float64(b&7)
	v := math.Ldexp(1+m/8, e-7)
	switch {
	case b&0x7f == 0x7f:
		return math.NaN()
	case e == 0:
		v = math.Ldexp(m, -9)
	}
	if b&0x80 != 0 {
		return -v
	}
	return v
}
