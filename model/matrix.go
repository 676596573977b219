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

// matrix holds stored values: in float32, as the bits of a 16-bit type, or as
// bytes of a mapped file; or it makes float32 values when they are wanted.
type matrix struct {
	f    []float32
	bits []uint16
	kind dtypes.DType // of bits: Float16 or BFloat16

	raw    []byte        // of a mapped file: to be read inside weights.Guard
	stored weights.DType // of raw: F32, F16 or BF16

	fill func(dst []float32) error // writes all n values
	n    int
}

func (m matrix) len() int {
	if m.raw != nil {
		return len(m.raw) / m.stored.Size()
	}
	return len(m.f) + len(m.bits) + m.n
}

// widen writes values [from, from+len(dst)) to dst. It is not for values that are
// yet to be made.
func (m matrix) widen(from int, dst []float32) {
	if m.raw != nil {
		n := m.stored.Size()
		weights.Widen(dst, m.raw[from*n:(from+len(dst))*n], m.stored)
		return
	}
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

// all writes all values to dst.
func (m matrix) all(dst []float32) error {
	if m.fill != nil {
		return m.fill(dst)
	}
	return weights.Guard(func() error {
		m.widen(0, dst)
		return nil
	})
}

// wide is m in float32, whatever it is stored as.
func (m matrix) wide() matrix { return matrix{n: m.len(), fill: m.all} }

// bits16 is a Source that gives 16-bit tensors as they are.
type bits16 interface {
	Bits16(name string, dst []uint16) error
}

// matrix returns the tensor of key: in 16 bits where it is stored so and the
// source can give it so, else in float32.
func (r *reader) matrix(key string) (matrix, error) {
	name, ok := r.inv.names[key]
	if ok && r.mapped {
		if m, ok := r.raw(name); ok {
			return m, r.ctx.Err()
		}
	}
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

// rawSource is a Source whose tensors can be read in place.
type rawSource interface {
	Raw(name string) ([]byte, weights.Info, error)
}

// raw returns a stored tensor without reading it; ok is false where the source
// cannot give it so, or its values are packed or in another order.
func (r *reader) raw(name string) (m matrix, ok bool) {
	src, ok := r.src.(rawSource)
	if !ok {
		return matrix{}, false
	}
	b, info, err := src.Raw(name)
	if err != nil || len(b) == 0 {
		return matrix{}, false
	}
	switch info.DType {
	case weights.F32, weights.F16, weights.BF16:
		return matrix{raw: b, stored: info.DType}, true
	}
	return matrix{}, false
}

// tensor makes a tensor of x on the backend.
func (m *Model) tensor(dims []int, x matrix) (*tensors.Tensor, error) {
	if x.len() != size(dims) {
		return nil, fmt.Errorf("model: %d values for shape %v", x.len(), dims)
	}
	switch {
	case x.bits == nil:
		return m.eng.f32(dims, x.all)
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
