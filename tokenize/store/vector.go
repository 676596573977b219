package store

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"

	"assay/internal/fault"
)

// maxID is the largest id: int32 with room for id + 1.
const maxID = math.MaxInt32 - 1

// file is an open regular file of known size.
type file struct {
	*os.File
	path string
	size int64
}

func openFile(path string) (*file, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fault.Inputf("no-file", "store: %s: found a folder or a special file, want a file", path)
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err == nil {
		if info, err = f.Stat(); err != nil {
			f.Close()
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Inputf("no-file", "store: %w", err)
	}
	if err != nil {
		return nil, fault.Retryf("io", "store: %s: %w", path, err)
	}
	return &file{f, path, info.Size()}, nil
}

// readAt fills b or fails; every range was checked against the size at opening,
// so a short read means that the file changed.
func (f *file) readAt(b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return fault.Retryf("changed", "store: %s: ends at byte %d, had %d bytes when it was opened", f.path, off+int64(n), f.size)
	}
	return fault.Retryf("io", "store: %s: %w", f.path, err)
}

// dtype is a little-endian integer type.
type dtype struct {
	name   string
	size   int64
	signed bool
}

var (
	u8  = dtype{"uint8", 1, false}
	u16 = dtype{"uint16", 2, false}
	u32 = dtype{"uint32", 4, false}
	u64 = dtype{"uint64", 8, false}
	i8  = dtype{"int8", 1, true}
	i16 = dtype{"int16", 2, true}
	i32 = dtype{"int32", 4, true}
	i64 = dtype{"int64", 8, true}
)

// value reads one item; ok is false where an int64 cannot hold it.
func (t dtype) value(b []byte) (x int64, ok bool) {
	switch t.size {
	case 1:
		if t.signed {
			return int64(int8(b[0])), true
		}
		return int64(b[0]), true
	case 2:
		if u := binary.LittleEndian.Uint16(b); t.signed {
			return int64(int16(u)), true
		} else {
			return int64(u), true
		}
	case 4:
		if u := binary.LittleEndian.Uint32(b); t.signed {
			return int64(int32(u)), true
		} else {
			return int64(u), true
		}
	}
	u := binary.LittleEndian.Uint64(b)
	return int64(u), t.signed || u <= math.MaxInt64
}

// vector is a run of n integers in a file, found to lie inside it.
type vector struct {
	f    *file
	base int64 // byte
	n    int64
	t    dtype
}

// at reads one item.
func (v vector) at(i int64) (int64, error) {
	var b [8]byte
	if err := v.f.readAt(b[:v.t.size], v.base+i*v.t.size); err != nil {
		return 0, err
	}
	x, ok := v.t.value(b[:v.t.size])
	if !ok {
		return 0, v.outside(i)
	}
	return x, nil
}

func (v vector) outside(i int64) error {
	return fault.Inputf("malformed", "store: %s: item %d: found an integer of 2^63 or more, want a smaller one", v.f.path, i)
}

// each calls f for all items in order, reading a megabyte at a time.
func (v vector) each(f func(i, x int64) error) error {
	per := min((1<<20)/v.t.size, max(v.n, 1))
	buf := make([]byte, per*v.t.size)
	for from := int64(0); from < v.n; from += per {
		n := min(per, v.n-from)
		b := buf[:n*v.t.size]
		if err := v.f.readAt(b, v.base+from*v.t.size); err != nil {
			return err
		}
		for k := range n {
			x, ok := v.t.value(b[k*v.t.size:])
			if !ok {
				return v.outside(from + k)
			}
			if err := f(from+k, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// ids appends items from..from+n to dst as ids. The caller has checked the
// range and n.
func (v vector) ids(dst []int32, from, n int64) ([]int32, error) {
	if n == 0 {
		return dst, nil
	}
	buf := make([]byte, n*v.t.size)
	if err := v.f.readAt(buf, v.base+from*v.t.size); err != nil {
		return nil, err
	}
	if v.t == u16 { // most stores; no value is out of range
		for k := 0; k+2 <= len(buf); k += 2 {
			dst = append(dst, int32(binary.LittleEndian.Uint16(buf[k:])))
		}
		return dst, nil
	}
	for k := range n {
		x, ok := v.t.value(buf[k*v.t.size:])
		if !ok {
			return nil, v.outside(from + k)
		}
		if x < 0 || x > maxID {
			return nil, fault.Inputf("id", "store: %s: item %d: found %d, want an id from 0 to %d", v.f.path, from+k, x, maxID)
		}
		dst = append(dst, int32(x))
	}
	return dst, nil
}

func rowRange(path string, i, n int) error {
	if i < 0 || i >= n {
		return fault.Inputf("row", "store: %s: found row %d asked for, want 0 to %d", path, i, n-1)
	}
	return nil
}
