package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// Perm configures a Monte Carlo randomisation test. The zero value draws 9,999
// replicates from seed 0 of the stream "perm".
type Perm struct {
	B        int    // replicates; 0 means 9,999. p cannot fall below 1/(B+1)
	Seed     uint64 // of the run
	Stream   string // names this use of the seed; "" means "perm"
	TwoSided bool   // for tests that return one p (SignFlip)
	Workers  int    // goroutines; 0 means all cores. Never changes a result

	Progress func(replicates int) // called from the workers with what is newly done; nil for silence
}

func (o Perm) withDefaults() Perm {
	if o.B == 0 {
		o.B = 9999
	}
	if o.Stream == "" {
		o.Stream = "perm"
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}

// Tally counts arrangements by how their statistic compares with the observed
// one. Ties count as reaching it.
type Tally struct {
	GE, LE, AbsGE int64 // >=, <=, and >= in absolute value
	Total         int64 // arrangements compared
	Exact         bool  // Total is every arrangement, the observed one among them
}

func (t *Tally) count(ge, le, abs bool) {
	for _, c := range []struct {
		hit bool
		n   *int64
	}{{ge, &t.GE}, {le, &t.LE}, {abs, &t.AbsGE}} {
		if c.hit {
			*c.n++
		}
	}
	t.Total++
}

func (t Tally) logP(hits int64) float64 {
	if t.Exact {
		return math.Log(float64(hits) / float64(t.Total))
	}
	return math.Log(float64(hits+1) / float64(t.Total+1))
}

// Greater returns the log p of "the statistic is not larger than by chance":
// hits/total if exact, else (1+hits)/(1+total) (Phipson and Smyth 2010).
func (t Tally) Greater() float64 { return t.logP(t.GE) }

// Less is Greater for the lower tail.
func (t Tally) Less() float64 { return t.logP(t.LE) }

// TwoSided is Greater for the absolute value.
func (t Tally) TwoSided() float64 { return t.logP(t.AbsGE) }

// RankPair is one stratum: the ranks of position and of score over the same units.
type RankPair struct{ R, S Ranks }

// Z is the statistic of a stratified rank correlation,
// sum (n_g-1) rho_g / sqrt(sum (n_g-1)); for one stratum rho sqrt(n-1). Under
// permutation within strata it has mean 0 and variance 1, ties or not.
func Z(strata []RankPair) float64 {
	k := newKernel(strata)
	return k.z(k.observed())
}

// EnumerateUpTo is the largest number of units for which PermuteRanks visits all
// orders: 9! = 362,880 takes milliseconds, 10! no longer does.
const EnumerateUpTo = 9

// PermuteRanks compares Z with its value after permuting S against R within each
// stratum. One stratum of at most EnumerateUpTo units is enumerated; otherwise
// o.B replicates are drawn. In one stratum the comparison is of integers, hence
// exact; in several, Z is a sum of square roots and a relative 1e-12 counts as a
// tie. Constant strata and strata of one unit are errors. O(B n), about 5 ns a
// unit and replicate on one core.
func PermuteRanks(strata []RankPair, o Perm) (Tally, error) {
	if err := checkStrata(strata); err != nil {
		return Tally{}, err
	}
	o = o.withDefaults()
	k := newKernel(strata)
	if len(strata) == 1 && len(strata[0].R.C) <= EnumerateUpTo {
		return k.enumerate(), nil
	}
	obs := k.observed()
	return k.run(o, func(t *Tally, _ int, s []int128) { t.count(k.compare(s, obs)) }), nil
}

// PermuteScores compares T = sum r_i h_i, with r the ranks of position and h small
// counts, over all strata, with its value after permuting h within each stratum.
// All sums are integers, so the comparison is exact. Enumeration, ties and cost are
// those of PermuteRanks. Strata whose ranks or counts are constant are allowed as
// long as one is not.
func PermuteScores(r []Ranks, h [][]int32, o Perm) (Tally, error) {
	if len(r) != len(h) || len(r) == 0 {
		return Tally{}, fmt.Errorf("stat: permutation: %d strata of ranks and %d of counts", len(r), len(h))
	}
	strata := make([]RankPair, len(r))
	varies := false
	for g := range r {
		n := len(r[g].C)
		if len(h[g]) != n || n == 0 {
			return Tally{}, fmt.Errorf("stat: permutation: stratum %d has %d ranks and %d counts, want equal and at least 1", g, n, len(h[g]))
		}
		lo, hi := slices.Min(h[g]), slices.Max(h[g])
		if float64(max(-lo, hi))*float64(n)*float64(n) > 1<<62 {
			return Tally{}, fmt.Errorf("stat: permutation: stratum %d has a count of %d over %d units, want sums within 2^62", g, max(-lo, hi), n)
		}
		varies = varies || r[g].Ties < n && lo < hi
		strata[g] = RankPair{r[g], Ranks{C: h[g]}}
	}
	if !varies {
		return Tally{}, fmt.Errorf("stat: permutation: %w", ErrConstant)
	}
	o = o.withDefaults()
	k := newKernel(strata)
	k.total = true
	if len(strata) == 1 && len(h[0]) <= EnumerateUpTo {
		return k.enumerate(), nil
	}
	obs := k.observed()
	return k.run(o, func(t *Tally, _ int, s []int128) { t.count(k.compare(s, obs)) }), nil
}

// NullZ returns Z of o.B random orders, in order of replicate: what a test of
// this design reads when there is nothing to find.
func NullZ(strata []RankPair, o Perm) ([]float64, error) {
	if err := checkStrata(strata); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	k := newKernel(strata)
	z := make([]float64, o.B)
	k.run(o, func(_ *Tally, j int, s []int128) { z[j] = k.z(s) })
	return z, nil
}

func checkStrata(strata []RankPair) error {
	if len(strata) == 0 {
		return fmt.Errorf("stat: permutation: no stratum")
	}
	for g, p := range strata {
		n := len(p.R.C)
		if len(p.S.C) != n || n < 2 {
			return fmt.Errorf("stat: permutation: stratum %d has %d and %d units, want equal and at least 2", g, n, len(p.S.C))
		}
		if p.R.Ties == n || p.S.Ties == n {
			return fmt.Errorf("stat: permutation: stratum %d: %w", g, ErrConstant)
		}
	}
	return nil
}

// kernel holds what a replicate needs.
type kernel struct {
	strata []RankPair
	weight []float64 // of each stratum's sum of products in Z
	most   int       // units in the largest stratum
	total  bool      // compare the integer sum over strata instead of Z
}

func newKernel(strata []RankPair) *kernel {
	k := &kernel{strata: strata, weight: make([]float64, len(strata))}
	total := 0.0
	for _, p := range strata {
		total += float64(len(p.R.C) - 1)
		k.most = max(k.most, len(p.R.C))
	}
	for g, p := range strata {
		k.weight[g] = float64(len(p.R.C)-1) / (p.R.norm(p.S) * math.Sqrt(total))
	}
	return k
}

func (k *kernel) observed() []int128 {
	s := make([]int128, len(k.strata))
	for g, p := range k.strata {
		s[g] = dot(p.R.C, p.S.C)
	}
	return s
}

func (k *kernel) z(s []int128) float64 {
	z := 0.0
	for g, v := range s {
		z += k.weight[g] * v.float()
	}
	return z
}

// compare reports whether s reaches obs from above, from below, and in absolute
// value about the mean 0.
func (k *kernel) compare(s, obs []int128) (ge, le, abs bool) {
	if len(s) == 1 || k.total {
		v, w := sumOf(s), sumOf(obs)
		c := v.cmp(w)
		return c >= 0, c <= 0, v.abs().cmp(w.abs()) >= 0
	}
	a, b := k.z(s), k.z(obs)
	tol := 1e-12 * max(1, math.Abs(b))
	return a >= b-tol, a <= b+tol, math.Abs(a) >= math.Abs(b)-tol
}

func sumOf(s []int128) int128 {
	var t int128
	for _, v := range s {
		t = t.plus(v)
	}
	return t
}

// run draws o.B replicates and folds them. visit gets a worker's own tally.
func (k *kernel) run(o Perm, visit func(t *Tally, j int, s []int128)) Tally {
	workers := min(o.Workers, o.B)
	part := make([]Tally, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			buf := make([]int32, k.most)
			s := make([]int128, len(k.strata))
			var t Tally // in the worker's own cache line
			for j := w; j < o.B; j += workers {
				k.draw(o, uint64(j), buf, s)
				visit(&t, j, s)
				if o.Progress != nil {
					o.Progress(1)
				}
			}
			part[w] = t
		})
	}
	wg.Wait()
	var t Tally
	for _, p := range part {
		t.GE += p.GE
		t.LE += p.LE
		t.AbsGE += p.AbsGE
		t.Total += p.Total
	}
	return t
}

// draw fills s with the sums of products of replicate j. It shuffles (Fisher and
// Yates, from the end) and multiplies in one pass: slot i is final once drawn.
func (k *kernel) draw(o Perm, j uint64, buf []int32, s []int128) {
	g := newPCG(o.Seed, o.Stream, j)
	for i, p := range k.strata {
		r, c := buf[:len(p.R.C)], p.S.C[:len(p.R.C)]
		copy(r, p.R.C)
		if len(r) > int64Ranks {
			s[i] = shuffleDotWide(g, r, c)
			continue
		}
		var sum int64
		for n := len(r) - 1; n > 0; n-- {
			at := below(g, uint64(n+1))
			v := r[at]
			r[at] = r[n]
			sum += int64(v) * int64(c[n])
		}
		s[i] = int128{}.add(sum + int64(r[0])*int64(c[0]))
	}
}

func shuffleDotWide(g *rand.PCG, r, c []int32) int128 {
	var sum int128
	for n := len(r) - 1; n > 0; n-- {
		at := below(g, uint64(n+1))
		v := r[at]
		r[at] = r[n]
		sum = sum.add(int64(v) * int64(c[n]))
	}
	return sum.add(int64(r[0]) * int64(c[0]))
}

// enumerate visits every order of one small stratum (Heap's algorithm).
func (k *kernel) enumerate() Tally {
	p := k.strata[0]
	r := append([]int32(nil), p.R.C...)
	obs := k.observed()
	t := Tally{Exact: true}
	visit := func() {
		t.count(k.compare([]int128{dot(r, p.S.C)}, obs))
	}
	visit()
	c := make([]int, len(r))
	for i := 1; i < len(r); {
		if c[i] < i {
			if i%2 == 0 {
				r[0], r[i] = r[i], r[0]
			} else {
				r[c[i]], r[i] = r[i], r[c[i]]
			}
			visit()
			c[i]++
			i = 1
		} else {
			c[i] = 0
			i++
		}
	}
	return t
}
