package weat

import (
	"math"
	"slices"

	"assay/probes/assoc/perm"
)

// Left is d without one word.
type Left struct {
	Set, Word string
	D         float64
	x, y      []float64 // the scores that remain
}

// Influence is what single words do to d.
type Influence struct {
	Min, Max                Left
	SETargets, SEAttributes float64 // jackknife standard errors of d, NaN for sets of one word
	Decides                 []Left  // words without which the sign or the side of alpha changes
}

// leaveOneOut returns d without each word in turn, by sets. s of the targets
// does not depend on other targets; without an attribute it follows from the
// row sums.
func (sc Scores) leaveOneOut() (out [4][]Left) {
	nx, ny, na, nb := len(sc.X), len(sc.Y), len(sc.A), len(sc.B)
	s := sc.rowDifferences()
	x, y := s[:nx], s[nx:]
	if nx > 1 {
		for i, w := range sc.X {
			out[0] = append(out[0], left("X", w.Word, slices.Delete(slices.Clone(x), i, i+1), y))
		}
	}
	if ny > 1 {
		for i, w := range sc.Y {
			out[1] = append(out[1], left("Y", w.Word, x, slices.Delete(slices.Clone(y), i, i+1)))
		}
	}
	width := na + nb
	sumA, sumB := make([]float64, nx+ny), make([]float64, nx+ny)
	for i := range s {
		for j, k := range sc.K[i*width : (i+1)*width] {
			if j < na {
				sumA[i] += k
			} else {
				sumB[i] += k
			}
		}
	}
	without := func(j int) []float64 {
		v := make([]float64, nx+ny)
		for i := range v {
			a, b, k := sumA[i]/float64(na), sumB[i]/float64(nb), sc.K[i*width+j]
			if j < na {
				a = (sumA[i] - k) / float64(na-1)
			} else {
				b = (sumB[i] - k) / float64(nb-1)
			}
			v[i] = a - b
		}
		return v
	}
	for j := range width {
		set, k, words := "A", j, sc.A
		if j >= na {
			set, k, words = "B", j-na, sc.B
		}
		if len(words) < 2 {
			continue
		}
		v := without(j)
		at := 2
		if set == "B" {
			at = 3
		}
		out[at] = append(out[at], left(set, words[k].Word, v[:nx], v[nx:]))
	}
	return out
}

func left(set, word string, x, y []float64) Left {
	return Left{Set: set, Word: word, D: effectD(x, y), x: x, y: y}
}

// exactLOO is the most target words for which the p-value without a word is
// counted; above, the normal tail decides the side of alpha, since a hundred
// counts of up to a second each would be paid for one warning.
const exactLOO = 20

// influence computes the jackknife and the extremes, and names the words that
// decide. Words whose absence leaves d undefined count as deciding.
func (sc Scores) influence(d, log10P, alpha float64, alt perm.Alt) (Influence, error) {
	inf := Influence{}
	loo := sc.leaveOneOut()
	var vars [2]float64
	first := true
	for k, set := range loo {
		if len(set) == 0 {
			vars[k/2] = nan
			continue
		}
		ds := make([]float64, len(set))
		for i, l := range set {
			ds[i] = l.D
			if finite(l.D) {
				if first || less(l, inf.Min) {
					inf.Min = l
				}
				if first || less(inf.Max, l) {
					inf.Max = l
				}
				first = false
			}
			decides, err := l.decides(d, log10P, alpha, alt)
			if err != nil {
				return inf, err
			}
			if decides {
				inf.Decides = append(inf.Decides, l)
			}
		}
		m, ss := mean(ds), 0.0
		for _, q := range ds {
			ss += (q - m) * (q - m)
		}
		n := float64(len(set))
		vars[k/2] += (n - 1) / n * ss
	}
	if first {
		inf.Min.D, inf.Max.D = nan, nan
	}
	inf.SETargets, inf.SEAttributes = math.Sqrt(vars[0]), math.Sqrt(vars[1])
	return inf, nil
}

// less orders by d, then by set and word, so that ties do not hang on order.
func less(a, b Left) bool {
	if a.D != b.D {
		return a.D < b.D
	}
	if a.Set != b.Set {
		return slices.Index(letters[:], a.Set) < slices.Index(letters[:], b.Set)
	}
	return a.Word < b.Word
}

func (l Left) decides(d, log10P, alpha float64, alt perm.Alt) (bool, error) {
	if !finite(l.D) || (l.D > 0) != (d > 0) {
		return true, nil
	}
	var lp float64
	if len(l.x)+len(l.y) <= exactLOO {
		t, err := perm.TwoSample(l.x, l.y, alt, perm.Options{})
		if err != nil {
			return false, err
		}
		lp = t.Log10P
	} else {
		z := l.D * math.Sqrt(float64(len(l.x))*float64(len(l.y))/float64(len(l.x)+len(l.y)))
		if alt == perm.TwoSided {
			lp = min(0, log10Normal(math.Abs(z))+math.Log10(2))
		} else {
			lp = log10Normal(z)
		}
	}
	cut := math.Log10(alpha)
	return (lp <= cut) != (log10P <= cut), nil
}
