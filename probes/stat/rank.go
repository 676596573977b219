package stat

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
)

// ErrConstant reports a sample without variation, for which no correlation exists.
var ErrConstant = errors.New("all values are equal")

// MidRanks returns the 1-based ranks of x, ties sharing the mean of the ranks
// they occupy. The order of NaN is undefined; callers refuse NaN first.
// O(n log n).
func MidRanks(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, c := range NewRanks(x).C {
		out[i] = (float64(c) + float64(len(x)+1)) / 2
	}
	return out
}

// Ranks are doubled and centred midranks, c_i = 2 r_i - (n+1): integers with sum
// 0, so that sums of products are exact and ties between permuted statistics are
// seen as ties. Negating x negates C exactly.
type Ranks struct {
	C    []int32
	Ties int // size of the largest group of equal values
}

// NewRanks ranks x, at most 2^30 values. O(n log n), 16 bytes of scratch a value.
func NewRanks(x []float64) Ranks { return newRanks(x) }

// NewIntRanks is NewRanks for integers, such as positions in a run.
func NewIntRanks(x []int64) Ranks { return newRanks(x) }

func newRanks[T int64 | float64](x []T) Ranks {
	type item struct {
		v T
		i int32
	}
	n := len(x)
	s := make([]item, n)
	for i, v := range x {
		s[i] = item{v, int32(i)}
	}
	order := func(s []item) { slices.SortFunc(s, func(a, b item) int { return cmp.Compare(a.v, b.v) }) }
	// Large samples are sorted as two halves side by side and read as one.
	half := n
	var other sync.WaitGroup
	if n > 1<<16 {
		half = n / 2
		other.Go(func() { order(s[half:]) })
	}
	order(s[:half])
	other.Wait()
	parts := [2][]item{s[:half], s[half:]}
	r := Ranks{C: make([]int32, n)}
	for lo := 0; lo < n; {
		first := parts[0]
		if len(first) == 0 || len(parts[1]) > 0 && cmp.Less(parts[1][0].v, first[0].v) {
			first = parts[1]
		}
		v := first[0].v
		var equal [2]int
		for k, p := range parts {
			for equal[k] < len(p) && cmp.Compare(p[equal[k]].v, v) == 0 {
				equal[k]++
			}
		}
		hi := lo + equal[0] + equal[1]
		c := int32(lo + hi - n) // twice the mean of lo+1..hi, minus n+1
		for k, e := range equal {
			for _, it := range parts[k][:e] {
				r.C[it.i] = c
			}
			parts[k] = parts[k][e:]
		}
		r.Ties = max(r.Ties, hi-lo)
		lo = hi
	}
	return r
}

// Order returns the indices of the values in ascending order, equal values by
// index. O(n): ranks lie between -n and n, so counting replaces sorting.
func (r Ranks) Order() []int32 {
	n := len(r.C)
	start := make([]int32, 2*n+1) // a tie group's values take the slots from its start on
	for _, c := range r.C {
		start[int(c)+n]++
	}
	at := int32(0)
	for i, k := range start {
		start[i] = at
		at += k
	}
	out := make([]int32, n)
	for i, c := range r.C {
		out[start[int(c)+n]] = int32(i)
		start[int(c)+n]++
	}
	return out
}

// Rho is the Pearson correlation of two rank vectors of one length: Spearman's
// rho with ties. The sums are exact; NaN if either is constant.
func (r Ranks) Rho(s Ranks) float64 {
	return dot(r.C, s.C).float() / r.norm(s)
}

// norm is the denominator of rho: sqrt(sum r^2 * sum s^2).
func (r Ranks) norm(s Ranks) float64 {
	a, b := dot(r.C, r.C).float(), dot(s.C, s.C).float()
	if a == b { // exact for equal tie patterns, so that rho is exactly +-1 there
		return a
	}
	return math.Sqrt(a) * math.Sqrt(b)
}

// ExcessKurtosis returns m4/m2^2 - 3 of the ranks (population moments): about
// -1.2 without ties, NaN if constant.
func (r Ranks) ExcessKurtosis() float64 {
	var m2, m4 float64
	for _, c := range r.C {
		q := float64(c) * float64(c)
		m2 += q
		m4 += q * q
	}
	n := float64(len(r.C))
	return n*m4/(m2*m2) - 3
}

// Spearman returns the rank correlation of x and y with midranks for ties, in
// [-1, 1]. It is exact in its sums, so permuting the pairs gives the same bits.
// Unequal lengths, fewer than two pairs, values that are not finite and constant
// samples are errors. O(n log n).
func Spearman(x, y []float64) (float64, error) {
	if err := checkPairs(x, y); err != nil {
		return math.NaN(), fmt.Errorf("stat: spearman: %w", err)
	}
	rho := NewRanks(x).Rho(NewRanks(y))
	if math.IsNaN(rho) {
		return rho, fmt.Errorf("stat: spearman: %w", ErrConstant)
	}
	return rho, nil
}

// Pearson returns the product-moment correlation of x and y in [-1, 1], by two
// passes. Errors as for Spearman. O(n).
func Pearson(x, y []float64) (float64, error) {
	if err := checkPairs(x, y); err != nil {
		return math.NaN(), fmt.Errorf("stat: pearson: %w", err)
	}
	mx, my := mean(x), mean(y)
	var xx, yy, xy float64
	for i := range x {
		a, b := x[i]-mx, y[i]-my
		xx += a * a
		yy += b * b
		xy += a * b
	}
	if xx == 0 || yy == 0 {
		return math.NaN(), fmt.Errorf("stat: pearson: %w", ErrConstant)
	}
	return max(-1, min(1, xy/(math.Sqrt(xx)*math.Sqrt(yy)))), nil
}

func checkPairs(x, y []float64) error {
	if len(x) != len(y) {
		return fmt.Errorf("lengths %d and %d differ", len(x), len(y))
	}
	if len(x) < 2 {
		return fmt.Errorf("%d pairs, want at least 2", len(x))
	}
	for i := range x {
		if !finite(x[i]) || !finite(y[i]) {
			return fmt.Errorf("pair %d is (%g, %g), want finite values", i, x[i], y[i])
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Sum is the Neumaier-compensated sum of x in index order; its error does not
// grow with len(x).
func Sum(x []float64) float64 {
	var s sum
	for _, v := range x {
		s.add(v)
	}
	return s.value()
}

// sum is Neumaier's compensated accumulator.
type sum struct{ s, c float64 }

func (a *sum) add(v float64) {
	t := a.s + v
	if math.Abs(a.s) >= math.Abs(v) {
		a.c += a.s - t + v
	} else {
		a.c += v - t + a.s
	}
	a.s = t
}

func (a *sum) value() float64 { return a.s + a.c }

func mean(x []float64) float64 { return Sum(x) / float64(len(x)) }

// int64Ranks is the largest n for which sums of products of centred doubled
// ranks fit int64: n^3/3 < 2^63 up to n = 3,024,617.
const int64Ranks = 3_000_000

// int128 is a two's-complement sum.
type int128 struct {
	hi int64
	lo uint64
}

func (a int128) add(v int64) int128 {
	lo, carry := bits.Add64(a.lo, uint64(v), 0)
	return int128{a.hi + v>>63 + int64(carry), lo}
}

func (a int128) plus(b int128) int128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	return int128{a.hi + b.hi + int64(carry), lo}
}

func (a int128) abs() int128 {
	if a.hi < 0 {
		return a.neg()
	}
	return a
}

func (a int128) cmp(b int128) int {
	if a.hi != b.hi {
		return cmp.Compare(a.hi, b.hi)
	}
	return cmp.Compare(a.lo, b.lo)
}

func (a int128) neg() int128 {
	lo, borrow := bits.Sub64(0, a.lo, 0)
	return int128{-a.hi - int64(borrow), lo}
}

func (a int128) float() float64 {
	if a.hi < 0 {
		return -a.neg().float()
	}
	return float64(a.hi)*0x1p64 + float64(a.lo)
}

func dot(a, b []int32) int128 {
	b = b[:len(a)]
	if len(a) <= int64Ranks {
		var s int64
		for i, v := range a {
			s += int64(v) * int64(b[i])
		}
		return int128{}.add(s)
	}
	var s int128
	for i, v := range a {
		s = s.add(int64(v) * int64(b[i]))
	}
	return s
}
