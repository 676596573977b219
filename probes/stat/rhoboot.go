package stat

import "math"

// BootstrapRho returns o.B values of the rank correlation on units drawn with
// replacement, for samples whose ties rule out the influence function. Ranks are
// recomputed on each replicate from the multiplicities, O(n) after one sort.
func BootstrapRho(r, s Ranks, o Boot) []float64 {
	n := len(r.C)
	ro, so := r.Order(), s.Order()
	return Bootstrap(n, o, func(idx []int32) float64 {
		w := make([]int32, n)
		for _, i := range idx {
			w[i]++
		}
		a, b := weightedRanks(r.C, ro, w), weightedRanks(s.C, so, w)
		var ab, aa, bb float64 // exact sums would change no digit of an interval
		for i, m := range w {
			if m > 0 {
				x, y, m := float64(a[i]), float64(b[i]), float64(m)
				ab += m * x * y
				aa += m * x * x
				bb += m * y * y
			}
		}
		return ab / math.Sqrt(aa*bb)
	})
}

// weightedRanks gives the doubled centred midranks when value i appears w_i times.
func weightedRanks(c []int32, order []int32, w []int32) []int32 {
	n := len(c)
	out := make([]int32, n)
	before := int32(0)
	for lo := 0; lo < n; {
		hi, here := lo, int32(0)
		for ; hi < n && c[order[hi]] == c[order[lo]]; hi++ {
			here += w[order[hi]]
		}
		v := 2*before + here - int32(n)
		for _, i := range order[lo:hi] {
			out[i] = v
		}
		before += here
		lo = hi
	}
	return out
}
