package compare

import (
	"math"
	"strings"
)

// chunk is how many values of a tensor are in memory at a time.
const chunk = 1 << 16

// sums are what distances follow from; they add up over tensors.
type sums struct {
	dd, aa, bb, ab float64
	most           float64
	n              int // values that are finite on both sides
	nonfinite      int
}

func (s *sums) add(o sums) {
	s.dd += o.dd
	s.aa += o.aa
	s.bb += o.bb
	s.ab += o.ab
	s.most = math.Max(s.most, o.most)
	s.n += o.n
	s.nonfinite += o.nonfinite
}

func (s sums) distance() Distance {
	d := Distance{R: value(math.Sqrt(s.dd / s.aa)), Cosine: value(s.ab / math.Sqrt(s.aa*s.bb)), sums: s}
	if s.n > 0 {
		d.MaxAbs = value(s.most)
	}
	return d
}

// rounding is a floating-point type that a side may be the other's rounding to.
type rounding struct {
	name  string
	round func(float64) float64
}

func roundings() []rounding {
	return []rounding{{"F32", func(x float64) float64 { return float64(float32(x)) }}, {"BF16", RoundBF16}, {"F16", RoundF16}}
}

// pairing compares two tensors of one shape as their values come in.
type pairing struct {
	sums
	sameType bool
	equal    bool
	types    []rounding
	bIsA     []bool // by rounding: B is A rounded
	aIsB     []bool
}

func newPairing(a, b string) *pairing {
	p := &pairing{sameType: a == b, equal: true, types: roundings()}
	float := func(d string) bool { return strings.HasPrefix(d, "F") || strings.HasPrefix(d, "BF") }
	for range p.types {
		p.bIsA, p.aIsB = append(p.bIsA, float(a) && float(b)), append(p.aIsB, float(a) && float(b))
	}
	return p
}

func same(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// add takes the next values of both.
func (p *pairing) add(a, b []float64) {
	var s sums
	for i, x := range a {
		y := b[i]
		if !same(x, y) {
			p.equal = false
		}
		if math.IsNaN(x-x) || math.IsNaN(y-y) {
			s.nonfinite++
			continue
		}
		s.n++
		d := x - y
		s.dd += d * d
		s.aa += x * x
		s.bb += y * y
		s.ab += x * y
		s.most = math.Max(s.most, math.Abs(d))
	}
	p.sums.add(s)
	if p.equal {
		return
	}
	for k, t := range p.types {
		p.bIsA[k] = p.bIsA[k] && rounded(t, a, b)
		p.aIsB[k] = p.aIsB[k] && rounded(t, b, a)
	}
}

// rounded reports whether every y is the rounding of x.
func rounded(t rounding, x, y []float64) bool {
	for i, v := range x {
		if !same(t.round(v), y[i]) {
			return false
		}
	}
	return true
}

func (p *pairing) verdict() (status, how string) {
	switch {
	case p.equal && p.sameType:
		return Identical, ""
	case p.equal:
		return Cast, "widened"
	}
	for k, t := range p.types {
		switch {
		case p.bIsA[k]:
			return Cast, "B is A rounded to " + t.name
		case p.aIsB[k]:
			return Cast, "A is B rounded to " + t.name
		}
	}
	return Differs, ""
}

// RoundBF16 rounds to bfloat16, ties to even, by way of float32 as other
// programs do.
func RoundBF16(x float64) float64 { return roundTo(float64(float32(x)), 8, -126, 0x1.fep127) }

// RoundF16 rounds to IEEE half precision, ties to even, by way of float32.
func RoundF16(x float64) float64 { return roundTo(float64(float32(x)), 11, -14, 65504) }

// roundTo rounds x to a number of significant bits with least exponent low:
// below it the step is constant, above most the value is infinite.
func roundTo(x float64, bits, low int, most float64) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	_, e := math.Frexp(x) // |x| in [2^(e-1), 2^e)
	step := math.Ldexp(1, max(e-1, low)-bits+1)
	y := math.RoundToEven(x/step) * step
	if math.Abs(y) > most {
		return math.Copysign(math.Inf(1), x)
	}
	return y
}
