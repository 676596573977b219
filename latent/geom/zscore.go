package geom

import (
	"math"

	"assay/internal/fault"
	"assay/latent/internal/par"
)

// ZTheta is the z-scored separation: the mean over dimensions of
// D2u_k / ((v_ak + v_bk)/2), so that no dimension dominates by its scale.
type ZTheta struct {
	Theta, R2 float64
	Dims      int // dimensions with some within variance
	Constant  int // dimensions left out: no variance within labels
}

// dimStats are per-dimension sums of one label in one stratum.
type dimStats struct {
	n      int
	s1, s2 []float64 // about a common centre
}

func (d dimStats) less(x []float64) dimStats {
	e := dimStats{d.n - 1, make([]float64, len(x)), make([]float64, len(x))}
	for j, v := range x {
		e.s1[j], e.s2[j] = d.s1[j]-v, d.s2[j]-v*v
	}
	return e
}

// zTheta combines strata: per dimension 2 sum D2u / sum (v_a+v_b), then the mean.
func zTheta(gs [][2]dimStats) ZTheta {
	var z ZTheta
	w := len(gs[0][0].s1)
	for k := range w {
		num, den := 0.0, 0.0
		for _, g := range gs {
			var m, v [2]float64
			for l, d := range g {
				n := float64(d.n)
				m[l] = d.s1[k] / n
				v[l] = max(0, d.s2[k]-n*m[l]*m[l]) / (n - 1)
				num -= v[l] / n
				den += v[l]
			}
			num += (m[0] - m[1]) * (m[0] - m[1])
		}
		if den == 0 {
			z.Constant++
			continue
		}
		z.Theta += 2 * num / den
		z.Dims++
	}
	if z.Dims == 0 {
		return ZTheta{Theta: math.NaN(), R2: math.NaN(), Constant: w}
	}
	z.Theta /= float64(z.Dims)
	z.R2 = R2(z.Theta)
	return z
}

// ZSums computes ZTheta of two labels, rows independent, from sums per label:
// counts, vector sums and sums of squares per dimension (as dim.sq of a states
// file). Offsets common to all rows cancel in float64 only up to about 1e6 times
// the within variance; rows have no such limit.
func ZSums(n [2]int, s, sq [2][]float64) ZTheta {
	return zTheta([][2]dimStats{{{n[0], s[0], sq[0]}, {n[1], s[1], sq[1]}}})
}

// ZRows computes ZTheta of a table of two labels whose units are single rows,
// with its delete-one jackknife. Other forms are refused: their per-dimension
// noise has no form here.
func (t *Table) ZRows() (ZTheta, Jack, error) {
	used, _ := t.usable()
	if t.Labels != 2 || t.Form != Independent || len(used) == 0 {
		return ZTheta{}, Jack{}, fault.Usagef("geom: zscore: %d labels of %s rows, want 2 labels of independent rows", t.Labels, t.Form)
	}
	at, w := map[int]int{}, t.Width()
	gs := make([][2]dimStats, len(used))
	for i, s := range used {
		at[s] = i
		for l := range 2 {
			gs[i][l] = dimStats{0, make([]float64, w), make([]float64, w)}
		}
	}
	buf := make([]float64, w)
	for u, x := range t.Unit {
		i, ok := at[x.Stratum]
		if !ok {
			continue
		}
		if x.N != 1 {
			return ZTheta{}, Jack{}, fault.Usagef("geom: zscore: unit of %d rows, want 1", x.N)
		}
		t.At(u, buf)
		d := &gs[i][x.Label]
		d.n++
		for j, v := range buf {
			d.s1[j] += v
			d.s2[j] += v * v
		}
	}
	z := zTheta(gs)
	jk := Jack{Theta: z.Theta, Groups: make([]JackGroup, 2*len(used))}
	loo := make([]float64, len(t.Unit))
	par.For((len(t.Unit)+63)/64, t.Workers, func(c int) {
		v := make([]float64, w)
		mine := make([][2]dimStats, len(gs))
		for u := c * 64; u < min(len(t.Unit), (c+1)*64); u++ {
			i, ok := at[t.Unit[u].Stratum]
			if !ok {
				continue
			}
			copy(mine, gs)
			t.At(u, v)
			mine[i][t.Unit[u].Label] = gs[i][t.Unit[u].Label].less(v)
			loo[u] = zTheta(mine).Theta
		}
	})
	for u, x := range t.Unit {
		if i, ok := at[x.Stratum]; ok {
			g := &jk.Groups[2*i+x.Label]
			g.N++
			g.Size, g.Theta, g.Block = append(g.Size, 1), append(g.Theta, loo[u]), append(g.Block, x.Block)
		}
	}
	jk.finish()
	return z, jk, nil
}

// WithinScale returns for each dimension 1/sqrt of the within variance (sum over
// strata of the mean over labels), 0 where there is none, and the number of
// dimensions that have some. Units must be given by rows.
func (t *Table) WithinScale() (by []float64, dims int) {
	w := t.Width()
	used, _ := t.usable()
	by = make([]float64, w)
	m, ok := t.x.(memberRows)
	if !ok {
		return by, 0
	}
	buf := make([]float64, w)
	for _, s := range used {
		for l := range t.Labels {
			g := t.group(l, s)
			for u, x := range t.Unit {
				if x.Label != l || x.Stratum != s {
					continue
				}
				for _, i := range m.m[u] {
					m.Rows.At(i, buf)
					for j, v := range buf {
						d := v - t.Center[j] - g.s[j]/float64(g.n)
						by[j] += d * d / float64(g.n-1) / float64(t.Labels)
					}
				}
			}
		}
	}
	for j, v := range by {
		if v > 0 {
			by[j] = 1 / math.Sqrt(v)
			dims++
		}
	}
	return by, dims
}
