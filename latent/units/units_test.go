package units

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/latent/internal/vectors"
	"assay/probes"
)

func g1(shift float64) mem.Set {
	s := mem.Set{Name: "g1", First: 0, Layers: []geom.Dense{{N: 200, W: 64, Data: vectors.G1(1, shift)}}, Rows: true}
	for i := range 200 {
		s.Label = append(s.Label, []string{"a", "b"}[i/100])
	}
	return s
}

func value(t *testing.T, r probes.Result, name string) float64 {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name && e.Value != nil {
			return *e.Value
		}
	}
	t.Fatalf("no value of %q", name)
	return 0
}

func column(j int) []float64 {
	x := vectors.G1(1, .75)
	out := make([]float64, 200)
	for i := range out {
		out[i] = x[i*64+j]
	}
	return out
}

func TestInformationVectors(t *testing.T) {
	f := vectors.Load(t)
	lab := make([]uint8, 200)
	for i := 100; i < 200; i++ {
		lab[i] = 1
	}
	for _, u := range []int{5, 6} {
		bin := Bins(column(u), 8)
		p, c := Information(bin, lab, 8, 2)
		key := fmt.Sprintf("G1.mi_unit%d.", u)
		vectors.Near(t, key+"plug_in", p, f.Num(key+"plug_in_nats"), 1e-9)
		vectors.Near(t, key+"corrected", c, f.Num(key+"corrected"), 1e-9)
		if u == 5 {
			var count [8][2]float64
			for i, b := range bin {
				count[b][lab[i]]++
			}
			for b := range count {
				want := f.Nums(fmt.Sprintf("G1.mi_unit5.counts.%d", b))
				if count[b][0] != want[0] || count[b][1] != want[1] {
					t.Errorf("bin %d: %v, want %v", b, count[b], want)
				}
			}
		}
	}
	// 30 10 / 10 30, by hand: ln 2 - H(1/4) = .1308120 nats (numpy 2.4), less 1/160.
	var bin, l []uint8
	for i := range 80 {
		bin = append(bin, uint8(i/40))
		l = append(l, uint8(i/40))
		if i%4 == 0 {
			l[i] = 1 - l[i]
		}
	}
	p, c := Information(bin, l, 2, 2)
	if math.Abs(p-.1308120) > 5e-8 || math.Abs(c-.1245620) > 5e-8 {
		t.Errorf("2 x 2 table: %.7f, %.7f; want .1308120, .1245620", p, c)
	}
	// Equal values share the first one's bin.
	if b := Bins([]float64{1, 1, 1, 2}, 4); b[0] != 0 || b[2] != 0 || b[3] != 3 {
		t.Errorf("bins of 1 1 1 2: %v, want 0 0 0 3", b)
	}
}

func TestScreen(t *testing.T) {
	o := DefaultScreen()
	o.Draws = 99
	r, err := Screen(context.Background(), mem.New(g1(.75)), o)
	if err != nil {
		t.Fatal(err)
	}
	p := r.Picks[0]
	if p.Unit != 5 || p.Layer != 0 || p.Folds < 1-1e-9 {
		t.Errorf("first pick %+v, want unit 5 in every fold", p)
	}
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 || !math.IsNaN(p.Log10P) {
		t.Errorf("tier %s with %d p-values, want C with none", r.Verdict.Tier, len(r.P))
	}
	// Drawn by the auditor: tier A, and only unit 5 is beyond chance.
	as := map[string]string{}
	for i := range 200 {
		as[fmt.Sprintf("d%05d", i)] = []string{"a", "b"}[i/100]
	}
	o.Side.Assignment = &aqi.Assignment{Labels: as}
	if r, err = Screen(context.Background(), mem.New(g1(.75)), o); err != nil {
		t.Fatal(err)
	}
	if r.Verdict.Tier != probes.TierA || r.Picks[0].Log10P != math.Log10(.01) || r.Picks[1].Log10P < math.Log10(.05) {
		t.Errorf("tier %s, p of the first two units %v and %v", r.Verdict.Tier, r.Picks[0].Log10P, r.Picks[1].Log10P)
	}
	one := o
	one.Workers = 1
	o.Workers = 8
	x, _ := Screen(context.Background(), mem.New(g1(.5)), one)
	y, _ := Screen(context.Background(), mem.New(g1(.5)), o)
	bx, _ := x.JSON()
	by, _ := y.JSON()
	if string(bx) != string(by) {
		t.Error("1 and 8 workers give different results")
	}
}

// Under the null the family-wise p of the best unit is not too small: with shift
// 0 in every one of 40 data sets, p <= .1 must be rare.
func TestScreenNull(t *testing.T) {
	small := 0
	for seed := range uint64(40) {
		s := g1(0)
		s.Layers[0] = geom.Dense{N: 200, W: 64, Data: vectors.G1(seed+10, 0)}
		o := DefaultScreen()
		o.Draws, o.Seed = 99, seed
		sc, err := newScreen(mem.New(s), o)
		if err != nil {
			t.Fatal(err)
		}
		top := make([]float64, o.Draws)
		for i := range top {
			top[i] = math.Inf(-1)
		}
		p, err := sc.layer(0, top, make([][]Pick, o.Folds))
		if err != nil {
			t.Fatal(err)
		}
		hits := 0
		for _, v := range top {
			if v >= p[0].Info {
				hits++
			}
		}
		if hits <= 9 { // p <= .1
			small++
		}
	}
	// Binomial(40, .1): 10 or more has probability .005.
	if small >= 10 {
		t.Errorf("p <= .1 in %d of 40 null data sets", small)
	}
}

func TestSimilarityVectors(t *testing.T) {
	f := vectors.Load(t)
	for _, cells := range []bool{false, true} {
		s := g1(.75)
		s.Units = latent.UnitPair
		for i := range 200 {
			s.Unit = append(s.Unit, i%100)
		}
		if cells {
			s.Block = 10
		}
		r, err := Similarity(context.Background(), mem.New(s), SimilarityOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range map[string]string{
			"cosine": "mean_cosine_all_pairs", "matched": "matched", "matched-minus-unmatched": "matched_minus_unmatched",
		} {
			vectors.Near(t, name, value(t, r, "similarity."+name+"@resid_post.mean.0"), f.Num("G1.groups_label0_vs_label1."+key), 1e-9)
		}
		vectors.Near(t, "first at 0", value(t, r, "similarity.cosine.first-at-0@resid_post.mean.0"), f.Num("G1.groups_label0_vs_label1.mean_cosine_all_pairs"), 1e-9)
		vectors.Near(t, "of means", value(t, r, "similarity.cosine.means@resid_post.mean.0"), f.Num("G1.groups_label0_vs_label1.cosine_of_means"), 1e-9)
	}
}

func TestDirection(t *testing.T) {
	for _, method := range []string{"means", "probe"} {
		d, err := Fit(context.Background(), mem.New(g1(.75)), FitOptions{Layer: "0", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		norm, top := 0.0, 0
		for j, v := range d.Vector {
			norm += v * v
			if math.Abs(v) > math.Abs(d.Vector[top]) {
				top = j
			}
		}
		if math.Abs(norm-1) > 1e-12 || top != 5 || d.Vector[5] < 0 {
			t.Errorf("%s: length %v, largest unit %d; want 1 and unit 5, positive", method, norm, top)
		}
		other := g1(.75)
		other.Layers[0] = geom.Dense{N: 200, W: 64, Data: vectors.G1(9, .75)}
		st := mem.New(other)
		if _, err := Apply(context.Background(), d, st, ApplyOptions{}); fault.As(err) == nil || fault.As(err).Code != "same-texts" {
			t.Errorf("same texts: %v, want a refusal", err)
		}
		st.Inf.Text = "sha256:others"
		margin := map[string]float64{}
		for i := range 200 {
			margin[fmt.Sprintf("d%05d", i)] = float64(i / 100)
		}
		r, err := Apply(context.Background(), d, st, ApplyOptions{Margin: margin})
		if err != nil {
			t.Fatal(err)
		}
		// One axis of sd .289 (uniform sum times 1/2) moved by .75: about .97 at best.
		if a := value(t, r, "direction.auroc"); a < .85 || value(t, r, "direction.margin.auroc") != 1 {
			t.Errorf("%s: auroc %v on other texts, want above .85; margin %v, want 1", method, a, value(t, r, "direction.margin.auroc"))
		}
	}
	// Along one axis by hand: B = A + 2 on unit 0, sd of A from its values.
	a, b := g1(0), g1(0)
	b.Layers[0] = geom.Collect(a.Layers[0])
	mean, ss := 0.0, 0.0
	for i := range 200 {
		b.Layers[0].Row(i)[0] += 2
		mean += a.Layers[0].Row(i)[0] / 200
	}
	for i := range 200 {
		ss += math.Pow(a.Layers[0].Row(i)[0]-mean, 2)
	}
	d := Direction{Vector: geom.One(0, 64), View: "resid_post.mean", Groups: []string{"a", "b"}}
	r, err := Shift(context.Background(), d, mem.New(a), mem.New(b), .95)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "shift", value(t, r, "direction.shift"), 2/math.Sqrt(ss/199), 1e-9)
}

func TestBadInput(t *testing.T) {
	ctx := context.Background()
	s := mem.New(g1(.5))
	wide := Direction{Vector: make([]float64, 3), View: "resid_post.mean", Groups: []string{"a", "b"}, Text: "other"}
	nan := g1(.5)
	nan.Layers[0].Data[7] = math.NaN()
	none := g1(.5)
	none.Rows = false
	for name, c := range map[string]struct {
		err   error
		class fault.Class
		says  string
	}{
		"bins":          {second(Screen(ctx, s, ScreenOptions{Bins: 1})), fault.Usage, "bins"},
		"method":        {second(Fit(ctx, s, FitOptions{Method: "pca"})), fault.Usage, "means or probe"},
		"several":       {second(Fit(ctx, mem.New(mem.Set{Layers: []geom.Dense{s0(), s0()}, Label: labels200(), Rows: true}), FitOptions{})), fault.Usage, "want one of [0 1]"},
		"width":         {second(Apply(ctx, wide, s, ApplyOptions{})), fault.Input, "want 3"},
		"NaN in screen": {second(Screen(ctx, mem.New(nan), DefaultScreen())), fault.Input, "NaN"},
		"no rows":       {second(Screen(ctx, mem.New(none), DefaultScreen())), fault.Input, "rows of resid_post.mean layer 0"},
		"no cells":      {second(Similarity(ctx, mem.New(none), SimilarityOptions{})), fault.Input, "cell sums"},
	} {
		f := fault.As(c.err)
		if f == nil || f.Class != c.class || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want class %d and %q", name, c.err, c.class, c.says)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func s0() geom.Dense { return geom.Dense{N: 200, W: 64, Data: vectors.G1(1, .5)} }

func labels200() []string { return g1(0).Label }
