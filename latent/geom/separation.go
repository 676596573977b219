package geom

import (
	"math"

	"assay/internal/fault"
)

// Group is one labelled group: N rows in Units units, their mean, W = sum of
// squared distances to the mean, and Noise = the expected squared distance of
// Mean from the true mean.
type Group struct {
	N, Units int
	Mean     []float64
	W, Noise float64
}

// V is the within variance, total over dimensions, divisor n-1. NaN for one row.
func (g Group) V() float64 {
	if g.N < 2 {
		return math.NaN()
	}
	return g.W / float64(g.N-1)
}

// Separation returns the debiased squared distance of two means, theta and R2.
// Theta is NaN if a group has fewer than two rows or units or if all rows are
// equal, +Inf if only the within variance is zero; R2 of a negative theta is 0.
func Separation(a, b Group) (d2u, theta, r2 float64) {
	d2u = dist2(a.Mean, b.Mean) - a.Noise - b.Noise
	theta = 2 * d2u / (a.V() + b.V())
	if d2u == 0 && a.V()+b.V() == 0 {
		theta = math.NaN()
	}
	return d2u, theta, R2(theta)
}

// R2 maps theta, the squared distance in within-variance units, to the share
// of variance explained by equally common labels: theta/(4+theta), 0 if theta
// is negative, 1 if it is +Inf.
func R2(theta float64) float64 {
	switch {
	case math.IsInf(theta, 1):
		return 1
	case theta < 0:
		return 0
	}
	return theta / (4 + theta)
}

// PairSep is the separation of two labels, summed over strata.
type PairSep struct {
	I, J                   int
	D2, D2u, Theta, R2, W2 float64 // W2 = v_i + v_j
}

// Sep is the separation of all labels of a table.
type Sep struct {
	Theta, R2 float64   // debiased, over the strata used
	Plain     float64   // B/(B+W) within strata, with sampling bias
	D2u       float64   // sum over strata and pairs of labels
	V         []float64 // within variance by label, mean over strata
	Pairs     []PairSep
	Agreement float64 // of the direction over strata; NaN if not defined
	Strata    []int   // used: at least two units of every label
	Dropped   []int   // strata left out
	N, Units  []int   // by label, over the strata used
}

// term is one stratum's part of theta = sum num / sum den.
type term struct{ num, den float64 }

func theta(ts []term) float64 {
	var n, d float64
	for _, t := range ts {
		n += t.num
		d += t.den
	}
	if n == 0 && d == 0 {
		return math.NaN()
	}
	return n / d
}

// stats are the moments of one group after an optional removal of one unit.
type stats struct {
	n     int
	m     []float64
	v     float64 // W/(n-1)
	noise float64
}

// groupStats returns the moments of (label, stratum) without unit drop (-1 =
// none). sum is scratch of length w that receives the mean.
func (t *Table) groupStats(label, stratum, drop int, unit, mean []float64) stats {
	g := t.group(label, stratum)
	n, c, q, a, nn := g.n, g.units, g.q, g.a, g.nn
	copy(mean, g.s)
	bs := 0.0 // sum_u n_u S_u . S
	nu := 0.0
	if drop >= 0 {
		u := t.Unit[drop]
		t.At(drop, unit)
		sub(mean, unit)
		n, c, q, nu = n-u.N, c-1, q-u.Q, float64(u.N)
		a -= dot(unit, unit)
		nn -= nu * nu
	}
	if t.Form == Families {
		bs = dot(g.b, mean)
		if drop >= 0 {
			bs -= nu * dot(unit, mean)
		}
	}
	fn := float64(n)
	s2 := dot(mean, mean)
	w := max(0, q-s2/fn)
	st := stats{n: n, m: mean, v: w / (fn - 1)}
	switch t.Form {
	case Independent:
		st.noise = w / (fn * (fn - 1))
	case Families:
		fc := float64(c)
		// sum_c (n_c/n)^2 |m_c - m|^2, expanded.
		st.noise = fc / (fc - 1) * (a/(fn*fn) - 2*bs/(fn*fn*fn) + nn*s2/(fn*fn*fn*fn))
	}
	for j := range mean {
		mean[j] /= fn
	}
	return st
}

// pairNum returns (|sum D|^2 - sum |D_c|^2) / (n^2 - sum n_c^2) for labels i, j of
// a stratum: the mean of d_c.d_d over pairs of different blocks, weighted by
// rows. With equal blocks this is (|sum d|^2 - sum |d|^2) / (C(C-1)).
type pairNum struct {
	d  []float64
	dd float64
	n  float64
	nn float64
}

func (p pairNum) value() float64 { return (dot(p.d, p.d) - p.dd) / (p.n*p.n - p.nn) }

func (t *Table) usable() (used, dropped []int) {
	for s := range t.Strata {
		ok := true
		for l := range t.Labels {
			ok = ok && t.group(l, s).units >= 2
		}
		if ok {
			used = append(used, s)
		} else {
			dropped = append(dropped, s)
		}
	}
	return used, dropped
}

// pairSums collects pairNum by stratum and label pair.
func (t *Table) pairSums(bs []block) map[[3]int]*pairNum {
	w := t.Width()
	out := map[[3]int]*pairNum{}
	buf := make([][]float64, t.Labels)
	for l := range buf {
		buf[l] = make([]float64, w)
	}
	for _, b := range bs {
		for l, u := range b.unit {
			t.At(u, buf[l])
		}
		for i := range t.Labels {
			for j := i + 1; j < t.Labels; j++ {
				k := [3]int{b.stratum, i, j}
				p := out[k]
				if p == nil {
					p = &pairNum{d: make([]float64, w)}
					out[k] = p
				}
				for x := range p.d {
					p.d[x] += buf[i][x] - buf[j][x]
				}
				p.dd += dist2(buf[i], buf[j])
				p.n += float64(b.n)
				p.nn += float64(b.n) * float64(b.n)
			}
		}
	}
	return out
}

// d2u returns the debiased squared distance of labels i and j in a stratum.
func (t *Table) d2u(ps map[[3]int]*pairNum, s, i, j int, a, b stats) float64 {
	if t.Form == Pairs {
		return ps[[3]int{s, i, j}].value()
	}
	return dist2(a.m, b.m) - a.noise - b.noise
}

// Separation computes theta, R2 and their parts. Strata with fewer than two
// units of some label are left out and listed; none left is an error.
func (t *Table) Separation() (Sep, error) {
	var out Sep
	out.Strata, out.Dropped = t.usable()
	k, w := t.Labels, t.Width()
	if k < 2 {
		return out, fault.Inputf("too-few-groups", "geom: separation: %d labels, want at least 2", k)
	}
	if len(out.Strata) == 0 {
		return out, fault.Inputf("too-few-units", "geom: separation: no stratum has 2 units of every label: %swant 2", t.Counts())
	}
	var ps map[[3]int]*pairNum
	if t.Form == Pairs {
		ps = t.pairSums(t.blocks())
	}
	out.V, out.N, out.Units = make([]float64, k), make([]int, k), make([]int, k)
	for i := range k {
		for j := i + 1; j < k; j++ {
			out.Pairs = append(out.Pairs, PairSep{I: i, J: j})
		}
	}
	var terms []term
	var b, tot float64
	dir, dirSq, meanD2u := make([]float64, w), 0.0, 0.0
	for _, s := range out.Strata {
		sts := make([]stats, k)
		unit := make([]float64, w)
		tm := term{}
		var grand []float64
		var n, q float64
		grand = make([]float64, w)
		for l := range k {
			sts[l] = t.groupStats(l, s, -1, unit, make([]float64, w))
			out.V[l] += sts[l].v / float64(len(out.Strata))
			out.N[l] += sts[l].n
			out.Units[l] += t.group(l, s).units
			tm.den += sts[l].v / float64(k)
			n += float64(sts[l].n)
			q += t.group(l, s).q
			for j, v := range sts[l].m {
				grand[j] += float64(sts[l].n) * v
			}
		}
		for j := range grand {
			grand[j] /= n
		}
		for l := range k {
			b += float64(sts[l].n) * dist2(sts[l].m, grand)
		}
		tot += q - n*dot(grand, grand)
		p := 0
		for i := range k {
			for j := i + 1; j < k; j++ {
				d := t.d2u(ps, s, i, j, sts[i], sts[j])
				tm.num += 4 * d / float64(k*k)
				out.D2u += d
				out.Pairs[p].D2 += dist2(sts[i].m, sts[j].m)
				out.Pairs[p].D2u += d
				out.Pairs[p].W2 += sts[i].v + sts[j].v
				p++
				if k == 2 {
					meanD2u += d
					dirSq += dist2(sts[0].m, sts[1].m)
					for x := range dir {
						dir[x] += sts[0].m[x] - sts[1].m[x]
					}
				}
			}
		}
		terms = append(terms, tm)
	}
	out.Theta = theta(terms)
	out.R2 = R2(out.Theta)
	out.Plain = ratio(b, tot)
	for p := range out.Pairs {
		q := &out.Pairs[p]
		q.Theta = theta([]term{{2 * q.D2u, q.W2}})
		q.R2 = R2(q.Theta)
	}
	out.Agreement = math.NaN()
	if m := float64(len(out.Strata)); k == 2 && m > 1 && meanD2u > 0 {
		out.Agreement = (dot(dir, dir) - dirSq) / (m * (m - 1)) / (meanD2u / m)
	}
	return out, nil
}

// ratio is a/b with 0/0 = NaN.
func ratio(a, b float64) float64 {
	if a == 0 && b == 0 {
		return math.NaN()
	}
	return a / b
}
