package perm

import (
	"math"
	"math/big"
	"slices"
	"sync"
)

// middleBytes is the peak memory of the middle method for n values.
func middleBytes(n int) int64 {
	if n > 60 {
		return math.MaxInt64
	}
	h := n - n/2
	return 8 * (int64(1)<<h + int64(1)<<(n-h)) // half the lists of 8 bytes, those they are merged from, and complements
}

// scale maps values to integers whose sums are exact in int64, so that the
// merge compares what it adds. The rounding of a sum is below 2^-55 of the
// range of all sums, far inside the tie tolerance.
type scale struct{ min, mul float64 }

func newScale(values []float64) scale {
	lo, span := math.Inf(1), 0.0
	for _, v := range values {
		lo = min(lo, v)
	}
	for _, v := range values {
		span += v - lo
	}
	if span == 0 {
		return scale{lo, 1}
	}
	return scale{lo, 0x1p60 / span}
}

func (c scale) of(v float64) int64 { return int64(math.Round((v - c.min) * c.mul)) }

// threshold maps a sum of k values, saturating: sums beyond the range are
// reached by none or by all subsets.
func (c scale) threshold(t float64, k int) int64 {
	x := math.Round((t - float64(k)*c.min) * c.mul)
	return int64(min(max(x, -0x1p61), 0x1p61))
}

// half holds, for each size c up to n/2, the ascending sums of all c-subsets
// of n values. The larger sizes are their complements: total minus a smaller
// list, backwards.
type half struct {
	n     int
	total int64
	lists [][]int64
}

// newHalf adds one value at a time: list c becomes the merge of list c and
// list c-1 plus the value.
func newHalf(q []int64) *half {
	h := &half{lists: [][]int64{{0}}}
	for _, x := range q {
		next := make([][]int64, (h.n+1)/2+1)
		for c := len(next) - 1; c >= 1; c-- {
			var old []int64
			if c <= h.n {
				old = h.sums(c)
			}
			next[c] = mergeShifted(old, h.sums(c-1), x)
		}
		next[0] = h.lists[0]
		h.n, h.total, h.lists = h.n+1, h.total+x, next
	}
	return h
}

// sums returns the ascending sums of the c-subsets.
func (h *half) sums(c int) []int64 {
	if c < len(h.lists) {
		return h.lists[c]
	}
	from := h.lists[h.n-c]
	out := make([]int64, len(from))
	for i, s := range from {
		out[len(out)-1-i] = h.total - s
	}
	return out
}

// mergeShifted merges a with b+x. The step is free of branches on data: half
// of them would be mispredicted.
func mergeShifted(a, b []int64, x int64) []int64 {
	out := make([]int64, len(a)+len(b))
	i, j, k := 0, 0, 0
	for i < len(a) && j < len(b) {
		p, q := a[i], b[j]+x
		take := int((p - q) >> 63 & 1) // 1 when p < q; sums stay below 2^61, so p - q cannot overflow
		out[k] = min(p, q)
		i += take
		j += 1 - take
		k++
	}
	for ; j < len(b); j++ {
		out[k] = b[j] + x
		k++
	}
	copy(out[k:], a[i:])
	return out
}

// middle holds the sorted halves, so that several thresholds share them.
type middle struct {
	k    int
	conv scale
	a, b *half
}

func newMiddle(values []float64, k int) *middle {
	m := &middle{k: k, conv: newScale(values)}
	q := make([]int64, len(values))
	for i, v := range values {
		q[i] = m.conv.of(v)
	}
	n := len(q) / 2
	var wg sync.WaitGroup
	wg.Go(func() { m.a = newHalf(q[:n]) })
	m.b = newHalf(q[n:])
	wg.Wait()
	return m
}

// atLeast counts the k-subsets whose sum is at least thr, and among them those
// whose sum is at most tie.
func (m *middle) atLeast(thr, tie float64) (ge *big.Int, ties int64) {
	t, u := m.conv.threshold(thr, m.k), m.conv.threshold(tie, m.k)
	ge = new(big.Int)
	for c := max(0, m.k-m.b.n); c <= min(m.a.n, m.k); c++ {
		n, tied := pairs(m.a.sums(c), m.b.sums(m.k-c), t, u)
		ge.Add(ge, new(big.Int).SetUint64(n))
		ties += tied
	}
	return ge, ties
}

// pairs counts i, j with x[i] + y[j] >= t, and those of them at most u. As x
// ascends the first y that suffices descends, so the two lists are walked
// once: one step a turn, left or right, without a branch on data.
func pairs(x, y []int64, t, u int64) (n uint64, ties int64) {
	i, j := 0, len(y) // y[j:] suffices for x[i]
	for i < len(x) && j > 0 {
		down := int((t-1-x[i]-y[j-1])>>63) & 1 // 1 when x[i] + y[j-1] >= t
		if down == 0 && j < len(y) && x[i]+y[j] <= u {
			ties += window(x[i], y[j:], u)
		}
		j -= down
		n += uint64(len(y)-j) &^ -uint64(down) // x[i] is done when y[j-1] misses
		i += 1 - down
	}
	for ; i < len(x); i++ { // every y suffices
		n += uint64(len(y))
		if x[i]+y[0] <= u {
			ties += window(x[i], y, u)
		}
	}
	return n, ties
}

// window counts the leading y with x + y at most u: few, unless values repeat.
func window(x int64, y []int64, u int64) int64 {
	i, _ := slices.BinarySearch(y, u-x+1)
	return int64(i)
}
