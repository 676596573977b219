package geom

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"assay/internal/fault"
	"assay/latent/internal/par"
)

// Jack is a jackknife: the estimate with its standard error, the degrees of
// freedom sum (U_g - 1), and the parts from which a paired difference follows.
type Jack struct {
	Theta, SE float64
	DF        int
	Groups    []JackGroup
}

// JackGroup is one group of units inside which one is left out at a time.
type JackGroup struct {
	N     int       // rows
	Size  []int     // rows of each unit
	Theta []float64 // the estimate without that unit
	Block []int     // block number of each unit
}

// Interval returns theta +- t(1-(1-level)/2, df) se.
func (j Jack) Interval(level float64) (lo, hi float64) {
	q := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(j.DF)}.Quantile(1 - (1-level)/2)
	return j.Theta - q*j.SE, j.Theta + q*j.SE
}

// finish computes the standard error by the delete-m jackknife for unequal
// unit sizes; with equal sizes it is the usual (U-1)/U sum (theta_u - mean)^2.
func (j *Jack) finish() {
	v := 0.0
	j.DF = 0
	for _, g := range j.Groups {
		u := float64(len(g.Size))
		j.DF += len(g.Size) - 1
		t := 0.0
		tau := make([]float64, len(g.Size))
		for i, n := range g.Size {
			h := float64(g.N) / float64(n)
			tau[i] = h*j.Theta - (h-1)*g.Theta[i]
			t += tau[i] / h
		}
		for i, n := range g.Size {
			h := float64(g.N) / float64(n)
			d := tau[i] - t
			v += d * d / (h - 1) / u
		}
	}
	j.SE = math.Sqrt(v)
}

// Jackknife leaves out one unit at a time inside each label and stratum; in
// the paired form one block with all its sides, inside each stratum. A unit
// whose removal leaves a label with one row is an error: there is no interval.
func (t *Table) Jackknife() (Jack, error) {
	used, _ := t.usable()
	if t.Labels < 2 || len(used) == 0 {
		return Jack{}, fault.Inputf("too-few-units", "geom: jackknife: no stratum has 2 units of every label: %swant 2", t.Counts())
	}
	if t.Form == Pairs {
		return t.jackPairs(used)
	}
	k, w := t.Labels, t.Width()
	full := make([][]stats, t.Strata)
	terms := make([]term, 0, len(used))
	at := map[int]int{}
	for _, s := range used {
		full[s] = make([]stats, k)
		unit := make([]float64, w)
		for l := range k {
			full[s][l] = t.groupStats(l, s, -1, unit, make([]float64, w))
		}
		at[s] = len(terms)
		terms = append(terms, indTerm(full[s]))
	}
	jk := Jack{Theta: theta(terms)}
	loo := make([]float64, len(t.Unit))
	chunks := (len(t.Unit) + 63) / 64
	par.For(chunks, t.Workers, func(c int) {
		unit, mean := make([]float64, w), make([]float64, w)
		st := make([]stats, k)
		tt := make([]term, len(terms))
		for u := c * 64; u < min(len(t.Unit), (c+1)*64); u++ {
			l, s := t.Unit[u].Label, t.Unit[u].Stratum
			i, ok := at[s]
			if !ok {
				continue
			}
			copy(st, full[s])
			st[l] = t.groupStats(l, s, u, unit, mean)
			copy(tt, terms)
			tt[i] = indTerm(st)
			loo[u] = theta(tt)
		}
	})
	byGroup := make(map[int]*JackGroup)
	for _, s := range used {
		for l := range k {
			byGroup[s*k+l] = &JackGroup{N: t.group(l, s).n}
		}
	}
	for u, x := range t.Unit {
		if g := byGroup[x.Stratum*k+x.Label]; g != nil {
			g.Size = append(g.Size, x.N)
			g.Theta = append(g.Theta, loo[u])
			g.Block = append(g.Block, x.Block)
		}
	}
	for _, s := range used {
		for l := range k {
			jk.Groups = append(jk.Groups, *byGroup[s*k+l])
		}
	}
	jk.finish()
	return jk, nil
}

// indTerm is the numerator 4 between and the denominator within of a stratum.
func indTerm(st []stats) term {
	k := float64(len(st))
	var tm term
	for i := range st {
		tm.den += st[i].v / k
		for j := i + 1; j < len(st); j++ {
			tm.num += 4 * (dist2(st[i].m, st[j].m) - st[i].noise - st[j].noise) / (k * k)
		}
	}
	return tm
}

func (t *Table) jackPairs(used []int) (Jack, error) {
	bs := t.blocks()
	ps := t.pairSums(bs)
	k, w := t.Labels, t.Width()
	at := map[int]int{}
	terms := make([]term, 0, len(used))
	for _, s := range used {
		at[s] = len(terms)
		terms = append(terms, t.pairTerm(ps, s, nil, make([][]float64, k), make([]float64, w)))
	}
	jk := Jack{Theta: theta(terms)}
	loo := make([]float64, len(bs))
	par.For(len(bs), t.Workers, func(i int) {
		x, ok := at[bs[i].stratum]
		if !ok {
			return
		}
		tt := append([]term(nil), terms...)
		side := make([][]float64, k)
		for l, u := range bs[i].unit {
			side[l] = make([]float64, w)
			t.At(u, side[l])
		}
		tt[x] = t.pairTerm(ps, bs[i].stratum, &bs[i], side, make([]float64, w))
		loo[i] = theta(tt)
	})
	for _, s := range used {
		g := JackGroup{}
		for i, b := range bs {
			if b.stratum == s {
				g.N += b.n
				g.Size = append(g.Size, b.n)
				g.Theta = append(g.Theta, loo[i])
				g.Block = append(g.Block, b.block)
			}
		}
		jk.Groups = append(jk.Groups, g)
	}
	jk.finish()
	return jk, nil
}

// pairTerm is the stratum's term without block drop (nil = none), whose sides are given.
func (t *Table) pairTerm(ps map[[3]int]*pairNum, s int, drop *block, side [][]float64, buf []float64) term {
	k := t.Labels
	var tm term
	for l := range k {
		g := t.group(l, s)
		n, q := g.n, g.q
		copy(buf, g.s)
		if drop != nil {
			u := t.Unit[drop.unit[l]]
			n, q = n-u.N, q-u.Q
			sub(buf, side[l])
		}
		fn := float64(n)
		tm.den += max(0, q-dot(buf, buf)/fn) / (fn - 1) / float64(k)
	}
	for i := range k {
		for j := i + 1; j < k; j++ {
			p := *ps[[3]int{s, i, j}]
			if drop != nil {
				copy(buf, p.d)
				for x := range buf {
					buf[x] -= side[i][x] - side[j][x]
				}
				n := float64(drop.n)
				p = pairNum{buf, p.dd - dist2(side[i], side[j]), p.n - n, p.nn - n*n}
			}
			tm.num += 4 * p.value() / float64(k*k)
		}
	}
	return tm
}

// Difference is theta_A - theta_B from two jackknifes over the same units:
// the same unit is left out of both. Its error if the units differ.
func Difference(a, b Jack) (Jack, error) {
	if len(a.Groups) != len(b.Groups) {
		return Jack{}, fault.Inputf("not-paired", "geom: difference: %d and %d groups of units, want equal", len(a.Groups), len(b.Groups))
	}
	d := Jack{Theta: a.Theta - b.Theta}
	for i, g := range a.Groups {
		h := b.Groups[i]
		if len(g.Size) != len(h.Size) || g.N != h.N {
			return Jack{}, fault.Inputf("not-paired", "geom: difference: group %d: %d units of %d rows and %d of %d, want the same", i, len(g.Size), g.N, len(h.Size), h.N)
		}
		n := JackGroup{N: g.N, Size: g.Size, Block: g.Block, Theta: make([]float64, len(g.Theta))}
		for u := range g.Theta {
			n.Theta[u] = g.Theta[u] - h.Theta[u]
		}
		d.Groups = append(d.Groups, n)
	}
	d.finish()
	return d, nil
}
