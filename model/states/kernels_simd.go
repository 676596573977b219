//go:build amd64 && goexperiment.simd

package states

import (
	"math"
	"simd/archsimd"
)

// addRow is addRowPlain, eight dimensions at a time: the same sums.
func addRow(sum []float64, row []float32) {
	n := len(row) &^ 7
	if !archsimd.X86.AVX2() {
		n = 0
	}
	for c := 0; c < n; c += 8 {
		v, s := (*[8]float32)(row[c:]), (*[8]float64)(sum[c:])
		lo, hi := (*[4]float64)(s[:4]), (*[4]float64)(s[4:])
		a := archsimd.LoadFloat32x4Array((*[4]float32)(v[:4])).ConvertToFloat64()
		b := archsimd.LoadFloat32x4Array((*[4]float32)(v[4:])).ConvertToFloat64()
		archsimd.LoadFloat64x4Array(lo).Add(a).StoreArray(lo)
		archsimd.LoadFloat64x4Array(hi).Add(b).StoreArray(hi)
	}
	addRowPlain(sum[n:], row[n:])
}

// squares is squaresPlain, eight dimensions at a time. Squares of float32 are exact in
// float64, so that fused and separate additions give the same sums.
func squares(row []float32, sq []float64, top []float32, n6 []int32) float32 {
	n := len(row) &^ 7
	if !archsimd.X86.AVX2() || !archsimd.X86.FMA() {
		n = 0
	}
	abs := archsimd.BroadcastInt32x8(math.MaxInt32)
	below := archsimd.BroadcastInt32x8(int32(math.Float32bits(largeAbs)) - 1)
	peak := archsimd.BroadcastInt32x8(0)
	for c := 0; c < n; c += 8 {
		x, s := (*[8]float32)(row[c:]), (*[8]float64)(sq[c:])
		lo, hi := (*[4]float64)(s[:4]), (*[4]float64)(s[4:])
		v := archsimd.LoadFloat32x8Array(x)
		a := archsimd.LoadFloat32x4Array((*[4]float32)(x[:4])).ConvertToFloat64()
		b := archsimd.LoadFloat32x4Array((*[4]float32)(x[4:])).ConvertToFloat64()
		a.MulAdd(a, archsimd.LoadFloat64x4Array(lo)).StoreArray(lo)
		b.MulAdd(b, archsimd.LoadFloat64x4Array(hi)).StoreArray(hi)
		bits := v.AsInt32x8().And(abs)
		peak = peak.Max(bits)
		t := (*[8]float32)(top[c:])
		archsimd.LoadFloat32x8Array(t).AsInt32x8().Max(bits).AsFloat32x8().StoreArray(t)
		k := (*[8]int32)(n6[c:])
		archsimd.LoadInt32x8Array(k).Sub(bits.Greater(below).ToInt32x8()).StoreArray(k)
	}
	var lanes [8]int32
	peak.StoreArray(&lanes)
	best := squaresPlain(row[n:], sq[n:], top[n:], n6[n:])
	for _, b := range lanes {
		best = max(best, math.Float32frombits(uint32(b)))
	}
	return best
}
