package geom

import (
	"math"

	"gonum.org/v1/gonum/blas/blas64"

	"assay/latent/internal/par"
)

// diffRows are D_g = S_ag - S_bg of the blocks of one stratum.
type diffRows struct {
	t  *Table
	bs []block
}

func (r diffRows) Len() int   { return len(r.bs) }
func (r diffRows) Width() int { return r.t.Width() }
func (r diffRows) At(i int, dst []float64) {
	r.t.At(r.bs[i].unit[0], dst)
	b := make([]float64, r.t.Width())
	r.t.At(r.bs[i].unit[1], b)
	sub(dst, b)
}

// swap evaluates sign patterns over blocks: e' M e with M block-diagonal over
// strata, M_gh = D_g.D_h / n_s^2.
func (s *Scheme) swap(t *Table) (Draws, []float64) {
	g := s.Units
	m := NewDense(g, g)
	stratum := make([]int, g) // of each block
	weight := make([]float64, len(s.blocks))
	var total, trace float64
	at := 0
	for i, bs := range s.blocks {
		gr := Gram(diffRows{t, bs}, nil, t.Workers)
		n := 0.0
		mean, q := make([]float64, t.Width()), 0.0
		buf := make([]float64, t.Width())
		for _, b := range bs {
			n += float64(b.n)
			for _, u := range b.unit {
				t.At(u, buf)
				q += t.Unit[u].Q
				for j, v := range buf {
					mean[j] += v
				}
			}
		}
		total += q - dot(mean, mean)/(2*n)
		weight[i] = n / 2 // n_a n_b / (n_a + n_b)
		for a := range bs {
			stratum[at+a] = i
			for b := range bs {
				m.Row(at + a)[at+b] = gr.Row(a)[b] / (n * n)
			}
			trace += m.Row(at + a)[at+a]
		}
		at += len(bs)
	}
	out := Draws{Stat: make([]float64, s.Count)}
	plain := make([]float64, s.Count)
	// r = M e; e_g r_g summed inside a stratum is that stratum's squared distance.
	put := func(e, r []float64, i int) {
		for x := range e {
			d := e[x] * r[x]
			out.Stat[i] += d
			plain[i] += weight[stratum[x]] * d
		}
		plain[i] = ratio(plain[i], total)
	}
	for x := range g {
		out.Observed += dot(m.Row(x), ones(g))
	}
	out.tol = tieTol * (math.Abs(out.Observed) + trace)
	if s.Exact {
		s.gray(m, put)
		return out, plain
	}
	par.For((s.Count+batch-1)/batch, t.Workers, func(b int) {
		lo, hi := b*batch, min(s.Count, (b+1)*batch)
		rows := hi - lo
		p := blas64.General{Rows: rows, Cols: g, Stride: g, Data: make([]float64, rows*g)}
		u := blas64.General{Rows: rows, Cols: g, Stride: g, Data: make([]float64, rows*g)}
		for j := lo; j < hi; j++ {
			r := s.rng(j)
			e := p.Data[(j-lo)*g : (j-lo+1)*g]
			var bits uint64
			for x := range e {
				if x%64 == 0 {
					bits = r.Uint64()
				}
				e[x] = float64(int(bits&1)*2 - 1)
				bits >>= 1
			}
		}
		quadBatch(p, m, u)
		for j := lo; j < hi; j++ {
			put(p.Data[(j-lo)*g:(j-lo+1)*g], u.Data[(j-lo)*g:(j-lo+1)*g], j)
		}
	})
	return out, plain
}

func ones(n int) []float64 {
	o := make([]float64, n)
	for i := range o {
		o[i] = 1
	}
	return o
}

// gray visits all 2^g sign patterns, one flip at a time; M e is recomputed
// every 256 steps so that rounding cannot pile up to the size of a tie.
func (s *Scheme) gray(m Dense, put func(e, r []float64, i int)) {
	g := m.N
	e, r := ones(g), make([]float64, g)
	for i := range s.Count {
		if i%256 == 0 {
			for x := range g {
				r[x] = dot(m.Row(x), e)
			}
		}
		put(e, r, i)
		x := 0
		for c := i + 1; c&1 == 0; c >>= 1 {
			x++
		}
		if x < g {
			e[x] = -e[x]
			for y := range r {
				r[y] += 2 * e[x] * m.Row(y)[x]
			}
		}
	}
}
