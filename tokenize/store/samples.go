package store

import (
	"errors"
	"fmt"

	"assay/internal/fault"
)

// Samples are the training samples of Megatron-LM and GPT-NeoX by training
// position. With s = shuffle[p], (a, o) = sample[s] and (b, q) = sample[s+1],
// position p holds document doc[a] from its id o on, all documents between, and
// doc[b] through its id q, which is also the first id of the next sample.
type Samples struct {
	store                *Indexed
	doc, sample, shuffle *Array
}

// OpenSamples opens an .idx store with its doc, sample and shuffle indices.
func OpenSamples(idx, doc, sample, shuffle string) (*Samples, error) {
	store, err := OpenIndexed(idx)
	if err != nil {
		return nil, err
	}
	s := &Samples{store: store}
	for _, x := range []struct {
		path string
		to   **Array
	}{{doc, &s.doc}, {sample, &s.sample}, {shuffle, &s.shuffle}} {
		if *x.to, err = OpenNPY(x.path); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := s.check(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Samples) check() error {
	switch {
	case s.doc.Dims() != 1:
		return s.bad(s.doc, "found shape %v, want one dimension", s.doc.shape)
	case s.sample.Dims() != 2 || s.sample.shape[1] != 2 || s.sample.shape[0] < 2:
		return s.bad(s.sample, "found shape %v, want two or more rows of 2", s.sample.shape)
	case s.shuffle.Dims() != 1:
		return s.bad(s.shuffle, "found shape %v, want one dimension", s.shuffle.shape)
	}
	if err := s.below(s.doc, s.store.sizes.n); err != nil {
		return err
	}
	return s.below(s.shuffle, s.sample.shape[0]-1)
}

// below checks that all items of an index are in [0, n).
func (s *Samples) below(a *Array, n int64) error {
	return a.each(func(i, x int64) error {
		if x < 0 || x >= n {
			return s.bad(a, "entry %d: found %d, want 0 to %d", i, x, n-1)
		}
		return nil
	})
}

func (s *Samples) bad(a *Array, format string, args ...any) error {
	return fault.Inputf("malformed", "store: %s: %w", a.f.path, fmt.Errorf(format, args...))
}

// Len is the number of training positions.
func (s *Samples) Len() int { return int(s.shuffle.n) }

// Row returns the ids at training position p.
func (s *Samples) Row(p int, dst []int32) ([]int32, error) {
	if err := rowRange(s.shuffle.f.path, p, s.Len()); err != nil {
		return nil, err
	}
	at, err := s.shuffle.at(int64(p))
	if err != nil {
		return nil, err
	}
	if at < 0 || at+1 >= s.sample.shape[0] { // checked at opening
		return nil, fault.Retryf("changed", "store: %s: changed while it was read", s.shuffle.f.path)
	}
	var c [4]int64 // a, o, b, q
	for i := range c {
		if c[i], err = s.sample.at(2*at + int64(i)); err != nil {
			return nil, err
		}
	}
	a, o, b, q := c[0], c[1], c[2], c[3]
	if a < 0 || b < a || b >= s.doc.n {
		return nil, s.bad(s.sample, "sample %d: found documents %d to %d, want them to rise within 0 to %d", at, a, b, s.doc.n-1)
	}
	dst = dst[:0]
	for d := a; d <= b; d++ {
		if dst, err = s.part(dst, at, d, o, q, d == a, d == b); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// part appends what a sample takes of entry d of the document index.
func (s *Samples) part(dst []int32, sample, d, o, q int64, first, last bool) ([]int32, error) {
	id, err := s.doc.at(d)
	if err != nil {
		return nil, err
	}
	if id < 0 || id >= s.store.sizes.n { // checked at opening
		return nil, fault.Retryf("changed", "store: %s: changed while it was read", s.doc.f.path)
	}
	from, size, err := s.store.sequence(id)
	if err != nil {
		return nil, err
	}
	begin, end := int64(0), size
	if first {
		begin = o
	}
	if last {
		if q < 0 || q >= size {
			return nil, s.bad(s.sample, "sample %d: found its last id at %d of a document of %d", sample+1, q, size)
		}
		end = q + 1
	}
	if begin < 0 || begin > end {
		return nil, s.bad(s.sample, "sample %d: found ids %d to %d of a document of %d", sample, begin, end, size)
	}
	if int64(len(dst))+end-begin > MaxRow {
		return nil, s.bad(s.sample, "sample %d: found over %d ids", sample, MaxRow)
	}
	return s.store.tokens().ids(dst, from+begin, end-begin)
}

// Order returns the shuffle index as an order: which sample stood at each
// position. It is an error if it is not a permutation.
func (s *Samples) Order() (Order, error) { return orderOf(s.shuffle.vector) }

// Close closes all files.
func (s *Samples) Close() error {
	errs := []error{s.store.Close()}
	for _, a := range []*Array{s.doc, s.sample, s.shuffle} {
		if a != nil {
			errs = append(errs, a.Close())
		}
	}
	return errors.Join(errs...)
}
