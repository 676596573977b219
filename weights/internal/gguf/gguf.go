// Package gguf reads the header of a GGUF file (versions 2 and 3, little
// endian) and turns its block formats into float32. It knows nothing about
// architectures. Format: ggml's docs/gguf.md; block layouts: ggml-common.h.
//
// Nothing is allocated by a count or a length that the file only claims: every
// count is first held against the bytes that are left. Keys and names are
// copied; values stay parts of the file until they are asked for.
package gguf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	maxTensors       = 1 << 20
	maxKeys          = 1 << 16
	maxDims          = 4
	maxName          = 1 << 16
)

// ErrUnsupported marks what is well formed but not read here.
var ErrUnsupported = errors.New("not supported")

// File is the directory of a GGUF file.
type File struct {
	Version uint32
	Keys    map[string]Value
	Tensors []Tensor // in the order of their data
}

// Tensor is one entry of the directory.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int // outermost first, as in PyTorch
	At     int64 // of the data, from the start of the file
	Bytes  int64
	offset uint64
}

// cursor walks the bytes of the header; after the first fault it stays at it.
type cursor struct {
	data []byte
	at   int
	err  error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *cursor) left() uint64 { return uint64(len(c.data) - c.at) }

func (c *cursor) bytes(n uint64) []byte {
	if c.err != nil {
		return nil
	}
	if n > c.left() {
		c.fail("byte %d: found %d bytes, want %d more", c.at, c.left(), n)
		return nil
	}
	b := c.data[c.at : c.at+int(n) : c.at+int(n)]
	c.at += int(n)
	return b
}

func (c *cursor) u32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a number of things of at least size bytes each.
func (c *cursor) count(what string, size, limit uint64) uint64 {
	n := c.u64()
	if most := min(limit, c.left()/size); c.err == nil && n > most {
		c.fail("%s: found %d, want at most %d", what, n, most)
		return 0
	}
	return n
}

// name reads a key or a tensor name.
func (c *cursor) name(what string) string {
	n := c.u64()
	if c.err == nil && n > min(maxName, c.left()) {
		c.fail("%s: found a length of %d, want at most %d", what, n, min(maxName, c.left()))
	}
	b := c.bytes(n)
	if c.err == nil && !utf8.Valid(b) {
		c.fail("%s: found %q, want UTF-8", what, b[:min(len(b), 32)])
	}
	return string(b)
}

// Parse reads and checks the header of a file given as its bytes.
func Parse(file []byte) (*File, error) {
	c := &cursor{data: file}
	if m := c.bytes(4); c.err == nil && string(m) != magic {
		return nil, fmt.Errorf("magic: found %q, want %q", m, magic)
	}
	f := &File{Version: c.u32()}
	switch {
	case c.err != nil:
		return nil, c.err
	case f.Version == 2 || f.Version == 3:
	case bits.ReverseBytes32(f.Version) <= 3:
		return nil, fmt.Errorf("version: found a big-endian file, want little endian: %w", ErrUnsupported)
	default:
		return nil, fmt.Errorf("version: found %d, want 2 or 3: %w", f.Version, ErrUnsupported)
	}
	const leastTensor, leastKey = 8 + 4 + 4 + 8, 8 + 4 + 1
	tensors := c.count("tensors", leastTensor, maxTensors)
	keys := c.count("keys", leastKey, maxKeys)
	f.Keys = map[string]Value{}
	for range keys {
		f.readKey(c)
	}
	align := f.alignment(c)
	names := map[string]bool{}
	for range tensors {
		f.readTensor(c, align, names)
	}
	if c.err != nil {
		return nil, c.err
	}
	if err := f.place(uint64(c.at), align, uint64(len(file))); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) readKey(c *cursor) {
	key := c.name("key")
	if _, ok := f.Keys[key]; ok {
		c.fail("key %q: found twice", key)
	}
	v := readValue(c, key)
	if c.err == nil {
		f.Keys[key] = v
	}
}

func (f *File) alignment(c *cursor) uint64 {
	v, ok := f.Keys["general.alignment"]
	if !ok {
		return defaultAlignment
	}
	n, ok := v.Uint()
	if !ok || n == 0 || n&(n-1) != 0 || n > 1<<20 {
		c.fail("general.alignment: found %s, want a power of two up to 2^20", v)
		return defaultAlignment
	}
	return n
}

func (f *File) readTensor(c *cursor, align uint64, names map[string]bool) {
	t := Tensor{Name: c.name("tensor name")}
	if c.err == nil && names[t.Name] {
		c.fail("tensor %q: found twice", t.Name)
	}
	names[t.Name] = true
	rank := c.u32()
	if c.err == nil && rank > maxDims {
		c.fail("tensor %q: found rank %d, want at most %d", t.Name, rank, maxDims)
		return
	}
	for range rank {
		n := c.u64()
		if c.err == nil && n > math.MaxInt {
			c.fail("tensor %q: dimension %d overflows", t.Name, n)
		}
		t.Shape = append(t.Shape, int(n))
	}
	t.Type = Type(c.u32())
	t.offset = c.u64()
	if c.err != nil {
		return
	}
	format, ok := t.Type.format()
	if !ok {
		c.fail("tensor %q: found type %s, want one of %s: %w", t.Name, t.Type, typeList(), ErrUnsupported)
		return
	}
	if t.Bytes, ok = format.size(t.Shape); !ok {
		c.fail("tensor %q: dimensions %v (innermost first) of %s, want the first a multiple of %d and a size that fits", t.Name, t.Shape, t.Type, format.values)
		return
	}
	if t.offset%align != 0 {
		c.fail("tensor %q: found offset %d, want a multiple of %d", t.Name, t.offset, align)
		return
	}
	slices.Reverse(t.Shape)
	f.Tensors = append(f.Tensors, t)
}

// place turns offsets into places of the file and checks that every tensor is
// inside and that none shares bytes with another.
func (f *File) place(header, align, size uint64) error {
	data := (header + align - 1) &^ (align - 1)
	slices.SortFunc(f.Tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.Bytes, b.Bytes))
	})
	end := uint64(0)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		room := size - min(size, data)
		if t.offset > room || uint64(t.Bytes) > room-t.offset {
			return fmt.Errorf("tensor %q: %d bytes at offset %d, the data section has %d", t.Name, t.Bytes, t.offset, room)
		}
		if t.offset < end {
			return fmt.Errorf("tensor %q: data begins at %d, want at least %d (the end of the tensor before)", t.Name, t.offset, end)
		}
		end = t.offset + uint64(t.Bytes)
		t.At = int64(data + t.offset)
	}
	return nil
}
