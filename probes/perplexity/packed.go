package perplexity

import (
	"encoding/binary"
	"math"
	"slices"

	"assay/model/trace"
)

// pool is the scored documents of a run: units as they are, or packed ones.
type pool struct {
	units  []Unit
	packed *packed
}

func (p *pool) len() int {
	if p.packed != nil {
		return p.packed.n
	}
	return len(p.units)
}

// at returns document i, valid until the next call.
func (p *pool) at(i int) *Unit {
	if p.packed != nil {
		return p.packed.at(i)
	}
	return &p.units[i]
}

// totals are what a run needs of its documents beside cost and size of each.
type totals struct {
	nats, squares, tokens, all, bytes, windows, greedy float64
	partial, tiny                                      int // under 99 % scored; under 16 tokens
	many                                               bool
}

func (t *totals) add(u *Unit) {
	t.nats, t.squares, t.tokens, t.all = t.nats+u.Nats, t.squares+u.Squares, t.tokens+u.Tokens, t.all+u.Total
	t.windows, t.greedy = t.windows+float64(u.Windows), t.greedy+float64(u.Greedy)
	if !math.IsNaN(u.Bytes) {
		t.bytes += u.Bytes
	}
	if u.Total > 0 && u.Tokens < .99*u.Total {
		t.partial++
	}
	if u.Total < 16 {
		t.tiny++
	}
	t.many = t.many || u.Windows > 1
}

// packed holds the documents of a large corpus in 32 bytes each, in chunks so that it
// grows without copies: what the micro figures, the jackknife and the quantiles read.
// It holds no names, groups or digests; texts that repeat are for whole units.
type packed struct {
	chunks [][]packedUnit
	n      int
	docs   int // scored or not
	status map[string]int
	sums   totals
	keys   []uint64 // of the texts; dropped by distinct
	one    Unit
}

type packedUnit struct {
	nats                                float64
	tokens, words, pieces, bytes, chars uint32 // absent = undefined
}

const (
	chunkUnits = 4096
	absent     = math.MaxUint32
)

func narrow(x float64) (uint32, bool) {
	if math.IsNaN(x) {
		return absent, true
	}
	return uint32(x), x >= 0 && x < absent
}

func widen(x uint32) float64 {
	if x == absent {
		return math.NaN()
	}
	return float64(x)
}

// add returns false for a document that needs a whole unit: one of a group, or larger
// than 4 GiB.
func (p *packed) add(u *Unit) bool {
	if u.Group != "" {
		return false
	}
	p.docs++
	p.status[u.Status]++
	if !scored(u) {
		return true
	}
	x := packedUnit{nats: u.Nats}
	for _, f := range []struct {
		to *uint32
		v  float64
	}{{&x.tokens, u.Tokens}, {&x.words, u.Words}, {&x.pieces, u.Pieces}, {&x.bytes, u.Bytes}, {&x.chars, u.Chars}} {
		v, ok := narrow(f.v)
		if !ok {
			return false
		}
		*f.to = v
	}
	if p.n%chunkUnits == 0 {
		p.chunks = append(p.chunks, make([]packedUnit, 0, chunkUnits))
	}
	last := &p.chunks[len(p.chunks)-1]
	*last = append(*last, x)
	p.n++
	p.sums.add(u)
	if u.SHA256 != ([32]byte{}) {
		p.keys = append(p.keys, binary.LittleEndian.Uint64(u.SHA256[:]))
	}
	return true
}

// distinct says that no two texts are equal, by 64 bits of their digests.
func (p *packed) distinct() bool {
	n := len(p.keys)
	slices.Sort(p.keys)
	ok := len(slices.Compact(p.keys)) == n
	p.keys = nil
	return ok
}

func (p *packed) at(i int) *Unit {
	x := p.chunks[i/chunkUnits][i%chunkUnits]
	p.one = Unit{Status: trace.StatusOK, Nats: x.nats, Tokens: float64(x.tokens), Words: widen(x.words), Pieces: widen(x.pieces),
		Bytes: widen(x.bytes), Chars: widen(x.chars), Covered: math.NaN()}
	return &p.one
}
