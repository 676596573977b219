package palimpsest

import (
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes/stat"
)

// reading is what one score says about one order.
type reading struct {
	n          int
	rho, z     float64
	pairs      []stat.RankPair
	upper, two float64 // Student (one stratum) or normal (several); NaN at |rho| = 1
	corrected  float64
	correction float64
	perm       stat.Tally
	hasPerm    bool
	late       []lateEarly
	rankSum    float64 // exact for one stratum, a bound for several
	rankBound  float64
	hasRankSum bool
	verdict    float64 // min(1, 2 min(permutation, rank_sum)), or the one available
	hasVerdict bool
}

// read computes the rank statistics of scores d against the positions ranked in t.
func (s *Sample) read(l layout, t []stat.Ranks, d []float64, split [][2][]int32, perm *stat.Perm) (reading, error) {
	dr := l.ranks(d)
	r := reading{n: l.n, pairs: pairs(t, dr), verdict: math.NaN()}
	if len(r.pairs) == 0 {
		what := "score"
		if t[0].Ties == len(t[0].C) {
			what = "position"
		}
		return r, fault.Inputf("constant", "palimpsest: %s is the same for all %d units", what, l.n)
	}
	r.rho, r.z = rhoOf(r.pairs)
	r.tails()
	if perm != nil {
		tally, err := stat.PermuteRanks(r.pairs, *perm)
		if err != nil {
			return r, fmt.Errorf("palimpsest: %w", err)
		}
		r.perm, r.hasPerm = tally, true
		r.verdict, r.hasVerdict = tally.Greater(), true
	}
	r.rankSums(split, d)
	if r.hasRankSum {
		if r.hasVerdict {
			r.verdict = min(0, math.Ln2+min(r.verdict, r.rankSum))
		} else {
			r.verdict, r.hasVerdict = r.rankSum, true
		}
	}
	return r, nil
}

func (r *reading) tails() {
	r.upper, r.two, r.corrected, r.correction = math.NaN(), math.NaN(), math.NaN(), 0
	if len(r.pairs) > 1 {
		r.upper = stat.LogTailNormal(r.z)
		r.two = logTwo(r.pairs)
		return
	}
	p := r.pairs[0]
	if math.Abs(r.rho) < 1 {
		r.upper, r.two = stat.LogTailT(r.rho, r.n)
		r.corrected, r.correction = stat.LogTailTCorrected(r.rho, r.n, p.R.ExcessKurtosis(), p.S.ExcessKurtosis())
	}
}

// lateEarly holds the scores of the late and of the early units of one stratum.
type lateEarly struct{ late, early []float64 }

// split names the late and early units of each stratum: the two drawn groups of a
// late:F design, else the last and the first third by position. A stratum whose
// thirds overlap has none.
func (s *Sample) split(l layout) ([][2][]int32, error) {
	kind, f, err := "", 0.0, error(nil)
	if s.Meta.Design != "" {
		if kind, f, err = parseDesign(s.Meta.Design); err != nil {
			return nil, err
		}
	}
	out := make([][2][]int32, len(l.groups))
	for g, idx := range l.groups {
		pos := take(s.Pos, idx)
		slices.Sort(pos)
		h := len(idx) / 3
		if h == 0 {
			continue
		}
		q1, q2 := pos[h-1], pos[len(pos)-h]
		if kind == "late" && s.Meta.N > 0 {
			lo, hi, err := windowBounds(s.Meta.N, s.Meta.Window)
			if err != nil {
				return nil, err
			}
			var early int64
			q2, early = lateGroups(lo, hi, f)
			q1 = early - 1
		}
		if q1 >= q2 {
			continue
		}
		for _, i := range idx {
			if s.Pos[i] >= q2 {
				out[g][0] = append(out[g][0], i)
			} else if s.Pos[i] <= q1 {
				out[g][1] = append(out[g][1], i)
			}
		}
	}
	return out, nil
}

// rankSums computes the exact tail of "late beats early", ties counting against.
func (r *reading) rankSums(split [][2][]int32, d []float64) {
	var strata []stat.RankSum
	for _, sp := range split {
		le := lateEarly{take(d, sp[0]), take(d, sp[1])}
		if len(le.late) == 0 || len(le.early) == 0 {
			continue
		}
		r.late = append(r.late, le)
		strata = append(strata, stat.RankSum{U: wins(le.late, le.early), K: int64(len(le.late)), M: int64(len(le.early))})
	}
	switch {
	case len(strata) == 0:
		return
	case len(split) == 1:
		r.rankSum, r.rankBound = stat.LogTailRankSum(strata[0].U, strata[0].K, strata[0].M)
	default:
		r.rankSum = stat.LogBoundRankSum(strata)
		r.rankBound = r.rankSum
	}
	r.hasRankSum = true
}

// wins counts the pairs (i, j) with a[i] > b[j].
func wins(a, b []float64) int64 {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	var u int64
	j := 0
	for _, v := range x {
		for j < len(y) && y[j] < v {
			j++
		}
		u += int64(j)
	}
	return u
}

// lateMinusEarly is the mean score of late units minus that of early ones, nats,
// with its Welch standard error; strata are weighted by k m/(k+m).
func (r *reading) lateMinusEarly() (diff, se float64, ok bool) {
	var w, v float64
	for _, le := range r.late {
		d, s, err := stat.MeanDiff(le.late, le.early)
		if err != nil {
			continue
		}
		k, m := float64(len(le.late)), float64(len(le.early))
		a := k * m / (k + m)
		diff, v, w = diff+a*d, v+a*a*s*s, w+a
	}
	if w == 0 {
		return 0, 0, false
	}
	return diff / w, math.Sqrt(v) / w, true
}

// rhoInterval returns the limits of rho and how they were found.
func (r *reading) rhoInterval(level float64, seed uint64) (lo, hi float64, method string) {
	var w, v float64
	for _, p := range r.pairs {
		n := len(p.R.C)
		if ties := max(p.R.Ties, p.S.Ties); len(r.pairs) == 1 && float64(ties) > 0.05*float64(n) {
			o := stat.Boot{B: 2000, Seed: seed, Stream: "rho-bootstrap", Level: level}
			if n > 200000 { // 2,000 would take minutes
				o.B = 200
			}
			reps := stat.BootstrapRho(p.R, p.S, o)
			reps = slices.DeleteFunc(reps, math.IsNaN) // a replicate may draw one value only
			lo, hi = stat.Interval(reps, r.rho, nil, o)
			return lo, hi, fmt.Sprintf("percentile bootstrap over %d units, B %d (a tie group of %d)", n, o.B, ties)
		}
		a := float64(n - 1)
		se := stat.RhoSE(p.R, p.S)
		w, v = w+a, v+a*a*se*se
	}
	se := math.Sqrt(v) / w
	lo, hi = stat.RhoInterval(r.rho, se, level)
	return lo, hi, fmt.Sprintf("influence function, se %.6g, atanh scale", se)
}
