//go:build amd64 && goexperiment.simd

package trace

import "simd/archsimd"

// The kernels below do the arithmetic of states_sums.go four dimensions at a time, with
// the same roundings, and return how many dimensions they did.

type doubles = archsimd.Float64x4

// accumulate is twoSum of four sums.
func accumulate(hi, lo []float64, i int, y doubles) {
	h, l := (*[4]float64)(hi[i:]), (*[4]float64)(lo[i:])
	a := archsimd.LoadFloat64x4Array(h)
	s := a.Add(y)
	b := s.Sub(a)
	s.StoreArray(h)
	archsimd.LoadFloat64x4Array(l).Add(a.Sub(s.Sub(b)).Add(y.Sub(b))).StoreArray(l)
}

func four(x []float32, i int) doubles {
	return archsimd.LoadFloat32x4Array((*[4]float32)(x[i:])).ConvertToFloat64()
}

func addQuotientsFast(hi, lo []float64, x []float32, f float64) int {
	if !archsimd.X86.AVX2() {
		return 0
	}
	n, d := len(x)&^3, archsimd.BroadcastFloat64x4(f)
	for i := 0; i < n; i += 4 {
		accumulate(hi, lo, i, four(x, i).Div(d))
	}
	return n
}

func addVectorFast(hi, lo []float64, x []float32) int {
	if !archsimd.X86.AVX2() {
		return 0
	}
	n := len(x) &^ 3
	for i := 0; i < n; i += 4 {
		accumulate(hi, lo, i, four(x, i))
	}
	return n
}

func addSquaresFast(hi, lo []float64, x []float32) int {
	if !archsimd.X86.AVX2() {
		return 0
	}
	n := len(x) &^ 3
	for i := 0; i < n; i += 4 {
		v := four(x, i)
		accumulate(hi, lo, i, v.Mul(v))
	}
	return n
}

func addAllFast(hi, lo, x []float64) int {
	if !archsimd.X86.AVX2() {
		return 0
	}
	n := len(x) &^ 3
	for i := 0; i < n; i += 4 {
		accumulate(hi, lo, i, archsimd.LoadFloat64x4Array((*[4]float64)(x[i:])))
	}
	return n
}

// dotsFast sets out[0..3] to the inner products of x with y[0..3]: one after the other
// each would wait for its own additions.
func dotsFast(x []float32, y [][]float32, out []float64) bool {
	if !archsimd.X86.AVX2() || !archsimd.X86.FMA() {
		return false
	}
	zero := archsimd.BroadcastFloat64x4(0)
	s0, s1, s2, s3 := zero, zero, zero, zero
	y0, y1, y2, y3 := y[0][:len(x)], y[1][:len(x)], y[2][:len(x)], y[3][:len(x)]
	for i := 0; i+4 <= len(x); i += 4 {
		v := four(x, i)
		s0, s1 = v.MulAdd(four(y0, i), s0), v.MulAdd(four(y1, i), s1)
		s2, s3 = v.MulAdd(four(y2, i), s2), v.MulAdd(four(y3, i), s3)
	}
	for j, s := range [4]doubles{s0, s1, s2, s3} {
		var sums [4]float64
		s.StoreArray(&sums)
		out[j] = dotRest(sums, x, y[j])
	}
	return true
}
