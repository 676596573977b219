package geom

import (
	"context"
	"math"
	"testing"

	"assay/latent/internal/vectors"
)

func tableOf(t testing.TB, x []float64, w int, labels []int, k int) *Table {
	t.Helper()
	us := make([]Unit, len(labels))
	for i, l := range labels {
		us[i].Label = l
	}
	tb, err := FromRows(Dense{len(labels), w, x}, Singles(len(labels)), us, k, 1, Independent, 1)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func TestCases(t *testing.T) {
	f := vectors.Load(t)
	for _, name := range []string{"T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "T14", "T15"} {
		t.Run(name, func(t *testing.T) {
			x, w, labels := f.Case(name)
			k := 0
			for _, l := range labels {
				k = max(k, l+1)
			}
			p := "T." + name + "."
			tb := tableOf(t, x, w, labels, k)
			m := MomentIndices(tb.Groups())
			d := Dense{len(labels), w, x}
			pw := PairwiseIndices(Distances(d, 1), labels, k)
			ps, err := PairwiseStream(context.Background(), d, labels, k, 2)
			if err != nil {
				t.Fatal(err)
			}
			db := DaviesBouldin(d, labels, k).Value
			for _, c := range []struct {
				what string
				got  float64
			}{
				{"xbi", m.XBI.Value}, {"chi", m.CHI.Value}, {"R2", m.R2.Value}, {"W", m.W}, {"B", m.B},
				{"dbs", db}, {"dunn", pw.Dunn.Value}, {"silhouette", pw.Silhouette.Value},
				{"dunn", ps.Dunn.Value}, {"silhouette", ps.Silhouette.Value},
			} {
				vectors.Near(t, c.what, c.got, f.Num(p+c.what), 1e-9)
			}
			if f.Has("T."+name, "theta") {
				s, err := tb.Separation()
				if err != nil {
					t.Fatal(err)
				}
				vectors.Near(t, "D2u", s.D2u, f.Num(p+"D2u"), 1e-9)
				if name == "T5" { // W = 0: theta has no bound, R2 = 1
					vectors.Near(t, "theta", s.Theta, math.Inf(1), 0)
					vectors.Near(t, "R2", s.R2, 1, 0)
				} else {
					vectors.Near(t, "theta", s.Theta, f.Num(p+"theta"), 1e-9)
				}
				vectors.Near(t, "v1", s.V[0], f.Num(p+"v1"), 1e-9)
				vectors.Near(t, "v2", s.V[1], f.Num(p+"v2"), 1e-9)
			}
			// scikit-learn 1.9.1, where it has no quirk.
			if name != "T5" && name != "T6" && name != "T7" && name != "T11" {
				vectors.Near(t, "sklearn dbs", db, f.Num(p+"sk.dbs"), 1e-9)
			}
			if name != "T5" && name != "T7" {
				vectors.Near(t, "sklearn chi", m.CHI.Value, f.Num(p+"sk.chi"), 1e-9)
			}
			vectors.Near(t, "sklearn silhouette", pw.Silhouette.Value, f.Num(p+"sk.silhouette"), 1e-9)
		})
	}
}

func TestTooFew(t *testing.T) {
	f := vectors.Load(t)
	x, w, labels := f.Case("T13")
	m := MomentIndices(tableOf(t, x, w, labels, 2).Groups())
	d := Dense{2, w, x}
	pw := PairwiseIndices(Distances(d, 1), labels, 2)
	for _, i := range []Index{m.XBI, m.CHI, m.R2, pw.Dunn, pw.Silhouette, DaviesBouldin(d, labels, 2)} {
		if !math.IsNaN(i.Value) || i.Why != TooFewPoints {
			t.Errorf("index of two points = %+v, want NaN, %s", i, TooFewPoints)
		}
	}
	one := MomentIndices(tableOf(t, x, w, []int{0, 0}, 1).Groups())
	if one.CHI.Why != TooFewGroups {
		t.Errorf("one label: %+v, want %s", one.CHI, TooFewGroups)
	}
}

func TestThreeLabels(t *testing.T) {
	f := vectors.Load(t)
	x, w, labels := f.Case("T8")
	s, err := tableOf(t, x, w, labels, 3).Separation()
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "R2", s.R2, f.Num("T8_three_labels.R2"), 1e-9)
	for _, p := range s.Pairs {
		key := "T8_three_labels.pair." + string(rune('0'+p.I)) + string(rune('0'+p.J))
		vectors.Near(t, key, p.D2u, f.Num(key+".0"), 1e-9)
		vectors.Near(t, key, p.R2, f.Num(key+".1"), 1e-9)
	}
}

func TestG1Indices(t *testing.T) {
	f := vectors.Load(t)
	x := vectors.G1(1, .75)
	labels := make([]int, 200)
	for i := 100; i < 200; i++ {
		labels[i] = 1
	}
	d := Dense{200, 64, x}
	m := MomentIndices(tableOf(t, x, 64, labels, 2).Groups())
	pw := PairwiseIndices(Distances(d, 1), labels, 2)
	for _, c := range []struct {
		what string
		got  float64
	}{
		{"xbi", m.XBI.Value}, {"chi", m.CHI.Value}, {"R2", m.R2.Value}, {"W", m.W}, {"B", m.B},
		{"dbs", DaviesBouldin(d, labels, 2).Value}, {"di", pw.Dunn.Value}, {"ss", pw.Silhouette.Value}, {"gap", pw.Gap}, {"diam", pw.Diam},
	} {
		vectors.Near(t, c.what, c.got, f.Num("G1.indices."+c.what), 1e-9)
	}
	vectors.Near(t, "paper", Paper(m, .5), f.Num("G1.aqi_paper_lambda_half"), 1e-9)
	vectors.Near(t, "ref200", Ref200(f.Num("G1.debiased.theta"), .5), f.Num("G1.aqi_ref200"), 1e-9)

	// The stream adds the same distances in another order; its percentile is a bin's middle.
	ps, err := PairwiseStream(context.Background(), d, labels, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "stream silhouette", ps.Silhouette.Value, pw.Silhouette.Value, 1e-12)
	vectors.Near(t, "stream dunn", ps.Dunn.Value, pw.Dunn.Value, 1e-12)
	vectors.Near(t, "stream robust", ps.Robust.Value, pw.Robust.Value, 1e-4)

	all := make([]int, 200)
	for i := range all {
		all[i] = i
	}
	db, du, si := HalfSamples(Distances(d, 1), labels, 2, 1, 1, func(int) []int { return all })
	vectors.Near(t, "whole sample dbs", db[0], f.Num("G1.indices.dbs"), 1e-9)
	vectors.Near(t, "whole sample dunn", du[0], f.Num("G1.indices.di"), 1e-9)
	vectors.Near(t, "whole sample silhouette", si[0], f.Num("G1.indices.ss"), 1e-9)
}
