// Package perm counts permutations: how many of the possible splits of N
// values into groups of nx and ny, or of the 2^n signs of n paired
// differences, are at least as extreme as the one observed.
//
// It answers with a count where the count can be had (hundreds of millions of
// nodes, or two sorted halves of up to 25 values), with a proven bracket where
// it cannot, and with seeded draws and their Clopper-Pearson interval last.
// The method is never hidden: Tail.Method names it. The observed arrangement
// always counts, so no p-value is 0, and ties count against the claim.
//
// It refuses values that are not finite, empty groups, and settings out of
// range. It does not decide whether the arrangements are equally likely; that
// is the null hypothesis, and the caller states it.
//
// Sources: the two-sample count is the permutation test of Caliskan, Bryson
// and Narayanan (2017, arXiv 1608.07187) done without sampling; the +1 of the
// sampled p-value is Phipson and Smyth (2010).
package perm

import (
	"math"
	"math/big"

	"assay/internal/fault"
)

// Alt is the alternative hypothesis.
type Alt int

const (
	// Greater: the first group (or the signed sum) is larger.
	Greater Alt = iota
	// TwoSided: the groups differ, in either direction.
	TwoSided
)

// String returns the name used in settings: "greater" or "two".
func (a Alt) String() string {
	if a == TwoSided {
		return "two"
	}
	return "greater"
}

// Method names how a tail was found.
type Method string

const (
	// TailCount is exact: branch and bound over the sorted values.
	TailCount Method = "tail-count"
	// Middle is exact: sorted subset sums of two halves.
	Middle Method = "middle"
	// Enumerate is exact: every arrangement of signs.
	Enumerate Method = "enumerate"
	// Bracket is proven: a dynamic programme over rounded values bounds p from both sides.
	Bracket Method = "bracket"
	// Sample is Monte Carlo with the +1 rule.
	Sample Method = "sample"
)

// Exact reports whether the method counts rather than bounds or samples.
func (m Method) Exact() bool { return m == TailCount || m == Middle || m == Enumerate }

// Tail is the share of arrangements at least as extreme as the observed one.
type Tail struct {
	Method Method
	// GE is the number of arrangements at least as extreme, Total the number
	// of all; for Sample they are hits and draws. GE is nil for Bracket.
	GE, Total *big.Int
	// Lo and Hi bound p: equal for a count, the bracket, or for Sample the
	// 99 % Clopper-Pearson interval of the hit rate.
	Lo, Hi float64
	// Log10P is log10 of the p-value: GE/Total, the upper end of a bracket,
	// or (hits+1)/(draws+1).
	Log10P float64
	// Tol is how far below the observed sum still counts as a tie.
	Tol float64
	// Ties counts arrangements within Tol of the observed one, itself
	// included; -1 where the method does not count them.
	Ties  int64
	Nodes int64 // visited by the tail count
	Bits  int   // of the bracket's grid
}

// P returns 10^Log10P, which may underflow to 0; Log10P does not.
func (t Tail) P() float64 {
	if t.Method.Exact() {
		return t.Hi
	}
	return math.Pow(10, t.Log10P)
}

// Floor returns the smallest p-value that this design could give.
func (t Tail) Floor() float64 {
	n, _ := new(big.Float).SetInt(t.Total).Float64()
	if t.Method == Sample {
		n++
	}
	return 1 / n
}

// Options bound the work. The zero value means the defaults.
type Options struct {
	Sample   bool   // draw even where a count is possible
	Draws    int    // sampled arrangements, default 99,999
	Seed     uint64 // of the draws
	Nodes    int64  // budget of the tail count, default 3e8
	MaxBytes int64  // memory of the middle method, default 1 GiB
	Only     Method // use this method or fail; for cross-checks
}

const (
	defaultDraws = 99_999
	defaultNodes = 300_000_000
	defaultBytes = 1 << 30
	maxValues    = 150 // above, only draws: counts grow past what the bounds can prune
)

func (o Options) withDefaults() Options {
	if o.Draws == 0 {
		o.Draws = defaultDraws
	}
	if o.Nodes == 0 {
		o.Nodes = defaultNodes
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	return o
}

// Tol returns the tie tolerance of a set of values, 1e-12 max(1, sum |v|).
// Sums of the same values in another order differ by rounding; without it a
// tie would be won or lost by the order of addition.
func Tol(values []float64) float64 {
	var s float64
	for _, v := range values {
		s += math.Abs(v)
	}
	return 1e-12 * math.Max(1, s)
}

func check(values []float64) error {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.Inputf("nonfinite", "perm: value %d: found %v, want a finite number", i, v)
		}
	}
	return nil
}

// Log10Ratio returns log10(a/b) of two positive integers.
func Log10Ratio(a, b *big.Int) float64 { return log10Int(a) - log10Int(b) }

func log10Int(a *big.Int) float64 {
	f := new(big.Float).SetInt(a)
	m, e := new(big.Float), 0
	e = f.MantExp(m)
	x, _ := m.Float64()
	return math.Log10(x) + float64(e)*math.Log10(2)
}

func ratio(a, b *big.Int) float64 {
	q, _ := new(big.Rat).SetFrac(a, b).Float64()
	return q
}
