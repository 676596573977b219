package store

import (
	"encoding/json/v2"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sort"

	"assay/internal/fault"
)

// Layout says what headerless files hold.
type Layout struct {
	// DType is uint8, uint16, uint32, uint64, int32 or int64, little-endian.
	DType string `json:"dtype"`
	// RowLen is the number of ids in a row.
	RowLen int `json:"row_length"`
	// PerFile: every file is cut into rows by itself, and ids at its end that
	// fill no row are left out (OLMo). Otherwise the files are one stream and a
	// row may begin in one and end in the next (Pythia).
	PerFile bool `json:"per_file,omitzero"`
	// Partial keeps the ids that fill no row as a last, shorter row.
	Partial bool `json:"partial,omitzero"`
}

var rawTypes = []dtype{u8, u16, u32, u64, i32, i64}

// ReadSidecar reads the layout of a raw file from the JSON file named like it
// with .json appended; found is false if there is none.
func ReadSidecar(path string) (l Layout, found bool, err error) {
	path += ".json"
	f, err := openFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Layout{}, false, nil
		}
		return Layout{}, false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxHeader))
	if err != nil {
		return Layout{}, false, fault.Retryf("io", "store: %s: %w", path, err)
	}
	if err := json.Unmarshal(data, &l, json.RejectUnknownMembers(true)); err != nil {
		return Layout{}, false, fault.Inputf("malformed", "store: %s: %w", path, err)
	}
	if _, err := l.check(); err != nil {
		return Layout{}, false, fault.Inputf("malformed", "store: %s: %w", path, err)
	}
	return l, true, nil
}

func (l Layout) check() (dtype, error) {
	if l.RowLen < 1 || l.RowLen > MaxRow {
		return dtype{}, fault.Usagef("store: row length: found %d, want 1 to %d", l.RowLen, MaxRow)
	}
	for _, t := range rawTypes {
		if t.name == l.DType {
			return t, nil
		}
	}
	return dtype{}, fault.Usagef("store: dtype: found %q, want uint8, uint16, uint32, uint64, int32 or int64", l.DType)
}

// OpenRaw opens headerless files in the order given.
func OpenRaw(paths []string, l Layout) (*Stream, error) {
	t, err := l.check()
	if err != nil {
		return nil, err
	}
	var parts []vector
	for _, path := range paths {
		f, err := openFile(path)
		if err == nil {
			parts = append(parts, vector{f: f, n: f.size / t.size, t: t})
			switch {
			case f.size%t.size != 0:
				err = fault.Inputf("malformed", "store: %s: found %d bytes, want a multiple of the %d of %s", path, f.size, t.size, t.name)
			case f.size >= 6 && t.size < 8:
				err = refuseMagic(f)
			}
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(parts))
		}
	}
	s, err := newStream(parts, l)
	if err != nil {
		return nil, errors.Join(err, closeAll(parts))
	}
	return s, nil
}

// refuseMagic catches an array with a header that is read as raw: its first ids
// would be the letters of the header.
func refuseMagic(f *file) error {
	var b [6]byte
	if err := f.readAt(b[:], 0); err != nil {
		return err
	}
	if string(b[:]) == "\x93NUMPY" {
		return fault.Inputf("malformed", "store: %s: found a .npy header, want headerless integers", f.path).Hint("name the file .npy")
	}
	return nil
}

// Stream is integers in one or more files, cut into rows of one length.
type Stream struct {
	parts  []vector
	first  []int64 // first item of each part (one stream) or first row (PerFile)
	layout Layout
	items  int64
	n      int64
	left   int64
}

func newStream(parts []vector, l Layout) (*Stream, error) {
	s := &Stream{parts: parts, layout: l}
	width := int64(l.RowLen)
	add := func(items int64) {
		s.n += items / width
		if rest := items % width; rest > 0 && l.Partial {
			s.n++
		} else {
			s.left += rest
		}
	}
	for _, p := range parts {
		if l.PerFile {
			s.first = append(s.first, s.n)
			add(p.n)
		} else {
			s.first = append(s.first, s.items)
		}
		s.items += p.n
	}
	if !l.PerFile {
		add(s.items)
	}
	if s.n == 0 {
		return nil, fault.Inputf("malformed", "store: found %d ids in %d files, want at least one row of %d", s.items, len(parts), l.RowLen)
	}
	return s, nil
}

// Len is the number of rows.
func (s *Stream) Len() int { return int(s.n) }

// Left is the number of ids that fill no row and are in none.
func (s *Stream) Left() int { return int(s.left) }

// Row returns row i.
func (s *Stream) Row(i int, dst []int32) ([]int32, error) {
	if err := rowRange(s.parts[0].f.path, i, s.Len()); err != nil {
		return nil, err
	}
	width := int64(s.layout.RowLen)
	key := int64(i)
	if !s.layout.PerFile {
		key *= width
	}
	// The last part that starts at or before the row; empty parts start there too.
	k := sort.Search(len(s.first), func(k int) bool { return s.first[k] > key }) - 1
	from := key - s.first[k]
	if s.layout.PerFile {
		from *= width
		return s.parts[k].ids(slices.Grow(dst[:0], int(width)), from, min(width, s.parts[k].n-from))
	}
	dst = slices.Grow(dst[:0], int(width))
	for need := min(width, s.items-key); need > 0; k++ {
		n := min(need, s.parts[k].n-from)
		var err error
		if dst, err = s.parts[k].ids(dst, from, n); err != nil {
			return nil, err
		}
		need, from = need-n, 0
	}
	return dst, nil
}

// Close closes the files.
func (s *Stream) Close() error { return closeAll(s.parts) }

func closeAll(parts []vector) error {
	var errs []error
	for _, p := range parts {
		errs = append(errs, p.f.Close())
	}
	return errors.Join(errs...)
}
