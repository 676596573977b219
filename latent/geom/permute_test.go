package geom

import (
	"fmt"
	"math"
	"testing"

	"assay/latent/internal/vectors"
)

func TestExactPermutationT10(t *testing.T) {
	f := vectors.Load(t)
	x, _, _ := f.Case("T10")
	tb := g1Table(t, x, 20, self, none, none, Independent)
	s, err := NewLabels(tb, 99, 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Evaluate(tb)
	if err != nil {
		t.Fatal(err)
	}
	want := f.Nums("T10.exact_permutation_count")
	if !s.Exact || float64(d.Hits()) != want[0] || float64(s.Count) != want[1] {
		t.Errorf("hits %d of %d, exact %v; want %v", d.Hits(), s.Count, s.Exact, want)
	}
	// Digits: Python 3 math.log10(268/184756).
	vectors.Near(t, "log10 p", d.Log10P(), -2.8384637570953384, 1e-12)
	// The mean of D2u over all splits is 0: D2u is D2 less the noise of both means,
	// and within + between is fixed, so it follows from the same statistics.
	total := 0.0
	for _, u := range tb.Unit {
		total += u.Q
	}
	sum := 0.0
	for _, d2 := range d.Stat {
		w := total - 5*d2 // n_a n_b / n = 5
		sum += d2 - w/90  // W_a/(10*9) + W_b/(10*9)
	}
	if m := sum / float64(len(d.Stat)); math.Abs(m) > 1e-9*total {
		t.Errorf("mean D2u over all splits = %g, want 0", m)
	}
}

func TestBlockSwaps(t *testing.T) {
	f := vectors.Load(t)
	b10 := func(i int) int { return i % 100 / 10 }
	for _, c := range []struct {
		path  string
		shift float64
	}{{"G1.block_swap_count_of_1024", .75}, {"G1_shift_0.125.block_swap_count_of_1024", .125}} {
		tb := g1Table(t, vectors.G1(1, c.shift), 200, b10, none, b10, Independent)
		s, err := NewSwaps(tb, 99, 1)
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Evaluate(tb)
		if err != nil {
			t.Fatal(err)
		}
		if want := f.Num(c.path); !s.Exact || s.Count != 1024 || float64(d.Hits()) != want {
			t.Errorf("shift %v: %d hits of %d, want %v of 1024", c.shift, d.Hits(), s.Count, want)
		}
	}
}

func TestMaxOverLayers(t *testing.T) {
	f := vectors.Load(t)
	b10 := func(i int) int { return i % 100 / 10 }
	var ds []Draws
	var s *Scheme
	for l, shift := range []float64{.125, .0625, 0} {
		x := vectors.G1(uint64(l+1), shift)
		for i := range x {
			x[i] *= math.Ldexp(1, l)
		}
		tb := g1Table(t, x, 200, b10, none, b10, Independent)
		if s == nil {
			s, _ = NewSwaps(tb, 99, 1)
		}
		d, err := s.Evaluate(tb)
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	fw := Familywise(ds)
	for l, d := range ds {
		if want := f.Num(fmt.Sprintf("layers3_maxT.count_per_layer.%d", l)); float64(d.Hits()) != want {
			t.Errorf("layer %d: %d hits, want %v", l, d.Hits(), want)
		}
		vectors.Near(t, "z", fw.Z[l], f.Num(fmt.Sprintf("layers3_maxT.z_observed.%d", l)), 1e-9)
	}
	if want := f.Num("layers3_maxT.count_familywise"); float64(fw.Hits) != want || fw.Best != 0 {
		t.Errorf("family-wise hits %d at layer %d, want %v at 0", fw.Hits, fw.Best, want)
	}
}

// Drawn arrangements must agree with the exact count within Monte Carlo error.
func TestDrawsAgreeWithExact(t *testing.T) {
	x := vectors.G1(1, .125)
	tb := g1Table(t, x, 200, self, none, none, Independent)
	s, err := NewLabels(tb, 1999, 7)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Evaluate(tb)
	if err != nil {
		t.Fatal(err)
	}
	// Null mean of plain R2 is 1/(n-1) for permuted labels (E[B] = T/(n-1)).
	if s.Exact || math.Abs(d.NullMean-1.0/199) > 1e-4 {
		t.Errorf("null mean of plain R2 = %g, want %g", d.NullMean, 1.0/199)
	}
	tb.Workers = 1
	e, _ := s.Evaluate(tb)
	for i := range d.Stat {
		if d.Stat[i] != e.Stat[i] {
			t.Fatalf("draw %d differs between 2 workers and 1", i)
		}
	}
}

func TestChenQin(t *testing.T) {
	f := vectors.Load(t)
	labels := make([]int, 200)
	for i := 100; i < 200; i++ {
		labels[i] = 1
	}
	for _, c := range []struct {
		shift float64
		path  string
	}{{.75, "G1.chen_qin.z"}, {.125, "G1_shift_0.125.chen_qin_z"}} {
		x := Dense{200, 64, vectors.G1(1, c.shift)}
		cq := ChenQinTest(Gram(x, Mean(x, 1), 1), labels)
		vectors.Near(t, c.path, cq.Z, f.Num(c.path), 1e-9)
		if c.shift == .75 {
			vectors.Near(t, "tr S1^2", cq.TAA, f.Num("G1.chen_qin.trS1sq"), 1e-9)
			vectors.Near(t, "tr S2^2", cq.TBB, f.Num("G1.chen_qin.trS2sq"), 1e-9)
			vectors.Near(t, "tr S1 S2", cq.TAB, f.Num("G1.chen_qin.trS1S2"), 1e-9)
		}
	}
}

func TestZScore(t *testing.T) {
	f := vectors.Load(t)
	x := vectors.G1(1, .75)
	z, j, err := g1Table(t, x, 200, self, none, none, Independent).ZRows()
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "theta", z.Theta, f.Num("G1.post_zscore.theta"), 1e-9)
	vectors.Near(t, "R2", z.R2, f.Num("G1.post_zscore.R2"), 1e-9)
	if !(j.SE > 0) || j.DF != 198 {
		t.Errorf("jackknife se %v, df %d; want positive, 198", j.SE, j.DF)
	}
	var s, q [2][]float64
	for l := range 2 {
		s[l], q[l] = make([]float64, 64), make([]float64, 64)
		for i := range 100 {
			for k := range 64 {
				v := x[(l*100+i)*64+k]
				s[l][k] += v
				q[l][k] += v * v
			}
		}
	}
	vectors.Near(t, "from sums", ZSums([2]int{100, 100}, s, q).Theta, z.Theta, 1e-9)
}
