package trace

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The vector kernels give the bits of the plain arithmetic, for every length of a rest.
func TestSumKernels(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for n := range 23 {
		vector := func() []float32 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * math.Exp(10*rng.NormFloat64()))
			}
			return x
		}
		got, want := newPairs(n), newPairs(n)
		for range 7 {
			x := vector()
			f := rng.Float64() + .1
			all := make([]float64, n)
			for j := range all {
				all[j] = rng.NormFloat64()
			}
			got.addVector(x)
			got.addQuotients(x, f)
			got.addSquares(x)
			got.addAll(all)
			for j, v := range x {
				want.add(j, float64(v))
			}
			for j, v := range x {
				want.add(j, float64(v)/f)
			}
			for j, v := range x {
				want.add(j, float64(float64(v)*float64(v)))
			}
			for j, v := range all {
				want.add(j, v)
			}
		}
		if !slices.Equal(got.hi, want.hi) || !slices.Equal(got.lo, want.lo) {
			t.Fatalf("length %d: sums %v, want %v", n, got, want)
		}
		x, ys := vector(), [][]float32{}
		for range 11 {
			ys = append(ys, vector())
		}
		out := make([]float64, len(ys))
		dots(x, ys, out)
		for j, y := range ys {
			if d := dot(x, y); d != out[j] {
				t.Fatalf("length %d: product %d is %v, want %v", n, j, out[j], d)
			}
		}
	}
}
