package geom

import (
	"math"
	"math/rand/v2"
	"testing"

	"assay/latent/internal/vectors"
	"assay/probes/stat"
)

func TestCKAVectors(t *testing.T) {
	f := vectors.Load(t)
	x, y := Dense{200, 64, vectors.G1(1, .75)}, Dense{200, 64, vectors.Y()}
	r, err := CKA(x, y, 2)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "debiased", r.CKA, f.Num("G1_vs_Y.cka.debiased"), 1e-9)
	vectors.Near(t, "plain", r.Plain, f.Num("G1_vs_Y.cka.biased"), 1e-9)
	vectors.Near(t, "se", r.SE, f.Num("G1_vs_Y.cka.jack_se"), 1e-9)

	p, _, _ := f.Case("T10")
	r, err = CKA(Dense{10, 3, p[:30]}, Dense{10, 3, p[30:]}, 1)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "T10 debiased", r.CKA, f.Num("T10.A_vs_B.cka_debiased"), 1e-9)
	vectors.Near(t, "T10 plain", r.Plain, f.Num("T10.A_vs_B.cka_biased"), 1e-9)
}

func TestCKAProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		x := normals(r, 12, 5)
		s, err := CKA(x, x, 1)
		if err != nil || math.Abs(s.CKA-1) > 1e-12 {
			t.Fatalf("CKA(X, X) = %v, %v; want 1", s.CKA, err)
		}
		// Unchanged by shift and scale of one side.
		y := Collect(x)
		for i := range y.Data {
			y.Data[i] = 3*y.Data[i] + float64(i%5)
		}
		if s, _ = CKA(x, y, 1); math.Abs(s.CKA-1) > 1e-12 {
			t.Fatalf("CKA(X, 3X + c) = %v, want 1", s.CKA)
		}
	}
}

// Independent normals of width 10 n: plain CKA is near 1, the debiased one within .02 of 0.
func TestCKAIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const runs, n = 50, 20
	mean, plain := 0.0, 0.0
	for range runs {
		c, err := CKA(normals(r, n, 10*n), normals(r, n, 10*n), 1)
		if err != nil {
			t.Fatal(err)
		}
		mean += c.CKA / runs
		plain += c.Plain / runs
	}
	if math.Abs(mean) > .02 || plain < .8 {
		t.Errorf("mean over %d runs: debiased %.4f, want within .02 of 0; plain %.3f, want above .8", runs, mean, plain)
	}
}

func normals(r *rand.Rand, n, w int) Dense {
	d := NewDense(n, w)
	for i := range d.Data {
		d.Data[i] = r.NormFloat64()
	}
	return d
}

func TestHealthVectors(t *testing.T) {
	f := vectors.Load(t)
	for _, c := range []struct {
		path string
		add  float64
		tol  float64
	}{{"G1.health", 0, 1e-9}, {"G1.health_with_4_added_to_column_7", 4, 1e-9}} {
		x := vectors.G1(1, .75)
		for i := range 200 {
			x[i*64+7] += c.add
		}
		d := Dense{200, 64, x}
		s, err := SpectrumOf(NewCloud(d, 1))
		if err != nil {
			t.Fatal(err)
		}
		sh, cos := CosineShares(d, 1)
		_, cosC := CosineShares(Shift(d, Mean(d, 1)), 1)
		top := 0
		for j, v := range sh {
			if v > sh[top] {
				top = j
			}
		}
		for _, e := range []struct {
			key string
			got float64
		}{
			{"pr", s.PR}, {"pr_deb", s.PRDebiased}, {"erank_ev", s.ERank}, {"rankme", s.RankMe}, {"top1", s.Top1}, {"top3", s.Top3},
			{"cos", cos}, {"cos_c", cosC}, {"ev2.0", s.Eigen[0]}, {"ev2.1", s.Eigen[1]}, {"maxdim", float64(top)}, {"maxdim_share", sh[top]},
		} {
			vectors.Near(t, c.path+"."+e.key, e.got, f.Num(c.path+"."+e.key), c.tol)
		}
	}
}

func TestPCAVectors(t *testing.T) {
	f := vectors.Load(t)
	x := Dense{200, 64, vectors.G1(1, .75)}
	p, err := Principal(x, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	for a := range 2 {
		vectors.Near(t, "row 0", p.Scores.Row(0)[a], f.Nums("G1.pca.row0")[a], 1e-9)
		vectors.Near(t, "share", p.Share[a], f.Nums("G1.pca.share")[a], 1e-9)
	}
}

func TestTwoNN(t *testing.T) {
	f := vectors.Load(t)
	vectors.Near(t, "G1", TwoNN(Distances(Dense{200, 64, vectors.G1(1, .75)}, 1)), f.Num("G1.twonn.fit"), 1e-9)
	p, _, _ := f.Case("T10")
	vectors.Near(t, "T10", TwoNN(Distances(Dense{20, 3, p}, 1)), f.Num("T10.twonn.fit"), 1e-9)
}

func TestRotationVectors(t *testing.T) {
	f := vectors.Load(t)
	x, y := Dense{200, 64, vectors.G1(1, .75)}, Dense{200, 64, vectors.Y()}
	r, err := Procrustes(NewCloud(x, 2), NewCloud(y, 2))
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "s", r.S, f.Num("G1_vs_Y.procrustes.s"), 1e-9)
	vectors.Near(t, "shifted", r.Shifted, f.Num("G1_vs_Y.procrustes.s_rowshift"), 1e-9)
	vectors.Near(t, "identity", r.Identity, f.Num("G1_vs_Y.procrustes.identity"), 1e-9)
	p, _, _ := f.Case("T10")
	r, err = Procrustes(NewCloud(Dense{10, 3, p[:30]}, 1), NewCloud(Dense{10, 3, p[30:]}, 1))
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "T10 s", r.S, f.Num("T10.A_vs_B.procrustes_s"), 1e-9)

	// More dimensions than rows: the eigenbasis gives what the direct product gives.
	wide := rand.New(rand.NewPCG(8, 8))
	a, b := normals(wide, 20, 21), normals(wide, 20, 21)
	got, err := Procrustes(NewCloud(a, 1), NewCloud(b, 1))
	if err != nil {
		t.Fatal(err)
	}
	// Direct: pad with rows equal to the mean, which changes neither centre nor products.
	pad := func(d Dense) Dense {
		m := Mean(d, 1)
		return Dense{22, 21, append(append(append([]float64{}, d.Data...), m...), m...)}
	}
	want, err := Procrustes(NewCloud(pad(a), 1), NewCloud(pad(b), 1))
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "wide s", got.S, want.S, 1e-9)
	vectors.Near(t, "wide identity", got.Identity, want.Identity, 1e-9)
}

func TestNeighbourVectors(t *testing.T) {
	f := vectors.Load(t)
	x, y := Dense{200, 64, vectors.G1(1, .75)}, Dense{200, 64, vectors.Y()}
	raw := Nearest(Cosines(x, 1), 10, 2).Mutual(Nearest(Cosines(y, 1), 10, 2), 0)
	vectors.Near(t, "raw", raw, f.Num("G1_vs_Y.mutual_10nn_cosine"), 1e-9)
	cx, cy := Shift(x, Mean(x, 1)), Shift(y, Mean(y, 1))
	cen := Nearest(Cosines(cx, 1), 10, 1).Mutual(Nearest(Cosines(cy, 1), 10, 1), 0)
	vectors.Near(t, "centred", cen, f.Num("G1_vs_Y.mutual_10nn_centred"), 1e-9)
	if s := Nearest(Cosines(cx, 1), 10, 1).Mutual(Nearest(Cosines(cx, 1), 10, 1), 1); s > .2 {
		t.Errorf("shifted pairing of a set with itself: %v, want near chance 10/199", s)
	}
	p, _, _ := f.Case("T10")
	dist := func(d Dense) Dense {
		s := Distances(d, 1)
		for i := range s.Data {
			s.Data[i] = -s.Data[i]
		}
		return s
	}
	m := Nearest(dist(Dense{10, 3, p[:30]}), 3, 1).Mutual(Nearest(dist(Dense{10, 3, p[30:]}), 3, 1), 0)
	vectors.Near(t, "T10", m, f.Num("T10.A_vs_B.mutual_3nn_euclidean"), 1e-9)
}

func TestDistanceCorrelationVectors(t *testing.T) {
	f := vectors.Load(t)
	x, y := Dense{200, 64, vectors.G1(1, .75)}, Dense{200, 64, vectors.Y()}
	u, v := Distances(x, 1).Upper(), Distances(y, 1).Upper()
	r, err := stat.Pearson(u, v)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "pearson", r, f.Num("G1_vs_Y.rsa_euclidean.pearson"), 1e-9)
	if r, err = stat.Spearman(u, v); err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "spearman", r, f.Num("G1_vs_Y.rsa_euclidean.spearman"), 1e-9)
	// Tied distances of integer points must come out as ties.
	p, _, _ := f.Case("T10")
	if r, err = stat.Spearman(Distances(Dense{10, 3, p[:30]}, 1).Upper(), Distances(Dense{10, 3, p[30:]}, 1).Upper()); err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "T10 spearman", r, f.Num("T10.A_vs_B.rsa_spearman"), 1e-9)
}

// Everything that a cloud derives equals its direct computation, for a far mean too.
func TestCloud(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	x := normals(r, 30, 50)
	for i := range x.Data {
		x.Data[i] += 20
	}
	copy(x.Row(7), x.Row(3)) // equal rows
	c := NewCloud(x, 2)
	idx := []int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29}
	s := c.Subset(idx)
	direct := NewCloud(Subset(x, idx), 1)
	same := func(what string, got, want Dense, tol float64) {
		t.Helper()
		for i := range want.Data {
			if math.Abs(got.Data[i]-want.Data[i]) > tol {
				t.Fatalf("%s: entry %d = %v, want %v", what, i, got.Data[i], want.Data[i])
			}
		}
	}
	same("raw", c.Raw(), Gram(x, nil, 1), 1e-8)
	same("cosines", c.Cosines(false), Cosines(x, 1), 1e-12)
	same("centred cosines", c.Cosines(true), Cosines(Shift(x, c.Mean), 1), 1e-12)
	same("distances", c.Distances(), directDistances(x, 1), 1e-11)
	if d := c.Distances().Row(3)[7]; d != 0 {
		t.Errorf("distance of equal rows = %g, want 0", d)
	}
	same("subset", s.G, direct.G, 1e-10)
	same("subset raw", s.Raw(), direct.Raw(), 1e-8)
	a, err := SpectrumOf(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := SpectrumOf(direct)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "subset rank", a.RankMe, b.RankMe, 1e-9)
	vectors.Near(t, "subset participation", a.PRDebiased, b.PRDebiased, 1e-9)
}
