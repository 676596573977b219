package assoc_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"assay/probes/assoc"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// TestOracle holds the shared statistics against scipy 1.17 and statsmodels 0.15
// (testdata/make_oracle.py).
func TestOracle(t *testing.T) {
	raw, err := os.ReadFile("testdata/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Wilson, Clopper [][4]float64
		Holm            struct{ P, Adjusted []float64 }
		Two             struct {
			X, Y         []float64
			Greater, Two float64
		} `json:"two_sample"`
		Flip struct {
			X   []float64
			Two float64
		} `json:"sign_flip"`
		Distances struct {
			P, Q []float64
			JS   float64 `json:"js_bits"`
		}
		Shares struct {
			Scores [][]float64
			Shares []float64
		}
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 1e-9) {
			t.Errorf("%s: %.12g, want %.12g", what, got, want)
		}
	}
	for _, w := range o.Wilson {
		lo, hi := assoc.Wilson(int(w[0]), int(w[1]), .95)
		near("wilson lo", lo, w[2])
		near("wilson hi", hi, w[3])
	}
	for _, w := range o.Clopper {
		lo, hi := perm.ClopperPearson(int(w[0]), int(w[1]), .99)
		near("clopper lo", lo, w[2])
		near("clopper hi", hi, w[3])
	}
	logs := make([]float64, len(o.Holm.P))
	for i, p := range o.Holm.P {
		logs[i] = math.Log(p)
	}
	for i, l := range stat.Holm(logs) {
		near("holm", math.Exp(l), o.Holm.Adjusted[i])
	}
	for alt, want := range map[perm.Alt]float64{perm.Greater: o.Two.Greater, perm.TwoSided: o.Two.Two} {
		tail, err := perm.TwoSample(o.Two.X, o.Two.Y, alt, perm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		near("two samples "+alt.String(), tail.P(), want)
	}
	tail, err := perm.SignFlip(o.Flip.X, perm.TwoSided, perm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	near("sign flips", tail.P(), o.Flip.Two)
	near("Jensen-Shannon", assoc.JensenShannon(o.Distances.P, o.Distances.Q), o.Distances.JS)
	shares, err := assoc.Table{Factors: []string{"template", "order"}, Levels: []int{3, 2}, Scores: o.Shares.Scores}.Shares()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range shares {
		near("share "+s.Name, s.Value, o.Shares.Shares[i])
	}
}
