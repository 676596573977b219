package states

import (
	"math"
	"slices"

	"assay/model"
	"assay/model/trace"
)

func nan32() float32 { return float32(math.NaN()) }

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
	first  [][]float32 // by layer: the vector at the first position
	sq     []ordered   // by layer, over the other positions
	stats  trace.TokenStats

	lo, hi int       // span, for sameness
	units  []ordered // by layer: the sum of the span's vectors of length 1; nil unless asked for
	count  []int     // by layer: how many of them there are
}

// tokenSumBytes is what a document under way holds for each layer and dimension.
const tokenSumBytes = 28

func newTokenSum(layers []int) *tokenSum {
	K := len(layers)
	s := &tokenSum{layers: layers, first: make([][]float32, K), sq: make([]ordered, K)}
	t := &s.stats
	for r := range 2 {
		t.Sq[r], t.Max[r], t.N6[r] = make([][]float64, K), make([][]float32, K), make([][]int32, K)
	}
	t.Peak, t.Pos, t.Dim, t.Massive = make([]float32, K), make([]int32, K), make([]int32, K), make([]int32, K)
	for k := range K {
		t.Peak[k] = -1
	}
	return s
}

// blockDims is the number of dimensions that are taken at a time: their sums stay in
// the first cache while the tokens go by.
const blockDims = 512

// add takes every position that the window owns, special ids too.
func (s *tokenSum) add(layer, index int, own piece, x model.View) {
	k := slices.Index(s.layers, layer)
	if k < 0 {
		return
	}
	t := &s.stats
	others := s.sq[k].room(index, x.Width)
	if t.Max[1][k] == nil {
		t.Max[1][k], t.N6[1][k] = make([]float32, x.Width), make([]int32, x.Width)
	}
	lo := own.lo
	if lo == 0 && lo < own.hi {
		row := x.Row(lo - own.begin)
		s.first[k] = slices.Clone(row)
		s.peak(k, lo, row, largest(row))
		lo++
	}
	peaks := make([]float32, max(0, own.hi-lo))
	for c := 0; c < x.Width; c += blockDims {
		end := min(c+blockDims, x.Width)
		for i := range peaks {
			row := x.Row(lo + i - own.begin)[c:end]
			peaks[i] = max(peaks[i], squares(row, others[c:end], t.Max[1][k][c:end], t.N6[1][k][c:end]))
		}
	}
	for i, v := range peaks {
		s.peak(k, lo+i, x.Row(lo+i-own.begin), v)
	}
	s.sq[k].put(index, others)
	if s.units != nil {
		sum := s.units[k].room(index, x.Width)
		for at := max(s.lo, own.lo); at < min(s.hi, own.hi); at++ {
			if addUnit(sum, x.Row(at-own.begin)) {
				s.count[k]++
			}
		}
		s.units[k].put(index, sum)
	}
}

// sameness asks for the mean cosine of pairs of positions in [lo, hi).
func (s *tokenSum) sameness(lo, hi int) {
	s.lo, s.hi = lo, hi
	s.units, s.count = make([]ordered, len(s.layers)), make([]int, len(s.layers))
	s.stats.Same = make([]float32, len(s.layers))
}

// addUnit adds row/|row| to sum; false for the zero vector.
func addUnit(sum []float64, row []float32) bool {
	ss := 0.0
	for _, v := range row {
		ss += float64(float64(v) * float64(v))
	}
	if ss == 0 {
		return false
	}
	norm := math.Sqrt(ss)
	for c, v := range row {
		sum[c] += float64(v) / norm
	}
	return true
}

// meanCosine of pairs among n vectors of length 1 with the given sum.
func meanCosine(sum []float64, n int) float32 {
	if n < 2 {
		return nan32()
	}
	ss := 0.0
	for _, v := range sum {
		ss += float64(v * v)
	}
	return float32((ss - float64(n)) / (float64(n) * float64(n-1)))
}

// peak notes the largest |x| of a row, v.
func (s *tokenSum) peak(k, at int, row []float32, v float32) {
	t := &s.stats
	if v > t.Peak[k] || v == t.Peak[k] && int32(at) < t.Pos[k] {
		t.Peak[k], t.Pos[k] = v, int32(at)
		t.Dim[k] = int32(slices.IndexFunc(row, func(y float32) bool { return y == v || y == -v }))
	}
	if v > massiveAbs {
		t.Massive[k] += massive(row, v)
	}
}

// done returns the statistics of the complete document.
func (s *tokenSum) done() trace.TokenStats {
	t := &s.stats
	for k := range s.layers {
		t.Sq[1][k] = s.sq[k].sum
		if s.units != nil {
			t.Same[k] = meanCosine(s.units[k].sum, s.count[k])
		}
		w := len(s.first[k])
		t.Sq[0][k], t.Max[0][k], t.N6[0][k] = make([]float64, w), make([]float32, w), make([]int32, w)
		squares(s.first[k], t.Sq[0][k], t.Max[0][k], t.N6[0][k])
	}
	return s.stats
}

// largest is the largest |x|.
func largest(row []float32) (top float32) {
	for _, v := range row {
		top = max(top, float32(math.Abs(float64(v))))
	}
	return top
}

// massive counts the massive activations of one token, whose largest |x| is peak.
func massive(row []float32, peak float32) (n int32) {
	// Sorting is slow and rarely needed: nothing is massive where the median is not
	// far below the peak, and it is not where fewer than half the values are.
	m := len(row)
	low := 0
	for _, v := range row {
		if massiveRatio*.99*math.Abs(float64(v)) < float64(peak) {
			low++
		}
	}
	if low <= (m-1)/2 {
		return 0
	}
	sorted := make([]float32, m)
	for c, v := range row {
		sorted[c] = float32(math.Abs(float64(v)))
	}
	slices.Sort(sorted)
	median := (float64(sorted[(m-1)/2]) + float64(sorted[m/2])) / 2
	for _, v := range row {
		if a := math.Abs(float64(v)); a > massiveAbs && a > massiveRatio*median {
			n++
		}
	}
	return n
}

// addRowPlain adds a row to sums.
func addRowPlain(sum []float64, row []float32) {
	sum = sum[:len(row)]
	for c, v := range row {
		sum[c] += float64(v)
	}
}

// squaresPlain adds the squares of a row, the largest |x| and the counts of large ones,
// and returns the row's largest |x|. Values are finite. Bits of non-negative floats
// order as the floats do, and comparing them needs no branch that depends on a sign.
func squaresPlain(row []float32, sq []float64, top []float32, n6 []int32) float32 {
	const sign = 1 << 31
	sq, top, n6 = sq[:len(row)], top[:len(row)], n6[:len(row)]
	large := math.Float32bits(largeAbs)
	peak := uint32(0)
	for c, v := range row {
		sq[c] += float64(v) * float64(v) // exact: no difference where it is fused
		b := math.Float32bits(v) &^ sign
		top[c] = math.Float32frombits(max(math.Float32bits(top[c]), b))
		peak = max(peak, b)
		if b >= large {
			n6[c]++
		}
	}
	return math.Float32frombits(peak)
}
