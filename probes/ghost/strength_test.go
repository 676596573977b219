package ghost

import (
	"math"
	"testing"

	"assay/internal/gen"
)

func TestEValue(t *testing.T) {
	// Python floats, formulas of the package comment.
	flat := func(sum float64) []float64 {
		w := make([]float64, 10)
		for i := range w {
			w[i] = sum / 10
		}
		return w
	}
	e, _ := EValue(flat(-40), 7776, 1)
	near(t, "sum -40", e, 21.535783243, 1e-8)
	e, _ = EValue(flat(-100), 7776, 1)
	near(t, "sum -100", e, -4.521885671, 1e-8)
	e, mix := EValue([]float64{-9, -8.5, -7, -4, -2, -1, -.5, -.5, -.2, -.1}, 7776, 1)
	near(t, "words", e, 24.662703513, 1e-8)
	near(t, "mixture", mix, 24.108965708, 1e-8)
	near(t, "hedged", Hedge([]float64{14, -3, -2.5, .4}), 13.343225750, 1e-8)
	e3, _ := EValue(flat(-40), 7776, 3)
	near(t, "c_max 3 costs log10 3", 21.535783243-e3, math.Log10(3), 1e-8)
}

// TestEValueIsFair enumerates a toy world of 3 words and 2 positions under random
// distributions: the mean of E over the candidates is the sum of the model's
// probabilities, never above 1, and the mixture's is not either.
func TestEValueIsFair(t *testing.T) {
	g := gen.New(5)
	for range 50 {
		law := func() []float64 { // 3 words and a rest that is no word
			p, s := make([]float64, 4), 0.0
			for i := range p {
				p[i] = g.U()
				s += p[i]
			}
			for i := range p {
				p[i] /= s
			}
			return p[:3]
		}
		first := law()
		second := [][]float64{law(), law(), law()}
		sumE, sumMix, sumP := 0.0, 0.0, 0.0
		for a := range 3 {
			for b := range 3 {
				e, mix := EValue([]float64{math.Log(first[a]), math.Log(second[a][b])}, 3, 1)
				sumE += math.Pow(10, e)
				sumMix += math.Pow(10, mix)
				sumP += first[a] * second[a][b]
			}
		}
		near(t, "mean E", sumE/9, sumP, 1e-12)
		if sumMix/9 > 1 {
			t.Errorf("mean of the mixture %g, want at most 1", sumMix/9)
		}
	}
}

func TestCMax(t *testing.T) {
	if got := CMax([]string{"car", "carpet", "carpetbag", "dog", "do"}); got != 3 {
		t.Errorf("CMax = %d, want 3 (by hand)", got)
	}
	if got := CMax([]string{"a", "b", "a"}); got != 1 {
		t.Errorf("CMax = %d, want 1", got)
	}
}

func TestExposure(t *testing.T) {
	// By hand from the definition; log2 digits: Python 3.
	ref := []float64{-4.1, -3.9, -5.0, -4.4, -4.8, -3.7, -5.2, -4.6}
	for _, c := range []struct {
		x    float64
		r    int
		bits float64
	}{{-3.5, 1, 3}, {-3.9, 3, 1.415037499}, {-4.5, 5, .678071905}, {-6, 9, -.169925001}} {
		bits, r := Exposure(c.x, ref)
		if r != c.r {
			t.Errorf("rank of %v is %d, want %d", c.x, r, c.r)
		}
		near(t, "exposure", bits, c.bits, 1e-9)
	}
	if _, err := ExposureExtrapolated(0, ref); err == nil {
		t.Error("ExposureExtrapolated of 8 references: no error")
	}
}

func TestSkewNormal(t *testing.T) {
	// scipy 1.17 stats.skewnorm.cdf; the deep one mpmath 1.3.
	for _, c := range []struct{ x, a, want float64 }{
		{0, 0, .5}, {0, 2, .147583618}, {-1, 2, .001718880}, {1, 2, .684408372}, {-2, -3, .045500264},
	} {
		near(t, "F", math.Exp(LogSkewNormalCDF(c.x, 0, 1, c.a)), c.want, 1e-9)
	}
	near(t, "bits", -LogSkewNormalCDF(-1, 0, 1, 2)/math.Ln2, 9.184315501, 1e-8)
	near(t, "ln F(-6;2)", LogSkewNormalCDF(-6, 0, 1, 2), -97.048521086, 1e-8)
	near(t, "ln F(9;2)", LogSkewNormalCDF(9, 0, 1, 2), 0, 1e-12)
	near(t, "location and scale", LogSkewNormalCDF(7, 10, 2, 0), logPhi(-1.5), 1e-12)
}

func TestFitSkewNormal(t *testing.T) {
	// 500 values 10 + 2z of gen(33): scipy 1.17 stats.skewnorm.fit reaches -1062.21396.
	g := gen.New(33)
	x := make([]float64, 500)
	for i := range x {
		x[i] = 10 + 2*g.Z()
	}
	f, err := FitSkewNormal(x)
	if err != nil {
		t.Fatal(err)
	}
	if f.LogLik < -1062.21396-1e-4 {
		t.Errorf("log-likelihood %.6f, want at least -1062.21396", f.LogLik)
	}
	near(t, "KS distance", f.KS, .0249, .001)
	if f.KSP < .5 {
		t.Errorf("KS p %.3f for normal data, want no rejection", f.KSP)
	}
	neg := make([]float64, len(x))
	for i, v := range x {
		neg[i] = -v
	}
	if bits, err := ExposureExtrapolated(neg[0], neg); err != nil || math.IsNaN(bits) {
		t.Errorf("ExposureExtrapolated = %v, %v", bits, err)
	}
}

func TestPower(t *testing.T) {
	// scipy 1.17 integrate.quad of the definition.
	for _, c := range []struct {
		delta float64
		m     int
		alpha float64
		want  float64
	}{
		{1, 999, .01, .0912}, {1.742, 999, .01, .2754}, {3, 999, .01, .7430}, {4, 999, .01, .9501},
		{1, 99, .01, .0825}, {1.742, 99, .01, .2426}, {3, 99, .01, .6779}, {4, 99, .01, .9146},
		{1, 99, .05, .2525}, {1.742, 99, .05, .5234}, {3, 99, .05, .9010}, {4, 99, .05, .9882},
	} {
		near(t, "RankPower", RankPower(c.delta, c.m, c.alpha), c.want, 5e-5)
	}
	near(t, "no reach", RankPower(9, 9, .01), 0, 0)
	near(t, "null", RankPower(0, 99, .05), .05, 1e-9)
	for _, c := range []struct {
		delta float64
		k     int
		want  float64
	}{{1, 5, .197}, {1, 10, .529}, {1, 30, .992}, {1.742, 5, .790}, {1.742, 10, .992}, {1.742, 30, 1}} {
		near(t, "SumPower", SumPower(c.delta, c.k, .001), c.want, 6e-4)
	}
}
