package stat

import (
	"math"
	"testing"

	"assay/internal/gen"
)

// Published vectors of the perplexity test (numpy 2.4, scipy 1.17).
func TestJackknifeRatio(t *testing.T) {
	a, u := []float64{120, 80, 200, 50, 150}, []float64{100, 60, 180, 60, 100}
	theta, se := JackknifeRatio(a, u)
	relClose(t, "theta", theta, 1.2, 1e-14)
	relClose(t, "se", se, .093578976, 1e-8)
	relClose(t, "t quantile", StudentQuantile(.975, 4), 2.776445105, 1e-9)

	a, u = ratioSample()
	theta, se = JackknifeRatio(a, u)
	relClose(t, "sum a", Sum(a), 44929.899580099, 1e-13)
	relClose(t, "theta", theta, 1.505138842253, 1e-12)
	relClose(t, "se", se, .022780639142, 1e-10)
	if _, se := JackknifeRatio(a[:1], u[:1]); !math.IsNaN(se) {
		t.Errorf("one unit has se %g, want NaN", se)
	}
}

// ratioSample is gen(7): 200 documents, u = 50 + integer below 200, then a = u(1+U).
func ratioSample() (a, u []float64) {
	g := gen.New(7)
	for range 200 {
		u = append(u, float64(50+g.Below(200)))
		a = append(a, u[len(u)-1]*(1+g.U()))
	}
	return a, u
}

// The published percentile interval uses one stream gen(1) for all replicates, so
// the test draws the indices itself and checks Interval; BootstrapRatio must agree
// within Monte Carlo error.
func TestBootstrapRatio(t *testing.T) {
	a, u := ratioSample()
	g := gen.New(1)
	reps := make([]float64, 9999)
	for j := range reps {
		var sa, su float64
		for range a {
			i := g.Below(200)
			sa, su = sa+a[i], su+u[i]
		}
		reps[j] = sa / su
	}
	lo, hi := Interval(reps, 0, nil, Boot{})
	relClose(t, "lower", lo, 1.460315720, 3e-9)
	relClose(t, "upper", hi, 1.548587640, 3e-9) // nine decimals are published

	for _, bca := range []bool{false, true} {
		l1, h1 := BootstrapRatio(a, u, Boot{Seed: 3, Workers: 1, BCa: bca})
		l8, h8 := BootstrapRatio(a, u, Boot{Seed: 3, Workers: 8, BCa: bca})
		if l1 != l8 || h1 != h8 {
			t.Errorf("workers change the interval: [%g, %g] and [%g, %g]", l1, h1, l8, h8)
		}
		if math.Abs(l1-lo) > 0.003 || math.Abs(h1-hi) > 0.003 {
			t.Errorf("interval [%g, %g], want about [%g, %g]", l1, h1, lo, hi)
		}
	}
	if l, _ := BootstrapRatio(a[:1], u[:1], Boot{}); !math.IsNaN(l) {
		t.Errorf("one unit has a limit %g, want NaN", l)
	}
}

// Published vectors: 2/32 and 4/32 by enumeration.
func TestSignFlip(t *testing.T) {
	d := []float64{3, 1, -.5, 2, .7}
	one, exact := SignFlip(d, Perm{})
	two, _ := SignFlip(d, Perm{TwoSided: true})
	if !exact {
		t.Error("five differences were not enumerated")
	}
	relClose(t, "one-sided", math.Exp(one), 2./32, 1e-14)
	relClose(t, "two-sided", math.Exp(two), 4./32, 1e-14)

	// 21 equal differences: all signs +, p = 2^-21, below the Monte Carlo floor.
	same := make([]float64, 21)
	for i := range same {
		same[i] = 0.1
	}
	lp, exact := SignFlip(same, Perm{B: 999, Seed: 1})
	if want := math.Log(1. / 1000); exact || math.Abs(lp-want) > 1e-12 {
		t.Errorf("21 equal differences: log p %g exact %v, want %g by Monte Carlo", lp, exact, want)
	}
	// Monte Carlo agrees with the exact law of 20 differences.
	g := gen.New(5)
	x := make([]float64, 20)
	for i := range x {
		x[i] = g.Z() + 0.3
	}
	full, _ := SignFlip(x, Perm{})
	mc, exact := SignFlip(append(x, 0), Perm{B: 20000, Seed: 2}) // a zero changes no sum
	p := math.Exp(full)
	if exact || math.Abs(math.Exp(mc)-p) > 5*math.Sqrt(p*(1-p)/20000) {
		t.Errorf("Monte Carlo p %g, exact %g", math.Exp(mc), p)
	}
	if lp, _ := SignFlip([]float64{1, math.NaN()}, Perm{}); !math.IsNaN(lp) {
		t.Error("NaN was accepted")
	}
}

// Published vector of the membership test: AUC .92, DeLong se .093808315.
func TestAUC(t *testing.T) {
	m, n := []float64{.9, .8, .7, .6, .55}, []float64{.65, .5, .5, .4, .3}
	auc, se, err := AUC(m, n)
	if err != nil {
		t.Fatal(err)
	}
	relClose(t, "auc", auc, .92, 1e-14)
	relClose(t, "se", se, .093808315, 1e-8)
	d, _, err := AUCDiff(m, n, n, m)
	if err != nil || math.Abs(d-(.92-.08)) > 1e-14 {
		t.Errorf("difference of opposite scores %g, %v, want .84", d, err)
	}
	if _, se, _ := AUCDiff(m, n, m, n); se != 0 {
		t.Errorf("a score differs from itself with se %g", se)
	}
	if _, _, err := AUC(m[:1], n); err == nil {
		t.Error("one positive was accepted")
	}
}
