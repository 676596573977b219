package geom

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"assay/latent/internal/par"
)

// quadBatch computes the rows of P G for a batch of indicator or sign vectors.
func quadBatch(p blas64.General, g Dense, u blas64.General) {
	blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, p, blas64.General{Rows: g.N, Cols: g.W, Stride: g.W, Data: g.Data}, 0, u)
}

// batch is the number of arrangements evaluated by one matrix product.
const batch = 128

// stratumGram is one stratum of a permutation: its units with the inner products
// of their sums about the stratum mean.
type stratumGram struct {
	lab []uint8 // observed
	n   []float64
	g   Dense
}

// permuter evaluates label permutations of one table.
type permuter struct {
	k     int
	strs  []stratumGram
	total float64 // scatter inside strata
	scale float64 // of the statistic under the null, for ties
}

func (s *Scheme) permuter(t *Table) *permuter {
	p := &permuter{k: s.labels}
	for _, idx := range s.strata {
		var x stratumGram
		rows, q := 0.0, 0.0
		mean := make([]float64, t.Width())
		st := t.Unit[idx[0]].Stratum
		for l := range p.k {
			g := t.group(l, st)
			rows += float64(g.n)
			q += g.q
			for j, v := range g.s {
				mean[j] += v
			}
		}
		p.total += q - dot(mean, mean)/rows
		for j := range mean {
			mean[j] /= rows
		}
		for _, u := range idx {
			x.lab = append(x.lab, uint8(t.Unit[u].Label))
			x.n = append(x.n, float64(t.Unit[u].N))
		}
		x.g = Gram(unitRows{t, idx, mean}, nil, t.Workers)
		for u := range idx {
			p.scale += x.g.Row(u)[u] / (rows * rows) * float64(p.k*p.k)
		}
		p.strs = append(p.strs, x)
	}
	return p
}

// eval computes statistic and plain R2 of a batch; labs[stratum][arrangement].
func (p *permuter) eval(labs [][][]uint8, stat, plain []float64) {
	for i := range p.strs {
		p.stratum(&p.strs[i], labs[i], stat, plain)
	}
	for d := range plain {
		plain[d] = ratio(plain[d], p.total)
	}
}

// stratum adds one stratum by k-1 indicator vectors per arrangement.
func (p *permuter) stratum(x *stratumGram, labs [][]uint8, stat, plain []float64) {
	k, n := p.k, len(x.lab)
	rows := len(labs) * (k - 1)
	ind := blas64.General{Rows: rows, Cols: n, Stride: n, Data: make([]float64, rows*n)}
	prod := blas64.General{Rows: rows, Cols: n, Stride: n, Data: make([]float64, rows*n)}
	for d, lab := range labs {
		for c, l := range lab {
			if int(l) < k-1 {
				ind.Data[(d*(k-1)+int(l))*n+c] = 1
			}
		}
	}
	quadBatch(ind, x.g, prod)
	row := func(m blas64.General, i int) []float64 { return m.Data[i*n : (i+1)*n] }
	h, cnt := make([]float64, k*k), make([]float64, k)
	for d, lab := range labs {
		clear(cnt)
		for c, l := range lab {
			cnt[l] += x.n[c]
		}
		// H = P G P'; the last label's row follows because rows of G sum to 0.
		clear(h)
		for a := range k - 1 {
			for b := range k - 1 {
				h[a*k+b] = dot(row(prod, d*(k-1)+a), row(ind, d*(k-1)+b))
				h[a*k+k-1] -= h[a*k+b]
			}
			h[(k-1)*k+a] = h[a*k+k-1]
			h[k*k-1] -= h[a*k+k-1]
		}
		for a := range k {
			plain[d] += h[a*k+a] / cnt[a]
			for b := a + 1; b < k; b++ {
				stat[d] += h[a*k+a]/(cnt[a]*cnt[a]) + h[b*k+b]/(cnt[b]*cnt[b]) - 2*h[a*k+b]/(cnt[a]*cnt[b])
			}
		}
	}
}

// permute evaluates all or drawn label permutations.
func (s *Scheme) permute(t *Table) (Draws, []float64) {
	p := s.permuter(t)
	out := Draws{Stat: make([]float64, s.Count)}
	plain := make([]float64, s.Count)
	observed := make([][][]uint8, len(p.strs))
	for i, x := range p.strs {
		observed[i] = [][]uint8{x.lab}
	}
	one, ignored := make([]float64, 1), make([]float64, 1)
	p.eval(observed, one, ignored)
	out.Observed = one[0]
	out.tol = tieTol * (math.Abs(out.Observed) + p.scale)
	if s.Exact {
		s.everyOrder(p, out.Stat, plain)
		return out, plain
	}
	par.For((s.Count+batch-1)/batch, t.Workers, func(b int) {
		lo, hi := b*batch, min(s.Count, (b+1)*batch)
		labs := make([][][]uint8, len(p.strs))
		for j := lo; j < hi; j++ {
			r := s.rng(j)
			for i, x := range p.strs {
				l := slices.Clone(x.lab)
				r.Shuffle(len(l), func(a, b int) { l[a], l[b] = l[b], l[a] })
				labs[i] = append(labs[i], l)
			}
		}
		p.eval(labs, out.Stat[lo:hi], plain[lo:hi])
	})
	return out, plain
}

// everyOrder visits the distinct orders of labels of all strata like an odometer.
func (s *Scheme) everyOrder(p *permuter, stat, plain []float64) {
	seq := make([][]uint8, len(p.strs))
	for i, x := range p.strs {
		seq[i] = slices.Clone(x.lab)
		slices.Sort(seq[i])
	}
	for lo := 0; lo < s.Count; lo += batch {
		n := min(batch, s.Count-lo)
		labs := make([][][]uint8, len(seq))
		for range n {
			for i := range seq {
				labs[i] = append(labs[i], slices.Clone(seq[i]))
			}
			for i := range seq {
				if nextPermutation(seq[i]) {
					break
				}
				slices.Sort(seq[i])
			}
		}
		p.eval(labs, stat[lo:lo+n], plain[lo:lo+n])
	}
}

// unitRows are units' sums about a stratum mean (relative to the table's centre).
type unitRows struct {
	t    *Table
	idx  []int
	mean []float64
}

func (r unitRows) Len() int   { return len(r.idx) }
func (r unitRows) Width() int { return r.t.Width() }
func (r unitRows) At(i int, dst []float64) {
	u := r.idx[i]
	r.t.At(u, dst)
	n := float64(r.t.Unit[u].N)
	for j, m := range r.mean {
		dst[j] -= n * m
	}
}

// nextPermutation steps a multiset to its next order; false after the last.
func nextPermutation(a []uint8) bool {
	i := len(a) - 2
	for i >= 0 && a[i] >= a[i+1] {
		i--
	}
	if i < 0 {
		return false
	}
	j := len(a) - 1
	for a[j] <= a[i] {
		j--
	}
	a[i], a[j] = a[j], a[i]
	slices.Reverse(a[i+1:])
	return true
}
