package geom

import (
	"math"

	"assay/internal/fault"
)

// Reasons why an index is undefined.
const (
	TooFewGroups = "too-few-groups" // fewer than two labels
	TooFewPoints = "too-few-points" // no more rows than labels
	Degenerate   = "degenerate"     // 0/0: all points (or the points that matter) equal
)

// Index is one cluster index. Value is NaN, with a reason, where the index is
// undefined, and +Inf where it has no bound.
type Index struct {
	Value float64
	Why   string
}

func index(v float64) Index {
	if math.IsNaN(v) {
		return Index{v, Degenerate}
	}
	return Index{Value: v}
}

// Moments are the indices that follow from counts, means and within sums.
type Moments struct {
	XBI  Index // W / (n min |m_i-m_j|^2); low = apart
	CHI  Index // (B/(k-1)) / (W/(n-k)); high = apart
	R2   Index // plain: B/(B+W) = (k-1)CHI/((k-1)CHI + n-k)
	W, B float64
	N, K int
}

// MomentIndices computes Xie-Beni, Calinski-Harabasz and plain R2.
func MomentIndices(gs []Group) Moments {
	m := Moments{K: len(gs)}
	for _, g := range gs {
		m.N += g.N
		m.W += g.W
	}
	why := ""
	switch {
	case m.K < 2:
		why = TooFewGroups
	case m.N <= m.K:
		why = TooFewPoints
	}
	if why != "" {
		u := Index{math.NaN(), why}
		m.XBI, m.CHI, m.R2 = u, u, u
		return m
	}
	w := len(gs[0].Mean)
	grand := make([]float64, w)
	for _, g := range gs {
		for j, v := range g.Mean {
			grand[j] += float64(g.N) * v / float64(m.N)
		}
	}
	near := math.Inf(1)
	for i, g := range gs {
		m.B += float64(g.N) * dist2(g.Mean, grand)
		for _, h := range gs[i+1:] {
			near = math.Min(near, dist2(g.Mean, h.Mean))
		}
	}
	m.XBI = index(ratio(m.W, float64(m.N)*near))
	m.CHI = index(ratio(m.B*float64(m.N-m.K), m.W*float64(m.K-1)))
	m.R2 = index(ratio(m.B, m.B+m.W))
	return m
}

// Groups returns the labelled groups of a table, strata pooled.
func (t *Table) Groups() []Group {
	out := make([]Group, t.Labels)
	w := t.Width()
	for l := range out {
		g := Group{Mean: make([]float64, w)}
		var q, a, nn float64
		b := make([]float64, w)
		for s := range t.Strata {
			x := t.group(l, s)
			g.N += x.n
			g.Units += x.units
			q += x.q
			a += x.a
			nn += x.nn
			for j := range g.Mean {
				g.Mean[j] += x.s[j]
				b[j] += x.b[j]
			}
		}
		n, c := float64(g.N), float64(g.Units)
		s2 := dot(g.Mean, g.Mean)
		g.W = max(0, q-s2/n)
		switch t.Form {
		case Families:
			g.Noise = c / (c - 1) * (a/(n*n) - 2*dot(b, g.Mean)/(n*n*n) + nn*s2/(n*n*n*n))
		default:
			g.Noise = g.W / (n * (n - 1))
		}
		for j := range g.Mean {
			g.Mean[j] /= n
		}
		out[l] = g
	}
	return out
}

// Paper is the published composite lambda/XBI + (1-lambda) CHI (arXiv:2506.13901).
func Paper(m Moments, lambda float64) float64 {
	return lambda/m.XBI.Value + (1-lambda)*m.CHI.Value
}

// Ref200 is the same formula at 100 rows per label without sampling bias:
// theta (lambda + (1-lambda) 198/4).
func Ref200(theta, lambda float64) float64 { return theta * (lambda + (1-lambda)*198/4) }

// Scaled maps an index to [0, 1] on a scale that depends on nothing outside
// the groups; 1 = apart. Names: xbi, chi (needs k and n), dbs, dunn, silhouette.
func Scaled(name string, v float64, n, k int) (float64, error) {
	inf := math.IsInf(v, 1)
	switch name {
	case "xbi":
		return 1 / (1 + 4*v), nil
	case "chi":
		if inf {
			return 1, nil
		}
		return float64(k-1) * v / (float64(k-1)*v + float64(n-k)), nil
	case "dbs":
		return 1 / (1 + v), nil
	case "dunn":
		if inf {
			return 1, nil
		}
		return v / (1 + v), nil
	case "silhouette":
		return (1 + v) / 2, nil
	}
	return 0, fault.Usagef("geom: index %q: no scale, want xbi, chi, dbs, dunn or silhouette", name)
}

// DaviesBouldin computes (1/k) sum_i max_{j!=i} (s_i+s_j)/|m_i-m_j| with s the
// mean distance to the own centroid.
func DaviesBouldin(x Rows, labels []int, k int) Index {
	if why := fewPoints(x.Len(), k); why != "" {
		return Index{math.NaN(), why}
	}
	m, s := spreads(x, labels, k)
	return index(dbs(m, s))
}

func fewPoints(n, k int) string {
	switch {
	case k < 2:
		return TooFewGroups
	case n <= k:
		return TooFewPoints
	}
	return ""
}

// spreads returns label means and mean distances to them.
func spreads(x Rows, labels []int, k int) (mean [][]float64, s []float64) {
	w := x.Width()
	c := Mean(x, 1)
	mean, s = make([][]float64, k), make([]float64, k)
	n := make([]float64, k)
	for l := range mean {
		mean[l] = make([]float64, w)
	}
	buf := make([]float64, w)
	for i, l := range labels {
		x.At(i, buf)
		sub(buf, c)
		n[l]++
		for j, v := range buf {
			mean[l][j] += v
		}
	}
	for l := range mean {
		for j := range mean[l] {
			mean[l][j] /= n[l]
		}
	}
	for i, l := range labels {
		x.At(i, buf)
		sub(buf, c)
		s[l] += math.Sqrt(dist2(buf, mean[l])) / n[l]
	}
	return mean, s
}

func dbs(m [][]float64, s []float64) float64 {
	t := 0.0
	for i := range m {
		worst := math.Inf(-1)
		for j := range m {
			if j == i {
				continue
			}
			r := ratio(s[i]+s[j], math.Sqrt(dist2(m[i], m[j])))
			if math.IsNaN(r) {
				return r
			}
			worst = math.Max(worst, r)
		}
		t += worst / float64(len(m))
	}
	return t
}

// StratumGroups returns the labelled groups of one stratum.
func (t *Table) StratumGroups(s int) []Group {
	var out []Group
	for l := range t.Labels {
		g := t.group(l, s)
		n := float64(max(g.n, 1))
		x := Group{N: g.n, Units: g.units, Mean: make([]float64, t.Width()), W: max(0, g.q-dot(g.s, g.s)/n)}
		for j, v := range g.s {
			x.Mean[j] = v / n
		}
		x.Noise = x.W / (n * (n - 1))
		out = append(out, x)
	}
	return out
}

// DaviesBouldinTol is DaviesBouldin with the shortcut of scikit-learn: 0 where all
// spreads or all centroid distances are within tol of 0.
func DaviesBouldinTol(x Rows, labels []int, k int, tol float64) float64 {
	m, s := spreads(x, labels, k)
	small := true
	for _, v := range s {
		small = small && v <= tol
	}
	if small {
		return 0
	}
	small = true
	for i := range m {
		for j := range i {
			small = small && math.Sqrt(dist2(m[i], m[j])) <= tol
		}
	}
	if small {
		return 0
	}
	// A centroid distance of exactly 0 counts as infinite there.
	t := 0.0
	for i := range m {
		worst := 0.0
		for j := range m {
			if d := math.Sqrt(dist2(m[i], m[j])); j != i && d > 0 {
				worst = math.Max(worst, (s[i]+s[j])/d)
			}
		}
		t += worst / float64(len(m))
	}
	return t
}
