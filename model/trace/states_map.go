package trace

import (
	"encoding/binary"
	"io"
	"unsafe"
)

// mapping is the bytes of a file: mapped where the system can, read elsewhere.
type mapping struct {
	b     []byte
	close func() error
}

// readFile is the mapping of files that are not the operating system's.
func readFile(f file, size int64) (mapping, error) {
	// The size is that of the file, not one that it claims.
	b := make([]uint64, (size+7)/8) // aligned for every type
	m := mapping{b: unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b))), len(b)*8)[:size], close: f.Close}
	if size == 0 {
		m.b = nil
	}
	if n, err := f.ReadAt(m.b, 0); int64(n) < size {
		return mapping{}, io.ErrUnexpectedEOF
	} else if err != nil && err != io.EOF {
		return mapping{}, err
	}
	return m, nil
}

// The functions here look at little-endian bytes as values, without a copy where the
// processor is little-endian. The bytes are aligned: the data section starts at a
// multiple of 8, and place has checked each tensor.

func viewInts(b []byte) []int32      { return viewAs[int32](b) }
func viewLongs(b []byte) []int64     { return viewAs[int64](b) }
func viewFloats(b []byte) []float32  { return viewAs[float32](b) }
func viewDoubles(b []byte) []float64 { return viewAs[float64](b) }

func viewAs[T int32 | int64 | float32 | float64](b []byte) []T {
	if b == nil {
		return nil
	}
	var t T
	size := int(unsafe.Sizeof(t))
	n := len(b) / size
	if n == 0 {
		return []T{}
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		out := make([]T, n)
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&out[0])), n*size)
		for i := range raw {
			raw[i] = b[i/size*size+size-1-i%size]
		}
		return out
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
