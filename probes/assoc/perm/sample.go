package perm

import (
	"math"
	"math/big"

	"gonum.org/v1/gonum/mathext"

	"assay/internal/fault"
)

// sample draws splits: replicate r has its own stream; for i < nx the value at
// i is swapped with the one at i + index(N-i), and sums are added as drawn.
func (s *split) sample(alt Alt, o Options) Tail {
	up, low, both := s.thresholds(alt)
	n, hits := len(s.values), 0
	ix := make([]int32, n)
	for r := 1; r <= o.Draws; r++ {
		g := Replicate(o.Seed, r)
		for i := range ix {
			ix[i] = int32(i)
		}
		var t float64
		for i := range s.nx {
			j := i + g.Index(n-i)
			ix[i], ix[j] = ix[j], ix[i]
			t += s.values[ix[i]]
		}
		if t >= up-s.tol || both && t <= low+s.tol {
			hits++
		}
	}
	return Drawn(hits, o.Draws, s.tol)
}

// Drawn returns the tail of hits among draws by the +1 rule: for statistics other
// than sums, whose arrangements the caller draws.
func Drawn(hits, draws int, tol float64) Tail {
	lo, hi := ClopperPearson(hits, draws, 0.99)
	return Tail{Method: Sample, GE: big.NewInt(int64(hits)), Total: big.NewInt(int64(draws)), Lo: lo, Hi: hi,
		Log10P: math.Log10(float64(hits+1)) - math.Log10(float64(draws+1)), Tol: tol, Ties: -1}
}

// ClopperPearson returns the exact interval of a binomial share.
func ClopperPearson(hits, n int, level float64) (lo, hi float64) {
	a, h, m := (1-level)/2, float64(hits), float64(n)
	hi = 1
	if hits > 0 {
		lo = mathext.InvRegIncBeta(h, m-h+1, a)
	}
	if hits < n {
		hi = mathext.InvRegIncBeta(h+1, m-h, 1-a)
	}
	return lo, hi
}

// exactSigns is the largest number of values whose signs are all enumerated.
const exactSigns = 20

// SignFlip counts the assignments of signs to x whose sum is at least the
// observed one less Tol, or two-sided at least as large in absolute value.
// Under the null that each value is symmetric about 0 and independent of the
// others all 2^n are equally likely. Exact up to 20 values; above, draws: the
// sign of value i in replicate r is minus if its uniform is below one half.
func SignFlip(x []float64, alt Alt, o Options) (Tail, error) {
	o = o.withDefaults()
	if len(x) == 0 {
		return Tail{}, fault.Inputf("too-few", "perm: sign flips: found no values, want at least 1")
	}
	if err := check(x); err != nil {
		return Tail{}, err
	}
	tol, obs := Tol(x), sum(x)
	extreme := func(t float64) bool { return t >= obs-tol }
	if alt == TwoSided {
		extreme = func(t float64) bool { return math.Abs(t) >= math.Abs(obs)-tol }
	}
	if len(x) > exactSigns || o.Sample || o.Only == Sample {
		hits := 0
		for r := 1; r <= o.Draws; r++ {
			g, t := Replicate(o.Seed, r), 0.0
			for _, v := range x {
				// U < .5 is a top bit of 0; as a sign bit it costs no branch.
				t += math.Float64frombits(math.Float64bits(v) ^ (^g.Uint64() & (1 << 63)))
			}
			if extreme(t) {
				hits++
			}
		}
		return Drawn(hits, o.Draws, tol), nil
	}
	var ge int64
	for mask := range 1 << len(x) {
		var t float64
		for i, v := range x {
			if mask>>i&1 == 1 {
				v = -v
			}
			t += v
		}
		if extreme(t) {
			ge++
		}
	}
	return counted(Tail{Method: Enumerate, Ties: -1}, big.NewInt(ge), big.NewInt(1<<len(x)), tol), nil
}
