package stat

import (
	"fmt"
	"math"
	"testing"

	"assay/internal/gen"
)

func pair(x, y []float64) []RankPair { return []RankPair{{NewRanks(x), NewRanks(y)}} }

// Published vectors of the palimpsest test, all orders enumerated: exact
// fractions.
func TestPermuteRanksEnumerates(t *testing.T) {
	for _, c := range []struct {
		name           string
		x, y           []float64
		rho            float64
		ge, abs, total int64
	}{
		{"four in order", []float64{2, 0, 3, 1}, []float64{.2, 0, .3, .1}, 1, 1, 2, 24},
		{"ties in score", []float64{1, 2, 3, 4, 5, 6}, []float64{-2, -1.5, -1.8, -1.2, -1.2, -.9}, 0.927633657043918, 6, 12, 720},
		{"ties in both", []float64{0, 0, 1, 1, 2, 2, 3}, []float64{.1, .3, .2, .3, .5, .4, .5}, 0.850504433706267, 88, -1, 5040},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pair(c.x, c.y)
			relClose(t, "rho", s[0].R.Rho(s[0].S), c.rho, 1e-14)
			got, err := PermuteRanks(s, Perm{})
			if err != nil {
				t.Fatal(err)
			}
			if !got.Exact || got.GE != c.ge || got.Total != c.total || c.abs >= 0 && got.AbsGE != c.abs {
				t.Errorf("tally %+v, want GE %d AbsGE %d of %d", got, c.ge, c.abs, c.total)
			}
		})
	}
}

func sample(seed uint64, n int, levels float64) (x, y []float64) {
	g := gen.New(seed)
	x, y = make([]float64, n), make([]float64, n)
	for i := range x {
		x[i] = float64(i)
		y[i] = g.Z() + 0.002*float64(i)
		if levels > 0 {
			y[i] = math.Floor(y[i] * levels)
		}
	}
	return x, y
}

func TestPermuteRanksProperties(t *testing.T) {
	x, y := sample(3, 300, 4)
	base, err := PermuteRanks(pair(x, y), Perm{B: 999, Seed: 5, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	many, _ := PermuteRanks(pair(x, y), Perm{B: 999, Seed: 5, Workers: 8})
	if base != many {
		t.Errorf("1 worker %+v, 8 workers %+v", base, many)
	}
	neg := make([]float64, len(y))
	for i := range y {
		neg[i] = -y[i]
	}
	flip, _ := PermuteRanks(pair(x, neg), Perm{B: 999, Seed: 5})
	if flip.GE != base.LE || flip.LE != base.GE || flip.AbsGE != base.AbsGE {
		t.Errorf("negated scores: %+v, want the mirror of %+v", flip, base)
	}
	if r, s := NewRanks(y), NewRanks(neg); r.Rho(NewRanks(x)) != -s.Rho(NewRanks(x)) {
		t.Error("negating a sample does not negate rho exactly")
	}
	if _, err := PermuteRanks(pair(x, make([]float64, len(x))), Perm{}); err == nil {
		t.Error("constant scores were accepted")
	}
}

// Monte Carlo of 9,999 against the enumeration of 8! orders: within five
// binomial standard deviations.
func TestPermuteRanksDrawsUniformly(t *testing.T) {
	x, y := []float64{1, 2, 3, 4, 5, 6, 7, 8}, []float64{2, 1, 4, 3, 3, 9, 5, 6}
	s := pair(x, y)
	exact, err := PermuteRanks(s, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	z, err := NullZ(s, Perm{B: 20000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	obs, hits, m, v := Z(s), 0, 0.0, 0.0
	for _, e := range z {
		if e >= obs-1e-12 {
			hits++
		}
		m += e / 20000
		v += e * e / 20000
	}
	p := float64(exact.GE) / float64(exact.Total)
	if d := math.Abs(float64(hits)/20000 - p); d > 5*math.Sqrt(p*(1-p)/20000) {
		t.Errorf("Monte Carlo %g, enumerated %g", float64(hits)/20000, p)
	}
	if math.Abs(m) > 0.04 || math.Abs(v-1) > 0.06 {
		t.Errorf("null Z has mean %g, variance %g, want 0 and 1", m, v)
	}
}

// The wide accumulator must agree with the narrow one where both work.
func TestWideSums(t *testing.T) {
	x, y := sample(9, 1000, 0)
	p := pair(x, y)[0]
	var wide int128
	for i := range p.R.C {
		wide = wide.add(int64(p.R.C[i]) * int64(p.S.C[i]))
	}
	if wide != dot(p.R.C, p.S.C) || wide.neg().neg() != wide || wide.neg().float() != -wide.float() {
		t.Errorf("wide sum %v, narrow %v", wide, dot(p.R.C, p.S.C))
	}
	r := append([]int32(nil), p.R.C...)
	k := newKernel([]RankPair{p})
	s := make([]int128, 1)
	k.draw(Perm{Seed: 4, Stream: "perm"}, 7, make([]int32, 1000), s)
	if got := shuffleDotWide(newPCG(4, "perm", 7), r, p.S.C); got != s[0] {
		t.Errorf("wide replicate %v, narrow %v", got, s[0])
	}
	big := int128{}.add(math.MaxInt64).add(math.MaxInt64).add(math.MaxInt64)
	if big.float() != 3*0x1p63 || big.cmp(int128{}.add(-1)) != 1 || big.neg().cmp(int128{}) != -1 {
		t.Errorf("128-bit arithmetic: %v", big)
	}
}

// Published vector: positions 0..5, counts 0 0 1 0 2 3, exact p 24/720.
func TestPermuteScores(t *testing.T) {
	r := NewIntRanks([]int64{0, 1, 2, 3, 4, 5})
	h := []int32{0, 0, 1, 0, 2, 3}
	got, err := PermuteScores([]Ranks{r}, [][]int32{h}, Perm{})
	if err != nil || got.GE != 24 || got.Total != 720 || !got.Exact {
		t.Errorf("tally %+v, %v, want 24 of 720", got, err)
	}
	// Two copies as strata: both must be at their top, within Monte Carlo error.
	two, err := PermuteScores([]Ranks{r, r}, [][]int32{{0, 0, 0, 0, 0, 9}, {0, 0, 0, 0, 0, 9}}, Perm{B: 20000, Seed: 1})
	if p := math.Exp(two.Greater()); err != nil || math.Abs(p-1./36) > 0.006 {
		t.Errorf("two strata at their top: p %g, %v, want 1/36", p, err)
	}
	for _, bad := range [][]int32{{1, 1, 1, 1, 1, 1}, {1, 2}} {
		if _, err := PermuteScores([]Ranks{r}, [][]int32{bad}, Perm{}); err == nil {
			t.Errorf("counts %v were accepted", bad)
		}
	}
}

func TestPermutationUniformUnderNull(t *testing.T) {
	const sets, n = 500, 40
	p := make([]float64, sets)
	for i := range p {
		g := gen.New(uint64(1000 + i))
		x, y := make([]float64, n), make([]float64, n)
		for j := range x {
			x[j], y[j] = g.U(), g.U()
		}
		c, err := PermuteRanks(pair(x, y), Perm{B: 199, Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		p[i] = math.Exp(c.Greater())
	}
	if d, lp, err := KSUniform(p); err != nil || lp < math.Log(0.01) {
		t.Errorf("permutation p under the null: KS d %g, p %g, %v", d, math.Exp(lp), err)
	}
}

func TestMultiplicity(t *testing.T) {
	// Published vector of the palimpsest test, log10; shuffled input order.
	in := []float64{-3, -20, -0.2, -5, -1.5}
	holm := []float64{-2.52288, -19.30103, -0.2, -4.39794, -1.19897}
	bh := []float64{-2.77815, -19.30103, -0.2, -4.60206, -1.40309}
	nat := make([]float64, len(in))
	for i, v := range in {
		nat[i] = v * ln10
	}
	h, b := Holm(nat), BH(nat)
	for i := range in {
		if math.Abs(h[i]/ln10-holm[i]) > 5e-6 || math.Abs(b[i]/ln10-bh[i]) > 5e-6 {
			t.Errorf("p 1e%g: Holm %.6f BH %.6f, want %.6f %.6f", in[i], h[i]/ln10, b[i]/ln10, holm[i], bh[i])
		}
	}
	if got := Holm([]float64{0, -0.1}); got[0] != 0 || got[1] != 0 {
		t.Errorf("adjusted p above 1: %v", got)
	}
}

func BenchmarkPermuteRanks(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		x, y := sample(1, n, 0)
		s := pair(x, y)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := PermuteRanks(s, Perm{B: 99}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/99/float64(n), "ns/unit")
		})
	}
}
