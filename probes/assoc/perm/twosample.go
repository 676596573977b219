package perm

import (
	"math"
	"math/big"
	"slices"

	"assay/internal/fault"
)

// TwoSample counts the choices of len(x) of all values whose sum is at least
// the sum of x less Tol, or, two-sided, whose difference of group means is at
// least as large in absolute value, both tails counted. Under the null that
// every choice is equally likely the share of them is the p-value.
//
// Methods in order: tail count (not tried above 32 values when the normal
// approximation foresees more choices in the tail than 5e10, or than 1e9 where
// middle can do it in half a second), middle (up to 50 values and MaxBytes),
// bracket, and sample above 150 values or on request.
// If all values are equal within 1e-12 every choice counts and p is 1.
func TwoSample(x, y []float64, alt Alt, o Options) (Tail, error) {
	o = o.withDefaults()
	values := slices.Concat(x, y)
	if len(x) == 0 || len(y) == 0 {
		return Tail{}, fault.Inputf("too-few", "perm: groups: found %d and %d values, want at least 1 each", len(x), len(y))
	}
	if o.Draws < 1 || o.Nodes < 1 {
		return Tail{}, fault.Usagef("perm: options: found %d draws and %d nodes, want 1 or more", o.Draws, o.Nodes)
	}
	if err := check(values); err != nil {
		return Tail{}, err
	}
	s := &split{values: values, nx: len(x), t: sum(x), tol: Tol(values)}
	if o.Only == Sample || o.Only == "" && (o.Sample || len(values) > maxValues) {
		return s.sample(alt, o), nil
	}
	up, low, both := s.thresholds(alt)
	t, err := s.tail(up, o)
	switch {
	case err != nil || !both:
		return t.floored(), err
	case s.nx*2 == len(values) && up != low:
		return t.Mirrored(), nil // choosing X or its complement exchanges the tails
	}
	other, err := s.tailBelow(low, o)
	return t.plus(other).floored(), err
}

// floored keeps the observed choice in the tail whatever rounding did.
func (t Tail) floored() Tail {
	switch one := big.NewInt(1); {
	case t.Total == nil:
		return t
	case t.GE == nil:
		f := ratio(one, t.Total)
		t.Lo, t.Hi = max(t.Lo, f), max(t.Hi, f)
		t.Log10P = math.Log10(t.Hi)
		return t
	case t.GE.Sign() == 0:
		return counted(t, one, t.Total, t.Tol)
	}
	return t
}

type split struct {
	values []float64
	nx     int
	t, tol float64
	mid    *middle // built at the first use
}

// thresholds returns the sums of X that the observed difference of means and
// its negative would give. For Greater only the first is used.
func (s *split) thresholds(alt Alt) (up, low float64, both bool) {
	if alt == Greater {
		return s.t, 0, false
	}
	nx, n, total := float64(s.nx), float64(len(s.values)), sum(s.values)
	center := nx * total / n
	if d := math.Abs(s.t - center); d > s.tol {
		return center + d, center - d, true
	}
	return center, center, true // no difference: every choice counts, once
}

func (s *split) total() *big.Int {
	return new(big.Int).Binomial(int64(len(s.values)), int64(s.nx))
}

// tail finds the share of choices with sum >= up - tol.
func (s *split) tail(up float64, o Options) (Tail, error) {
	total := s.total()
	if span := slices.Max(s.values) - slices.Min(s.values); span <= 1e-12*maxAbs(s.values) {
		return counted(Tail{Method: TailCount, Ties: clampInt(total)}, total, total, s.tol), nil
	}
	if o.Only == TailCount || o.Only == "" && s.worthCounting(up, total, o) {
		if t, ok := s.tailCount(up, total, o); ok {
			return t, nil
		}
	}
	if s.halvable(o) {
		ge, ties := s.halves().atLeast(up-s.tol, up+s.tol)
		return counted(Tail{Method: Middle, Ties: ties}, ge, total, s.tol), nil
	}
	if o.Only == Bracket || o.Only == "" {
		lo, hi, bits := bracketBits(s.values, s.nx, up, o.MaxBytes/2)
		return Tail{Method: Bracket, Total: total, Lo: lo, Hi: hi, Log10P: math.Log10(hi), Tol: s.tol, Ties: -1, Bits: bits}, nil
	}
	return Tail{}, fault.Usagef("perm: method %q: not applicable to %d values within the budget", o.Only, len(s.values))
}

// halvable reports whether the middle method may run.
func (s *split) halvable(o Options) bool {
	return (o.Only == Middle || o.Only == "") && len(s.values) <= 50 && middleBytes(len(s.values)) <= o.MaxBytes
}

func (s *split) halves() *middle {
	if s.mid == nil {
		s.mid = newMiddle(s.values, s.nx)
	}
	return s.mid
}

// tailBelow finds the share of choices with sum <= low + tol: the upper tail
// of the negated values, unless sorted halves are at hand.
func (s *split) tailBelow(low float64, o Options) (Tail, error) {
	if s.mid != nil && s.halvable(o) {
		total := s.total()
		above, _ := s.mid.atLeast(math.Nextafter(low+s.tol, math.Inf(1)), math.Inf(-1))
		within, _ := s.mid.atLeast(low-s.tol, math.Inf(-1))
		ties := clampInt(new(big.Int).Sub(within, above))
		return counted(Tail{Method: Middle, Ties: ties}, new(big.Int).Sub(total, above), total, s.tol), nil
	}
	neg := &split{values: negate(s.values), nx: s.nx, t: -low, tol: s.tol}
	return neg.tail(-low, o)
}

// worthCounting predicts whether branch and bound can finish.
func (s *split) worthCounting(up float64, total *big.Int, o Options) bool {
	if len(s.values) <= 32 {
		return true
	}
	c, _ := new(big.Float).SetInt(total).Float64()
	n, nx := float64(len(s.values)), float64(s.nx)
	mean, ss := sum(s.values)/n, 0.0
	for _, v := range s.values {
		ss += (v - mean) * (v - mean)
	}
	z := (up - nx*mean) / math.Sqrt(nx*(n-nx)*ss/(n*(n-1)))
	limit := 5e10
	if s.halvable(o) {
		limit = 1e9
	}
	return 0.5*math.Erfc(math.Abs(z)/math.Sqrt2)*c <= limit
}

// tailCount counts the smaller tail: below the null mean it counts the sums
// under the threshold, on negated values, and subtracts.
func (s *split) tailCount(up float64, total *big.Int, o Options) (Tail, bool) {
	thr := up - s.tol
	if up >= float64(s.nx)*sum(s.values)/float64(len(s.values)) {
		c := newCounter(s.values, s.nx)
		c.thr, c.tie, c.max = thr, up+s.tol, o.Nodes
		if !c.count(0, s.nx, 0) {
			return Tail{}, false
		}
		return counted(Tail{Method: TailCount, Ties: c.ties, Nodes: c.nodes}, c.total(), total, s.tol), true
	}
	c := newCounter(negate(s.values), s.nx)
	c.thr, c.strict, c.max, c.tie = -thr, true, o.Nodes, math.Inf(-1)
	if !c.count(0, s.nx, 0) {
		return Tail{}, false
	}
	ge := new(big.Int).Sub(total, c.total())
	return counted(Tail{Method: TailCount, Ties: -1, Nodes: c.nodes}, ge, total, s.tol), true
}

func counted(t Tail, ge, total *big.Int, tol float64) Tail {
	p := ratio(ge, total)
	t.GE, t.Total, t.Lo, t.Hi, t.Log10P, t.Tol = ge, total, p, p, math.Inf(-1), tol
	if ge.Sign() > 0 {
		t.Log10P = min(0, Log10Ratio(ge, total))
	}
	return t
}

// Mirrored turns one tail of two groups of one size into both: choosing X or
// its complement exchanges the tails.
func (t Tail) Mirrored() Tail { return t.plus(t).floored() }

// plus adds the other tail, at most the whole.
func (t Tail) plus(u Tail) Tail {
	if t.Total == nil || u.Total == nil {
		return t
	}
	nodes, ties := t.Nodes+u.Nodes, int64(-1)
	if t.Ties >= 0 && u.Ties >= 0 && t.Ties < 1<<61 && u.Ties < 1<<61 {
		ties = t.Ties + u.Ties
	}
	if t.GE != nil && u.GE != nil {
		ge := new(big.Int).Add(t.GE, u.GE)
		if ge.Cmp(t.Total) > 0 {
			ge = t.Total
		}
		return counted(Tail{Method: t.Method, Ties: ties, Nodes: nodes}, ge, t.Total, t.Tol)
	}
	lo, hi := min(1, t.Lo+u.Lo), min(1, t.Hi+u.Hi)
	return Tail{Method: Bracket, Total: t.Total, Lo: lo, Hi: hi, Log10P: math.Log10(hi), Tol: t.Tol, Ties: -1, Nodes: nodes, Bits: max(t.Bits, u.Bits)}
}

func sum(v []float64) float64 {
	var s float64
	for _, x := range v {
		s += x
	}
	return s
}

func negate(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = -x
	}
	return out
}

func maxAbs(v []float64) float64 {
	var m float64
	for _, x := range v {
		m = max(m, math.Abs(x))
	}
	return m
}

func clampInt(b *big.Int) int64 {
	if b.IsInt64() {
		return b.Int64()
	}
	return math.MaxInt64
}
