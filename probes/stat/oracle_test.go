package stat

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// oracle is testdata/oracle.json, written by testdata/oracle.py with the versions
// in its origin field (numpy 2.4.6, scipy 1.17.1, mpmath 1.3.0).
type oracle struct {
	Spearman []struct {
		X, Y, Rank                     []float64
		Rho, Two, Upper, Pearson, Kurt float64
	}
	Student []struct{ T, DF, Two, Upper float64 }
	Normal  []struct{ Z, LogSF float64 }
	KS      []struct {
		X    []float64
		N    int
		D, P float64
	}
	Welch []struct {
		A, B     []float64
		Diff, SE float64
	}
	Quantile struct{ X, P, Q []float64 }
	Chi2     []struct{ X, DF, LogSF float64 }
	Kruskal  []struct {
		X      []float64
		Code   []int32
		Groups int
		H, P   float64
	}
}

func loadOracle(t *testing.T) oracle {
	t.Helper()
	b, err := os.ReadFile("testdata/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAgainstScipy(t *testing.T) {
	o := loadOracle(t)
	for _, c := range o.Spearman {
		for i, r := range MidRanks(c.X) {
			if r != c.Rank[i] {
				t.Errorf("rank %d of %v = %g, want %g", i, c.X, r, c.Rank[i])
			}
		}
		rho, err := Spearman(c.X, c.Y)
		if err != nil {
			t.Fatal(err)
		}
		relClose(t, "rho", rho, c.Rho, 1e-13)
		p, err := Pearson(c.X, c.Y)
		if err != nil {
			t.Fatal(err)
		}
		relClose(t, "pearson", p, c.Pearson, 1e-13)
		up, two := LogTailT(rho, len(c.X))
		relClose(t, "two-sided p", math.Exp(two), c.Two, 1e-10)
		relClose(t, "upper p", math.Exp(up), c.Upper, 1e-10)
		relClose(t, "kurtosis", NewRanks(c.X).ExcessKurtosis(), c.Kurt, 1e-12)
	}
	for _, c := range o.Student {
		up, two := LogTailStudentT(c.T, c.DF)
		if math.Abs(two-c.Two) > 1e-10*max(math.Abs(c.Two), 1e-6) || math.Abs(up-c.Upper) > 1e-10*math.Abs(c.Upper) {
			t.Errorf("t=%g df=%g: upper %.15g two %.15g, want %.15g %.15g", c.T, c.DF, up, two, c.Upper, c.Two)
		}
	}
	for _, c := range o.Normal {
		got := LogTailNormal(c.Z)
		if math.Abs(got-c.LogSF) > 1e-12*math.Abs(c.LogSF) {
			t.Errorf("normal tail of %g = %.16g, want %.16g", c.Z, got, c.LogSF)
		}
	}
	for _, c := range o.KS {
		if c.X != nil {
			d, lp, err := KSUniform(c.X)
			if err != nil {
				t.Fatal(err)
			}
			relClose(t, "KS distance", d, c.D, 1e-13)
			relClose(t, "KS p", math.Exp(lp), c.P, 1e-10)
		} else {
			relClose(t, "KS p from distance", math.Exp(logKSTail(c.N, c.D)), c.P, 1e-10)
		}
	}
	for _, c := range o.Welch {
		d, se, err := MeanDiff(c.A, c.B)
		if err != nil {
			t.Fatal(err)
		}
		relClose(t, "mean difference", d, c.Diff, 1e-13)
		relClose(t, "welch se", se, c.SE, 1e-12)
	}
	for _, c := range o.Chi2 {
		relClose(t, "chi-squared tail", LogTailChi2(c.X, c.DF), c.LogSF, 1e-10)
	}
	for _, c := range o.Kruskal {
		h, lp, _, err := KruskalWallis(NewRanks(c.X), c.Code, c.Groups)
		if err != nil {
			t.Fatal(err)
		}
		relClose(t, "kruskal-wallis H", h, c.H, 1e-12)
		relClose(t, "kruskal-wallis p", math.Exp(lp), c.P, 1e-10)
	}
	for i, p := range o.Quantile.P {
		relClose(t, "quantile", Quantile(o.Quantile.X, p), o.Quantile.Q[i], 1e-14)
	}
}

func TestTailLimits(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"upper tail of 0 is one half", first(LogTailT(0, 10)), -math.Ln2},
		{"two-sided of 0 is 1", second(LogTailT(0, 10)), 0},
		{"rho 1 leaves nothing", first(LogTailT(1, 10)), math.Inf(-1)},
		{"rho -1 leaves everything", first(LogTailT(-1, 10)), 0},
		{"infinite t", second(LogTailStudentT(math.Inf(1), 3)), math.Inf(-1)},
		{"normal at 0", LogTailNormal(0), -math.Ln2},
		{"normal far below", LogTailNormal(-60), 0},
		{"no wins", first(LogTailRankSum(0, 5, 5)), 0},
		{"more wins than comparisons", first(LogTailRankSum(26, 5, 5)), math.Inf(-1)},
	} {
		if math.Abs(c.got-c.want) > 1e-15 && c.got != c.want {
			t.Errorf("%s: %g, want %g", c.name, c.got, c.want)
		}
	}
	for _, v := range []float64{first(LogTailT(0.5, 2)), first(LogTailT(1.01, 9)), first(LogTailT(math.NaN(), 9)),
		first(LogTailStudentT(1, 0)), first(LogTailRankSum(3, 0, 4))} {
		if !math.IsNaN(v) {
			t.Errorf("undefined tail = %g, want NaN", v)
		}
	}
}

func first(a, _ float64) float64  { return a }
func second(_, b float64) float64 { return b }

func FuzzLogTailT(f *testing.F) {
	f.Add(0.3, 1000)
	f.Add(-0.999999, 3)
	f.Add(1e-300, 1<<30)
	f.Fuzz(func(t *testing.T, rho float64, n int) {
		u, two := LogTailT(rho, n)
		if n < 3 || !(math.Abs(rho) <= 1) {
			return
		}
		n %= 1 << 30
		if math.IsNaN(u) || math.IsNaN(two) || u > 0 || two > 0 {
			t.Fatalf("LogTailT(%g, %d) = %g, %g", rho, n, u, two)
		}
	})
}
