package trace

import (
	"errors"
	"fmt"
)

// skim walks over a compact thrift structure without building it, so that the
// Parquet library, which allocates what lengths and counts claim, only gets
// structures whose claims their own bytes can hold.
type skim struct {
	b     []byte
	i     int
	depth int
	// list judges a list of n structures at a path of field numbers.
	list func(path []int16, n, left int) error
	// value gets the integers, and the boolean fields as 0 and 1.
	value func(path []int16, v int64)
	path  []int16
}

var errThrift = errors.New("thrift: cut short or malformed")

const maxThriftDepth = 16

func (s *skim) uvarint() (uint64, error) {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		if s.i >= len(s.b) {
			return 0, errThrift
		}
		c := s.b[s.i]
		s.i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, nil
		}
	}
	return 0, errThrift
}

// structure walks over one struct, its stop included.
func (s *skim) structure() error {
	if s.depth++; s.depth > maxThriftDepth {
		return errThrift
	}
	defer func() { s.depth-- }()
	id := int16(0)
	for {
		if s.i >= len(s.b) {
			return errThrift
		}
		c := s.b[s.i]
		s.i++
		if c == 0 {
			return nil
		}
		if delta := int16(c >> 4); delta != 0 {
			id += delta
		} else {
			v, err := s.uvarint()
			if err != nil {
				return err
			}
			id = int16(int64(v>>1) ^ -int64(v&1))
		}
		s.path = append(s.path, id)
		err := s.element(c&15, true)
		s.path = s.path[:len(s.path)-1]
		if err != nil {
			return err
		}
	}
}

// element walks over one value of a compact type. A boolean field has no bytes.
func (s *skim) element(typ byte, field bool) error {
	switch typ {
	case 1, 2:
		if !field {
			return s.skip(1)
		}
		if s.value != nil {
			s.value(s.path, int64(2-typ))
		}
		return nil
	case 3:
		return s.skip(1)
	case 4, 5, 6:
		v, err := s.uvarint()
		if err == nil && s.value != nil {
			s.value(s.path, int64(v>>1)^-int64(v&1))
		}
		return err
	case 7:
		return s.skip(8)
	case 8:
		n, err := s.uvarint()
		if err != nil || n > uint64(len(s.b)-s.i) {
			return errThrift
		}
		return s.skip(int(n))
	case 9:
		return s.elements()
	case 12:
		return s.structure()
	}
	return fmt.Errorf("thrift: type %d, which Parquet metadata does not use", typ)
}

func (s *skim) elements() error {
	if s.i >= len(s.b) {
		return errThrift
	}
	c := s.b[s.i]
	s.i++
	n := uint64(c >> 4)
	if n == 15 {
		var err error
		if n, err = s.uvarint(); err != nil {
			return err
		}
	}
	left := len(s.b) - s.i
	if n > uint64(left) {
		return errThrift
	}
	typ := c & 15
	if typ == 12 && s.list != nil {
		if err := s.list(s.path, int(n), left); err != nil {
			return err
		}
	}
	for range n {
		if err := s.element(typ, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *skim) skip(n int) error {
	if n > len(s.b)-s.i {
		return errThrift
	}
	s.i += n
	return nil
}

// checkFooter refuses a footer (FileMetaData) whose lists would make the library
// allocate far more than the footer's own bytes: row groups and column chunks are
// hundreds of bytes in memory and at least dozens in the file.
func checkFooter(b []byte) error {
	s := skim{b: b, list: func(path []int16, n, left int) error {
		least := 3
		switch {
		case len(path) == 1 && path[0] == 2:
			if n > 4096 {
				return fmt.Errorf("%d schema elements, want at most 4096", n)
			}
		case len(path) == 1 && path[0] == 4: // row groups
			least = 16
		case len(path) == 2 && path[0] == 4 && path[1] == 1: // their columns
			least = 32
		}
		if n > left/least {
			return fmt.Errorf("a list of %d structures in %d bytes", n, left)
		}
		return nil
	}}
	if err := s.structure(); err != nil {
		return err
	}
	if s.i != len(b) {
		return errThrift
	}
	return nil
}
