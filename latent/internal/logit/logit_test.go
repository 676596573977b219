package logit

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"assay/latent/geom"
	"assay/latent/internal/vectors"
)

func g1() (geom.Dense, []int, []int, []int) {
	x := geom.Dense{N: 200, W: 64, Data: vectors.G1(1, .75)}
	y, fold, unit := make([]int, 200), make([]int, 200), make([]int, 200)
	for i := range y {
		y[i], fold[i], unit[i] = i/100, i%5, i
	}
	return x, y, fold, unit
}

func TestProbeVectors(t *testing.T) {
	f := vectors.Load(t)
	x, y, fold, unit := g1()
	cv, err := CrossValidate(context.Background(), x, y, fold, fold, unit, Options{Lambda: .1})
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range f.Nums("G1.probe_logistic_lambda_0.1.U_per_fold_of_400") {
		if cv.Wins[k] != want || cv.Pairs[k] != 400 {
			t.Errorf("fold %d: %v wins of %v, want %v of 400", k, cv.Wins[k], cv.Pairs[k], want)
		}
	}
	vectors.Near(t, "auroc", cv.AUROC, f.Num("G1.probe_logistic_lambda_0.1.auroc"), 1e-12)

	var train []int
	for i := range fold {
		if fold[i] != 0 {
			train = append(train, i)
		}
	}
	w, b := path(geom.Collect(geom.Subset(standardise(x, train, false), train)), labels(y, train), []float64{.1}, func(int, []float64, float64) {})
	for i, got := range []float64{w[0], w[5], b} {
		if want := f.Nums("G1.probe_logistic_lambda_0.1.fold0_w0_w5_b")[i]; math.Abs(got-want) > 1e-8 {
			t.Errorf("weight %d = %.12f, want %.12f", i, got, want)
		}
	}

	// Difference of means, fitted on the other folds.
	score := make([]float64, 200)
	for k := range 5 {
		d := make([]float64, 64)
		for i := range 200 {
			if fold[i] != k {
				for j, v := range x.Row(i) {
					d[j] += v * float64(2*y[i]-1) / 80
				}
			}
		}
		for i := range 200 {
			if fold[i] == k {
				score[i] = dot(x.Row(i), d)
			}
		}
	}
	dm, err := Rank(score, y, fold, unit)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range f.Nums("G1.probe_difference_of_means.U_per_fold_of_400") {
		if dm.Wins[k] != want {
			t.Errorf("difference of means, fold %d: %v wins, want %v", k, dm.Wins[k], want)
		}
	}
	vectors.Near(t, "auroc", dm.AUROC, f.Num("G1.probe_difference_of_means.auroc"), 1e-12)
	vectors.Near(t, "se", dm.SE, f.Num("G1.probe_difference_of_means.jackknife_se"), 1e-9)
}

// The eigenbasis route and the direct one are the same fit.
func TestWideEqualsDirect(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const n, w = 40, 90
	x := geom.NewDense(n, w)
	y, fold, unit := make([]int, n), make([]int, n), make([]int, n)
	for i := range n {
		y[i], fold[i], unit[i] = i%2, i/2%4, i
		for j := range w {
			x.Row(i)[j] = r.NormFloat64() + .4*float64(y[i])
		}
	}
	for _, lambda := range []float64{1, 1e-2} {
		cv, err := CrossValidate(context.Background(), x, y, fold, fold, unit, Options{Lambda: lambda})
		if err != nil {
			t.Fatal(err)
		}
		for f := range 4 {
			var train []int
			for i := range n {
				if fold[i] != f {
					train = append(train, i)
				}
			}
			z := geom.Collect(standardise(x, train, false))
			wt, b := path(geom.Collect(geom.Subset(z, train)), labels(y, train), []float64{lambda}, func(int, []float64, float64) {})
			if f == 0 { // the same weights without the detour, in the features' own scale
				got, err := Weights(geom.Subset(x, train), ints(y, train), lambda, 1)
				if err != nil {
					t.Fatal(err)
				}
				by := standardise(x, train, false).(interface{ Scale() []float64 }).Scale()
				for j := range got {
					if math.Abs(got[j]-wt[j]*by[j]) > 1e-7 {
						t.Fatalf("lambda %g weight %d: %v, want %v", lambda, j, got[j], wt[j]*by[j])
					}
				}
			}
			for i := range n {
				if fold[i] == f && math.Abs(cv.Score[i]-dot(z.Row(i), wt)-b) > 1e-7 {
					t.Fatalf("lambda %g row %d: score %v, want %v", lambda, i, cv.Score[i], dot(z.Row(i), wt)+b)
				}
			}
		}
	}
}

func ints(y, idx []int) []int {
	out := make([]int, len(idx))
	for k, i := range idx {
		out[k] = y[i]
	}
	return out
}

// One direction of large spread hides the label from the mean difference; the
// covariance-aware probe finds it.
func TestProbeSeesPastSpread(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	const n = 200
	x := geom.NewDense(n, 8)
	y, fold, unit := make([]int, n), make([]int, n), make([]int, n)
	for i := range n {
		y[i], fold[i], unit[i] = i%2, i/2%5, i
		for j := range 8 {
			x.Row(i)[j] = r.NormFloat64()
		}
		x.Row(i)[0] *= 30
		x.Row(i)[1] += 3 * float64(y[i])
	}
	inner := make([]int, n)
	for i := range inner {
		inner[i] = i / 10 % 5
	}
	cv, err := CrossValidate(context.Background(), x, y, fold, inner, unit, Options{})
	if err != nil || cv.AUROC < .95 {
		t.Fatalf("auroc %v, %v; want above .95", cv.AUROC, err)
	}
	one, err := CrossValidate(context.Background(), x, y, fold, inner, unit, Options{Workers: 1})
	if err != nil || one.AUROC != cv.AUROC || one.SE != cv.SE {
		t.Errorf("one worker: %v, all cores: %v", one.AUROC, cv.AUROC)
	}
}

// The jackknife of paired units equals leaving each pair out by hand.
func TestPairJackknife(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const pairs = 20
	var score []float64
	var y, fold, unit []int
	for u := range pairs {
		for side := range 2 {
			score = append(score, r.NormFloat64()+.5*float64(side))
			y, fold, unit = append(y, side), append(fold, u%4), append(unit, u)
		}
	}
	cv, err := Rank(score, y, fold, unit)
	if err != nil {
		t.Fatal(err)
	}
	auroc := func(leave int) float64 {
		w, n := 0.0, 0.0
		for i := range y {
			for j := range y {
				if y[i] == 1 && y[j] == 0 && fold[i] == fold[j] && unit[i] != leave && unit[j] != leave {
					n++
					if score[i] > score[j] {
						w++
					}
				}
			}
		}
		return w / n
	}
	vectors.Near(t, "auroc", cv.AUROC, auroc(-1), 1e-12)
	mean, v := 0.0, 0.0
	for u := range pairs {
		mean += auroc(u) / pairs
	}
	for u := range pairs {
		v += math.Pow(auroc(u)-mean, 2) * (pairs - 1) / pairs
	}
	vectors.Near(t, "se", cv.SE, math.Sqrt(v), 1e-12)
	if cv.DF != pairs-1 {
		t.Errorf("df %d, want %d", cv.DF, pairs-1)
	}
}

func BenchmarkProbe(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n, w = 1024, 4096
	x := geom.NewDense(n, w)
	y, fold, unit, inner := make([]int, n), make([]int, n), make([]int, n), make([]int, n)
	for i := range n {
		y[i], fold[i], unit[i], inner[i] = i%2, i/2%5, i, i/10%5
		for j := range w {
			x.Row(i)[j] = r.NormFloat64() + .03*float64(y[i])
		}
	}
	for range b.N {
		if _, err := CrossValidate(context.Background(), x, y, fold, inner, unit, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// Rows that are all one point, with more dimensions than rows: nothing to learn.
func TestEqualRows(t *testing.T) {
	x := geom.NewDense(8, 20)
	for i := range x.Data {
		x.Data[i] = float64(i % 20)
	}
	y, fold, inner, unit := make([]int, 8), make([]int, 8), make([]int, 8), make([]int, 8)
	for i := range 8 {
		y[i], fold[i], inner[i], unit[i] = i%2, i/2%2, i/4, i
	}
	cv, err := CrossValidate(context.Background(), x, y, fold, inner, unit, Options{})
	if err != nil || cv.AUROC != .5 {
		t.Errorf("AUROC %v, %v; want .5, all ties", cv.AUROC, err)
	}
}
