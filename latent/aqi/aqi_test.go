package aqi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/latent/internal/vectors"
	"assay/probes"
)

// layers3 are three layers of G1-like rows: 2^l G1(l+1, shift_l), numbered from 1.
func layers3(shifts ...float64) mem.Set {
	s := mem.Set{Name: "layers3", First: 1}
	for l, sh := range shifts {
		x := vectors.G1(uint64(l+1), sh)
		for i := range x {
			x[i] *= math.Ldexp(1, l)
		}
		s.Layers = append(s.Layers, geom.Dense{N: 200, W: 64, Data: x})
	}
	for i := range 200 {
		s.Label = append(s.Label, []string{"a", "b"}[i/100])
	}
	return s
}

func quick() Options {
	o := Default()
	o.Infer.Draws = 199
	o.Workers = 2
	return o
}

func estimate(t *testing.T, r probes.Result, name string) float64 {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name {
			if e.Value == nil {
				return math.NaN()
			}
			return *e.Value
		}
	}
	t.Fatalf("no estimate %q", name)
	return 0
}

func hasWarning(r probes.Result, code string) bool {
	for _, w := range r.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

func TestLayerPooling(t *testing.T) {
	f := vectors.Load(t)
	for _, kept := range []bool{true, false} {
		set := layers3(.75, .25, 0)
		set.Rows, set.Block = kept, 1
		o := quick()
		o.Indices = []string{"r2"}
		a, err := measureAll(context.Background(), mem.New(set), o, false)
		if err != nil {
			t.Fatal(err)
		}
		for l, m := range a.curve {
			vectors.Near(t, "theta", m.sep.Theta, f.Nums("layers3.theta_per_layer")[l], 1e-9)
			c, err := a.r.q.spread(l, post{name: "none"})
			if err != nil {
				t.Fatal(err)
			}
			vectors.Near(t, "spread", c, f.Nums("layers3.centred_rms")[l], 1e-9)
		}
		vectors.Near(t, "pooled theta", a.head.sep.Theta, f.Num("layers3.theta_uniform_scaled"), 1e-9)
		vectors.Near(t, "pooled R2", a.head.sep.R2, f.Num("layers3.R2_uniform_scaled"), 1e-9)
		vectors.Near(t, "pooled se", a.head.jack.SE, f.Num("layers3.se_fixed_scale"), 1e-9)
		o.Space.Scale = "none"
		if a, err = measureAll(context.Background(), mem.New(set), o, false); err != nil {
			t.Fatal(err)
		}
		vectors.Near(t, "unscaled theta", a.head.sep.Theta, f.Num("layers3.theta_uniform_unscaled"), 1e-9)
	}
}

// Blocks of 10 from cells: interval and swaps of the vectors, beside theta from rows.
func TestCellsOfTen(t *testing.T) {
	f := vectors.Load(t)
	set := layers3(.75)
	set.Block = 10
	r, err := Analyse(context.Background(), mem.New(set), quick())
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "R2", estimate(t, r.Result, "aqi.r2@resid_post.mean.1"), f.Num("G1.jackknife_blocks_of_10.R2"), 1e-9)
	for _, e := range r.Estimates {
		if e.Name == "aqi.r2@resid_post.mean.1" {
			vectors.Near(t, "lo", e.CI.Lo, f.Num("G1.jackknife_blocks_of_10.R2lo"), 1e-9)
			vectors.Near(t, "hi", e.CI.Hi, f.Num("G1.jackknife_blocks_of_10.R2hi"), 1e-9)
		}
	}
	for _, w := range []string{"few-blocks", "layer-chosen", "no-texts"} {
		if !hasWarning(r.Result, w) {
			t.Errorf("no warning %s", w)
		}
	}
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 {
		t.Errorf("tier %s with %d p-values; want C with none", r.Verdict.Tier, len(r.P))
	}
}

// The paper's formula, the posts and the indices of the headline of one layer.
func TestHeadlineVectors(t *testing.T) {
	f := vectors.Load(t)
	set := layers3(.75)
	set.Rows = true
	r, err := Analyse(context.Background(), mem.New(set), quick())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"aqi.theta@resid_post.mean.1": "G1.debiased.theta", "aqi.r2.plain@resid_post.mean.1": "G1.indices.R2",
		"aqi.r2.l2@resid_post.mean.1": "G1.post_l2.R2", "aqi.r2.zscore@resid_post.mean.1": "G1.post_zscore.R2",
		"aqi.xbi@resid_post.mean.1": "G1.indices.xbi", "aqi.chi@resid_post.mean.1": "G1.indices.chi",
		"aqi.dbs@resid_post.mean.1": "G1.indices.dbs", "aqi.dunn@resid_post.mean.1": "G1.indices.di",
		"aqi.silhouette@resid_post.mean.1": "G1.indices.ss",
	} {
		vectors.Near(t, name, estimate(t, r.Result, name), f.Num(want), 1e-9)
	}
	// One layer scaled by its spread: indices without a unit are those of the layer.
	vectors.Near(t, "paper", estimate(t, r.Result, "aqi.paper"), f.Num("G1.aqi_paper_lambda_half"), 1e-9)
	vectors.Near(t, "ref200", estimate(t, r.Result, "aqi.ref200"), f.Num("G1.aqi_ref200"), 1e-9)
	if len(r.Items) != 200 || r.Items[0].Projection == nil {
		t.Errorf("%d items, want 200 with projections", len(r.Items))
	}
}

func TestDelta(t *testing.T) {
	f := vectors.Load(t)
	a, b := layers3(.75), layers3(.5)
	a.Rows, b.Rows = true, true
	b.Name = "other"
	r, err := Delta(context.Background(), mem.New(a), mem.New(b), quick())
	if err != nil {
		t.Fatal(err)
	}
	const p = "delta_G1_shift_0.75_minus_0.5."
	vectors.Near(t, "difference", estimate(t, r, "aqi.delta.theta@resid_post.mean.1"), f.Num(p+"diff"), 1e-9)
	vectors.Near(t, "A", estimate(t, r, "aqi.a.theta@resid_post.mean.1"), f.Num(p+"A"), 1e-9)
	vectors.Near(t, "B", estimate(t, r, "aqi.b.theta@resid_post.mean.1"), f.Num(p+"B"), 1e-9)
	if r.Verdict.Tier != probes.TierB || r.Verdict.Finding != "changed" || len(r.P) != 1 {
		t.Errorf("verdict %+v, %d p-values; want tier B, changed, one", r.Verdict, len(r.P))
	}
	// A checkpoint against itself.
	r, err = Delta(context.Background(), mem.New(a), mem.New(a), quick())
	if err != nil {
		t.Fatal(err)
	}
	if r.Settings["identical"] != true || estimate(t, r, "aqi.delta.theta@resid_post.mean.1") != 0 || r.P[0].Log10P != 0 {
		t.Errorf("same file: identical %v, delta %v, p %v", r.Settings["identical"], estimate(t, r, "aqi.delta.theta@resid_post.mean.1"), r.P[0])
	}
}

func TestMaps(t *testing.T) {
	f := vectors.Load(t)
	check := func(what string, got []float64, path string) {
		t.Helper()
		for i, want := range f.Nums(path) {
			vectors.Near(t, what, got[i], want, 1e-9)
		}
	}
	check("sparsemax", Sparsemax([]float64{1, 2, .5, -1}), "sparsemax.1,2,.5,-1")
	check("sparsemax", Sparsemax([]float64{.1, .2, .3}), "sparsemax..1,.2,.3")
	check("entmax", Entmax15([]float64{1, 2, .5, -1}), "entmax15.1,2,.5,-1")
	for _, name := range []string{"softmax", "sparsemax", "entmax15"} {
		m := simplexMap(name)
		z := []float64{.3, -.1, .2, .05}
		g := []float64{1, -2, .5, 3}
		back := m.back(m.weights(z), g)
		for i := range z { // central differences
			up, dn := append([]float64{}, z...), append([]float64{}, z...)
			up[i] += 1e-6
			dn[i] -= 1e-6
			d := (inner(m.weights(up), g) - inner(m.weights(dn), g)) / 2e-6
			if math.Abs(d-back[i]) > 1e-6 {
				t.Errorf("%s: gradient %d = %v, differences give %v", name, i, back[i], d)
			}
		}
	}
}

func TestCompatVectors(t *testing.T) {
	f := vectors.Load(t)
	got := RunRelative(f.Nums("compat_run_relative.chi"), f.Nums("compat_run_relative.xb"), f.Num("compat_run_relative.gamma"))
	for i, want := range f.Nums("compat_run_relative.aqi_6_decimals") {
		if math.Abs(got[i]-want) > 5e-7 {
			t.Errorf("category %d: %.6f, want %.6f", i, got[i], want)
		}
	}
	for _, c := range [][2]float64{{0, 13.447071}, {1, 86.552929}} {
		chi := []float64{c[0], 1 - c[0]}
		if v := RunRelative(chi, []float64{1 - c[0], c[0]}, .5)[0]; math.Abs(v-c[1]) > 1e-6 {
			t.Errorf("one category: %.6f, want %.6f", v, c[1])
		}
	}
	for _, name := range []string{"T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "T14", "T15"} {
		x, w, labels := f.Case(name)
		k := 0
		us := make([]geom.Unit, len(labels))
		for i, l := range labels {
			us[i].Label = l
			k = max(k, l+1)
		}
		d := geom.Dense{N: len(labels), W: w, Data: x}
		tb, err := geom.FromRows(d, geom.Singles(len(labels)), us, k, 1, geom.Independent, 1)
		if err != nil {
			t.Fatal(err)
		}
		vectors.Near(t, name+" sklearn dbs", SklearnDBS(d, labels, k), f.Num("T."+name+".sk.dbs"), 1e-9)
		vectors.Near(t, name+" sklearn chi", SklearnCHI(geom.MomentIndices(tb.Groups())), f.Num("T."+name+".sk.chi"), 1e-9)
	}
}

// The same numbers from rows and from cells of one unit each, with strata,
// families and pairs.
func TestRowsEqualCells(t *testing.T) {
	for _, units := range []string{"", latent.UnitFamily, latent.UnitPair} {
		for _, strata := range []bool{false, true} {
			set := layers3(.5, .25)
			set.Units = units
			for i := range 200 {
				switch units {
				case latent.UnitFamily:
					set.Unit = append(set.Unit, i/2)
				case latent.UnitPair:
					set.Unit = append(set.Unit, i%100)
				}
				if strata {
					set.Stratum = append(set.Stratum, fmt.Sprint("topic", i%100/4%5))
				}
			}
			set.Block = 1
			cells := mem.New(set)
			set.Rows = true
			rows := mem.New(set)
			var theta [2][]float64
			for i, s := range []latent.States{rows, cells} {
				o := quick()
				o.Indices = []string{"r2", "xbi", "chi"}
				a, err := measureAll(context.Background(), s, o, false)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range append(a.curve, a.head) {
					theta[i] = append(theta[i], m.sep.Theta, m.jack.SE, m.pooled.Theta, m.mom.XBI.Value, m.mom.CHI.Value, m.posts[1].theta)
				}
			}
			for i := range theta[0] {
				vectors.Near(t, fmt.Sprintf("%q strata %v number %d", units, strata, i), theta[1][i], theta[0][i], 1e-9)
			}
		}
	}
}

// T10 with 2048 added everywhere keeps 9 digits from cells.
func TestCellsFarFromZero(t *testing.T) {
	f := vectors.Load(t)
	x, _, _ := f.Case("T10")
	set := mem.Set{Name: "t10", First: 1, Block: 3}
	for i := range x {
		x[i] += 2048
	}
	set.Layers = []geom.Dense{{N: 20, W: 3, Data: x}}
	for i := range 20 {
		set.Label = append(set.Label, []string{"a", "b"}[i/10])
	}
	o := quick()
	a, err := measureAll(context.Background(), mem.New(set), o, false)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "theta", a.head.sep.Theta, f.Num("T10.theta"), 1e-9)
	vectors.Near(t, "se", a.head.jack.SE, f.Num("T10.jackknife_blocks_3_3_3_1.se"), 1e-9)
}

// Post steps against plain computations on the rows.
func TestPosts(t *testing.T) {
	set := layers3(.75)
	set.Rows = true
	x := set.Layers[0]
	mean := geom.Mean(x, 1)
	theta := func(d geom.Dense) float64 {
		us := make([]geom.Unit, d.N)
		for i := range us {
			us[i].Label = i / 100
		}
		tb, err := geom.FromRows(d, geom.Singles(d.N), us, 2, 1, geom.Independent, 1)
		if err != nil {
			t.Fatal(err)
		}
		s, err := tb.Separation()
		if err != nil {
			t.Fatal(err)
		}
		return s.Theta
	}
	got := func(name string) float64 {
		o := quick()
		o.Space.Post, o.Space.Pool, o.Indices = name, "none", []string{"r2"}
		r, err := Run(context.Background(), mem.New(set), o)
		if err != nil {
			t.Fatal(err)
		}
		return estimate(t, r, "aqi.theta@resid_post.mean.1")
	}
	vectors.Near(t, "center+l2", got("center+l2"), theta(geom.Collect(geom.L2(geom.Shift(x, mean)))), 1e-12)
	f := vectors.Load(t)
	vectors.Near(t, "l2", got("l2"), f.Num("G1.post_l2.theta"), 1e-9)
	vectors.Near(t, "zscore", got("zscore"), f.Num("G1.post_zscore.theta"), 1e-9)

	// abtt:2 leaves rows without the components of the first two axes.
	pca, err := geom.Principal(x, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	axes, sd, err := geom.Axes(x, 1)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "sd of axis 1", sd[0]*sd[0], f.Num("G1.health.ev2.0"), 1e-9)
	rest := geom.Collect(geom.Shift(x, mean))
	for i := range rest.N {
		for a := range 2 {
			c := inner(axes.Row(a), rest.Row(i))
			if math.Abs(math.Abs(c)-math.Abs(pca.Scores.Row(i)[a])) > 1e-9 && a == 0 {
				t.Fatalf("row %d axis %d: %v, principal score %v", i, a, c, pca.Scores.Row(i)[a])
			}
			add(rest.Row(i), axes.Row(a), -c)
		}
	}
	vectors.Near(t, "abtt", got("abtt:2"), theta(rest), 1e-9)

	// Whitened rows have variance 1 along every axis and are uncorrelated.
	q := &source{s: mem.New(set), layers: []int{0}, workers: 1}
	q.in = q.s.Info()
	q.v = q.in.Views[0]
	if q.d, err = latent.NewDesign(q.s, nil, false); err != nil {
		t.Fatal(err)
	}
	w, err := q.space([]float64{1}, post{name: "whiten"}, false)
	if err != nil {
		t.Fatal(err)
	}
	d := geom.Collect(w.x)
	for a := range 3 {
		for b := range 3 {
			c := 0.0
			for i := range d.N {
				c += d.Row(i)[a] * d.Row(i)[b] / 199
			}
			want := 0.0
			if a == b {
				want = 1
			}
			if math.Abs(c-want) > 1e-9 {
				t.Errorf("whitened covariance %d %d = %v, want %v", a, b, c, want)
			}
		}
	}
}

// More rows than distances are computed for: the sample, or with exact a stream.
func TestManyRows(t *testing.T) {
	set := mem.Set{Name: "many", First: 1, Rows: true, Block: 50, Layers: []geom.Dense{geom.NewDense(4200, 3)}}
	for i := range 4200 {
		set.Label = append(set.Label, []string{"a", "b"}[i%2])
		for j := range 3 {
			set.Layers[0].Row(i)[j] = float64((i*(7+j)+i*i%(11+j))%97) + 3*float64(i%2)
		}
		if i < 400 {
			set.Sample = append(set.Sample, i)
		}
	}
	o := quick()
	o.Indices = []string{"r2", "dbs", "dunn", "silhouette"}
	r, err := Run(context.Background(), mem.New(set), o)
	if err != nil {
		t.Fatal(err)
	}
	if !hasWarning(r, "sampled") || !hasWarning(r, "dunn-bound") || r.N["rows.distances"] != 400 {
		t.Errorf("%d rows, warnings %v; want the sample of 400 with its warnings", r.N["rows.distances"], r.Warnings)
	}
	o.Infer.Exact = true
	if r, err = Run(context.Background(), mem.New(set), o); err != nil {
		t.Fatal(err)
	}
	x := set.Layers[0]
	labels := make([]int, 4200)
	for i := range labels {
		labels[i] = i % 2
	}
	want := geom.PairwiseIndices(geom.Distances(x, 2), labels, 2)
	vectors.Near(t, "silhouette", estimate(t, r, "aqi.silhouette@resid_post.mean.pool"), want.Silhouette.Value, 1e-9)
	vectors.Near(t, "dunn", estimate(t, r, "aqi.dunn@resid_post.mean.pool"), want.Dunn.Value, 1e-9)
	if hasWarning(r, "sampled") {
		t.Error("exact: warning sampled")
	}
}

func TestSameBytesForAnyWorkers(t *testing.T) {
	set := layers3(.5, .25)
	set.Block, set.Rows = 5, true
	var first []byte
	for _, w := range []int{1, 8} {
		o := quick()
		o.Workers = w
		o.Space.Pool = "learned:softmax"
		r, err := Run(context.Background(), mem.New(set), o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		} else if string(first) != string(b) {
			t.Error("1 and 8 workers give different results")
		}
		if !json.Valid(b) || strings.Contains(strings.ReplaceAll(string(b), r.Verdict.DoesNotSay, ""), "aligned") {
			t.Error("invalid JSON, or the word aligned outside does_not_say")
		}
	}
}

func TestBadInput(t *testing.T) {
	base := func() mem.Set { s := layers3(.5); s.Rows = true; return s }
	for _, c := range []struct {
		name  string
		set   func() mem.Set
		opt   func(*Options)
		class fault.Class
		says  string
	}{
		{"unknown group", base, func(o *Options) { o.Groups = []string{"a", "c"} }, fault.Usage, "a, b"},
		{"group twice", base, func(o *Options) { o.Groups = []string{"a", "a"} }, fault.Usage, "twice"},
		{"unknown view", base, func(o *Options) { o.Space.View = "mlp_out.mean" }, fault.Usage, "resid_post.mean"},
		{"unknown layer", base, func(o *Options) { o.Space.Layers = "9" }, fault.Usage, "[1]"},
		{"unknown index", base, func(o *Options) { o.Indices = []string{"gap"} }, fault.Usage, "silhouette"},
		{"unknown post", base, func(o *Options) { o.Space.Post = "pca" }, fault.Usage, "whiten"},
		{"unknown pool", base, func(o *Options) { o.Space.Pool = "max" }, fault.Usage, "uniform"},
		{"wrong number of weights", base, func(o *Options) { o.Space.Pool, o.Space.Weights = "fixed", []float64{1, 2} }, fault.Usage, "want 1"},
		{"draws", base, func(o *Options) { o.Infer.Draws = 5 }, fault.Usage, "99"},
		{"one class", func() mem.Set {
			s := base()
			for i := range s.Label {
				s.Label[i] = "a"
			}
			return s
		}, nil, fault.Input, "at least 2"},
		{"one document in a class", func() mem.Set {
			s := base()
			for i := range s.Label {
				s.Label[i] = "a"
			}
			s.Label[7] = "b"
			return s
		}, nil, fault.Input, "b 1"},
		{"label in one stratum only", func() mem.Set {
			s := base()
			for i := range s.Label {
				s.Stratum = append(s.Stratum, "t"+s.Label[i])
			}
			return s
		}, nil, fault.Input, "ta: a 100, b 0"},
		{"identical points", func() mem.Set {
			s := base()
			clear(s.Layers[0].Data)
			return s
		}, nil, fault.Input, "equal"},
		{"NaN", func() mem.Set {
			s := base()
			s.Layers[0].Data[64*3] = math.NaN()
			return s
		}, nil, fault.Input, "NaN"},
		{"no rows, cells or sample", func() mem.Set { s := base(); s.Rows = false; return s }, nil, fault.Input, "rows of resid_post.mean layer 1"},
		{"learned without cells", base, func(o *Options) { o.Space.Pool = "learned" }, fault.Input, "cell sums"},
		{"pair without partner", func() mem.Set {
			s := base()
			s.Units = latent.UnitPair
			for i := range s.Label {
				s.Unit = append(s.Unit, i%100)
			}
			s.Unit[5] = 1000
			return s
		}, nil, fault.Input, "want one per label"},
		{"assignment differs", base, func(o *Options) { o.Side.Assignment = &Assignment{Labels: map[string]string{"d00000": "b"}} }, fault.Input, `label "b", want "a"`},
		{"items without a document", base, func(o *Options) { o.Side.Items = []Item{{ID: "x"}} }, fault.Input, `no row with id "d00000"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := quick()
			if c.opt != nil {
				c.opt(&o)
			}
			_, err := Run(context.Background(), mem.New(c.set()), o)
			f := fault.As(err)
			if f == nil || f.Class != c.class || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%+v), want class %d and %q", err, f, c.class, c.says)
			}
		})
	}
	// Two files.
	a, b := base(), base()
	b.Layers = append(b.Layers, b.Layers[0])
	if _, err := Delta(context.Background(), mem.New(a), mem.New(b), quick()); fault.As(err) == nil || !strings.Contains(err.Error(), "layers [1] and [1 2]") {
		t.Errorf("other layers: %v", err)
	}
	b = base()
	b.Label[0] = "b"
	b.Label[199] = "a"
	if _, err := Delta(context.Background(), mem.New(a), mem.New(b), quick()); fault.As(err) == nil {
		t.Errorf("other labels: %v", err)
	}
	other := mem.New(base())
	other.Inf.Text = "sha256:other"
	if _, err := Delta(context.Background(), mem.New(a), other, quick()); fault.As(err) == nil || !strings.Contains(err.Error(), "text") {
		t.Errorf("other text: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, mem.New(base()), quick()); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}
