package model

import (
	"fmt"
	"math"

	"assay/weights"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
	"github.com/gomlx/gomlx/core/tensors"
)

// matrix holds stored values in float32, or as the bits of a 16-bit type.
type matrix struct {
	f    []float32
	bits []uint16
	kind dtypes.DType // of bits: Float16 or BFloat16
}

func (m matrix) len() int { return len(m.f) + len(m.bits) }

// widen writes values [from, from+len(dst)) to dst.
func (m matrix) widen(from int, dst []float32) {
	if m.bits == nil {
		copy(dst, m.f[from:])
		return
	}
	src := m.bits[from : from+len(dst)]
	if m.kind == dtypes.BFloat16 {
		for i, b := range src {
			dst[i] = math.Float32frombits(uint32(b) << 16)
		}
		return
	}
	for i, b := range src {
		dst[i] = float16.Float16(b).Float32()
	}
}

// float32s is all values in float32; m's own slice where it holds such.
func (m matrix) float32s() []float32 {
	if m.bits == nil {
		return m.f
	}
	x := make([]float32, len(m.bits))
	m.widen(0, x)
	return x
}

// bits16 is a Source that gives 16-bit tensors as they are.
type bits16 interface {
	Bits16(name string, dst []uint16) error
}

// matrix returns the tensor of key: in 16 bits where it is stored so and the
// source can give it so, else in float32.
func (r *reader) matrix(key string) (matrix, error) {
	name, ok := r.inv.names[key]
	src, can := r.src.(bits16)
	kind := map[weights.DType]dtypes.DType{weights.F16: dtypes.Float16, weights.BF16: dtypes.BFloat16}[r.inv.kinds[key]]
	if !ok || !can || kind == dtypes.InvalidDType {
		f, err := r.get(key)
		return matrix{f: f}, err
	}
	if err := r.ctx.Err(); err != nil {
		return matrix{}, err
	}
	m := matrix{bits: make([]uint16, size(r.inv.dims[key])), kind: kind}
	return m, src.Bits16(name, m.bits)
}

// tensor makes a tensor of x on the backend.
func (m *Model) tensor(dims []int, x matrix) (*tensors.Tensor, error) {
	if x.len() != size(dims) {
		return nil, fmt.Errorf("model: %d values for shape %v", x.len(), dims)
	}
	switch {
	case x.bits == nil:
		return m.eng.f32(dims, func(dst []float32) error { copy(dst, x.f); return nil })
	case x.kind == dtypes.BFloat16:
		return newTensor(m.eng.backend, x.kind, dims, func(dst []bfloat16.BFloat16) error {
			for i, b := range x.bits {
				dst[i] = bfloat16.BFloat16(b)
			}
			return nil
		})
	}
	return newTensor(m.eng.backend, x.kind, dims, func(dst []float16.Float16) error {
		for i, b := range x.bits {
			dst[i] = float16.Float16(b)
		}
		return nil
	})
}
