package geom

import (
	"testing"

	"assay/latent/internal/vectors"
)

// g1Table is G1 with label i/100 and the given strata, blocks and members.
func g1Table(t *testing.T, x []float64, n int, unitOf, stratum, block func(i int) int, form Form) *Table {
	t.Helper()
	d := Dense{n, len(x) / n, x}
	var m Members
	var us []Unit
	at := map[[3]int]int{}
	for i := range n {
		u := Unit{Label: i / (n / 2), Stratum: stratum(i), Block: block(i)}
		k := [3]int{u.Label, unitOf(i), u.Stratum}
		j, ok := at[k]
		if !ok {
			j = len(us)
			at[k] = j
			us = append(us, u)
			m = append(m, nil)
		}
		m[j] = append(m[j], i)
	}
	strata := 0
	for _, u := range us {
		strata = max(strata, u.Stratum+1)
	}
	tb, err := FromRows(d, m, us, 2, strata, form, 2)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func self(i int) int { return i }
func none(int) int   { return 0 }

func checkJack(t *testing.T, f vectors.File, path string, tb *Table) {
	t.Helper()
	j, err := tb.Jackknife()
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, path+" theta", j.Theta, f.Num(path+".theta"), 1e-9)
	vectors.Near(t, path+" se", j.SE, f.Num(path+".se"), 1e-9)
	vectors.Near(t, path+" df", float64(j.DF), f.Num(path+".df"), 0)
	lo, hi := j.Interval(.95)
	vectors.Near(t, path+" lo", lo, f.Num(path+".lo"), 1e-9)
	vectors.Near(t, path+" hi", hi, f.Num(path+".hi"), 1e-9)
	vectors.Near(t, path+" R2lo", R2(lo), f.Num(path+".R2lo"), 1e-9)
	vectors.Near(t, path+" R2hi", R2(hi), f.Num(path+".R2hi"), 1e-9)
}

func TestG1(t *testing.T) {
	f := vectors.Load(t)
	x := vectors.G1(1, .75)
	for i, w := range f.Nums("G1.first6") {
		vectors.Near(t, "G1 value", x[i], w, 0)
	}
	topic := func(i int) int { return i % 5 }
	b10 := func(i int) int { return i % 100 / 10 }

	single := g1Table(t, x, 200, self, none, none, Independent)
	s, err := single.Separation()
	if err != nil {
		t.Fatal(err)
	}
	p := s.Pairs[0]
	for _, c := range []struct {
		what string
		got  float64
	}{{"D2", p.D2}, {"D2u", p.D2u}, {"v1", s.V[0]}, {"v2", s.V[1]}, {"theta", s.Theta}, {"R2h", s.R2}} {
		vectors.Near(t, c.what, c.got, f.Num("G1.debiased."+c.what), 1e-9)
	}
	vectors.Near(t, "plain R2", s.Plain, f.Num("G1.indices.R2"), 1e-9)
	checkJack(t, f, "G1.jackknife_delete_one", single)
	checkJack(t, f, "G1.jackknife_blocks_of_10", g1Table(t, x, 200, b10, none, b10, Independent))

	tp := g1Table(t, x, 200, self, topic, none, Independent)
	checkJack(t, f, "G1.within_topic", tp)
	s, err = tp.Separation()
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "agreement", s.Agreement, f.Num("G1.direction_agreement"), 1e-9)

	for _, c := range []struct {
		path string
		tb   *Table
	}{
		{"G1.paired_i_with_i_plus_100", g1Table(t, x, 200, self, none, func(i int) int { return i % 100 }, Pairs)},
		{"G1.families_of_2", g1Table(t, x, 200, func(i int) int { return i % 100 / 2 }, none, none, Families)},
		{"G1.families_are_blocks_of_10", g1Table(t, x, 200, b10, none, b10, Families)},
	} {
		s, err := c.tb.Separation()
		if err != nil {
			t.Fatal(err)
		}
		vectors.Near(t, c.path+" D2u", s.D2u, f.Num(c.path+".D2u"), 1e-9)
		vectors.Near(t, c.path+" theta", s.Theta, f.Num(c.path+".theta"), 1e-9)
	}

	d := Dense{200, 64, x}
	l2, err := FromRows(L2(d), Singles(200), single.Unit, 2, 1, Independent, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, _ = l2.Separation()
	vectors.Near(t, "l2 theta", s.Theta, f.Num("G1.post_l2.theta"), 1e-9)
	vectors.Near(t, "l2 R2", s.R2, f.Num("G1.post_l2.R2"), 1e-9)
}

func TestT10Blocks(t *testing.T) {
	f := vectors.Load(t)
	x, _, _ := f.Case("T10")
	checkJack(t, f, "T10.jackknife_delete_one", g1Table(t, x, 20, self, none, none, Independent))
	block := func(i int) int { return i % 10 / 3 }
	checkJack(t, f, "T10.jackknife_blocks_3_3_3_1", g1Table(t, x, 20, block, none, block, Independent))
}

func TestDelta(t *testing.T) {
	f := vectors.Load(t)
	a, err := g1Table(t, vectors.G1(1, .75), 200, self, none, none, Independent).Jackknife()
	if err != nil {
		t.Fatal(err)
	}
	b, err := g1Table(t, vectors.G1(1, .5), 200, self, none, none, Independent).Jackknife()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Difference(a, b)
	if err != nil {
		t.Fatal(err)
	}
	const p = "delta_G1_shift_0.75_minus_0.5."
	vectors.Near(t, "diff", d.Theta, f.Num(p+"diff"), 1e-9)
	vectors.Near(t, "se", d.SE, f.Num(p+"se"), 1e-9)
	vectors.Near(t, "seA", a.SE, f.Num(p+"seA"), 1e-9)
	vectors.Near(t, "seB", b.SE, f.Num(p+"seB"), 1e-9)
}
