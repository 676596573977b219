package geom

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"assay/internal/fault"
	"assay/latent/internal/par"
)

// Kernel is what alignment needs of a cloud: its inner products about the mean,
// each pair once (4 MB for 1024 rows), with their sums. A map of alignment between
// layers keeps one per layer.
type Kernel struct {
	n    int
	up   []float64 // above the diagonal, row by row
	rows []float64 // row sums without the diagonal
	sum  float64
	self float64 // HSIC with itself
}

// NewKernel takes the cloud's inner products about the mean.
func NewKernel(c *Cloud) (Kernel, error) {
	n := c.G.N
	if n < 4 {
		return Kernel{}, fault.Inputf("too-few-points", "geom: alignment: %d rows, want at least 4", n)
	}
	k := Kernel{n: n, up: c.G.Upper(), rows: make([]float64, n)}
	for i := range k.rows {
		r := c.G.Row(i)
		k.rows[i] = sum(r) - r[i]
	}
	k.sum = sum(k.rows)
	k.self = k.hsic(k)
	return k, nil
}

func (k Kernel) hsic(l Kernel) float64 {
	n, tr := float64(k.n), 2*dot(k.up, l.up)
	return (tr + k.sum*l.sum/((n-1)*(n-2)) - 2*dot(k.rows, l.rows)/(n-2)) / (n * (n - 3))
}

// CKA is the debiased linear alignment; NaN if a self-term is not positive.
func (k Kernel) CKA(l Kernel) float64 {
	if k.self <= 0 || l.self <= 0 {
		return math.NaN()
	}
	return k.hsic(l) / math.Sqrt(k.self*l.self)
}

// Rotation is the best rotation of one set of rows onto another, both centred
// and scaled to Frobenius norm 1.
type Rotation struct {
	S        float64 // nuclear norm of A'B: 1 = equal up to rotation and scale; distance is 2(1-S)
	Shifted  float64 // the same with row i of B replaced by row i+1: what unrelated rows give
	Identity float64 // tr(A'B): no rotation
}

// Procrustes compares rows of equal width. Cost O(n w min(n,w) + min^3). With
// more dimensions than rows A'B is taken through factors of the Gram matrices.
func Procrustes(cx, cy *Cloud) (Rotation, error) {
	x, y := cx.X, cy.X
	n, w := x.Len(), x.Width()
	if y.Len() != n || y.Width() != w || n < 2 {
		return Rotation{}, fault.Inputf("width-differs", "geom: procrustes: %d rows of width %d and %d of %d, want the same, at least 2 rows", n, w, y.Len(), y.Width())
	}
	a, b := Shift(x, cx.Mean), Shift(y, cy.Mean)
	var aa, bb, ab float64
	u, v := make([]float64, w), make([]float64, w)
	for i := range n {
		a.At(i, u)
		b.At(i, v)
		aa += dot(u, u)
		bb += dot(v, v)
		ab += dot(u, v)
	}
	scale := math.Sqrt(aa * bb)
	if scale == 0 {
		return Rotation{math.NaN(), math.NaN(), math.NaN()}, nil
	}
	r := Rotation{Identity: ab / scale}
	next := make([]int, n)
	for i := range next {
		next[i] = (i + 1) % n
	}
	var err error
	if w <= n {
		da, db := Collect(a), Collect(b)
		ma, mb := mat.NewDense(n, w, da.Data), mat.NewDense(n, w, db.Data)
		sh := Collect(Subset(db, next))
		if r.S, err = nuclear(ma.T(), mb, scale); err != nil {
			return r, err
		}
		r.Shifted, err = nuclear(ma.T(), mat.NewDense(n, w, sh.Data), scale)
		return r, err
	}
	// AA' = L_A L_A', so A = L_A Q_A' with orthonormal Q_A, and A'B has the singular
	// values of L_A' L_B.
	la, err := factor(cx.G)
	if err != nil {
		return r, err
	}
	lb, err := factor(cy.G)
	if err != nil {
		return r, err
	}
	if r.S, err = nuclear(la.T(), lb, scale); err != nil {
		return r, err
	}
	_, c := lb.Dims()
	sh := mat.NewDense(n, c, nil)
	for i, j := range next {
		sh.SetRow(i, lb.RawRowView(j))
	}
	r.Shifted, err = nuclear(la.T(), sh, scale)
	return r, err
}

// factor returns L with G = L L' by pivoted Cholesky; directions below rounding
// (a centred G has at least one) are left out. It takes a tenth of the time of
// eigenvectors.
func factor(g Dense) (*mat.Dense, error) {
	var c mat.PivotedCholesky
	c.Factorize(mat.NewSymDense(g.N, slices.Clone(g.Data)), -1)
	r := c.Rank()
	if r == 0 {
		return nil, fault.Inputf("nonfinite", "geom: procrustes: rank 0, want finite rows with some variance")
	}
	u := c.RawU()
	piv := c.ColumnPivots(nil)
	out := mat.NewDense(g.N, r, nil)
	for j, row := range piv {
		for i := range min(r, j+1) {
			out.Set(row, i, u.At(i, j))
		}
	}
	return out, nil
}

func nuclear(a, b mat.Matrix, scale float64) (float64, error) {
	var m mat.Dense
	m.Mul(a, b)
	var s mat.SVD
	if !s.Factorize(&m, mat.SVDNone) {
		return 0, fault.Inputf("nonfinite", "geom: procrustes: singular values did not converge, want finite rows")
	}
	return sum(s.Values(nil)) / scale, nil
}

// Neighbours are the k nearest rows of each row, as sorted lists.
type Neighbours [][]int32

// Nearest finds the k largest entries of each row of a similarity matrix other
// than its own; ties go to the smaller index.
func Nearest(sim Dense, k, workers int) Neighbours {
	out := make(Neighbours, sim.N)
	par.For(sim.N, workers, func(i int) {
		r := sim.Row(i)
		idx := make([]int32, 0, sim.N-1)
		for j := range r {
			if j != i {
				idx = append(idx, int32(j))
			}
		}
		slices.SortStableFunc(idx, func(a, b int32) int {
			switch {
			case r[a] > r[b]:
				return -1
			case r[a] < r[b]:
				return 1
			}
			return 0
		})
		idx = slices.Clone(idx[:min(k, len(idx))]) // a slice would keep all n of every row
		slices.Sort(idx)
		out[i] = idx
	})
	return out
}

// Mutual is the mean share of common neighbours; shift pairs row i with row
// i+shift of the other set, neighbours shifted alike (0 = true pairing).
func (a Neighbours) Mutual(b Neighbours, shift int) float64 {
	n, t, k := len(a), 0, 0
	mark := make([]int, n)
	for i := range mark {
		mark[i] = -1
	}
	for i, x := range a {
		for _, j := range x {
			mark[j] = i
		}
		k += len(x)
		for _, j := range b[(i+shift)%n] {
			if mark[(int(j)-shift+n)%n] == i {
				t++
			}
		}
	}
	return float64(t) / float64(k)
}

// Upper lists the entries above the diagonal, row by row.
func (d Dense) Upper() []float64 {
	out := make([]float64, 0, d.N*(d.N-1)/2)
	for i := range d.N {
		out = append(out, d.Row(i)[i+1:]...)
	}
	return out
}
