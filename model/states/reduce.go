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

	sums []ordered   // by layer
	x    [][]float32 // by layer: vectors of last, rows of tokens
}

// ordered adds the sums of a document's windows in the order of the windows, whatever
// the order in which batches end: the last bit must not depend on batch mates.
type ordered struct {
	sum     []float64
	next    int
	waiting map[int][]float64
}

// room returns where window i may sum; put takes it back.
func (o *ordered) room(i, width int) []float64 {
	if o.sum == nil && i == 0 {
		o.sum = make([]float64, width)
		return o.sum
	}
	return make([]float64, width)
}

func (o *ordered) put(i int, sum []float64) {
	if i == 0 {
		o.next = 1
	} else {
		if o.waiting == nil {
			o.waiting = map[int][]float64{}
		}
		o.waiting[i] = sum
	}
	for o.next > 0 {
		x, ok := o.waiting[o.next]
		if !ok {
			return
		}
		for c, v := range x {
			o.sum[c] += v
		}
		delete(o.waiting, o.next)
		o.next++
	}
}

// add takes the rows of a window that are its own.
func (p *pooling) add(layer, index int, own piece, x model.View) {
	k := slices.Index(p.view.Layers, layer)
	if k < 0 {
		return
	}
	lo, hi := max(p.lo, own.lo), min(p.hi, own.hi)
	if p.x == nil {
		p.x, p.sums = make([][]float32, len(p.view.Layers)), make([]ordered, len(p.view.Layers))
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
	sum := p.sums[k].room(index, x.Width)
	defer p.sums[k].put(index, sum)
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
	for k := range p.sums {
		sum := p.sums[k].sum
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
	sq     []ordered     // of stats.Sq[1], by layer
	bits   [2][][]uint32 // of stats.Max
	abs    []float32
}

func newTokenSum(layers []int, width int) *tokenSum {
	s := &tokenSum{layers: layers, sq: make([]ordered, len(layers)), abs: make([]float32, width)}
	K := len(layers)
	for r := range 2 {
		s.stats.Sq[r], s.stats.Max[r], s.stats.N6[r] = make([][]float64, K), make([][]float32, K), make([][]int32, K)
		for k := range K {
			s.stats.Max[r][k], s.stats.N6[r][k] = make([]float32, width), make([]int32, width)
			s.bits[r] = append(s.bits[r], make([]uint32, width))
			if r == 0 { // the others come from sq
				s.stats.Sq[r][k] = make([]float64, width)
			}
		}
	}
	s.stats.Peak, s.stats.Pos, s.stats.Dim, s.stats.Massive = make([]float32, K), make([]int32, K), make([]int32, K), make([]int32, K)
	for k := range K {
		s.stats.Peak[k] = -1
	}
	return s
}

// add takes every position that the window owns, special ids too.
func (s *tokenSum) add(layer, index int, own piece, x model.View) {
	k := slices.Index(s.layers, layer)
	if k < 0 {
		return
	}
	t := &s.stats
	others := s.sq[k].room(index, x.Width)
	for at := own.lo; at < own.hi; at++ {
		r, sq := 1, others
		if at == 0 {
			r, sq = 0, t.Sq[0][k]
		}
		row := x.Row(at - own.begin)
		top := s.bits[r][k]
		peak := squares(row, sq, top, t.N6[r][k])
		v := math.Float32frombits(peak)
		if v > t.Peak[k] || v == t.Peak[k] && int32(at) < t.Pos[k] {
			t.Peak[k], t.Pos[k] = v, int32(at)
			t.Dim[k] = int32(slices.IndexFunc(row, func(y float32) bool { return math.Float32bits(y)&^signBit == peak }))
		}
		if v > massiveAbs {
			t.Massive[k] += s.massive(row)
		}
	}
	s.sq[k].put(index, others)
}

const signBit = 1 << 31

// squares adds the squares of a row, the largest |x| and the counts of large ones, and
// returns the bits of the row's largest |x|. Bits of non-negative floats order as the
// floats do, and comparing them needs no branch that depends on a sign.
func squares(row []float32, sq []float64, top []uint32, n6 []int32) (peak uint32) {
	sq, top, n6 = sq[:len(row)], top[:len(row)], n6[:len(row)]
	large := math.Float32bits(largeAbs)
	for c, v := range row {
		sq[c] += float64(v) * float64(v)
		b := math.Float32bits(v) &^ signBit
		top[c] = max(top[c], b)
		peak = max(peak, b)
		if b >= large {
			n6[c]++
		}
	}
	return peak
}

// done returns the statistics of the complete document.
func (s *tokenSum) done() trace.TokenStats {
	for k := range s.layers {
		s.stats.Sq[1][k] = s.sq[k].sum
		for r := range 2 {
			for c, b := range s.bits[r][k] {
				s.stats.Max[r][k][c] = math.Float32frombits(b)
			}
		}
	}
	return s.stats
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
