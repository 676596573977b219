package trace

import (
	"math"
	"slices"
)

// pairs are sums kept as pairs of float64: hi, and in lo the errors of the
// additions to hi (Knuth's two-sum; Dekker 1971). For float32 values whose largest
// and smallest non-zero magnitudes are within 2^49, the pair of up to 2^17 of them is
// exact, so the order of the additions changes no bit of hi + lo.
type pairs struct{ hi, lo []float64 }

func newPairs(n int) pairs { return pairs{make([]float64, n), make([]float64, n)} }

// part returns the sums [i, i+n).
func (p pairs) part(i, n int) pairs { return pairs{p.hi[i : i+n : i+n], p.lo[i : i+n : i+n]} }

func (p pairs) add(i int, x float64) { p.hi[i], p.lo[i] = twoSum(p.hi[i], p.lo[i], x) }

// addQuotients adds x[j]/f to sum j.
func (p pairs) addQuotients(x []float32, f float64) {
	n := addQuotientsFast(p.hi, p.lo, x, f)
	hi, lo := p.hi[n:len(x)], p.lo[n:len(x)]
	for j, v := range x[n:] {
		hi[j], lo[j] = twoSum(hi[j], lo[j], float64(v)/f)
	}
}

func (p pairs) addVector(x []float32) {
	n := addVectorFast(p.hi, p.lo, x)
	hi, lo := p.hi[n:len(x)], p.lo[n:len(x)]
	for j, v := range x[n:] {
		hi[j], lo[j] = twoSum(hi[j], lo[j], float64(v))
	}
}

// addSquares adds x[j]^2, exact in float64, to sum j.
func (p pairs) addSquares(x []float32) {
	n := addSquaresFast(p.hi, p.lo, x)
	hi, lo := p.hi[n:len(x)], p.lo[n:len(x)]
	for j, v := range x[n:] {
		hi[j], lo[j] = twoSum(hi[j], lo[j], float64(float64(v)*float64(v)))
	}
}

func (p pairs) addAll(x []float64) {
	n := addAllFast(p.hi, p.lo, x)
	hi, lo := p.hi[n:len(x)], p.lo[n:len(x)]
	for j, v := range x[n:] {
		hi[j], lo[j] = twoSum(hi[j], lo[j], v)
	}
}

// twoSum adds y to hi and the error of that addition to lo.
func twoSum(hi, lo, y float64) (float64, float64) {
	s := hi + y
	b := s - hi
	return s, lo + ((hi - (s - b)) + (y - b))
}

// merge adds another pair of sums.
func (p pairs) merge(q pairs) {
	for j := range p.hi {
		p.add(j, q.hi[j])
		p.lo[j] += q.lo[j]
	}
}

// round appends hi + lo to dst.
func (p pairs) round(dst []float64) []float64 {
	for j, hi := range p.hi {
		dst = append(dst, hi+p.lo[j])
	}
	return dst
}

// dots sets out[j] to the inner product of x and y[j] in float64, in an order that is
// part of the format: four sums over the dimensions modulo 4, added as (0+1)+(2+3),
// then the rest. The products of float32 values are exact, so it does not matter
// whether they are fused with the additions.
func dots(x []float32, y [][]float32, out []float64) {
	for len(y) >= 4 && dotsFast(x, y, out) {
		y, out = y[4:], out[4:]
	}
	for j, v := range y {
		out[j] = dot(x, v)
	}
}

// dot is dots of one pair.
func dot(x, y []float32) float64 {
	y = y[:len(x)]
	var s [4]float64
	n := len(x) &^ 3
	for i := 0; i < n; i += 4 {
		a, b := x[i:i+4:i+4], y[i:i+4:i+4]
		s[0] += float64(float64(a[0]) * float64(b[0]))
		s[1] += float64(float64(a[1]) * float64(b[1]))
		s[2] += float64(float64(a[2]) * float64(b[2]))
		s[3] += float64(float64(a[3]) * float64(b[3]))
	}
	return dotRest(s, x, y)
}

// dotRest adds the four sums and the last dimensions.
func dotRest(s [4]float64, x, y []float32) float64 {
	sum := (s[0] + s[1]) + (s[2] + s[3])
	for i := len(x) &^ 3; i < len(x); i++ {
		sum += float64(float64(x[i]) * float64(y[i]))
	}
	return sum
}

// viewSums are the accumulators of one pooled view.
type viewSums struct {
	layers, width, labels int
	sum, usum             pairs // cells x layers x width
	q, v                  pairs // cells x layers x layers
	zero                  []int64
	dim                   pairs // layers x labels x width
}

func newViewSums(v View, cells, labels int) *viewSums {
	k, w := len(v.Layers), v.Width
	return &viewSums{layers: k, width: w, labels: labels, sum: newPairs(cells * k * w), usum: newPairs(cells * k * w),
		q: newPairs(cells * k * k), v: newPairs(cells * k * k), zero: make([]int64, cells*k), dim: newPairs(k * labels * w)}
}

// products sets q to the inner products of the layers of one document, row-major.
func (s *scratch) products(x [][]float32) {
	k := len(x)
	s.q = slices.Grow(s.q[:0], k*k)[:k*k]
	for i := range k {
		dots(x[i], x[i:], s.q[i*k+i:(i+1)*k])
		for j := i + 1; j < k; j++ {
			s.q[j*k+i] = s.q[i*k+j]
		}
	}
}

// addCell adds one document, whose layer products t holds, to its cell.
func (s *viewSums) addCell(cell int, x [][]float32, t *scratch) {
	k := s.layers
	t.norm = slices.Grow(t.norm[:0], k)[:k]
	q, norm := t.q, t.norm
	for l := range k {
		norm[l] = math.Sqrt(q[l*k+l])
		at := (cell*k + l) * s.width
		s.sum.part(at, s.width).addVector(x[l])
		if norm[l] == 0 {
			s.zero[cell*k+l]++
			continue
		}
		s.usum.part(at, s.width).addQuotients(x[l], norm[l])
	}
	s.q.part(cell*k*k, k*k).addAll(q)
	for i := range k {
		for j := range k {
			if norm[i] > 0 && norm[j] > 0 {
				s.v.add(cell*k*k+i*k+j, q[i*k+j]/(norm[i]*norm[j]))
			}
		}
	}
}

// addLabel adds one document to the squares of its label.
func (s *viewSums) addLabel(label int, x [][]float32) {
	for l := range s.layers {
		s.dim.part((l*s.labels+label)*s.width, s.width).addSquares(x[l])
	}
}

// TokenStats are sums over the tokens of one document at one tap; row 0 is the
// first position of the window, row 1 all others. Slices are by layer.
type TokenStats struct {
	Sq  [2][][]float64 // per dimension, sum of x^2
	Max [2][][]float32 // per dimension, largest |x|
	N6  [2][][]int32   // per dimension, count of |x| >= 6
	// The largest |x| of all, its position and dimension, and the number of massive
	// activations.
	Peak              []float32
	Pos, Dim, Massive []int32
	// Same is the mean cosine of pairs of the span's positions, NaN for fewer than
	// two vectors that are not zero; nil unless PlanOptions.Sameness.
	Same []float32
}

// tapSums are the accumulators of one tap's statistics.
type tapSums struct {
	width int
	sq    pairs // layers x 2 x width
	max   []float32
	n6    []int64
}

func newTapSums(v View) *tapSums {
	n := len(v.Layers) * 2 * v.Width
	return &tapSums{width: v.Width, sq: newPairs(n), max: make([]float32, n), n6: make([]int64, n)}
}

func (s *tapSums) add(t TokenStats) {
	for r := range 2 {
		for l := range t.Sq[r] {
			at := (2*l + r) * s.width
			s.sq.part(at, s.width).addAll(t.Sq[r][l])
			for j := range s.width {
				s.max[at+j] = max(s.max[at+j], t.Max[r][l][j])
				s.n6[at+j] += int64(t.N6[r][l][j])
			}
		}
	}
}
