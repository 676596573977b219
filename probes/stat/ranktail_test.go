package stat

import (
	"math"
	"testing"

	"assay/internal/gen"
)

func log10p(ln float64) float64 { return ln / math.Ln10 }

func near(t *testing.T, name string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tol {
		t.Errorf("%s = %.12g, want %.12g within %g", name, got, want, tol)
	}
}

func TestLogTailBinom(t *testing.T) {
	// scipy 1.17 stats.binom.sf and, beyond its range, mpmath 1.3.
	q := func(k, a float64) float64 { return math.Log(a) - k*math.Log(7776) }
	near(t, "k=1 a=1", math.Exp(LogTailBinom(1, 1, q(1, 1))), 1.286008e-4, 1e-10)
	near(t, "2 of 30", math.Exp(LogTailBinom(2, 30, q(1, 1))), 7.176857352e-6, 1e-15)
	near(t, "1 of 10, k=2", math.Exp(LogTailBinom(1, 10, q(2, 1))), 1.653817046e-7, 1e-16)
	near(t, "20 of 30, k=2", log10p(LogTailBinom(20, 30, q(2, 1))), -148.152477720, 1e-8)
	near(t, "30 of 30, k=1", log10p(LogTailBinom(30, 30, q(1, 1))), -116.722687558, 1e-8)
	near(t, "5 of 30, a=30", log10p(LogTailBinom(5, 30, q(1, 30))), -6.949265794, 1e-8)
	near(t, "0 hits", LogTailBinom(0, 9, q(1, 1)), 0, 0)
	near(t, "certain", LogTailBinom(9, 9, 0), 0, 0)
}

func TestRankTotal(t *testing.T) {
	// Small ones by enumeration, large ones with Python integers.
	near(t, "K=3 M=9 sum 6", math.Exp(LogTailRankTotal(6, 3, 10)), 1.0/50, 1e-13)
	near(t, "K=5 M=9 sum 14", math.Exp(LogTailRankTotal(14, 5, 10)), 1001.0/50000, 1e-13)
	for _, c := range []struct {
		sum  int
		want float64
	}{{60, -72.927145301}, {3000, -18.173265726}, {6000, -9.167350071}, {15015, -.300920980}} {
		near(t, "K=30 M=999", log10p(LogTailRankTotal(c.sum, 30, 1000)), c.want, 1e-8)
	}
	near(t, "all first", log10p(LogTailRankTotal(30, 30, 1000)), -90, 1e-9)
	near(t, "all last", LogTailRankTotal(30000, 30, 1000), 0, 0)
}

func repeat(v, n int) []int {
	r := make([]int, n)
	for i := range r {
		r[i] = v
	}
	return r
}

func TestFisherRanks(t *testing.T) {
	// numpy 2.4 direct convolution on the grid step named; 25/8000 by enumeration.
	near(t, "eight of 20", log10p(logFisherRanks([]int{1, 3, 8, 1, 3, 1, 1, 2}, 20, .001)), -5.524799992, 1e-8)
	near(t, "1 3 2 of 20", math.Exp(logFisherRanks([]int{1, 3, 2}, 20, .001)), 25.0/8000, 1e-12)
	near(t, "thirty ones of 1000", log10p(LogFisherRanks(repeat(1, 30), 1000)), -90, 1e-9)
	near(t, "three survivors", log10p(logFisherRanks([]int{1, 1, 1, 500, 400, 700, 300, 600, 900, 200}, 1000, .001)), -4.301973282, 1e-8)
	near(t, "rank-sum of the same", log10p(LogTailRankTotal(4003-400, 10, 1000)), -1.200608847, 1e-8)
	near(t, "word ranks", log10p(logFisherRanks([]int{1, 1, 1, 3, 1, 1, 20, 1, 1, 1}, 7776, .005)), -34.339442967, 1e-8)
	near(t, "all last", LogFisherRanks(repeat(20, 5), 20), 0, 0)
}

// TestFisherEnumerated compares with all ranks of three and four secrets.
func TestFisherEnumerated(t *testing.T) {
	const m1 = 12
	for _, r := range [][]int{{1, 1, 1}, {1, 2, 12}, {5, 5, 5}, {12, 12, 11}, {1, 3, 4, 7}, {2, 2, 9, 12}} {
		y := 0.0
		for _, v := range r {
			y -= math.Log(float64(v) / m1)
		}
		total, hits := 0, 0
		var walk func(k int, s float64)
		walk = func(k int, s float64) {
			if k == 0 {
				total++
				if s >= y-1e-12 {
					hits++
				}
				return
			}
			for v := 1; v <= m1; v++ {
				walk(k-1, s-math.Log(float64(v)/m1))
			}
		}
		walk(len(r), 0)
		exact := float64(hits) / float64(total)
		got := math.Exp(LogFisherRanks(r, m1))
		if got < exact*(1-1e-12) || got > exact*1.05 {
			t.Errorf("ranks %v: p = %g, enumeration %g: want at least it and within 5 %%", r, got, exact)
		}
	}
}

func TestBlocks(t *testing.T) {
	// gen(32), 4 lists of ten z, the first of each one higher: numpy 2.4, all 10^4 sums.
	g := gen.New(32)
	scores := make([][]float64, 4)
	ranks := make([]int, 4)
	for k := range scores {
		scores[k] = make([]float64, 10)
		for j := range scores[k] {
			scores[k][j] = g.Z()
		}
		scores[k][0]++
		ranks[k] = 1
		for _, v := range scores[k][1:] {
			if v >= scores[k][0] {
				ranks[k]++
			}
		}
	}
	near(t, "S_00", scores[0][0], 1.850300427, 1e-9)
	near(t, "S_01", scores[0][1], 1.207302043, 1e-9)
	if want := []int{1, 1, 4, 2}; !equal(ranks, want) {
		t.Errorf("ranks %v, want %v", ranks, want)
	}
	lp, exact := LogBlocks(scores, make([]int, 4), 0, nil)
	if !exact {
		t.Error("LogBlocks of 10^4 choices is not exact")
	}
	near(t, "sum", math.Exp(lp), 36.0/10000, 1e-12)
	near(t, "rank-sum", math.Exp(LogTailRankTotal(8, 4, 10)), 7.0/1000, 1e-13)
	near(t, "fisher", math.Exp(LogFisherRanks(ranks, 10)), 63.0/10000, 1e-12)
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func BenchmarkFisherRanks(b *testing.B) {
	for _, c := range []struct {
		name  string
		k, m1 int
	}{{"30x1000", 30, 1000}, {"300x7776", 300, 7776}} {
		b.Run(c.name, func(b *testing.B) {
			r := repeat(c.m1/3, c.k)
			for b.Loop() {
				LogFisherRanks(r, c.m1)
			}
		})
	}
}
