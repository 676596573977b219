// Package logit is the linear probe of the latent tests: L2 logistic regression
// by Newton's method with conjugate gradients, cross-validated by unit, with the
// AUROC pooled over folds and its jackknife.
//
// It refuses to report accuracy on rows it was fitted on: scores exist for
// held-out rows only, and scores of different folds are never compared, because
// two fits may differ by any monotone map.
//
// With more dimensions than rows a fit is solved in the eigenbasis of the
// rows' Gram matrix, which changes nothing in the solution: the weights lie in
// the span of the rows, and the penalty is invariant under rotation. gonum has
// optimisers but no logistic regression; its quasi-Newton method needs about ten
// times as many passes here.
package logit

import (
	"math"

	"assay/latent/geom"
)

// problem is mean log(1+exp(-s f)) + (lambda/2)|w|^2 with f = T w + b, the
// intercept free and s = +-1.
type problem struct {
	t      geom.Dense
	y      []float64 // 0 or 1
	lambda float64
	energy []float64 // mean square of each column, for the preconditioner
	f, p   []float64
}

// fit minimises from (w, b), which it overwrites, to a gradient norm below tol.
func (q *problem) fit(w []float64, b float64, tol float64) float64 {
	n, r := q.t.N, q.t.W
	q.f, q.p = make([]float64, n), make([]float64, n)
	g, step := make([]float64, r+1), make([]float64, r+1)
	obj := q.eval(w, b)
	for range 100 {
		norm := q.gradient(w, g)
		if norm < tol {
			break
		}
		// Inexact Newton: a looser inner solution far from the optimum.
		q.newton(g, step, math.Min(1e-2, norm))
		slope := 0.0
		for i, s := range step {
			slope += s * g[i]
		}
		if slope >= 0 { // rounding has eaten the descent
			break
		}
		scale, ok := 1.0, false
		for range 40 {
			for i := range r {
				w[i] += scale * step[i]
			}
			b += scale * step[r]
			o := q.eval(w, b)
			if o <= obj+1e-4*scale*slope || math.Abs(scale*slope) < 1e-15*(1+math.Abs(obj)) {
				obj, ok = o, true
				break
			}
			for i := range r {
				w[i] -= scale * step[i]
			}
			b -= scale * step[r]
			scale /= 2
		}
		if !ok {
			q.eval(w, b)
			break
		}
	}
	return b
}

// eval fills f and p and returns the objective.
func (q *problem) eval(w []float64, b float64) float64 {
	loss := 0.0
	for i := range q.f {
		f := dot(q.t.Row(i), w) + b
		q.f[i] = f
		q.p[i] = 1 / (1 + math.Exp(-f))
		loss += softplus(f) - q.y[i]*f
	}
	return loss/float64(len(q.f)) + q.lambda/2*dot(w, w)
}

// softplus is ln(1+e^f) without overflow.
func softplus(f float64) float64 { return math.Max(f, 0) + math.Log1p(math.Exp(-math.Abs(f))) }

func (q *problem) gradient(w, g []float64) float64 {
	n, r := float64(q.t.N), q.t.W
	clear(g)
	for i, p := range q.p {
		d := (p - q.y[i]) / n
		axpy(d, q.t.Row(i), g[:r])
		g[r] += d
	}
	axpy(q.lambda, w, g[:r])
	return math.Sqrt(dot(g, g))
}

// newton solves H step = -g by preconditioned conjugate gradients to a
// relative residual of tol.
func (q *problem) newton(g, step []float64, tol float64) {
	n, r := q.t.N, q.t.W
	d := make([]float64, n)
	mean := 0.0
	for i, p := range q.p {
		d[i] = math.Max(p*(1-p), 1e-12) / float64(n)
		mean += d[i]
	}
	m := make([]float64, r+1)
	for k := range r {
		m[k] = q.lambda + mean*q.energy[k]
		if m[k] == 0 {
			m[k] = 1
		}
	}
	m[r] = mean
	res, z, dir, hd := make([]float64, r+1), make([]float64, r+1), make([]float64, r+1), make([]float64, r+1)
	clear(step)
	rz, start := 0.0, 0.0
	for k, v := range g {
		res[k] = -v
		z[k] = res[k] / m[k]
		dir[k] = z[k]
		rz += res[k] * z[k]
		start += v * v
	}
	for range 10*r + 100 {
		clear(hd)
		for i := range n {
			row := q.t.Row(i)
			s := d[i] * (dot(row, dir[:r]) + dir[r])
			axpy(s, row, hd[:r])
			hd[r] += s
		}
		axpy(q.lambda, dir[:r], hd[:r])
		a := rz / dot(dir, hd)
		if math.IsNaN(a) || math.IsInf(a, 0) {
			return
		}
		axpy(a, dir, step)
		axpy(-a, hd, res)
		if dot(res, res) <= tol*tol*start {
			return
		}
		next := 0.0
		for k := range z {
			z[k] = res[k] / m[k]
			next += res[k] * z[k]
		}
		beta := next / rz
		rz = next
		for k := range dir {
			dir[k] = z[k] + beta*dir[k]
		}
	}
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

func axpy(a float64, x, y []float64) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += a * v
	}
}
