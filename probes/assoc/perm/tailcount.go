package perm

import (
	"math/big"
	"slices"
)

// counter counts the k-subsets of the descending values v whose sum reaches
// thr. A subtree is cut when even its largest sum misses thr and taken whole,
// by a binomial coefficient, when even its smallest reaches it.
type counter struct {
	v, pre     []float64
	thr, tie   float64 // sums in [thr, tie] are ties with the observed one
	strict     bool    // count sums > thr
	choose     [][]*big.Int
	small      [][]uint64 // choose where it fits 63 bits, else 0
	lo         uint64
	hi         big.Int
	ties       int64
	nodes, max int64
}

// newCounter prepares the tables; pre[i] is the sum of the first i values.
func newCounter(values []float64, k int) *counter {
	c := &counter{v: slices.Clone(values)}
	slices.Sort(c.v)
	slices.Reverse(c.v)
	c.pre = make([]float64, len(c.v)+1)
	for i, x := range c.v {
		c.pre[i+1] = c.pre[i] + x
	}
	c.choose, c.small = binomials(len(c.v), k)
	return c
}

// binomials returns C(n, k) for n <= N and k <= K.
func binomials(n, k int) ([][]*big.Int, [][]uint64) {
	b, s := make([][]*big.Int, n+1), make([][]uint64, n+1)
	for i := range b {
		b[i], s[i] = make([]*big.Int, k+1), make([]uint64, k+1)
		for j := range b[i] {
			switch {
			case j == 0:
				b[i][j] = big.NewInt(1)
			case i == 0:
				b[i][j] = new(big.Int)
			default:
				b[i][j] = new(big.Int).Add(b[i-1][j-1], b[i-1][j])
			}
			if b[i][j].IsInt64() {
				s[i][j] = b[i][j].Uint64()
			}
		}
	}
	return b, s
}

func (c *counter) reaches(s float64) bool { return s > c.thr || (s == c.thr && !c.strict) }

func (c *counter) add(n uint64) {
	if c.lo+n < c.lo {
		c.hi.Add(&c.hi, new(big.Int).SetUint64(c.lo))
		c.lo = 0
	}
	c.lo += n
}

func (c *counter) addChoose(n, k int) {
	if s := c.small[n][k]; s > 0 {
		c.add(s)
		return
	}
	c.hi.Add(&c.hi, c.choose[n][k])
}

// count visits the subsets that take k >= 1 more values from v[i:] on top of
// sum s. It returns false when the budget of nodes is spent.
func (c *counter) count(i, k int, s float64) bool {
	c.nodes++
	if c.nodes > c.max {
		return false
	}
	n := len(c.v)
	if n-i < k || !c.reaches(s+(c.pre[i+k]-c.pre[i])) {
		return true
	}
	if least := s + (c.pre[n] - c.pre[n-k]); c.reaches(least) {
		c.addChoose(n-i, k)
		if least <= c.tie {
			c.ties += c.tied(i, k, s)
		}
		return true
	}
	if k == 1 {
		c.last(i, s)
		return true
	}
	for j := i; j <= n-k; j++ {
		if !c.reaches(s + (c.pre[j+k] - c.pre[j])) {
			break
		}
		if !c.count(j+1, k-1, s+c.v[j]) {
			return false
		}
	}
	return true
}

// last counts by binary search: one more value, sorted descending.
func (c *counter) last(i int, s float64) {
	lo, hi := i, len(c.v)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if c.reaches(s + c.v[m]) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	c.add(uint64(lo - i))
	for j := lo - 1; j >= i && s+c.v[j] <= c.tie; j-- {
		c.ties++
	}
}

// tied counts the sums at or below c.tie inside a subtree that reaches thr as
// a whole. Such subtrees straddle a window of two tolerances, so they are
// rare unless many values are equal; then whole blocks are taken by C(n, k).
func (c *counter) tied(i, k int, s float64) int64 {
	n := len(c.v)
	if n-i < k || s+(c.pre[n]-c.pre[n-k]) > c.tie {
		return 0
	}
	if s+(c.pre[i+k]-c.pre[i]) <= c.tie {
		if x := c.small[n-i][k]; x > 0 {
			return int64(x)
		}
		return 1 << 62
	}
	if k == 0 {
		return 1
	}
	return c.tied(i+1, k-1, s+c.v[i]) + c.tied(i+1, k, s)
}

func (c *counter) total() *big.Int {
	return new(big.Int).Add(&c.hi, new(big.Int).SetUint64(c.lo))
}
