package health

import (
	"context"
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

func g1(add float64) mem.Set {
	x := vectors.G1(1, .75)
	for i := range 200 {
		x[i*64+7] += add
	}
	s := mem.Set{Name: "g1", First: 1, Layers: []geom.Dense{{N: 200, W: 64, Data: x}}, Rows: true, Block: 10}
	for i := range 200 {
		s.Label = append(s.Label, []string{"a", "b"}[i/100])
	}
	return s
}

func value(t *testing.T, r probes.Result, name string) float64 {
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

func warned(r probes.Result, code string) bool {
	for _, w := range r.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

func TestVectors(t *testing.T) {
	f := vectors.Load(t)
	for _, c := range []struct {
		add  float64
		path string
	}{{0, "G1.health"}, {4, "G1.health_with_4_added_to_column_7"}} {
		r, err := Run(context.Background(), mem.New(g1(c.add)), nil, Default())
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range map[string]string{
			"participation": "pr_deb", "participation.plain": "pr", "erank_ev": "erank_ev", "erank_sv": "rankme",
			"top1": "top1", "top3": "top3", "cosine": "cos", "cosine.sample": "cos", "cosine.centred": "cos_c",
			"cosine.unit": "maxdim", "cosine.unit.share": "maxdim_share",
		} {
			vectors.Near(t, name, value(t, r, "health."+name+"@resid_post.mean.1"), f.Num(c.path+"."+key), 1e-9)
		}
		vectors.Near(t, "twonn", value(t, r, "health.twonn@resid_post.mean.1"), f.Num("G1.twonn.fit"), 1e-9)
		if !warned(r, "rogue-unit") {
			t.Error("no warning rogue-unit: a share above .5 is in both")
		}
		if r.Verdict.Tier != probes.TierC || len(r.P) != 0 {
			t.Errorf("tier %s, %d p-values", r.Verdict.Tier, len(r.P))
		}
	}
}

// The debiased participation ratio finds the true one at width 1024 from 256
// documents; the plug-in form cannot exceed the number of documents.
func TestParticipationAtWidth(t *testing.T) {
	x := geom.NewDense(256, 1024)
	g := uint64(1)
	for i := range x.Data { // a cheap flat spectrum
		g = g*6364136223846793005 + 1442695040888963407
		x.Data[i] = float64(int64(g)) / (1 << 62)
	}
	s, err := geom.SpectrumOf(geom.NewCloud(x, 2))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(s.PRDebiased-1024) > 40 || s.PR > 256 {
		t.Errorf("debiased %.1f, want near 1024; plug-in %.1f, want below 256", s.PRDebiased, s.PR)
	}
	v, loo := geom.ParticipationJack(geom.Gram(x, nil, 2))
	vectors.Near(t, "value", v, s.PRDebiased, 1e-9)
	// Leaving a row out must equal computing without it.
	idx := []int{}
	for i := 1; i < 256; i++ {
		idx = append(idx, i)
	}
	w, _ := geom.ParticipationJack(geom.Gram(geom.Subset(x, idx), nil, 2))
	vectors.Near(t, "without the first row", loo[0], w, 1e-9)
	_, cl := geom.CosineJack(geom.Cosines(x, 1))
	cv, _ := geom.CosineJack(geom.Cosines(geom.Subset(x, idx), 1))
	vectors.Near(t, "cosine without the first row", cl[0], cv, 1e-9)
}

func TestSameness(t *testing.T) {
	f := vectors.Load(t)
	x := geom.Dense{N: 4, W: 3}
	for i := range 4 {
		x.Data = append(x.Data, f.Nums("sameness.tokens."+string(rune('0'+i)))...)
	}
	c, _ := Sameness(x)
	vectors.Near(t, "cosine", c, f.Num("sameness.mean_pairwise_cosine"), 1e-9)
	// Singular values 3 and 1: exp of the entropy of (3/4, 1/4) = 4/3^(3/4).
	vectors.Near(t, "rank", EffectiveRank([]float64{3, 1}), 4/math.Pow(3, .75), 1e-12)
	_, r := Sameness(geom.Dense{N: 2, W: 2, Data: []float64{3, 0, 0, 1}})
	vectors.Near(t, "rank of rows", r, 4/math.Pow(3, .75), 1e-12)
}

// Token figures by hand: 3 units, unit 1 massive at the first position, unit 2 dead.
func TestTokens(t *testing.T) {
	set := g1(0)
	s := mem.New(set)
	n := 200
	p := latent.Peaks{Layers: []int{1}, Max: make([]float32, n), Pos: make([]int32, n), Dim: make([]int32, n), Count: make([]int32, n)}
	for i := range n {
		p.Max[i], p.Dim[i], p.Pos[i] = 5, 3, 4
		if i < 150 {
			p.Max[i], p.Dim[i], p.Pos[i], p.Count[i] = 400, 1, 0, 2
		}
	}
	s.PeaksOf = map[string]latent.Peaks{"resid_post": p}
	// 9 tokens per document after the first: energies 900, 100, 0 per 1800 tokens... rms sqrt(1), sqrt(4), 0.
	s.Sums = map[string]latent.TokenSums{"resid_post.1": {
		Tokens: [2]int64{200, 1800},
		Sq:     [2][]float64{{200, 32e6, 0}, {1800, 7200, 0}},
		Max:    [2][]float32{{2, 400, 0}, {3, 9, 0}},
		N6:     [2][]int64{{0, 200, 0}, {0, 180, 0}},
	}}
	s.Toks = map[string]latent.TokenRows{"resid_post.1": {Offsets: []int64{0, 2, 3}, X: geom.Dense{N: 3, W: 2, Data: []float64{3, 0, 0, 1, 5, 5}}}}
	r, err := Run(context.Background(), s, nil, Default())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"massive.count@resid_post.mean.1": 300, "massive.documents@resid_post.mean.1": 150, "massive.first-position@resid_post.mean.1": 1,
		// rms 1, 2, 0: mean 1, m2 = 2/3, m4 = 2/3, so 3/2 - 3.
		"units.rest.kurtosis@resid_post.mean.1": -1.5,
		"massive.units@resid_post.mean.1":       1, "activation.max@resid_post.mean.1": 400,
		"units.rest.max-over-median@resid_post.mean.1": 2, "units.rest.top1@resid_post.mean.1": .8, "units.dead@resid_post.mean.1": 1,
		"units.outlier": 1, "sameness.cosine@resid_post.mean.1": 0, "sameness.erank@resid_post.mean.1": 4 / math.Pow(3, .75),
	} {
		vectors.Near(t, name, value(t, r, "health."+name), want, 1e-12)
	}
	if !warned(r, "first-token-massive") {
		t.Error("no warning first-token-massive")
	}
}

// cosines is a file with the cosines that were kept with the states: of three
// documents, one without pairs.
type cosines struct{ latent.States }

func (cosines) Sameness(tap string, layer int) ([]float32, error) {
	return []float32{.5, float32(math.NaN()), .75}, nil
}

func TestKeptSameness(t *testing.T) {
	r, err := Run(context.Background(), cosines{mem.New(g1(0))}, nil, Default())
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "mean of .5 and .75", value(t, r, "health.sameness.cosine@resid_post.mean.1"), .625, 1e-12)
}

func TestTwoFiles(t *testing.T) {
	a, b := g1(0), g1(4)
	b.Name = "shifted"
	r, err := Run(context.Background(), mem.New(a), mem.New(b), Default())
	if err != nil {
		t.Fatal(err)
	}
	f := vectors.Load(t)
	want := f.Num("G1.health.cos") - f.Num("G1.health_with_4_added_to_column_7.cos")
	vectors.Near(t, "difference", value(t, r, "health.delta.cosine@resid_post.mean.1"), want, 1e-9)
	for _, e := range r.Estimates {
		if strings.HasPrefix(e.Name, "health.delta.cosine@") && (e.CI == nil || e.CI.Lo > want || e.CI.Hi < want) {
			t.Errorf("interval %+v does not hold the difference %v", e.CI, want)
		}
	}
	if r, err = Run(context.Background(), mem.New(a), mem.New(a), Default()); err != nil || value(t, r, "health.delta.participation@resid_post.mean.1") != 0 {
		t.Errorf("a file against itself: %v, %v; want 0", value(t, r, "health.delta.participation@resid_post.mean.1"), err)
	}
	c := g1(0)
	c.Label[0] = ""
	if _, err := Run(context.Background(), mem.New(a), mem.New(c), Default()); fault.As(err) == nil {
		t.Errorf("other documents: %v, want an input error", err)
	}
}

func TestBadInput(t *testing.T) {
	constant := g1(0)
	clear(constant.Layers[0].Data)
	r, err := Run(context.Background(), mem.New(constant), nil, Default())
	if err != nil || !math.IsNaN(value(t, r, "health.erank_ev@resid_post.mean.1")) || !warned(r, "degenerate") {
		t.Errorf("constant rows: %v; want null with warning degenerate", err)
	}
	nan := g1(0)
	nan.Layers[0].Data[5] = math.NaN()
	if _, err := Run(context.Background(), mem.New(nan), nil, Default()); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("NaN: %v, want an input error", err)
	}
	o := Default()
	o.Limits.MassiveAbs = 5
	if _, err := Run(context.Background(), mem.New(g1(0)), nil, o); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("other limits: %v, want a usage error", err)
	}
	few := g1(0)
	few.Sample, few.Rows = []int{0, 1, 2}, false
	if _, err := Run(context.Background(), mem.New(few), nil, Default()); fault.As(err) == nil || !strings.Contains(err.Error(), "3 rows") {
		t.Errorf("three rows: %v, want an error", err)
	}
}
