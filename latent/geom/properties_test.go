package geom

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"assay/latent/internal/vectors"
	"assay/probes/stat"
)

// all are the numbers whose invariances are tested.
func all(t *testing.T, x Dense, labels []int) map[string]float64 {
	t.Helper()
	tb := tableOf(t, x.Data, x.W, labels, 2)
	s, err := tb.Separation()
	if err != nil {
		t.Fatal(err)
	}
	j, err := tb.Jackknife()
	if err != nil {
		t.Fatal(err)
	}
	m := MomentIndices(tb.Groups())
	p := PairwiseIndices(Distances(x, 1), labels, 2)
	return map[string]float64{
		"theta": s.Theta, "R2": s.R2, "se": j.SE, "xbi": m.XBI.Value, "chi": m.CHI.Value,
		"dbs": DaviesBouldin(x, labels, 2).Value, "dunn": p.Dunn.Value, "silhouette": p.Silhouette.Value, "robust": p.Robust.Value,
	}
}

func TestProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	for range 1000 {
		na, nb, w := 3+r.IntN(6), 3+r.IntN(6), 1+r.IntN(5)
		n := na + nb
		x := normals(r, n, w)
		labels := make([]int, n)
		for i := na; i < n; i++ {
			labels[i] = 1
			x.Row(i)[0] += 2
		}
		base := all(t, x, labels)
		same := func(what string, got map[string]float64, tol float64) {
			t.Helper()
			for k, v := range base {
				vectors.Near(t, what+": "+k, got[k], v, tol)
			}
		}

		moved := NewDense(n, w)
		var q mat.QR
		q.Factorize(mat.NewDense(w, w, normals(r, w, w).Data))
		var rot mat.Dense
		q.QTo(&rot)
		shift := r.NormFloat64() * 10
		mat.NewDense(n, w, moved.Data).Mul(mat.NewDense(n, w, x.Data), &rot)
		for i := range moved.Data {
			moved.Data[i] = 7 * (moved.Data[i] + shift)
		}
		same("rotation, shift, scale", all(t, moved, labels), 1e-7)

		swapped := slices.Clone(labels)
		for i := range swapped {
			swapped[i] = 1 - swapped[i]
		}
		same("label swap", all(t, x, swapped), 1e-9)

		vectors.Near(t, "CHI x XBI", base["chi"]*base["xbi"], float64(na*nb*(n-2))/float64(n*n), 1e-9)
		p1, p2 := float64(na)/float64(n), float64(nb)/float64(n)
		if bound := math.Sqrt(base["xbi"] / (p1 * p2)); base["dbs"] > bound*(1+1e-12) {
			t.Errorf("DBS %v above its bound %v", base["dbs"], bound)
		}

		const m = 3
		many, lab := NewDense(m*n, w), []int{}
		for c := range m {
			copy(many.Data[c*n*w:], x.Data)
			lab = append(lab, labels...)
		}
		got := all(t, many, lab)
		for _, k := range []string{"xbi", "dbs", "dunn"} {
			vectors.Near(t, "copies: "+k, got[k], base[k], 1e-9)
		}
		vectors.Near(t, "copies: chi", got["chi"], base["chi"]*float64(m*n-2)/float64(n-2), 1e-9)
		if t.Failed() {
			t.FailNow()
		}
	}
}

// ksAnti is the p-value of the one-sided Kolmogorov-Smirnov test against
// p-values that are too small: exp(-2 n D+^2), D+ = sup (F_n(p) - p).
func ksAnti(p []float64) float64 {
	s := slices.Clone(p)
	slices.Sort(s)
	d := 0.0
	for i, v := range s {
		d = math.Max(d, float64(i+1)/float64(len(s))-v)
	}
	return math.Exp(-2 * float64(len(s)) * d * d)
}

// sample draws n rows per label of width w with spectrum 1/i or flat, theta
// between the labels along the first axis.
func sample(r *rand.Rand, n, w int, flat bool, theta float64) Dense {
	x := NewDense(2*n, w)
	v := 0.0
	sd := make([]float64, w)
	for j := range sd {
		sd[j] = 1
		if !flat {
			sd[j] = 1 / math.Sqrt(float64(j+1))
		}
		v += sd[j] * sd[j]
	}
	shift := math.Sqrt(theta * v) // theta = D2/v with equal variances
	for i := range 2 * n {
		row := x.Row(i)
		for j := range row {
			row[j] = sd[j] * r.NormFloat64()
		}
		if i >= n {
			row[0] += shift
		}
	}
	return x
}

// Width 1024, 60 rows per label: interval coverage and p-values under the null.
func TestCalibration(t *testing.T) {
	runs := 500
	if testing.Short() {
		runs = 100
	}
	const n, w = 60, 1024
	for _, c := range []struct {
		name  string
		flat  bool
		theta float64
	}{{"flat 0", true, 0}, {"1/i 0", false, 0}, {"flat .1", true, .1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(21, uint64(len(c.name))))
			hit := 0
			ps := map[string][]float64{}
			for range runs {
				x := sample(r, n, w, c.flat, c.theta)
				us := make([]Unit, 2*n)
				for i := range us {
					us[i] = Unit{Label: i / n, Block: i % n}
				}
				tb, err := FromRows(x, Singles(2*n), us, 2, 1, Independent, 1)
				if err != nil {
					t.Fatal(err)
				}
				j, err := tb.Jackknife()
				if err != nil {
					t.Fatal(err)
				}
				if lo, hi := j.Interval(.95); lo <= c.theta && c.theta <= hi {
					hit++
				}
				if c.theta != 0 {
					continue
				}
				pair, err := FromRows(x, Singles(2*n), us, 2, 1, Pairs, 1)
				if err != nil {
					t.Fatal(err)
				}
				cells, err := FromRows(x, blocksOf(2*n, 5), blockUnits(2*n, 5), 2, 1, Independent, 1)
				if err != nil {
					t.Fatal(err)
				}
				for _, k := range []struct {
					name  string
					table *Table
					make  func(*Table, int, uint64) (*Scheme, error)
				}{{"rows", tb, NewLabels}, {"pairs", pair, NewSigns}, {"cells", cells, NewSwaps}} {
					s, err := k.make(k.table, 99, r.Uint64())
					if err != nil {
						t.Fatal(err)
					}
					d, err := s.Evaluate(k.table)
					if err != nil {
						t.Fatal(err)
					}
					ps[k.name] = append(ps[k.name], math.Pow(10, d.Log10P()))
				}
			}
			cover := float64(hit) / float64(runs)
			t.Logf("%s: coverage %.3f of %d", c.name, cover, runs)
			if cover < .92 {
				t.Errorf("%s: coverage %.3f, want at least .92", c.name, cover)
			}
			for name, p := range ps {
				ks := ksAnti(p)
				_, two, _ := stat.KSUniform(p)
				t.Logf("%s, %s: one-sided KS p %.3f, two-sided %.3f", c.name, name, ks, math.Exp(two))
				if ks < .001 {
					t.Errorf("%s, %s: p-values too small under the null, KS p %g", c.name, name, ks)
				}
			}
		})
	}
}

// Away from theta = 0 the interval is nominal: 93 to 97 % of 2,000 samples.
func TestCoverage(t *testing.T) {
	const runs, n = 2000, 60
	for _, c := range []struct {
		w     int
		flat  bool
		theta float64
	}{{64, true, .3}, {64, false, .5}, {256, true, .3}} {
		r := rand.New(rand.NewPCG(41, uint64(c.w)))
		us := make([]Unit, 2*n)
		for i := range us {
			us[i].Label = i / n
		}
		hit := 0
		for range runs {
			tb, err := FromRows(sample(r, n, c.w, c.flat, c.theta), Singles(2*n), us, 2, 1, Independent, 1)
			if err != nil {
				t.Fatal(err)
			}
			j, err := tb.Jackknife()
			if err != nil {
				t.Fatal(err)
			}
			if lo, hi := j.Interval(.95); lo <= c.theta && c.theta <= hi {
				hit++
			}
		}
		cover := float64(hit) / runs
		t.Logf("width %d, flat %v, theta %g: coverage %.4f", c.w, c.flat, c.theta, cover)
		if cover < .93 || cover > .97 {
			t.Errorf("width %d, flat %v, theta %g: coverage %.4f of %d, want .93 to .97", c.w, c.flat, c.theta, cover, runs)
		}
	}
}

// blocksOf cuts rows 0..n/2-1 and n/2..n-1 into blocks of m.
func blocksOf(n, m int) Members {
	var out Members
	for lo := 0; lo < n; lo += m {
		var b []int
		for i := lo; i < lo+m; i++ {
			b = append(b, i)
		}
		out = append(out, b)
	}
	return out
}

func blockUnits(n, m int) []Unit {
	var out []Unit
	for i := range n / m {
		out = append(out, Unit{Label: i * m / (n / 2), Block: i % (n / 2 / m)})
	}
	return out
}

// Families of 5 equal rows: the family form keeps coverage and level, with 12
// families a label; the family-wise p over three layers too.
func TestCalibrationFamilies(t *testing.T) {
	runs := 500
	if testing.Short() {
		runs = 100
	}
	const fam, size, w = 12, 5, 256
	r := rand.New(rand.NewPCG(31, 1))
	hit := 0
	var ps, fw []float64
	for range runs {
		var tabs []*Table
		for range 3 {
			small := sample(r, fam, w, true, 0)
			x := NewDense(2*fam*size, w)
			for i := range x.N {
				copy(x.Row(i), small.Row(i/size))
			}
			tb, err := FromRows(x, blocksOf(x.N, size), blockUnits(x.N, size), 2, 1, Families, 1)
			if err != nil {
				t.Fatal(err)
			}
			tabs = append(tabs, tb)
		}
		j, err := tabs[0].Jackknife()
		if err != nil {
			t.Fatal(err)
		}
		if lo, hi := j.Interval(.95); lo <= 0 && 0 <= hi {
			hit++
		}
		s, err := NewLabels(tabs[0], 199, r.Uint64())
		if err != nil {
			t.Fatal(err)
		}
		var ds []Draws
		for _, tb := range tabs {
			d, err := s.Evaluate(tb)
			if err != nil {
				t.Fatal(err)
			}
			ds = append(ds, d)
		}
		ps = append(ps, math.Pow(10, ds[0].Log10P()))
		f := Familywise(ds)
		fw = append(fw, math.Pow(10, f.Log10P[f.Best]))
	}
	cover := float64(hit) / float64(runs)
	t.Logf("coverage %.3f, KS p %.3f, family-wise KS p %.3f", cover, ksAnti(ps), ksAnti(fw))
	if cover < .92 || ksAnti(ps) < .001 || ksAnti(fw) < .001 {
		t.Errorf("coverage %.3f (want .92), KS p %g and %g (want .001)", cover, ksAnti(ps), ksAnti(fw))
	}
}
