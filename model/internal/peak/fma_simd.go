//go:build amd64 && goexperiment.simd

package peak

import "simd/archsimd"

func how() string {
	switch {
	case archsimd.X86.AVX512():
		return "FMA loop, AVX-512"
	case archsimd.X86.FMA():
		return "FMA loop, AVX2"
	}
	return "multiply-add loop, scalar"
}

// chain runs a block of fused multiply-adds in 12 independent chains (latency
// times throughput of two units is at most 10) and returns their number times
// two. The chains start from different values, or the compiler would see that
// they are one.
func chain() float64 {
	const loops = 1 << 14
	var seed [12 * 16]float32
	for i := range seed {
		seed[i] = float32(i)
	}
	switch {
	case archsimd.X86.AVX512():
		at := func(i int) archsimd.Float32x16 { return archsimd.LoadFloat32x16Array((*[16]float32)(seed[16*i:])) }
		x, y := at(0), at(1)
		a, b, c, d, e, f := at(0), at(1), at(2), at(3), at(4), at(5)
		g, h, i, j, k, l := at(6), at(7), at(8), at(9), at(10), at(11)
		for range loops {
			a, b, c, d, e, f = x.MulAdd(y, a), x.MulAdd(y, b), x.MulAdd(y, c), x.MulAdd(y, d), x.MulAdd(y, e), x.MulAdd(y, f)
			g, h, i, j, k, l = x.MulAdd(y, g), x.MulAdd(y, h), x.MulAdd(y, i), x.MulAdd(y, j), x.MulAdd(y, k), x.MulAdd(y, l)
		}
		a.Add(b).Add(c).Add(d).Add(e).Add(f).Add(g).Add(h).Add(i).Add(j).Add(k).Add(l).StoreArray((*[16]float32)(seed[:]))
		if seed[1] == 0 {
			return 0
		}
		return loops * 12 * 16 * 2
	case archsimd.X86.FMA():
		at := func(i int) archsimd.Float32x8 { return archsimd.LoadFloat32x8Array((*[8]float32)(seed[16*i:])) }
		x, y := at(0), at(1)
		a, b, c, d, e, f := at(0), at(1), at(2), at(3), at(4), at(5)
		g, h, i, j, k, l := at(6), at(7), at(8), at(9), at(10), at(11)
		for range loops {
			a, b, c, d, e, f = x.MulAdd(y, a), x.MulAdd(y, b), x.MulAdd(y, c), x.MulAdd(y, d), x.MulAdd(y, e), x.MulAdd(y, f)
			g, h, i, j, k, l = x.MulAdd(y, g), x.MulAdd(y, h), x.MulAdd(y, i), x.MulAdd(y, j), x.MulAdd(y, k), x.MulAdd(y, l)
		}
		a.Add(b).Add(c).Add(d).Add(e).Add(f).Add(g).Add(h).Add(i).Add(j).Add(k).Add(l).StoreArray((*[8]float32)(seed[:]))
		if seed[1] == 0 {
			return 0
		}
		return loops * 12 * 8 * 2
	}
	return scalar()
}
