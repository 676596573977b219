package stat

import (
	"fmt"
	"math"
	"math/big"
	"testing"
)

// countU returns the numbers of arrangements with U = 0..km, by Mann and
// Whitney's recursion in exact integers: the oracle of this file.
func countU(k, m int64) []*big.Int {
	// f(k, m; u) = f(k-1, m; u-m) + f(k, m-1; u), tabulated by k.
	size := k*m + 1
	row := make([][]*big.Int, m+1) // row[j] is f(i, j; .)
	for j := range row {
		row[j] = make([]*big.Int, size)
		for u := range row[j] {
			row[j][u] = new(big.Int)
		}
		row[j][0].SetInt64(1)
	}
	for i := int64(1); i <= k; i++ {
		next := make([][]*big.Int, m+1)
		for j := range next {
			next[j] = make([]*big.Int, size)
			for u := range next[j] {
				v := new(big.Int)
				if j > 0 {
					v.Add(v, next[j-1][u])
					if u >= j {
						v.Add(v, row[j][u-j])
					}
				} else if u == 0 {
					v.SetInt64(1)
				}
				next[j][u] = v
			}
		}
		row = next
	}
	return row[m]
}

func bigLn(x *big.Int) float64 {
	f := new(big.Float).SetInt(x)
	mant := new(big.Float)
	exp := f.MantExp(mant)
	v, _ := mant.Float64()
	return math.Log(v) + float64(exp)*math.Ln2
}

func TestLogTailRankSumEqualsCounting(t *testing.T) {
	for _, c := range [][2]int64{{1, 1}, {3, 7}, {20, 20}, {60, 100}, {1, 40}, {25, 9}} {
		k, m := c[0], c[1]
		n := countU(k, m)
		total, tail := new(big.Int), new(big.Int)
		for _, v := range n {
			total.Add(total, v)
		}
		worst := 0.0
		for u := k * m; u >= 0; u-- {
			tail.Add(tail, n[u])
			want := bigLn(tail) - bigLn(total)
			if k*m > 1000 && 2*u <= k*m && u%8 != 0 {
				continue // the lower half is one minus the upper one: every eighth will do
			}
			got, bound := LogTailRankSum(u, k, m)
			// P itself to 1e-9 relative is 1e-9 absolute in the log.
			if d := math.Abs(got - want); !(d <= 1e-9) {
				t.Fatalf("k=%d m=%d u=%d: ln p = %.12g, want %.12g", k, m, u, got, want)
			} else {
				worst = max(worst, d)
			}
			if bound < got-1e-12 {
				t.Fatalf("k=%d m=%d u=%d: bound %g below p %g", k, m, u, bound, got)
			}
		}
		t.Logf("k=%d m=%d: largest difference %.2g", k, m, worst)
	}
}

// Published vectors of the palimpsest test (counting in exact integers; the last
// line mpmath 1.3 quadrature).
func TestLogTailRankSumVectors(t *testing.T) {
	for _, c := range []struct {
		k, m, u  int64
		p, bound float64 // log10
	}{
		{3, 3, 9, -math.Log10(20), math.NaN()},
		{4, 6, 20, -1.2430380486863, -0.708293509},
		{20, 20, 300, -2.5125112429186, -1.68888755},
		{100, 100, 9900, -49.74124573168, -48.6662627},
		{3333, 3333, 10000000, -849.865477714, -847.820696609},
		{3333, 3333, 6095421, -11.5633930357, math.NaN()},
		{3333, 3333, 5501591, -0.12526222167, math.NaN()},
		{333, 333, 70360, -9.1506217965, math.NaN()},
	} {
		p, b := LogTailRankSum(c.u, c.k, c.m)
		relClose(t, fmt.Sprint("p ", c.k, c.m, c.u), p/ln10, c.p, 1e-10)
		if !math.IsNaN(c.bound) {
			relClose(t, fmt.Sprint("bound ", c.k, c.m, c.u), b/ln10, c.bound, 1e-8)
		}
	}
}

func TestRankSumSeriesEqualsProduct(t *testing.T) {
	for _, c := range [][3]int64{{3333, 3333, 6095421}, {9000, 20000, 95000000}} {
		g := newGaussBinomial(c[0], c[1])
		lam := g.saddle(c[2])
		a, b := g.directLog(lam, c[2]), g.seriesLog(lam, c[2])
		for _, y := range []float64{0, 1e-7, 3e-6, 1.5e-5} {
			if d := a(y) - b(y); math.Hypot(real(d), imag(d)) > 1e-10 {
				t.Errorf("%v y=%g: product %v, series %v", c, y, a(y), b(y))
			}
		}
	}
}

func TestRankSumBoundHolds(t *testing.T) {
	r := NewRand(1, "test", 0)
	for range 10000 {
		k, m := 1+r.Int64N(30), 1+r.Int64N(30)
		u := r.Int64N(k*m + 2)
		p, b := LogTailRankSum(u, k, m)
		if !(p <= b+1e-12) || p > 0 || b > 0 || math.IsNaN(p) {
			t.Fatalf("k=%d m=%d u=%d: ln p %g, bound %g", k, m, u, p, b)
		}
	}
}

func BenchmarkLogTailRankSum(b *testing.B) {
	for _, n := range []int64{1e3, 1e4, 1e5, 1e6} {
		h := n / 3
		for _, shift := range []float64{0.55, 0.9} {
			b.Run(fmt.Sprintf("n=%d/auc=%g", n, shift), func(b *testing.B) {
				for b.Loop() {
					LogTailRankSum(int64(shift*float64(h*h)), h, h)
				}
			})
		}
	}
}
