package weat_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"assay/latent/weat"
	"assay/latent/weat/vecfile"
	"assay/probes/assoc/perm"
)

// TestOracle holds sizes, intervals and related statistics against scipy 1.17,
// statsmodels 0.15 and scikit-learn 1.9 (testdata/make_oracle.py).
func TestOracle(t *testing.T) {
	raw, err := os.ReadFile("testdata/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Sizes struct {
			X, Y    []float64
			R, AUC  float64
			Pooled  float64    `json:"d_pooled"`
			Limits  [2]float64 `json:"d_limits"`
			ZLog10P float64    `json:"z_log10"`
		}
		Adjust struct {
			Cov [][]float64
			T   float64
			P   float64 `json:"log10_two"`
			DF  int
		}
		Combine struct {
			D, V                      []float64
			Tau2, Q, I2, Combined, SD float64
		}
		Wefat map[string]struct {
			R, Rho float64
			CI     [2]float64
			P      float64 `json:"log10_p"`
		}
		Rnsb struct {
			A, B, Targets [][]float64
			P             []float64
			KL            float64
		}
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want, tol float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tol) {
			t.Errorf("%s: %.12g, want %.12g", what, got, want)
		}
	}
	x, y := o.Sizes.X, o.Sizes.Y
	e := weat.Sizes(x, y)
	near("r", e.R, o.Sizes.R, 1e-12)
	near("auc", e.AUC, o.Sizes.AUC, 1e-12)
	near("d_pooled", e.DPooled, o.Sizes.Pooled, 1e-12)
	near("log10 p of z", e.LogPNorm/math.Ln10, o.Sizes.ZLog10P, 1e-9)
	n, c := 15.0, 8*7/15.0
	lo, hi, err := weat.NoncentralTLimits(e.DPooled*math.Sqrt(c), 13, .95)
	if err != nil {
		t.Fatal(err)
	}
	for i, lambda := range []float64{lo, hi} {
		delta := lambda / math.Sqrt(c)
		near("limit of d", delta*math.Sqrt((n-1)/(n-2+c*delta*delta)), o.Sizes.Limits[i], 1e-5)
	}
	a, err := weat.Adjust(x, y, o.Adjust.Cov, perm.Greater, 99, 1)
	if err != nil || a.DF != o.Adjust.DF {
		t.Fatal(a.DF, err)
	}
	near("adjusted t", a.T, o.Adjust.T, 1e-9)
	near("adjusted p", a.LogPTwo/math.Ln10, o.Adjust.P, 1e-9)
	m, err := weat.Combine(o.Combine.D, o.Combine.V)
	if err != nil {
		t.Fatal(err)
	}
	near("tau2", m.Tau2, o.Combine.Tau2, 1e-9)
	near("Q", m.Q, o.Combine.Q, 1e-9)
	near("I2", m.I2, o.Combine.I2, 1e-9)
	near("combined", m.D, o.Combine.Combined, 1e-9)
	near("sd of combined", math.Sqrt(m.V), o.Combine.SD, 1e-9)
	q, err := weat.RNSBOf(o.Rnsb.A, o.Rnsb.B, o.Rnsb.Targets)
	if err != nil {
		t.Fatal(err)
	}
	near("rnsb", q.KL, o.Rnsb.KL, 1e-7)
	for i, p := range q.P {
		near("rnsb p", p, o.Rnsb.P[i], 1e-6)
	}
	lists, err := weat.WEFATLists()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("../../testdata/weat/glove840b_weat.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var words []string
	for _, l := range lists {
		words = append(append(append(words, l.Words...), l.A.Words...), l.B.Words...)
	}
	sp, err := vecfile.Read(f, vecfile.Auto, weat.Wanted(nil, weat.DefaultLoss(), words...))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lists {
		c, err := weat.WEFAT(l, sp, weat.DefaultLoss())
		if err != nil {
			t.Fatal(err)
		}
		want := o.Wefat[l.Name]
		near(l.Name+" r", c.R, want.R, 1e-9)
		near(l.Name+" rho", c.Spearman, want.Rho, 1e-9)
		near(l.Name+" lo", c.FisherLo, want.CI[0], 1e-9)
		near(l.Name+" hi", c.Fisher, want.CI[1], 1e-9)
		near(l.Name+" log10 p", c.LogPTwo/math.Ln10, want.P, 1e-6)
		if h := c.Holm(); len(h) != c.N || h[0] < c.Scores[0].Tail.Log10P {
			t.Errorf("%s: Holm %v below the raw tail %v", l.Name, h[0], c.Scores[0].Tail.Log10P)
		}
	}
}
