package stat

import (
	"fmt"
	"math"
	"testing"

	"assay/internal/gen"
)

// Two variables of a bivariate normal law with correlation r have Spearman's
// rho = (6/pi) asin(r/2). The 95 % interval must cover it; 500 sets give a
// binomial standard deviation of 1 %.
func TestRhoIntervalCovers(t *testing.T) {
	const sets, n = 500, 300
	for _, r := range []float64{0, 0.5} {
		truth := 6 / math.Pi * math.Asin(r/2)
		hit := 0
		for i := range sets {
			g := NewRand(uint64(i), "coverage", 0)
			x, y := make([]float64, n), make([]float64, n)
			for j := range x {
				x[j] = g.NormFloat64()
				y[j] = r*x[j] + math.Sqrt(1-r*r)*g.NormFloat64()
			}
			a, b := NewRanks(x), NewRanks(y)
			rho := a.Rho(b)
			lo, hi := RhoInterval(rho, RhoSE(a, b), 0.95)
			if lo <= truth && truth <= hi {
				hit++
			}
		}
		if share := float64(hit) / sets; share < 0.92 || share > 0.98 {
			t.Errorf("r=%g: 95 %% interval covers in %.1f %%", r, 100*share)
		}
	}
}

// Ties at half weight: the phi of a brute-force double loop.
func TestRhoSETies(t *testing.T) {
	g := gen.New(11)
	n := 40
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], y[i] = float64(g.Below(6)), float64(g.Below(9))
	}
	h := func(a, b float64) float64 {
		switch {
		case a > b:
			return 1
		case a == b:
			return 0.5
		}
		return 0
	}
	f, k := MidRanks(x), MidRanks(y)
	var phi []float64
	for i := range x {
		a, b := 0.0, 0.0
		for j := range x {
			a += (f[j] - .5) / float64(n) * h(y[j], y[i]) / float64(n)
			b += (k[j] - .5) / float64(n) * h(x[j], x[i]) / float64(n)
		}
		phi = append(phi, 12*((f[i]-.5)*(k[i]-.5)/float64(n*n)+a+b))
	}
	_, v := MeanVar(phi)
	relClose(t, "se", RhoSE(NewRanks(x), NewRanks(y)), math.Sqrt(v/float64(n)), 1e-12)
}

// The bootstrap by multiplicities must equal ranking the drawn sample itself.
func TestBootstrapRho(t *testing.T) {
	g := gen.New(12)
	n := 60
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], y[i] = float64(g.Below(4)), float64(g.Below(30))+float64(g.Below(9))*x[i]
	}
	o := Boot{B: 50, Seed: 2}
	got := BootstrapRho(NewRanks(x), NewRanks(y), o)
	want := Bootstrap(n, o, func(idx []int32) float64 {
		var a, b []float64
		for _, i := range idx {
			a, b = append(a, x[i]), append(b, y[i])
		}
		return NewRanks(a).Rho(NewRanks(b))
	})
	for j := range got {
		relClose(t, "replicate", got[j], want[j], 1e-12)
	}
}

func TestKSUniformRefuses(t *testing.T) {
	for _, x := range [][]float64{nil, {0.5, 1.5}, {math.NaN()}, {-1}} {
		if _, _, err := KSUniform(x); err == nil {
			t.Errorf("KSUniform(%v) gave no error", x)
		}
	}
	// Under uniformity the p-value is itself uniform.
	p := make([]float64, 500)
	for i := range p {
		g := gen.New(uint64(i))
		x := make([]float64, 50)
		for j := range x {
			x[j] = g.U()
		}
		_, lp, err := KSUniform(x)
		if err != nil {
			t.Fatal(err)
		}
		p[i] = math.Exp(lp)
	}
	if _, lp, _ := KSUniform(p); lp < math.Log(0.01) {
		t.Errorf("KS p of KS p-values = %g", math.Exp(lp))
	}
}

func BenchmarkSpearman(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		x, y := sample(1, n, 0)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Spearman(x, y); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
