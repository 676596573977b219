package stat

import (
	"math"
	"sync"
)

// signFlipExact is the largest number of differences for which SignFlip visits
// all sign patterns: 2^20 of them.
const signFlipExact = 20

// SignFlip returns the log p of sum(d) when each difference's sign is a fair coin:
// upper tail, or with o.TwoSided the absolute sum. Up to 20 differences all sign
// patterns are visited (exact true), else o.B draws give (1+hits)/(1+B). A sum
// within 1e-12 max(1, sum |d|) of the observed one is a hit. No differences or
// values that are not finite give NaN. O(2^n) or O(B n).
func SignFlip(d []float64, o Perm) (logP float64, exact bool) {
	var abs sum
	for _, v := range d {
		abs.add(math.Abs(v))
	}
	if len(d) == 0 || !finite(abs.value()) {
		return math.NaN(), false
	}
	o = o.withDefaults()
	limit := Sum(d)
	if o.TwoSided {
		limit = math.Abs(limit)
	}
	limit -= 1e-12 * max(1, abs.value())
	hit := func(s float64) int64 {
		if s >= limit || o.TwoSided && -s >= limit {
			return 1
		}
		return 0
	}
	if len(d) <= signFlipExact {
		t := Tally{Exact: true, Total: 1 << len(d)}
		t.GE = flipAll(d, 0, hit)
		return t.Greater(), true
	}
	part := make([]int64, o.Workers)
	var wg sync.WaitGroup
	for w := range o.Workers {
		wg.Go(func() {
			for j := w; j < o.B; j += o.Workers {
				g := newPCG(o.Seed, o.Stream, uint64(j))
				var s float64
				var bits uint64
				for i, v := range d {
					if i%64 == 0 {
						bits = g.Uint64()
					}
					// The sign bit of v, flipped by a coin.
					s += math.Float64frombits(math.Float64bits(v) ^ bits&(1<<63))
					bits <<= 1
				}
				part[w] += hit(s)
			}
		})
	}
	wg.Wait()
	t := Tally{Total: int64(o.B)}
	for _, h := range part {
		t.GE += h
	}
	return t.Greater(), false
}

// flipAll sums the leaves by recursion: a running update of one sum would
// accumulate rounding over 2^20 steps.
func flipAll(d []float64, s float64, hit func(float64) int64) int64 {
	if len(d) == 0 {
		return hit(s)
	}
	return flipAll(d[1:], s+d[0], hit) + flipAll(d[1:], s-d[0], hit)
}
