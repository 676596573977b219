package stat

import (
	"errors"
	"math"
)

// Design is a matrix of standardised features, applied without being stored: its
// rows stay sparse, centring and scaling are done on the fly.
type Design struct {
	Rows  [][]Entry // raw values, zeros left out
	mu    []float64 // mean of each column
	inv   []float64 // 1/sd of each column
	shift []float64 // mu/sd
}

// Entry is one non-zero value of a row: V in column Col.
type Entry struct {
	Col int32
	V   float64
}

// Cols returns the number of columns.
func (d *Design) Cols() int { return len(d.mu) }

// AddColumn appends a column that is read as (x - mean)/sd and returns its number.
func (d *Design) AddColumn(mean, sd float64) int32 {
	d.mu, d.inv, d.shift = append(d.mu, mean), append(d.inv, 1/sd), append(d.shift, mean/sd)
	return int32(len(d.mu) - 1)
}

// mul returns b + X w.
func (d *Design) mul(out, w []float64, b float64) {
	c := b
	for j, v := range w {
		c -= d.shift[j] * v
	}
	for i, row := range d.Rows {
		s := c
		for _, e := range row {
			s += e.V * d.inv[e.Col] * w[e.Col]
		}
		out[i] = s
	}
}

// mulT returns X' v.
func (d *Design) mulT(out, v []float64) {
	clear(out)
	total := 0.0
	for i, row := range d.Rows {
		total += v[i]
		for _, e := range row {
			out[e.Col] += e.V * v[i]
		}
	}
	for j := range out {
		out[j] = out[j]*d.inv[j] - d.shift[j]*total
	}
}

// Predict returns b + w.x of another row of raw values.
func (d *Design) Predict(row []Entry, w []float64, b float64) float64 {
	s := b
	for j, v := range w {
		s -= d.shift[j] * v
	}
	for _, e := range row {
		s += e.V * d.inv[e.Col] * w[e.Col]
	}
	return s
}

var errNoConvergence = errors.New("stat: logistic regression did not converge")

// Logistic minimises sum ln(1+e^f) - y f + lambda/2 |w|^2, f = b + X w, b free, until
// the gradient is below tol: Newton steps solved by conjugate gradients (the
// Hessian is never formed), halved when they overshoot. O(non-zeros) per inner step.
func Logistic(d *Design, y []float64, lambda, tol float64) (w []float64, b float64, err error) {
	p, n := d.Cols(), len(d.Rows)
	x, g := make([]float64, p+1), make([]float64, p+1) // last Entry: b
	f, h, r := make([]float64, n), make([]float64, n), make([]float64, n)
	tmp := make([]float64, n)
	loss := func(x []float64) float64 {
		d.mul(f, x[:p], x[p])
		s := 0.0
		for i, v := range f {
			s += softplus(v) - y[i]*v
		}
		for _, v := range x[:p] {
			s += lambda / 2 * v * v
		}
		return s
	}
	hess := func(out, v []float64) {
		d.mul(tmp, v[:p], v[p])
		s := 0.0
		for i := range tmp {
			tmp[i] *= h[i]
			s += tmp[i]
		}
		d.mulT(out[:p], tmp)
		for j := range p {
			out[j] += lambda * v[j]
		}
		out[p] = s
	}
	here := loss(x)
	for range 100 {
		sumR := 0.0
		for i, v := range f {
			q := 1 / (1 + math.Exp(-v))
			r[i], h[i] = q-y[i], max(q*(1-q), 1e-12)
			sumR += r[i]
		}
		d.mulT(g[:p], r)
		for j := range p {
			g[j] += lambda * x[j]
		}
		g[p] = sumR
		size := length(g)
		if size < tol {
			return x[:p], x[p], nil
		}
		step := conjugate(hess, g, min(.1, math.Sqrt(size))*size)
		t, ok := 1.0, false
		next := make([]float64, p+1)
		for range 40 {
			for j := range next {
				next[j] = x[j] - t*step[j]
			}
			if there := loss(next); there <= here-1e-4*t*dotp(g, step) || there <= here+1e-12*math.Abs(here) {
				copy(x, next)
				here, ok = there, true
				break
			}
			t /= 2
		}
		if !ok {
			break
		}
	}
	if length(g) < math.Sqrt(tol) { // rounding stops the last digits of a flat problem
		return x[:p], x[p], nil
	}
	return nil, 0, errNoConvergence
}

// conjugate solves H s = g to |residual| <= tol.
func conjugate(hess func(out, v []float64), g []float64, tol float64) []float64 {
	n := len(g)
	s, r, p, hp := make([]float64, n), append([]float64(nil), g...), append([]float64(nil), g...), make([]float64, n)
	rr := dotp(r, r)
	for range 10 * n {
		if math.Sqrt(rr) <= tol {
			break
		}
		hess(hp, p)
		a := rr / dotp(p, hp)
		for j := range s {
			s[j] += a * p[j]
			r[j] -= a * hp[j]
		}
		next := dotp(r, r)
		for j := range p {
			p[j] = r[j] + next/rr*p[j]
		}
		rr = next
	}
	return s
}

func softplus(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

func dotp(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

func length(a []float64) float64 { return math.Sqrt(dotp(a, a)) }

// Dense builds a Design from columns given row by row, standardised over the rows
// named in fit; constant columns are left out and returned by index.
func Dense(x [][]float64, fit []int) (d *Design, kept []int) {
	if len(fit) == 0 {
		return &Design{}, nil
	}
	p := len(x[fit[0]])
	d = &Design{}
	for j := range p {
		m, v := 0.0, 0.0
		for _, i := range fit {
			m += x[i][j] / float64(len(fit))
		}
		for _, i := range fit {
			v += (x[i][j] - m) * (x[i][j] - m) / float64(len(fit))
		}
		sd := math.Sqrt(v)
		if !(sd > 1e-12*max(1, math.Abs(m))) {
			continue
		}
		kept = append(kept, j)
		d.AddColumn(m, sd)
	}
	for _, i := range fit {
		d.Rows = append(d.Rows, DenseRow(x[i], kept))
	}
	return d, kept
}

// DenseRow returns the kept columns of a row as entries.
func DenseRow(x []float64, kept []int) []Entry {
	row := make([]Entry, len(kept))
	for c, j := range kept {
		row[c] = Entry{int32(c), x[j]}
	}
	return row
}
