package palimpsest

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
)

// groupBy replaces rows by units: the rows with one key. Scores, covariates and
// positions become means, or scores sums. Rows that cannot be scored drop out before the mean is
// taken. A unit that spans strata is an error; a category that differs inside a
// unit becomes that of its first row.
func (s *Sample) groupBy(key []int64, sums bool) error {
	before := s.Len()
	ok := func(i int) bool {
		for _, l := range s.L {
			if math.IsNaN(l[i]) {
				return false
			}
		}
		return true
	}
	kept := make([]int64, 0, len(key))
	for i, k := range key {
		if ok(i) {
			kept = append(kept, k)
		}
	}
	s.keep(ok)
	s.Dropped.Nonfinite += before - s.Len()
	key = kept

	idx := make([]int32, len(key))
	for i := range idx {
		idx[i] = int32(i)
	}
	slices.SortFunc(idx, func(a, b int32) int { return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(a, b)) })
	var start []int // of each unit in idx
	for i := range idx {
		if i == 0 || key[idx[i]] != key[idx[i-1]] {
			start = append(start, i)
		}
	}
	start = append(start, len(idx))
	units := len(start) - 1

	mean := func(x []float64) []float64 {
		out := make([]float64, units)
		for u := range units {
			sum := 0.0
			for _, i := range idx[start[u]:start[u+1]] {
				sum += x[i]
			}
			out[u] = sum / float64(start[u+1]-start[u])
		}
		return out
	}
	first := make([]int32, units)
	unitOf := make([]int32, len(key))
	for u := range units {
		first[u] = idx[start[u]]
		for _, i := range idx[start[u]:start[u+1]] {
			unitOf[i] = int32(u)
			if s.Stratum != nil && s.Stratum[i] != s.Stratum[first[u]] {
				return fault.Inputf("malformed", "palimpsest: unit %d lies in strata %q and %q, want one", key[i], s.Strata[s.Stratum[first[u]]], s.Strata[s.Stratum[i]])
			}
		}
	}
	for m := range s.L {
		s.L[m] = mean(s.L[m])
		for u := range s.L[m] {
			if sums {
				s.L[m][u] = math.Round(s.L[m][u] * float64(start[u+1]-start[u])) // counts
			}
		}
	}
	for c := range s.Covariates {
		s.Covariates[c].X = mean(s.Covariates[c].X)
	}
	for c := range s.Categories {
		s.Categories[c].Code = take(s.Categories[c].Code, first)
	}
	pos, err := meanPositions(s.Pos, idx, start)
	if err != nil {
		return err
	}
	s.Pos, s.Step, s.Stratum = pos, take(s.Step, first), take(s.Stratum, first)
	s.Wrong = nil // of rows, not of units
	seen := make([]bool, units)
	var stored []int32
	for _, i := range s.Stored {
		if u := unitOf[i]; !seen[u] {
			seen[u] = true
			stored = append(stored, u)
		}
	}
	s.Stored = stored
	s.Seq = make([]int64, units)
	for u := range units {
		s.Seq[u] = key[first[u]]
	}
	return nil
}

// meanPositions rounds the mean position of each unit down to an integer: only
// ranks matter, and two units of one shuffle never share a mean to within 1 unless
// they interleave.
func meanPositions(pos []int64, idx []int32, start []int) ([]int64, error) {
	out := make([]int64, len(start)-1)
	for u := range out {
		var sum int64
		for _, i := range idx[start[u]:start[u+1]] {
			if sum += pos[i]; sum < 0 {
				return nil, fmt.Errorf("palimpsest: positions of unit %d overflow", u)
			}
		}
		out[u] = sum / int64(start[u+1]-start[u])
	}
	return out, nil
}
