package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

// What one page may claim. Honest writers stay far below: this one writes pages
// of 256 KiB, others of 1 MiB.
const (
	maxPageBytes  = 1 << 28
	maxPageValues = 1 << 22
	maxPageHeader = 1 << 16
)

// pageHeader is what the guard reads of a page's header.
type pageHeader struct {
	kind, unpacked, packed int64
	values                 int64
	levels                 int64 // bytes before the packed part (pages of version 2)
	compressed             bool
}

// checkChunk walks over the pages of a column chunk and refuses sizes and counts
// that would make the library allocate what the file cannot hold.
func checkChunk(f io.ReaderAt, end int64, m *format.ColumnMetaData) error {
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	size := m.TotalCompressedSize
	if at < 4 || size < 0 || at > end || size > end-at || m.DataPageOffset < at || m.DataPageOffset > at+size {
		return fmt.Errorf("chunk at %d of %d bytes, data at %d, outside the file's %d", at, size, m.DataPageOffset, end)
	}
	var buf []byte
	values := int64(0)
	for stop := at + size; at < stop; {
		n := int(min(stop-at, maxPageHeader))
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		head := buf[:min(n, 512)]
		h, used, err := pageAt(f, at, head)
		if errors.Is(err, errThrift) && n > len(head) { // a header with long statistics
			h, used, err = pageAt(f, at, buf[:n])
		}
		if err != nil {
			return err
		}
		at += int64(used)
		if err := h.check(stop - at); err != nil {
			return err
		}
		if h.kind != int64(format.DictionaryPage) {
			values += h.values
		}
		if h.compressed {
			if err := checkPacked(f, at+h.levels, h.packed-h.levels, h.unpacked-h.levels, m.Codec); err != nil {
				return err
			}
		}
		at += h.packed
	}
	if values != m.NumValues {
		return fmt.Errorf("pages of %d values in a chunk of %d", values, m.NumValues)
	}
	return nil
}

func pageAt(f io.ReaderAt, at int64, buf []byte) (pageHeader, int, error) {
	if _, err := f.ReadAt(buf, at); err != nil {
		return pageHeader{}, 0, err
	}
	h := pageHeader{compressed: true}
	bad := false
	s := skim{b: buf, list: func([]int16, int, int) error { return errors.New("a list in a page header") }}
	s.value = func(path []int16, v int64) {
		switch {
		case len(path) == 1 && path[0] == 1:
			h.kind = v
		case len(path) == 1 && path[0] == 2:
			h.unpacked = v
		case len(path) == 1 && path[0] == 3:
			h.packed = v
		case len(path) == 2 && (path[0] == 5 || path[0] == 7 || path[0] == 8):
			switch {
			case path[1] == 1:
				h.values = v
			case path[0] == 8 && (path[1] == 2 || path[1] == 3):
				bad = bad || v < 0 || v > maxPageValues
			case path[0] == 8 && (path[1] == 5 || path[1] == 6):
				bad = bad || v < 0
				h.levels += v
			case path[0] == 8 && path[1] == 7:
				h.compressed = v != 0
			}
		}
	}
	err := s.structure()
	if err == nil && bad {
		err = errors.New("page header with a negative or too large count")
	}
	return h, s.i, err
}

func (h pageHeader) check(left int64) error {
	if h.packed < 0 || h.packed > left || h.unpacked < 0 || h.unpacked > maxPageBytes || h.values < 0 || h.values > maxPageValues ||
		h.levels < 0 || h.levels > h.packed || h.levels > h.unpacked {
		return fmt.Errorf("page of %d bytes (%d unpacked, %d of levels) and %d values with %d bytes left; at most %d unpacked and %d values are read",
			h.packed, h.unpacked, h.levels, h.values, left, maxPageBytes, maxPageValues)
	}
	return nil
}

// checkPacked bounds what unpacking a page can produce.
func checkPacked(f io.ReaderAt, at, n, unpacked int64, codec format.CompressionCodec) error {
	switch codec {
	case format.Uncompressed:
		return nil
	case format.Snappy:
		var b [10]byte
		k, _ := f.ReadAt(b[:min(n, 10)], at)
		if v, used := binary.Uvarint(b[:k]); used <= 0 && n > 0 || int64(v) != unpacked && n > 0 {
			return fmt.Errorf("snappy: %d bytes unpacked, the page says %d", v, unpacked)
		}
		return nil
	case format.Zstd:
		b := make([]byte, n) // in the file: check has bounded it
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		_, err := checkZstd(b, unpacked)
		return err
	}
	return fmt.Errorf("compression %s, want zstd, snappy or none", codec)
}

// checkColumns refuses a column that changes its compression: the library takes
// that of the first row group for all.
func checkColumns(m *format.FileMetaData) error {
	for i := range m.RowGroups {
		for k := range m.RowGroups[i].Columns {
			c, first := m.RowGroups[i].Columns[k].MetaData.Codec, m.RowGroups[0].Columns[k].MetaData.Codec
			if c != first || c != format.Zstd && c != format.Snappy && c != format.Uncompressed {
				return fmt.Errorf("row group %d, column %d: compression %s (first %s), want one of zstd, snappy, none throughout", i, k, c, first)
			}
		}
	}
	return nil
}
