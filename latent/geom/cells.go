package geom

// Cell names one cell of a states file: the rows of some units of one label in
// one stratum. Cells with equal block number in two labels are comparable and,
// in paired data, hold the same pairs.
type Cell struct {
	Label, Stratum, Block int // -1 = none
	N, Units              int // rows and units
}

// Cells are the sums kept per cell: of vectors, of unit vectors, and the inner
// products between layers. Slices that it returns are read-only.
type Cells interface {
	Len() int
	Layers() int
	Width() int
	Info(c int) Cell
	Sum(c, k int) []float64  // sum of x_k over the cell, length Width
	USum(c, k int) []float64 // the same of x_k/|x_k|, zero vectors left out
	Q(c int) []float64       // sum of x_k.x_l, Layers x Layers, row-major
	V(c int) []float64       // the same of unit vectors
}

// cellRows presents sum_k alpha_k S_k of chosen cells as rows.
type cellRows struct {
	c     Cells
	idx   []int
	alpha []float64
	unit  bool
}

func (r cellRows) Len() int   { return len(r.idx) }
func (r cellRows) Width() int { return r.c.Width() }
func (r cellRows) At(i int, dst []float64) {
	clear(dst[:r.c.Width()])
	for k, a := range r.alpha {
		if a == 0 {
			continue
		}
		s := r.c.Sum
		if r.unit {
			s = r.c.USum
		}
		for j, v := range s(r.idx[i], k) {
			dst[j] += a * v
		}
	}
}

// quad returns alpha' M alpha for the cell's layer products.
func (r cellRows) quad(i int) float64 {
	m := r.c.Q
	if r.unit {
		m = r.c.V
	}
	return Quad(m(r.idx[i]), r.alpha)
}

// Quad returns a' M a for a row-major square M.
func Quad(m, a []float64) float64 {
	k, t := len(a), 0.0
	for i, ai := range a {
		if ai != 0 {
			t += ai * dot(m[i*k:(i+1)*k], a)
		}
	}
	return t
}

// One returns the weight vector that selects layer k of n.
func One(k, n int) []float64 {
	a := make([]float64, n)
	a[k] = 1
	return a
}
