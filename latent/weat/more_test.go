package weat_test

import (
	"math"
	"slices"
	"testing"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/probes"
)

func TestRunWEFAT(t *testing.T) {
	lists, err := weat.WEFATLists()
	if err != nil {
		t.Fatal(err)
	}
	o := weat.DefaultOptions()
	o.Perm = 999
	r, err := weat.RunWEFAT(lists[0], open(t, glove), loss(), o)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "r", *estimate(t, r, "r").Value, .902889523681556, 1e-9)
	// No permutation of 999 comes near r = .9: 1 of 1000.
	near(t, "permutation tail", *estimate(t, r, "tail_permutation_log10").Value, -3, 1e-12)
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 {
		t.Errorf("tier %s, %d p-values", r.Verdict.Tier, len(r.P))
	}
}

func TestRunCEAT(t *testing.T) {
	test, st, _ := contexts(t)
	r, err := weat.RunCEAT(test, st, weat.Shift{}, 1000, loss(), weat.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	// vectors.json, contexts.ceat.1000 and d_quantiles_5_50_95.
	near(t, "combined", *estimate(t, r, "combined").Value, .32283045148394357, 1e-9)
	near(t, "median", *estimate(t, r, "d_median").Value, .32365284955300516, 1e-9)
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 || !warned(r, "few-contexts") {
		t.Errorf("tier %s, %d p-values, %v", r.Verdict.Tier, len(r.P), r.Warnings)
	}
	if _, err := weat.RunCEAT(test, st, weat.Shift{}, 0, loss(), weat.DefaultOptions()); err == nil {
		t.Error("no draws: no error")
	}
	test.X.Words = []string{"a", "b", "c", "d"}
	if r, err = weat.RunCEAT(test, st, weat.Shift{}, 10, loss(), weat.DefaultOptions()); err != nil || r.Verdict.Finding != "undefined" {
		t.Errorf("no states: %+v, %v", r.Verdict, err)
	}
}

func TestRunRelated(t *testing.T) {
	seven, six := caliskan(t, 7), caliskan(t, 6)
	test := weat.Test{ID: "r", X: seven.B, Y: seven.A, A: six.B, B: six.A}
	r, err := weat.RunRelated(test, open(t, news), weat.Measures(), loss(), weat.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	// vectors.json, related_word2vec.
	for name, want := range map[string]float64{"rnd": .03038183754695689, "ect": .6190476190476191, "mac": .8416415237479762, "ripa": .19969232288324584, "rnsb": .12922368695821768} {
		near(t, name, *estimate(t, r, name).Value, want, 1e-9)
	}
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 {
		t.Errorf("tier %s, %d p-values", r.Verdict.Tier, len(r.P))
	}
	if _, err := weat.RunRelated(test, open(t, news), []string{"x"}, loss(), weat.DefaultOptions()); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("unknown measure: %v", err)
	}
	test.Y.Words = test.Y.Words[:7]
	if _, err := weat.RunRelated(test, open(t, news), []string{"ripa"}, loss(), weat.DefaultOptions()); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("unpaired lists: %v, want a usage fault", err)
	}
}

func TestFold(t *testing.T) {
	m := newGenerated()
	gain := make([]float64, m.Dim())
	for i := range gain {
		gain[i] = float64(i)
	}
	f, err := weat.Fold(m, gain)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float64, m.Dim())
	f.Row(3, row)
	if row[0] != 0 || row[5] != 5*m[3][5] {
		t.Errorf("%v", row)
	}
	if _, err := weat.Fold(m, gain[1:]); err == nil {
		t.Error("a gain of the wrong width: no error")
	}
}

// TestShiftOfAgreesWithMoments: two ways to the same directions.
func TestShiftOfAgreesWithMoments(t *testing.T) {
	m := newGenerated()
	mo, err := weat.NewMoments(m.Dim())
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float64, m.Dim())
	for i := range m.Rows() {
		m.Row(i, row)
		mo.Add(slices.Clone(row))
	}
	a, err := weat.ShiftOf(m, weat.ABTT3)
	if err != nil {
		t.Fatal(err)
	}
	b, err := mo.Shift(weat.ABTT3)
	if err != nil {
		t.Fatal(err)
	}
	for k := range a.Dirs {
		var c float64
		for i := range a.Dirs[k] {
			c += a.Dirs[k][i] * b.Dirs[k][i]
		}
		near(t, "directions", math.Abs(c), 1, 1e-12)
	}
	if _, err := weat.NewMoments(1 << 20); err == nil {
		t.Error("a million dimensions: no error")
	}
}
