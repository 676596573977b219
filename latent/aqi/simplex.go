package aqi

import (
	"math"
	"slices"
)

// mapping turns free parameters into weights on the simplex and a gradient in
// weights into one in parameters.
type mapping struct {
	weights func(z []float64) []float64
	back    func(p, g []float64) []float64
}

func simplexMap(name string) *mapping {
	switch name {
	case "softmax":
		return &mapping{Softmax, func(p, g []float64) []float64 { return centred(p, p, g) }}
	case "sparsemax":
		return &mapping{Sparsemax, func(p, g []float64) []float64 {
			s := make([]float64, len(p))
			for i, v := range p {
				if v > 0 {
					s[i] = 1
				}
			}
			return centred(s, s, g)
		}}
	case "entmax15":
		return &mapping{Entmax15, func(p, g []float64) []float64 {
			s := make([]float64, len(p))
			for i, v := range p {
				s[i] = math.Sqrt(v)
			}
			return centred(s, s, g)
		}}
	}
	return nil
}

// centred is s*(g - <s,g>/<s,1>): the Jacobian of all three maps has this form,
// with s = p, the support's indicator, and sqrt(p).
func centred(s, weight, g []float64) []float64 {
	var num, den float64
	for i, v := range weight {
		num += v * g[i]
		den += v
	}
	out := make([]float64, len(g))
	for i, v := range s {
		out[i] = v * (g[i] - num/den)
	}
	return out
}

// Softmax is exp(z)/sum exp(z).
func Softmax(z []float64) []float64 {
	m := slices.Max(z)
	p := make([]float64, len(z))
	t := 0.0
	for i, v := range z {
		p[i] = math.Exp(v - m)
		t += p[i]
	}
	for i := range p {
		p[i] /= t
	}
	return p
}

// Sparsemax is the Euclidean projection on the simplex (Martins and Astudillo
// 2016): max(z-tau, 0), K = largest k with 1 + k z_k > sum_{j<=k} z_j.
func Sparsemax(z []float64) []float64 {
	s := slices.Clone(z)
	slices.Sort(s)
	slices.Reverse(s)
	sum, tau := 0.0, 0.0
	for k, v := range s {
		sum += v
		if 1+float64(k+1)*v > sum {
			tau = (sum - 1) / float64(k+1)
		}
	}
	p := make([]float64, len(z))
	for i, v := range z {
		p[i] = math.Max(v-tau, 0)
	}
	return p
}

// Entmax15 is the 1.5-entmax (Peters, Niculae and Martins 2019):
// max(z/2 - tau, 0)^2, tau by the exact sorting algorithm.
func Entmax15(z []float64) []float64 {
	m := slices.Max(z)
	h := make([]float64, len(z))
	for i, v := range z {
		h[i] = (v - m) / 2
	}
	s := slices.Clone(h)
	slices.Sort(s)
	slices.Reverse(s)
	var sum, sq, tau float64
	for k, v := range s {
		n := float64(k + 1)
		sum += v
		sq += v * v
		mean := sum / n
		d := (1 - (sq - sum*mean)) / n
		if d < 0 {
			break
		}
		if t := mean - math.Sqrt(d); t <= v {
			tau = t
		}
	}
	p := make([]float64, len(z))
	for i, v := range h {
		d := math.Max(v-tau, 0)
		p[i] = d * d
	}
	return p
}
