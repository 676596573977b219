package palimpsest

import (
	"math"
	"testing"

	"assay/probes"
	"assay/probes/stat"
)

// Published vector: 7,646 units were also simulated, power 0.907.
func TestPowerVectors(t *testing.T) {
	for _, c := range []struct {
		alpha    float64
		tests    int
		n, exact int64
	}{{1e-3, 1, 7646, 12078}, {1e-3, 40, 11396, 0}, {1e-8, 1, 19010, 25074}} {
		p, err := Power(0.05, c.alpha, 0.9, c.tests)
		if err != nil {
			t.Fatal(err)
		}
		if p.N != c.n || c.exact != 0 && p.NExact != c.exact {
			t.Errorf("alpha %g over %d: n %d exact %d, want %d and %d", c.alpha, c.tests, p.N, p.NExact, c.n, c.exact)
		}
	}
	for _, bad := range [][3]float64{{0, .1, .9}, {.1, 0, .9}, {.1, .1, 1}, {-.2, .1, .9}, {math.NaN(), .1, .9}} {
		if _, err := Power(bad[0], bad[1], bad[2], 1); err == nil {
			t.Errorf("Power(%v) gave no error", bad)
		}
	}
}

// The forecast against simulation: bivariate normal scores with rank correlation
// 0.05, 7,646 units. 600 sets give a binomial standard deviation of 1.2 %.
func TestPowerForecast(t *testing.T) {
	const rho, sets = 0.05, 600
	p, err := Power(rho, 1e-3, 0.9, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := 2 * math.Sin(math.Pi/6*rho) // the normal correlation with this Spearman rho
	hits := 0
	for i := range sets {
		g := stat.NewRand(uint64(i), "power", 0)
		x, y := make([]float64, p.N), make([]float64, p.N)
		for j := range x {
			x[j] = g.NormFloat64()
			y[j] = r*x[j] + math.Sqrt(1-r*r)*g.NormFloat64()
		}
		s, err := stat.Spearman(x, y)
		if err != nil {
			t.Fatal(err)
		}
		if up, _ := stat.LogTailT(s, len(x)); up <= math.Log(1e-3) {
			hits++
		}
	}
	got := float64(hits) / sets
	t.Logf("forecast 0.9, simulated %.3f", got)
	if math.Abs(got-0.9) > 0.04 {
		t.Errorf("forecast 0.9, simulated %.3f", got)
	}
}

func TestPilot(t *testing.T) {
	pos, s, r := generate(10000, 1, .02)
	res := mustQuery(t, sampleOf(pos, s, r), Options{Perm: 99})
	rho, err := PilotRho(res)
	if err != nil || rho < 0.05 || rho > 0.0741 {
		t.Errorf("pilot rho %g, %v, want the lower limit of 0.0740", rho, err)
	}
	pos, s, r = generate(10000, 2, 0)
	if _, err := PilotRho(mustQuery(t, sampleOf(pos, s, r), Options{Perm: 99})); err == nil {
		t.Error("a pilot without effect gave a plan")
	}
}

// Published vector (scipy 1.17).
func TestShuffleVector(t *testing.T) {
	copies := []float64{-1.512, -1.498, -1.505, -1.509, -1.493, -1.501, -1.516, -1.507, -1.499}
	r, err := Shuffle(-1.482, copies, ShuffleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "T", estimate(t, r, "t"), 2.896820347, 1e-9)
	near(t, "p of T", math.Pow(10, log10P(t, r, "t_predictive")), 0.009994466543, 1e-9)
	near(t, "rank p", math.Pow(10, log10P(t, r, "rank")), 0.1, 1e-12)
	near(t, "z of the paper", estimate(t, r, "z_paper"), 3.238276323, 1e-9)
	if r.Verdict.Tier != probes.TierB || r.Verdict.Finding != Dependence || !hasWarning(r, "few-copies") {
		t.Errorf("verdict %+v, warnings %v", r.Verdict, r.Warnings)
	}
	c, err := Shuffle(-1.482, copies, ShuffleOptions{OtherTail: true})
	if err != nil || c.Verdict.Tier != probes.TierC || len(c.P) != 0 || log10P(t, c, "rank") != log10P(t, r, "rank") {
		t.Errorf("copies of another kind: %+v, %v", c.Verdict, err)
	}
	many := make([]float64, 19)
	for i := range many {
		many[i] = float64(i)
	}
	a, err := Shuffle(20, many, ShuffleOptions{})
	if err != nil || a.Verdict.Tier != probes.TierA || a.Verdict.Finding != Dependence {
		t.Errorf("19 copies: %+v, %v", a.Verdict, err)
	}
	// By hand: of 9 copies one is larger and one equal, so rank p = (1+2)/10.
	tie, err := Shuffle(-1.498, copies, ShuffleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "rank p with a tie", math.Pow(10, log10P(t, tie, "rank")), 0.3, 1e-12)
	for _, bad := range [][]float64{nil, {1}, {1, 1}, {1, math.NaN()}} {
		if _, err := Shuffle(0, bad, ShuffleOptions{}); err == nil {
			t.Errorf("copies %v gave no error", bad)
		}
	}
}
