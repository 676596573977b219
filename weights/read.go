package weights

import (
	"encoding/binary"
	"errors"
	"slices"

	"assay/internal/fault"
	"assay/weights/internal/mapped"
)

// F32 writes the named tensor, widened to float32, to dst, whose length must
// be the number of values. F16 and BF16 widen exactly; F64 rounds to nearest
// and adds the warning f64-rounded, and is refused where a finite value would
// become infinite; other types are refused.
func (c *Checkpoint) F32(name string, dst []float32) error {
	return c.read(name, len(dst), func(t *tensor) error {
		raw := t.raw()
		if t.block != nil {
			t.block.values(dst, raw)
			return nil
		}
		switch t.DType {
		case F32:
			widenF32(dst, raw)
		case BF16:
			widenBF16(dst, raw)
		case F16:
			widenF16(dst, raw)
		case F64:
			if i := roundF64(dst, raw); i >= 0 {
				return fault.Inputf("nonfinite", "weights: tensor %q: F64 value at index %d: found more than float32 holds", name, i)
			}
			c.noteRounded(name)
		default:
			return fault.Inputf("unsupported", "weights: tensor %q: found dtype %s, want F32, F16, BF16 or F64", name, t.DType)
		}
		return nil
	})
}

func (c *Checkpoint) noteRounded(name string) {
	c.warnMu.Lock()
	defer c.warnMu.Unlock()
	if c.rounded == nil {
		c.rounded = map[string]bool{}
	}
	c.rounded[name] = true
}

// Bits16 writes the bit patterns of an F16 or BF16 tensor to dst, whose length
// must be the number of values.
func (c *Checkpoint) Bits16(name string, dst []uint16) error {
	return c.read(name, len(dst), func(t *tensor) error {
		if t.DType != F16 && t.DType != BF16 {
			return fault.Inputf("unsupported", "weights: tensor %q: found dtype %s, want F16 or BF16", name, t.DType)
		}
		raw := t.raw()
		if t.block != nil {
			t.block.bits16(dst, raw)
			return nil
		}
		for i := range dst {
			dst[i] = binary.LittleEndian.Uint16(raw[2*i:])
		}
		return nil
	})
}

// Raw returns the bytes of a tensor as they are in the file, little endian and
// with no alignment. They are mapped, not copied: they end with Close, must
// not be written, and have to be read inside Guard.
func (c *Checkpoint) Raw(name string) ([]byte, Info, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t, err := c.tensor(name)
	if err != nil {
		return nil, Info{}, err
	}
	if t.block != nil && (t.block.source != nil || t.block.kind != asStored) {
		return nil, Info{}, fault.Inputf("unsupported", "weights: tensor %q: the file stores its rows in another order; read it with F32 or Bits16", name)
	}
	return t.raw(), t.Info, nil
}

// Widen writes the values of src, stored little endian as F32, F16 or BF16, to
// dst. src must hold len(dst) values; bytes that Raw gave have to be read inside
// Guard.
func Widen(dst []float32, src []byte, d DType) {
	switch d {
	case F32:
		widenF32(dst, src)
	case BF16:
		widenBF16(dst, src)
	case F16:
		widenF16(dst, src)
	}
}

// Changed reports, as an error of class Retry, that the file of a tensor is not
// the one that was opened. It is for readers of Raw; F32 and Bits16 ask by
// themselves.
func (c *Checkpoint) Changed(name string) error {
	return c.read(name, -1, func(*tensor) error { return nil })
}

// Guard runs f, which reads bytes that Raw gave, on this goroutine. A file that
// was cut in the meantime becomes an error of class Retry, code "changed",
// instead of the end of the process. Goroutines that f starts are not guarded.
func Guard(f func() error) error {
	err := mapped.Guard(f)
	if errors.Is(err, mapped.ErrChanged) {
		return fault.Retryf("changed", "weights: %w", err)
	}
	return err
}

// Prefetch asks the system to read the named tensors ahead; it returns at once.
func (c *Checkpoint) Prefetch(names ...string) error { return c.advise(mapped.Prefetch, names) }

// Drop tells the system that the named tensors are not needed soon, so that
// their pages leave this process's memory.
func (c *Checkpoint) Drop(names ...string) error { return c.advise(mapped.Drop, names) }

func (c *Checkpoint) advise(advice func([]byte) error, names []string) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, name := range names {
		t, err := c.tensor(name)
		if err != nil {
			return err
		}
		if err := advice(t.raw()); err != nil {
			return pathError(t.File, err)
		}
	}
	return nil
}

// tensor finds a tensor of an open checkpoint. The caller holds c.mu.
func (c *Checkpoint) tensor(name string) (*tensor, error) {
	if c.closed {
		return nil, errClosed(name)
	}
	t, ok := c.find(name)
	if !ok {
		return nil, fault.Inputf("tensor", "weights: tensor %q: not found", name)
	}
	return t, nil
}

// read runs f on the named tensor of n values (-1: any number) with faults turned into errors,
// and then checks that the file did not change.
func (c *Checkpoint) read(name string, n int, f func(*tensor) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t, err := c.tensor(name)
	if err != nil {
		return err
	}
	if n >= 0 && n != t.Len() {
		return fault.Inputf("tensor", "weights: tensor %q: found %d values of shape %v, want %d", name, t.Len(), t.Shape, n)
	}
	err = mapped.Guard(func() error { return f(t) })
	if err = cmpErr(err, t.file.Changed()); err != nil && fault.As(err) == nil {
		return pathError(t.File, err)
	}
	return err
}

// cmpErr returns the first error that is not nil.
func cmpErr(errs ...error) error {
	if i := slices.IndexFunc(errs, func(e error) bool { return e != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}
