package model

import (
	"cmp"
	"slices"
)

// minBucket is the smallest padded length.
const minBucket = 32

// bucket is the smallest of 32, 40, 48, 56, 64, 80, 96, 112, 128, ... that holds
// n inputs: four steps to a doubling, so that one token in eight is padding where
// lengths are mixed (with two steps, one in five). It depends on the window
// alone, so a window always meets the same shape.
func bucket(n int) int {
	for t := minBucket; ; t *= 2 {
		for q := t; q < 2*t; q += t / 4 {
			if n <= q {
				return q
			}
		}
	}
}

// largePath is the number of multiplications from which the Go backend takes
// its kernels for large products. The others give other last bits.
const largePath = 1 << 22

// batchRows is the number of rows of a batch in bucket T: as many as fill
// batchTokens, and at least so many that every product takes the same kernels
// whatever batchTokens is. Never one: a product of one row is another matter yet.
func (s *Spec) batchRows(batchTokens, T int) int { return max(s.leastRows(T), batchTokens/T) }

func (s *Spec) leastRows(T int) int {
	B := 2
	for i := range s.Kinds {
		a, m := &s.Kinds[i].Attn, &s.Kinds[i].MLP
		q := a.Heads * a.HeadDim
		least := min(s.Width*(q+2*a.KVHeads*a.HeadDim), q*s.Width)
		switch x := m.Experts; {
		case x == nil:
			least = min(least, m.Width*s.Width)
		case x.Shared > 0: // the rows of the others are counted by expertRows
			least = min(least, x.Shared*s.Width)
		}
		least *= T
		if T < longBucket { // from there on scores are taken window by window
			least = min(least, q*T*T)
		}
		B = max(B, (largePath+least-1)/least)
	}
	return B
}

// shape identifies the executables of a batch.
type shape struct {
	T, B int
	long bool // long rotary frequencies
}

// batch is a set of windows of one shape, in rows 0..len(items)-1; the rest of
// the B rows are dummies.
type batch struct {
	shape
	items []*item
}

// item is a window on its way through the model.
type item struct {
	w      Window
	order  int
	tokens int
	scores Scores
	done   bool
}

// pack sorts items by shape and length, cuts them into batches and orders the
// batches so that the earliest window waits least.
func (m *Model) pack(items []*item, batchTokens int) []batch {
	key := func(it *item) shape {
		n := len(it.w.IDs)
		T := bucket(n)
		if it.w.Small {
			batchTokens = 0
		}
		return shape{T, m.spec.batchRows(batchTokens, T), m.long(n)}
	}
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b *item) int {
		x, y := key(a), key(b)
		if c := cmp.Compare(x.T, y.T); c != 0 {
			return c
		}
		if x.long != y.long {
			if x.long {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.order, b.order)
	})
	var out []batch
	for _, it := range sorted {
		k := key(it)
		if n := len(out); n > 0 && out[n-1].shape == k && len(out[n-1].items) < k.B && out[n-1].items[0].w.Small == it.w.Small {
			out[n-1].items = append(out[n-1].items, it)
			continue
		}
		out = append(out, batch{k, []*item{it}})
	}
	slices.SortStableFunc(out, func(a, b batch) int { return cmp.Compare(a.items[0].order, b.items[0].order) })
	for i := range out {
		out[i].B = m.shrink(out[i])
	}
	return out
}

// shrink halves the rows of a batch that is not full. With the Go backend's
// vector kernels the values of a row do not depend on the number of rows once
// all products are large (TestInvariance: bit for bit, AVX-512 and AVX2);
// elsewhere a bucket keeps its one shape.
func (m *Model) shrink(b batch) int {
	B := b.B
	if !SIMD || !m.eng.backend.HasSharedBuffers() {
		return B
	}
	for least := max(len(b.items), m.spec.leastRows(b.T)); (B+1)/2 >= least; {
		B = (B + 1) / 2
	}
	return B
}

// long reports whether a window of n inputs takes the long rotary frequencies.
func (m *Model) long(n int) bool {
	return slices.ContainsFunc(m.spec.Kinds, func(b Block) bool { return b.Attn.Rope.long(n) })
}
