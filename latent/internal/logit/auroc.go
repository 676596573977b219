package logit

import (
	"math"
	"slices"

	"assay/internal/fault"
)

// rank fills AUROC, its jackknife and the counts by fold.
func (cv *CV) rank(y, fold, unit []int) error {
	folds := len(cv.Wins)
	type side struct {
		row   int
		score float64
	}
	win := make([]float64, len(y)) // a row's wins against the other label in its fold
	pos, neg := make([]int, folds), make([]int, folds)
	for f := range folds {
		var p, n []side
		for i := range y {
			if fold[i] != f {
				continue
			}
			if y[i] == 1 {
				p = append(p, side{i, cv.Score[i]})
			} else {
				n = append(n, side{i, cv.Score[i]})
			}
		}
		pos[f], neg[f] = len(p), len(n)
		for _, a := range p {
			for _, b := range n {
				v := 0.0
				switch {
				case a.score > b.score:
					v = 1
				case a.score == b.score:
					v = .5
				}
				win[a.row] += v
				win[b.row] += v
				cv.Wins[f] += v
			}
		}
		cv.Pairs[f] = float64(len(p)) * float64(len(n))
	}
	w, t := 0.0, 0.0
	for f := range folds {
		w += cv.Wins[f]
		t += cv.Pairs[f]
	}
	if t == 0 {
		return fault.Inputf("too-few-units", "logit: no fold holds rows of both labels, want at least one")
	}
	cv.AUROC = w / t

	// Jackknife: a unit's rows leave their fold; scores stay. Units are grouped
	// by label (a unit with rows of both labels is a pair: one group).
	type left struct {
		group   int
		wins    float64
		pos     int
		neg     int
		between float64 // wins between rows of the unit itself, subtracted twice
		fold    int
	}
	us := map[int]*left{}
	var order []int
	for i, u := range unit {
		l := us[u]
		if l == nil {
			l = &left{fold: fold[i], group: y[i]}
			us[u] = l
			order = append(order, u)
		}
		if l.fold != fold[i] {
			return fault.Usagef("logit: unit %d is in folds %d and %d, want one", u, l.fold, fold[i])
		}
		if y[i] == 1 {
			l.pos++
		} else {
			l.neg++
		}
		l.wins += win[i]
	}
	for i, u := range unit {
		l := us[u]
		if l.pos == 0 || l.neg == 0 || y[i] != 1 {
			continue
		}
		l.group = 2
		for j, v := range unit {
			if v == u && y[j] == 0 {
				switch {
				case cv.Score[i] > cv.Score[j]:
					l.between++
				case cv.Score[i] == cv.Score[j]:
					l.between += .5
				}
			}
		}
	}
	slices.Sort(order)
	var loo [3][]float64
	for _, u := range order {
		l := us[u]
		p, n := pos[l.fold], neg[l.fold]
		tt := t - float64(p)*float64(n) + float64(p-l.pos)*float64(n-l.neg)
		if tt > 0 {
			loo[l.group] = append(loo[l.group], (w-l.wins+l.between)/tt)
		}
	}
	v := 0.0
	for _, g := range loo {
		if len(g) < 2 {
			continue
		}
		m, k := 0.0, float64(len(g))
		for _, x := range g {
			m += x / k
		}
		for _, x := range g {
			v += (x - m) * (x - m) * (k - 1) / k
		}
		cv.DF += len(g) - 1
	}
	cv.SE = math.Sqrt(v)
	return nil
}

// Rank returns the AUROC of given held-out scores with the same pooling and
// jackknife: for directions that are not fitted here. One fold pools all rows.
func Rank(score []float64, y, fold, unit []int) (CV, error) {
	cv := CV{Score: score}
	folds := slices.Max(fold) + 1
	cv.Wins, cv.Pairs = make([]float64, folds), make([]float64, folds)
	return cv, cv.rank(y, fold, unit)
}
