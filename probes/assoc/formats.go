package assoc

import (
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes/stat"
)

// TotalVariation returns half the sum of absolute differences of two
// distributions.
func TotalVariation(p, q []float64) float64 {
	var s float64
	for i := range p {
		s += math.Abs(p[i] - q[i])
	}
	return s / 2
}

// JensenShannon returns the divergence of two distributions, bits.
func JensenShannon(p, q []float64) float64 {
	half := func(a, b []float64) (s float64) {
		for i := range a {
			if a[i] > 0 {
				s += a[i] * math.Log2(2*a[i]/(a[i]+b[i]))
			}
		}
		return s
	}
	return (half(p, q) + half(q, p)) / 2
}

// SlotBias returns the mean probability of each slot less 1/K: what position
// alone is worth. Rows are distributions over slots, in slot order.
func SlotBias(rows [][]float64) []float64 {
	if len(rows) == 0 {
		return nil
	}
	out := make([]float64, len(rows[0]))
	for _, r := range rows {
		for i, p := range r {
			out[i] += p / float64(len(rows))
		}
	}
	for i := range out {
		out[i] -= 1 / float64(len(out))
	}
	return out
}

// Table is item scores under formats: Scores[item][format], formats in mixed
// radix order of the factors' levels (the last factor fastest).
type Table struct {
	Factors []string
	Levels  []int
	Scores  [][]float64
}

// Share is a part of the variance of item scores.
type Share struct {
	Name  string // item, a factor, or rest
	Value float64
}

// Shares splits the variance of the balanced table: SS over SS total for the
// items, each factor, and the rest. All equal scores give 0 everywhere.
func (t Table) Shares() ([]Share, error) {
	cells := 1
	for _, l := range t.Levels {
		cells *= l
	}
	if len(t.Levels) != len(t.Factors) || len(t.Scores) == 0 || cells < 1 {
		return nil, fault.Usagef("assoc: formats: found %d factors, %d level counts, %d items", len(t.Factors), len(t.Levels), len(t.Scores))
	}
	var grand float64
	for i, row := range t.Scores {
		if len(row) != cells {
			return nil, fault.Inputf("unbalanced", "assoc: formats: item %d: found %d formats, want %d", i+1, len(row), cells)
		}
		for _, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fault.Inputf("nonfinite", "assoc: formats: item %d: found %v, want a finite score", i+1, v)
			}
			grand += v
		}
	}
	n := float64(len(t.Scores) * cells)
	grand /= n
	var total, items float64
	for _, row := range t.Scores {
		m, _ := stat.MeanVar(row)
		items += float64(cells) * (m - grand) * (m - grand)
		for _, v := range row {
			total += (v - grand) * (v - grand)
		}
	}
	out := []Share{{"item", items}}
	rest, stride := total-items, cells
	for f, levels := range t.Levels {
		stride /= levels
		sums := make([]float64, levels)
		for _, row := range t.Scores {
			for c, v := range row {
				sums[c/stride%levels] += v
			}
		}
		var ss float64
		for _, s := range sums {
			m := s * float64(levels) / n
			ss += n / float64(levels) * (m - grand) * (m - grand)
		}
		out, rest = append(out, Share{t.Factors[f], ss}), rest-ss
	}
	out = append(out, Share{"rest", max(0, rest)})
	for i := range out {
		if total > 0 {
			out[i].Value /= total
		} else {
			out[i].Value = 0
		}
	}
	return out, nil
}

// Stability is what a headline does over formats.
type Stability struct {
	Mean, SD, Lo, Hi float64
	Formats          int
	Unstable         bool   // the headline must be shown without a verdict
	Why              string // of Unstable
}

// Stable judges the headline over formats: unstable when its sign (distance
// from neutral) differs between two formats, or its SD exceeds a third of its
// mean distance from neutral. One format cannot be judged.
func Stable(headlines []float64, neutral float64) Stability {
	s := Stability{Formats: len(headlines), Lo: math.Inf(1), Hi: math.Inf(-1)}
	var v float64
	s.Mean, v = stat.MeanVar(headlines)
	for _, h := range headlines {
		s.Lo, s.Hi = min(s.Lo, h), max(s.Hi, h)
	}
	if len(headlines) < 2 {
		s.SD = math.NaN()
		return s
	}
	s.SD = math.Sqrt(v)
	switch {
	case (s.Lo-neutral)*(s.Hi-neutral) < 0:
		s.Unstable, s.Why = true, "the side of neutral differs between formats"
	case s.SD > math.Abs(s.Mean-neutral)/3:
		s.Unstable, s.Why = true, "the SD over formats exceeds a third of the distance from neutral"
	}
	return s
}

// Orders says how far the answers to one item move when only the order of its
// options changes.
type Orders struct {
	TV, JS float64 // mean over items and pairs of orders: total variation, divergence in bits
	Modal  float64 // share of answers that are the item's commonest one
}

// OrderEffects compares the distributions over contents of each item between all
// pairs of its orders: q[item][order] is over contents, mapped back from slots.
func OrderEffects(q [][][]float64) Orders {
	var o Orders
	pairs, answers, modal := 0, 0, 0
	for _, item := range q {
		count := make([]int, len(item[0]))
		for i, a := range item {
			count[slices.Index(a, slices.Max(a))]++
			for _, b := range item[:i] {
				o.TV, o.JS, pairs = o.TV+TotalVariation(a, b), o.JS+JensenShannon(a, b), pairs+1
			}
		}
		answers, modal = answers+len(item), modal+slices.Max(count)
	}
	o.TV, o.JS, o.Modal = o.TV/float64(pairs), o.JS/float64(pairs), float64(modal)/float64(answers)
	return o
}

// FlipRate is the share of items whose most likely content changes between any
// two orders: choices[item][order] is the content chosen.
func FlipRate(choices [][]int) float64 {
	flips := 0
	for _, row := range choices {
		for _, c := range row {
			if c != row[0] {
				flips++
				break
			}
		}
	}
	return float64(flips) / float64(len(choices))
}

// Wilson returns the score interval of k of n at the given level.
func Wilson(k, n int, level float64) (lo, hi float64) {
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	z := stat.NormalQuantile((1 + level) / 2)
	p, m := float64(k)/float64(n), float64(n)
	mid := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, mid-half), min(1, mid+half)
}
