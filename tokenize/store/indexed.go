package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"assay/internal/fault"
)

// Codes of the dtype byte. 6 and 7 are floats whose meanings Megatron-LM and
// GPT-NeoX swap.
var indexTypes = map[byte]dtype{1: u8, 2: i8, 3: i16, 4: i32, 5: i64, 8: u16}

const indexHeader = 34 // magic 9, version 8, dtype 1, sequences 8, documents 8

// Indexed is the .idx and .bin pair of Megatron-LM and GPT-NeoX. Its rows are
// sequences (in practice documents) in file order, not training order.
type Indexed struct {
	index, data *file
	sizes, ptrs vector
	t           dtype
}

// OpenIndexed opens x.idx and the x.bin beside it. All sizes and pointers are
// checked, at about 1 GB of index per second.
func OpenIndexed(path string) (*Indexed, error) {
	stem, ok := strings.CutSuffix(path, ".idx")
	if !ok {
		return nil, fault.Usagef("store: %s: found another extension, want .idx", path)
	}
	index, err := openFile(path)
	if err != nil {
		return nil, err
	}
	data, err := openFile(stem + ".bin")
	if err != nil {
		return nil, errors.Join(err, index.Close())
	}
	x := &Indexed{index: index, data: data}
	if err := x.read(); err != nil {
		if fault.As(err) == nil {
			err = fault.Inputf("malformed", "store: %s: %w", path, err)
		}
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

func (x *Indexed) read() error {
	var head [indexHeader]byte
	if x.index.size < indexHeader {
		return fmt.Errorf("found %d bytes, want a header of %d", x.index.size, indexHeader)
	}
	if err := x.index.readAt(head[:], 0); err != nil {
		return err
	}
	if string(head[:9]) != "MMIDIDX\x00\x00" {
		return fmt.Errorf("found %q, want the magic MMIDIDX", head[:9])
	}
	if v := binary.LittleEndian.Uint64(head[9:]); v != 1 {
		return fmt.Errorf("found version %d, want 1", v)
	}
	t, ok := indexTypes[head[17]]
	if !ok {
		return fmt.Errorf("found dtype code %d, want 1 (u8), 2 (i8), 3 (i16), 4 (i32), 5 (i64) or 8 (u16)", head[17])
	}
	x.t = t
	n, d := binary.LittleEndian.Uint64(head[18:]), binary.LittleEndian.Uint64(head[26:])
	// Each sequence takes 12 bytes and each document 8, so no product below can
	// overflow once the counts fit the file.
	rest := uint64(x.index.size - indexHeader)
	if n > rest/12 || d > rest/8 || n*12+d*8 != rest && n*13+d*8 != rest {
		return fmt.Errorf("found %d bytes after the header, want 12 or 13 for each of %d sequences and 8 for each of %d documents", rest, n, d)
	}
	if n == 0 {
		return errors.New("found no sequences, want at least one")
	}
	if x.data.size%t.size != 0 {
		return fmt.Errorf("found %d bytes in %s, want a multiple of the %d of %s", x.data.size, x.data.path, t.size, t.name)
	}
	x.sizes = vector{f: x.index, base: indexHeader, n: int64(n), t: i32}
	x.ptrs = vector{f: x.index, base: indexHeader + 4*int64(n), n: int64(n), t: i64}
	docs := vector{f: x.index, base: indexHeader + 12*int64(n), n: int64(d), t: i64}
	if err := x.checkSequences(); err != nil {
		return err
	}
	last := int64(0)
	return docs.each(func(i, at int64) error {
		if at < last || at > x.sizes.n {
			return fmt.Errorf("document %d: found sequence %d, want %d to %d", i, at, last, x.sizes.n)
		}
		last = at
		return nil
	})
}

// checkSequences walks sizes and pointers side by side.
func (x *Indexed) checkSequences() error {
	const chunk = 1 << 16
	n := x.sizes.n
	sizes := make([]int64, 0, min(n, chunk))
	for from := int64(0); from < n; from += chunk {
		count := min(chunk, n-from)
		part := vector{f: x.index, base: x.sizes.base + 4*from, n: count, t: i32}
		sizes = sizes[:0]
		if err := part.each(func(_, size int64) error { sizes = append(sizes, size); return nil }); err != nil {
			return err
		}
		part = vector{f: x.index, base: x.ptrs.base + 8*from, n: count, t: i64}
		if err := part.each(func(i, at int64) error { return x.checkSequence(from+i, sizes[i], at) }); err != nil {
			return err
		}
	}
	return nil
}

func (x *Indexed) checkSequence(i, size, at int64) error {
	switch {
	case size < 0:
		return fmt.Errorf("sequence %d: found size %d, want 0 or more", i, size)
	case at < 0 || at%x.t.size != 0:
		return fmt.Errorf("sequence %d: found pointer %d, want a multiple of %d", i, at, x.t.size)
	case at > x.data.size || size > (x.data.size-at)/x.t.size:
		return fmt.Errorf("sequence %d: found %d ids from byte %d on, want them inside the %d bytes of %s", i, size, at, x.data.size, x.data.path)
	}
	return nil
}

// sequence finds sequence i in the data.
func (x *Indexed) sequence(i int64) (from, size int64, err error) {
	if size, err = x.sizes.at(i); err != nil {
		return 0, 0, err
	}
	at, err := x.ptrs.at(i)
	if err != nil {
		return 0, 0, err
	}
	if err := x.checkSequence(i, size, at); err != nil { // again: the file may have changed
		return 0, 0, fault.Retryf("changed", "store: %s: changed while it was read: %w", x.index.path, err)
	}
	return at / x.t.size, size, nil
}

func (x *Indexed) tokens() vector { return vector{f: x.data, n: x.data.size / x.t.size, t: x.t} }

// Len is the number of sequences.
func (x *Indexed) Len() int { return int(x.sizes.n) }

// Row returns sequence i.
func (x *Indexed) Row(i int, dst []int32) ([]int32, error) {
	if err := rowRange(x.index.path, i, x.Len()); err != nil {
		return nil, err
	}
	from, size, err := x.sequence(int64(i))
	if err != nil {
		return nil, err
	}
	if size > MaxRow {
		return nil, fault.Inputf("malformed", "store: %s: sequence %d: found %d ids, want at most %d", x.index.path, i, size, MaxRow)
	}
	return x.tokens().ids(slices.Grow(dst[:0], int(size)), from, size)
}

// Close closes both files.
func (x *Indexed) Close() error { return errors.Join(x.index.Close(), x.data.Close()) }
