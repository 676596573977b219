package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"path/filepath"
	"strings"

	"assay/internal/fault"
)

// Order is a training order: Order[p] is the instance at position p. It is a
// permutation of 0 to len-1.
type Order []uint32

// Direction says how a file writes an order. Content cannot tell: both are
// permutations.
type Direction string

const (
	// IDsByPosition: entry p is the instance at position p.
	IDsByPosition Direction = "ids-by-position"
	// PositionByID: entry i is the position of instance i.
	PositionByID Direction = "position-by-id"
)

// OrderOptions says what an order file does not.
type OrderOptions struct {
	// Direction must be given; no default is safe.
	Direction Direction
	// DType of a headerless file: uint32, ...; "" for .npy files.
	DType string
	// Padded: ids at the end that occurred before are padding of the last batch
	// and dropped (OLMo's global_indices). IDsByPosition only.
	Padded bool
}

// ReadOrder reads an order from a 1-D .npy file or from headerless integers. It
// takes 4 bytes of memory per instance, twice that for PositionByID.
func ReadOrder(path string, o OrderOptions) (Order, error) {
	switch o.Direction {
	case IDsByPosition, PositionByID:
	default:
		return nil, fault.Usagef("store: %s: direction of the order: found %q, want %s or %s", path, o.Direction, IDsByPosition, PositionByID).
			Hint("entry p is the instance at position p, or entry i is the position of instance i? the file does not tell")
	}
	if o.Padded && o.Direction != IDsByPosition {
		return nil, fault.Usagef("store: %s: an order with padding must be %s", path, IDsByPosition)
	}
	v, err := openOrder(path, o.DType)
	if err != nil {
		return nil, err
	}
	defer v.f.Close()
	if o.Padded {
		if v.n, err = unpadded(v); err != nil {
			return nil, err
		}
	}
	order, err := orderOf(v)
	if err != nil || o.Direction == IDsByPosition {
		return order, err
	}
	return order.Inverse(), nil
}

func openOrder(path, name string) (vector, error) {
	if name == "" {
		if !strings.EqualFold(filepath.Ext(path), ".npy") {
			return vector{}, fault.Usagef("store: %s: an order without a .npy header needs a dtype", path)
		}
		a, err := OpenNPY(path)
		if err != nil {
			return vector{}, err
		}
		if a.Dims() != 1 {
			err := fault.Inputf("malformed", "store: %s: found shape %v, want one dimension for an order", path, a.shape)
			return vector{}, errors.Join(err, a.Close())
		}
		return a.vector, nil
	}
	s, err := OpenRaw([]string{path}, Layout{DType: name, RowLen: 1})
	if err != nil {
		return vector{}, err
	}
	return s.parts[0], nil
}

// bitset marks instances that were seen.
type bitset []uint64

func newBitset(n int64) bitset { return make(bitset, (n+63)/64) }

// add reports whether x was new.
func (b bitset) add(x int64) bool {
	word, bit := &b[x/64], uint64(1)<<(x%64)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}

// unpadded returns the number of entries before the padding.
func unpadded(v vector) (int64, error) {
	seen := newBitset(v.n)
	n := v.n
	err := v.each(func(i, x int64) error {
		if x < 0 || x >= v.n {
			return notPermutation(v.f.path, i, fmt.Sprintf("%d", x), v.n)
		}
		switch fresh := seen.add(x); {
		case !fresh && n == v.n:
			n = i
		case fresh && n < v.n:
			return notPermutation(v.f.path, n, "an instance again", v.n)
		}
		return nil
	})
	return n, err
}

func notPermutation(path string, i int64, found string, n int64) error {
	return fault.Inputf("malformed", "store: %s: entry %d: found %s, want each of 0 to %d once", path, i, found, n-1)
}

// orderOf reads a permutation and checks it.
func orderOf(v vector) (Order, error) {
	if v.n > math.MaxUint32 {
		return nil, fault.Inputf("malformed", "store: %s: found %d entries, want fewer than 2^32", v.f.path, v.n)
	}
	order := make(Order, v.n) // the file holds as many
	seen := newBitset(v.n)
	err := v.each(func(i, x int64) error {
		switch {
		case x < 0 || x >= v.n:
			return notPermutation(v.f.path, i, fmt.Sprintf("%d", x), v.n)
		case !seen.add(x):
			return notPermutation(v.f.path, i, fmt.Sprintf("%d again", x), v.n)
		}
		order[i] = uint32(x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return order, nil
}

// Generators are the names that [Generate] knows.
func Generators() []string { return []string{"pcg64", "mt19937"} }

// Generate draws the order of n instances as numpy does: "pcg64" is
// default_rng(seed).permutation(n), "mt19937" is RandomState(seed).permutation(n).
// Runs that reshuffle each epoch add the epoch to their seed. An unknown name, a
// seed above 2^32-1 for mt19937 or n above 2^32-1 is an error.
func Generate(name string, seed uint64, n int) (Order, error) {
	switch name {
	case "pcg64":
		return Shuffle(NewPCG64(seed), n)
	case "mt19937":
		if seed > math.MaxUint32 {
			return nil, fault.Usagef("store: generator mt19937: seed %d, want at most 2^32-1", seed)
		}
		return Shuffle(NewMT19937(uint32(seed)), n)
	}
	return nil, fault.Usagef("store: generator %q, want one of %q", name, Generators())
}

// Equal reports whether two orders are the same, and the first position where they
// differ (or where the shorter one ends).
func (o Order) Equal(other Order) (at int, ok bool) {
	n := min(len(o), len(other))
	for p := range n {
		if o[p] != other[p] {
			return p, false
		}
	}
	return n, len(o) == len(other)
}

// Inverse returns, for each instance, its position. It expects a permutation.
func (o Order) Inverse() Order {
	inv := make(Order, len(o))
	for p, id := range o {
		inv[id] = uint32(p)
	}
	return inv
}

// Digest is "sha256:" and the hash of the entries as little-endian uint32.
func (o Order) Digest() string {
	h := sha256.New()
	buf := make([]byte, 0, 1<<16)
	for i, x := range o {
		buf = binary.LittleEndian.AppendUint32(buf, x)
		if len(buf) == cap(buf) || i == len(o)-1 {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Source gives uniform 32-bit integers in a fixed sequence.
type Source interface{ Uint32() uint32 }

// Shuffle returns the order in which numpy's shuffle leaves arange(n):
// Fisher-Yates from the end, with indices drawn by masking and redrawing. With
// *PCG64 it is Generator.permutation(n) and Generator.shuffle, with *MT19937
// RandomState.permutation(n) and RandomState.shuffle. A source that is used
// again goes on where it stopped, as numpy's does.
func Shuffle(s Source, n int) (Order, error) {
	if n < 0 || int64(n) > math.MaxUint32 {
		return nil, fault.Usagef("store: shuffle of %d entries, want 0 to 2^32-1", n)
	}
	o := make(Order, n)
	for i := range o {
		o[i] = uint32(i)
	}
	for i := n - 1; i > 0; i-- {
		mask := uint32(1)<<bits.Len32(uint32(i)) - 1
		j := s.Uint32() & mask
		for j > uint32(i) {
			j = s.Uint32() & mask
		}
		o[i], o[j] = o[j], o[i]
	}
	return o, nil
}
