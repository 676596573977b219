package geom

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"assay/latent/internal/par"
)

// Pairwise are the indices that need distances between rows.
type Pairwise struct {
	Dunn       Index // smallest distance across labels / largest within; high = apart
	Robust     Index // 1st percentile of nearest-other / 95th percentile of within distances
	Silhouette Index // mean of (b-a)/max(a,b); high = apart
	Gap, Diam  float64
	Duplicates int       // rows with an equal row under another label
	Row        []float64 // silhouette of each row
}

// near is the share of |x|^2+|y|^2 below which a squared distance is computed
// from the difference itself: above it the expansion keeps 12 digits.
const near = 1e-4

// direct is the width up to which distances are computed from differences:
// the matrix product gains nothing there, and equal distances of points with
// few digits come out equal, as ranks need.
const direct = 32

// PairwiseIndices computes Dunn and silhouette from a matrix of distances.
func PairwiseIndices(d Dense, labels []int, k int) Pairwise {
	n := d.N
	if why := fewPoints(n, k); why != "" {
		u := Index{math.NaN(), why}
		return Pairwise{Dunn: u, Robust: u, Silhouette: u, Gap: math.NaN(), Diam: math.NaN()}
	}
	acc := newRowSums(n, k)
	cnt := make([]int, k)
	for _, l := range labels {
		cnt[l]++
	}
	var within []float64
	p := Pairwise{Gap: math.Inf(1)}
	for i := range n {
		r := d.Row(i)
		for j := range n {
			acc.sum[i*k+labels[j]] += r[j]
			if labels[i] != labels[j] {
				acc.other[i] = math.Min(acc.other[i], r[j])
			} else if j > i {
				within = append(within, r[j])
				p.Diam = math.Max(p.Diam, r[j])
			}
		}
	}
	for _, v := range acc.other {
		p.Gap = math.Min(p.Gap, v)
	}
	q95 := math.NaN()
	if len(within) > 0 {
		q95 = selectQuantile(within, .95)
	}
	p.finish(acc, labels, cnt, q95)
	return p
}

// selectQuantile is Quantile on unsorted values, which it reorders.
func selectQuantile(v []float64, q float64) float64 {
	h := q * float64(len(v)-1)
	i := int(h)
	quickselect(v, i)
	a := v[i]
	if i+1 >= len(v) {
		return a
	}
	return a + (h-float64(i))*(slices.Min(v[i+1:])-a)
}

// quickselect puts the k-th smallest value at v[k] (Hoare), smaller ones before it.
func quickselect(v []float64, k int) {
	lo, hi := 0, len(v)-1
	for lo < hi {
		p := v[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for v[i] < p {
				i++
			}
			for v[j] > p {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return
		}
	}
}

// rowSums are each row's sum of distances to every label and its distance to
// the nearest row of another label.
type rowSums struct {
	sum   []float64
	other []float64
}

func newRowSums(n, k int) rowSums {
	a := rowSums{make([]float64, n*k), make([]float64, n)}
	for i := range a.other {
		a.other[i] = math.Inf(1)
	}
	return a
}

func (p *Pairwise) finish(acc rowSums, labels, cnt []int, q95 float64) {
	n, k := len(labels), len(cnt)
	p.Row = make([]float64, n)
	t := 0.0
	for i, l := range labels {
		if acc.other[i] == 0 {
			p.Duplicates++
		}
		if cnt[l] < 2 {
			continue
		}
		a, b := acc.sum[i*k+l]/float64(cnt[l]-1), math.Inf(1)
		for o := range cnt {
			if o != l && cnt[o] > 0 {
				b = math.Min(b, acc.sum[i*k+o]/float64(cnt[o]))
			}
		}
		if m := math.Max(a, b); m > 0 {
			p.Row[i] = (b - a) / m
		}
		t += p.Row[i]
	}
	p.Silhouette = index(t / float64(n))
	p.Dunn = index(ratio(p.Gap, p.Diam))
	others := slices.Clone(acc.other)
	slices.Sort(others)
	if math.IsNaN(q95) {
		q95 = 0 // labels of one row each cannot happen with n > k; kept for safety of 0/0
	}
	p.Robust = index(ratio(Quantile(others, .01), q95))
}

// stripes is the number of partial accumulators of PairwiseStream; it is fixed
// so that sums do not depend on the number of workers.
const stripes = 16

// PairwiseStream computes the same indices without the matrix: memory n times
// (labels + 1) times 16 and two tiles per worker, cost n^2 w / 2 multiplications.
// The 95th percentile of within distances comes from a histogram of 2^16 bins
// over [0, 2 max |x - mean|] and is off by at most one bin.
func PairwiseStream(ctx context.Context, x Rows, labels []int, k, workers int) (Pairwise, error) {
	n, w := x.Len(), x.Width()
	if why := fewPoints(n, k); why != "" {
		u := Index{math.NaN(), why}
		return Pairwise{Dunn: u, Robust: u, Silhouette: u, Gap: math.NaN(), Diam: math.NaN()}, nil
	}
	const bins = 1 << 16
	c := Mean(x, workers)
	sq := make([]float64, n)
	par.For((n+chunk-1)/chunk, workers, func(g int) {
		buf := make([]float64, w)
		for i := g * chunk; i < min(n, (g+1)*chunk); i++ {
			x.At(i, buf)
			sq[i] = dist2(buf, c)
		}
	})
	top := 2 * math.Sqrt(slices.Max(sq))
	type stripe struct {
		rowSums
		hist      []int64
		gap, diam float64
	}
	ss := make([]stripe, stripes)
	tiles := (n + tile - 1) / tile
	par.For(stripes, workers, func(s int) {
		st := stripe{newRowSums(n, k), make([]int64, bins), math.Inf(1), 0}
		ba, bb := make([]float64, tile*w), make([]float64, tile*w)
		out := make([]float64, tile*tile)
		va, vb := make([]float64, w), make([]float64, w)
		for i := s; i < tiles && ctx.Err() == nil; i += stripes {
			ilo, ihi := i*tile, min(n, (i+1)*tile)
			a := load(x, ilo, ihi, c, ba)
			for j := i; j < tiles; j++ {
				jlo, jhi := j*tile, min(n, (j+1)*tile)
				b := a
				if j != i {
					b = load(x, jlo, jhi, c, bb)
				}
				g := blas64.General{Rows: ihi - ilo, Cols: jhi - jlo, Stride: jhi - jlo, Data: out}
				blas64.Gemm(blas.NoTrans, blas.Trans, 1, a, b, 0, g)
				for p := ilo; p < ihi; p++ {
					for q := max(jlo, p+1); q < jhi; q++ {
						d := sq[p] + sq[q] - 2*out[(p-ilo)*g.Stride+q-jlo]
						if d < near*(sq[p]+sq[q]) {
							x.At(p, va)
							x.At(q, vb)
							d = dist2(va, vb)
						}
						d = math.Sqrt(d)
						lp, lq := labels[p], labels[q]
						st.sum[p*k+lq] += d
						st.sum[q*k+lp] += d
						if lp == lq {
							st.diam = math.Max(st.diam, d)
							if top > 0 {
								st.hist[min(bins-1, int(d/top*bins))]++
							}
							continue
						}
						st.other[p] = math.Min(st.other[p], d)
						st.other[q] = math.Min(st.other[q], d)
						st.gap = math.Min(st.gap, d)
					}
				}
			}
		}
		ss[s] = st
	})
	if err := ctx.Err(); err != nil {
		return Pairwise{}, err
	}
	p := Pairwise{Gap: math.Inf(1)}
	acc := newRowSums(n, k)
	hist := make([]int64, bins)
	for _, st := range ss {
		p.Gap, p.Diam = math.Min(p.Gap, st.gap), math.Max(p.Diam, st.diam)
		for i, v := range st.sum {
			acc.sum[i] += v
		}
		for i, v := range st.other {
			acc.other[i] = math.Min(acc.other[i], v)
		}
		for i, v := range st.hist {
			hist[i] += v
		}
	}
	cnt := make([]int, k)
	for _, l := range labels {
		cnt[l]++
	}
	p.finish(acc, labels, cnt, histQuantile(hist, .95, top))
	return p, nil
}

// histQuantile is the middle of the bin that holds the quantile.
func histQuantile(h []int64, q, top float64) float64 {
	var n, c int64
	for _, v := range h {
		n += v
	}
	for i, v := range h {
		c += v
		if v > 0 && float64(c) >= q*float64(n) {
			return (float64(i) + .5) / float64(len(h)) * top
		}
	}
	return 0
}

// HalfSamples computes DBS, Dunn and silhouette on 200 half-samples without
// replacement inside each label, from the matrix of distances, and returns the
// values of each. Their spread shows how the index varies; it is not a
// confidence interval. pick draws the j-th half-sample: a list of rows.
func HalfSamples(d Dense, labels []int, k, draws, workers int, pick func(j int) []int) (dbsV, dunn, sil []float64) {
	dbsV, dunn, sil = make([]float64, draws), make([]float64, draws), make([]float64, draws)
	par.For(draws, workers, func(j int) {
		idx := pick(j)
		m := len(idx)
		s := NewDense(m, m)
		lab := make([]int, m)
		for a, i := range idx {
			lab[a] = labels[i]
			r := s.Row(a)
			for b, o := range idx {
				r[b] = d.Row(i)[o]
			}
		}
		p := PairwiseIndices(s, lab, k)
		dunn[j], sil[j] = p.Dunn.Value, p.Silhouette.Value
		dbsV[j] = dbsFromDistances(s, lab, k)
	})
	return dbsV, dunn, sil
}

// dbsFromDistances uses |x_i - m_L|^2 = mean_j d_ij^2 - (1/2) mean_jk d_jk^2 over j, k in L.
func dbsFromDistances(d Dense, labels []int, k int) float64 {
	n := make([]float64, k)
	for _, l := range labels {
		n[l]++
	}
	row := make([]float64, d.N*k) // mean squared distance of i to label
	cross := make([]float64, k*k) // mean squared distance between labels
	for i := range d.N {
		for j, v := range d.Row(i) {
			row[i*k+labels[j]] += v * v / n[labels[j]]
		}
		for l := range k {
			cross[labels[i]*k+l] += row[i*k+l] / n[labels[i]]
		}
	}
	s := make([]float64, k)
	for i, l := range labels {
		s[l] += math.Sqrt(max(0, row[i*k+l]-cross[l*k+l]/2)) / n[l]
	}
	t := 0.0
	for i := range k {
		worst := math.Inf(-1)
		for j := range k {
			if j != i {
				m2 := max(0, cross[i*k+j]-(cross[i*k+i]+cross[j*k+j])/2)
				worst = math.Max(worst, ratio(s[i]+s[j], math.Sqrt(m2)))
			}
		}
		t += worst / float64(k)
	}
	return t
}
