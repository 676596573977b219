package states

import (
	"math"
	"slices"

	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
)

func nan32() float32 { return float32(math.NaN()) }

// pooling makes the vectors of one document in one view.
type pooling struct {
	view   trace.View
	pool   *pool
	id     string
	lo, hi int // span, as positions

	sums [][]float64 // by layer; nil where no window has come
	x    [][]float32 // by layer: vectors of last, rows of tokens
}

// add takes the rows of a window that are its own.
func (p *pooling) add(layer int, own piece, x model.View) {
	k := slices.Index(p.view.Layers, layer)
	if k < 0 {
		return
	}
	lo, hi := max(p.lo, own.lo), min(p.hi, own.hi)
	if p.x == nil {
		p.x, p.sums = make([][]float32, len(p.view.Layers)), make([][]float64, len(p.view.Layers))
	}
	n := p.hi - p.lo
	switch p.pool.kind {
	case poolLast:
		if lo < hi && hi == p.hi {
			p.x[k] = slices.Clone(x.Row(hi - 1 - own.begin))
		}
		return
	case poolTokens:
		rows := p.pool.rows(p.id, n)
		if p.x[k] == nil {
			p.x[k] = make([]float32, len(rows)*x.Width)
		}
		for i, r := range rows {
			if at := p.lo + int(r); at >= lo && at < hi {
				copy(p.x[k][i*x.Width:], x.Row(at-own.begin))
			}
		}
		return
	}
	if p.sums[k] == nil {
		p.sums[k] = make([]float64, x.Width)
	}
	sum := p.sums[k]
	weigh := p.pool.weigh(p.id, n)
	for at := lo; at < hi; at++ {
		row := x.Row(at - own.begin)
		if weigh == nil {
			for c, v := range row {
				sum[c] += float64(v)
			}
			continue
		}
		f := weigh(at - p.lo)
		for c, v := range row {
			sum[c] += f * float64(v)
		}
	}
}

// vectors rounds the sums once.
func (p *pooling) vectors() ([][]float32, error) {
	for k, sum := range p.sums {
		if sum == nil {
			continue
		}
		d := 1.0
		if p.pool.kind == poolMean {
			d = float64(p.hi - p.lo)
		}
		p.x[k] = make([]float32, len(sum))
		for c, v := range sum {
			p.x[k][c] = float32(v / d)
		}
	}
	if k := slices.IndexFunc(p.x, func(x []float32) bool { return x == nil }); k >= 0 || len(p.x) == 0 {
		return nil, fault.Inputf("internal", "states: document %q: view %s is incomplete", p.id, p.view.Name())
	}
	return p.x, nil
}

// Limits of a massive activation: its absolute value, and its ratio to the median
// absolute value of the token's vector (notion: arXiv 2402.17762; limits are ours).
const (
	massiveAbs   = 100
	massiveRatio = 1000
	largeAbs     = 6
)

// tokenSum makes the statistics over tokens of one document at one tap.
type tokenSum struct {
	layers []int
	stats  trace.TokenStats
	abs    []float32
}

func newTokenSum(layers []int, width int) *tokenSum {
	s := &tokenSum{layers: layers, abs: make([]float32, width)}
	K := len(layers)
	for r := range 2 {
		s.stats.Sq[r], s.stats.Max[r], s.stats.N6[r] = make([][]float64, K), make([][]float32, K), make([][]int32, K)
		for k := range K {
			s.stats.Sq[r][k], s.stats.Max[r][k], s.stats.N6[r][k] = make([]float64, width), make([]float32, width), make([]int32, width)
		}
	}
	s.stats.Peak, s.stats.Pos, s.stats.Dim, s.stats.Massive = make([]float32, K), make([]int32, K), make([]int32, K), make([]int32, K)
	return s
}

// add takes every position that the window owns, special ids too.
func (s *tokenSum) add(layer int, own piece, x model.View) {
	k := slices.Index(s.layers, layer)
	if k < 0 {
		return
	}
	t := &s.stats
	for at := own.lo; at < own.hi; at++ {
		r := 1
		if at == 0 {
			r = 0
		}
		row := x.Row(at - own.begin)
		sq, top, n6 := t.Sq[r][k][:len(row)], t.Max[r][k][:len(row)], t.N6[r][k][:len(row)]
		peak, dim := float32(-1), 0
		for c, v := range row {
			sq[c] += float64(v) * float64(v)
			if v < 0 {
				v = -v
			}
			if v > top[c] {
				top[c] = v
			}
			if v >= largeAbs {
				n6[c]++
			}
			if v > peak {
				peak, dim = v, c
			}
		}
		if peak > t.Peak[k] || at == 0 {
			t.Peak[k], t.Pos[k], t.Dim[k] = peak, int32(at), int32(dim)
		}
		if peak > massiveAbs {
			t.Massive[k] += s.massive(row)
		}
	}
}

// massive counts the massive activations of one token.
func (s *tokenSum) massive(row []float32) (n int32) {
	for c, v := range row {
		s.abs[c] = float32(math.Abs(float64(v)))
	}
	sorted := slices.Clone(s.abs)
	slices.Sort(sorted)
	m := len(sorted)
	median := (float64(sorted[(m-1)/2]) + float64(sorted[m/2])) / 2
	for _, v := range s.abs {
		if v > massiveAbs && float64(v) > massiveRatio*median {
			n++
		}
	}
	return n
}
