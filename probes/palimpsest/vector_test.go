package palimpsest

import (
	"fmt"
	"math"
	"testing"

	"assay/internal/gen"
	"assay/probes"
	"assay/probes/stat"
)

// generate is the published data set G(n, seed, eff): positions, suspect and
// reference. Products are rounded one by one (no fused multiply-add).
func generate(n int, seed uint64, eff float64) (pos []int64, s, r []float64) {
	g := gen.New(seed)
	pos, s, r = make([]int64, n), make([]float64, n), make([]float64, n)
	for i := range pos {
		pos[i] = int64(i)
	}
	for i := n - 1; i > 0; i-- {
		j := g.Below(i + 1)
		pos[i], pos[j] = pos[j], pos[i]
	}
	for i := range pos {
		u := (float64(pos[i]) + 0.5) / float64(n)
		h, e1, e2 := g.Z(), g.Z(), g.Z()
		u2 := float64(u * u)
		base := -2.5 + float64(0.5*h)
		s[i] = base + float64(0.05*e1) + float64(eff*float64(u2*u2))
		r[i] = base + float64(0.05*e2)
	}
	return pos, s, r
}

// sampleOf is a sample of one suspect and references on a declared uniform order.
func sampleOf(pos []int64, l ...[]float64) *Sample {
	s := &Sample{Measure: "nats/token", Pos: pos, L: l, Meta: Meta{N: int64(len(pos)), Design: "all"}}
	for i := range pos {
		s.Seq = append(s.Seq, int64(i))
	}
	s.Models = []Model{{Name: "suspect"}}
	for j := range l[1:] {
		s.Models = append(s.Models, Model{Name: fmt.Sprintf("ref%d", j+1)})
	}
	return s
}

func bases(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "other-order"
	}
	return out
}

func mustQuery(t testing.TB, s *Sample, o Options) probes.Result {
	t.Helper()
	if o.RefBasis == nil {
		o.RefBasis = bases(len(s.L) - 1)
	}
	r, err := Query(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func estimate(t testing.TB, r probes.Result, name string) float64 {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name {
			return *e.Value
		}
	}
	t.Fatalf("no estimate %s", name)
	return 0
}

// log10P returns a p-value, also when the tier has made it a diagnostic.
func log10P(t testing.TB, r probes.Result, name string) float64 {
	t.Helper()
	for _, p := range r.P {
		if p.Name == name {
			return p.Log10P
		}
	}
	return estimate(t, r, "diagnostic_"+name)
}

func hasWarning(r probes.Result, code string) bool {
	for _, w := range r.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

func near(t testing.TB, name string, got, want, rel float64) {
	t.Helper()
	if !(math.Abs(got-want) <= rel*math.Abs(want)) {
		t.Errorf("%s = %.14g, want %.14g", name, got, want)
	}
}

func TestGenerator(t *testing.T) {
	pos, s, _ := generate(10000, 1, .02)
	for i, want := range []int64{917, 3794, 3458} {
		if pos[i] != want {
			t.Errorf("pos[%d] = %d, want %d", i, pos[i], want)
		}
	}
	for i, want := range []float64{-1.81453261, -1.73487408, -2.27080458} {
		if math.Abs(s[i]-want) > 5e-9 {
			t.Errorf("S[%d] = %.9f, want %.8f", i, s[i], want)
		}
	}
}

// Published vectors, recomputed with numpy 2.4, scipy 1.17 and mpmath 1.3.
func TestQueryVectors(t *testing.T) {
	for _, c := range []struct {
		n                               int
		seed                            uint64
		eff                             float64
		rho, log10p, se, diff, dse, log float64
	}{
		{10000, 1, .02, 0.0740481753444818, -13.212964915, 0.00997961795, 0.0118584335, 0.00173640687, -11.5633930357},
		{10000, 2, 0, -0.0107869392478694, -0.065696100, 0.00999562815, -0.000543332881, 0.00173316947, -0.12526222167},
		{1000, 3, .05, 0.201350349350349, -10.181481846, 0.0306305829, 0.0346279136, 0.00570232711, -9.1506217965},
	} {
		t.Run(fmt.Sprintf("G(%d,%d,%g)", c.n, c.seed, c.eff), func(t *testing.T) {
			pos, s, r := generate(c.n, c.seed, c.eff)
			q := query{s: sampleOf(pos, s, r), o: Options{RefBasis: bases(1), Perm: 99, Controls: None, Alpha: 1e-3, Level: .95, Tried: 1, Combine: "diff"}}
			q.l = q.s.layout()
			if err := q.run(); err != nil {
				t.Fatal(err)
			}
			res := q.result()
			near(t, "rho", estimate(t, res, "rho"), c.rho, 1e-13)
			near(t, "log10 p", log10P(t, res, "spearman_t"), c.log10p, 1e-9)
			near(t, "rank_sum", log10P(t, res, "rank_sum"), c.log, 1e-10)
			d, se, _ := q.r.lateMinusEarly()
			near(t, "late minus early", d, c.diff, 1e-8)
			near(t, "its se", se, c.dse, 1e-8)
			lo, hi, _ := q.r.rhoInterval(.95, 1)
			half := (math.Atanh(hi) - math.Atanh(lo)) / 2 // = 1.959964 se / (1 - rho^2)
			near(t, "se of rho", half*(1-c.rho*c.rho)/1.959963984540054, c.se, 1e-8)
		})
	}
}

// The variants of the first data set: steps that tie, regression on the
// reference, a window, two strata, and the late:0.05 groups.
func TestQueryVariants(t *testing.T) {
	pos, s, r := generate(10000, 1, .02)
	o := Options{Perm: 99, Controls: None}
	steps := make([]int64, len(pos))
	for i, p := range pos {
		steps[i] = p / 64
	}
	near(t, "rho of steps", estimate(t, mustQuery(t, sampleOf(steps, s, r), o), "rho"), 0.074097428809, 1e-11)

	o.Combine = "regress"
	near(t, "rho of residuals", estimate(t, mustQuery(t, sampleOf(pos, s, r), o), "rho"), 0.0749280209, 1e-9)
	o.Combine = ""

	late := sampleOf(pos, s, r)
	late.keep(func(i int) bool { return pos[i] >= 5000 })
	near(t, "rho of the second half", estimate(t, mustQuery(t, late, o), "rho"), 0.0576566063, 1e-9)

	strata := sampleOf(pos, s, r)
	strata.Strata = []string{"first", "second"}
	for _, p := range pos {
		strata.Stratum = append(strata.Stratum, int32(p/5000))
	}
	res := mustQuery(t, strata, o)
	near(t, "stratified Z", estimate(t, res, "z"), 3.1422720018, 1e-10)
	near(t, "stratified bound", log10P(t, res, "rank_sum"), -1.3708068222, 1e-9)

	ends := sampleOf(pos, s, r)
	ends.Meta.Design = "late:0.05"
	near(t, "late against first half", log10P(t, mustQuery(t, ends, o), "rank_sum"), -7.87262958285, 1e-10)
}

func TestSmallVectors(t *testing.T) {
	for _, c := range []struct {
		name   string
		pos    []int64
		d      []float64
		rho, p float64
	}{
		{"four in order", []int64{2, 0, 3, 1}, []float64{.2, 0, .3, .1}, 1, 1. / 24},
		{"ties in score", []int64{1, 2, 3, 4, 5, 6}, []float64{-2, -1.5, -1.8, -1.2, -1.2, -.9}, 0.927633657043918, 6. / 720},
		{"ties in both", []int64{0, 0, 1, 1, 2, 2, 3}, []float64{.1, .3, .2, .3, .5, .4, .5}, 0.850504433706267, 88. / 5040},
	} {
		t.Run(c.name, func(t *testing.T) {
			var u []Unit
			for i := range c.pos {
				u = append(u, Unit{Seq: int64(i), Pos: c.pos[i], D: c.d[i]})
			}
			if len(u) < 5 {
				if _, err := Query(FromUnits(u), Options{}); err == nil {
					t.Error("four units were tested, want at least 5")
				}
				l := FromUnits(u).layout()
				r, err := FromUnits(u).read(l, l.intRanks(c.pos), c.d, nil, &perm99)
				if err != nil || r.rho != c.rho || math.Abs(math.Exp(r.perm.Greater())-c.p) > 1e-15 {
					t.Errorf("rho %g p %g %v, want %g %g", r.rho, math.Exp(r.perm.Greater()), err, c.rho, c.p)
				}
				return
			}
			res := mustQuery(t, FromUnits(u), Options{})
			near(t, "rho", estimate(t, res, "rho"), c.rho, 1e-14)
			near(t, "exact p", log10P(t, res, "permutation"), math.Log10(c.p), 1e-12)
		})
	}
}

var perm99 = stat.Perm{B: 99}
