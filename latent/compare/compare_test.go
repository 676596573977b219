package compare

import (
	"context"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/latent/internal/vectors"
	"assay/probes"
)

func set(name string, layers ...[]float64) mem.Set {
	s := mem.Set{Name: name, First: 0, Rows: true}
	for _, x := range layers {
		s.Layers = append(s.Layers, geom.Dense{N: 200, W: 64, Data: x})
	}
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

func TestVectors(t *testing.T) {
	f := vectors.Load(t)
	r, err := Analyse(context.Background(), mem.New(set("g1", vectors.G1(1, .75))), mem.New(set("y", vectors.Y())), Default())
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"cka": "cka.debiased", "cka.plain": "cka.biased", "procrustes": "procrustes.s", "procrustes.shifted": "procrustes.s_rowshift",
		"procrustes.identity": "procrustes.identity", "neighbours.raw": "mutual_10nn_cosine", "neighbours": "mutual_10nn_centred",
		"rsa": "rsa_euclidean.spearman", "rel-rms": "drift.rel_rms", "cosine": "drift.mean_cos", "rel.median": "drift.median_rel",
	} {
		vectors.Near(t, name, value(t, r.Result, "compare."+name+"@resid_post.mean.0"), f.Num("G1_vs_Y."+key), 1e-9)
	}
	vectors.Near(t, "map", r.Map[0][0], f.Num("G1_vs_Y.cka.debiased"), 1e-9)
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 {
		t.Errorf("tier %s with %d p-values, want C with none", r.Verdict.Tier, len(r.P))
	}
}

func TestItself(t *testing.T) {
	s := set("g1", vectors.G1(1, .75), vectors.G1(2, .25))
	r, err := Analyse(context.Background(), mem.New(s), mem.New(s), Default())
	if err != nil {
		t.Fatal(err)
	}
	if r.Settings["identical"] != true || r.Verdict.Finding != "identical" {
		t.Errorf("identical %v, finding %s", r.Settings["identical"], r.Verdict.Finding)
	}
	if m, sh := value(t, r.Result, "compare.neighbours.max"), value(t, r.Result, "compare.neighbours.max.shifted"); m != 1 || sh > .2 {
		t.Errorf("common neighbours %v, under shifted pairing %v; want 1 and near chance %v", m, sh, 10./199)
	}
	for _, l := range []string{"0", "1"} {
		vectors.Near(t, "cka", value(t, r.Result, "compare.cka@resid_post.mean."+l), 1, 1e-12)
		vectors.Near(t, "procrustes", value(t, r.Result, "compare.procrustes@resid_post.mean."+l), 1, 1e-9)
		vectors.Near(t, "rel-rms", value(t, r.Result, "compare.rel-rms@resid_post.mean."+l), 0, 0)
		vectors.Near(t, "delta", value(t, r.Result, "aqi.delta.theta@resid_post.mean."+l), 0, 0)
	}
}

// By hand: A = (0 0)(2 0), B = (3 0)(5 2). Raw |a-b|^2 = 9 + 13 over 0 + 4; about
// the means A = (-1 0)(1 0), B = (-1 -1)(1 1): 1 + 1 over 1 + 1.
func TestDriftByHand(t *testing.T) {
	d := DriftOf(geom.Dense{N: 2, W: 2, Data: []float64{0, 0, 2, 0}}, geom.Dense{N: 2, W: 2, Data: []float64{3, 0, 5, 2}})
	vectors.Near(t, "rel-rms", d.RelRMS, math.Sqrt(22./4), 1e-15)
	vectors.Near(t, "centred", d.RelRMSCentred, 1, 1e-15)
	vectors.Near(t, "cosine", d.Cosine, 5/math.Sqrt(29), 1e-15) // the zero row has none
	vectors.Near(t, "centred cosine", d.CosineCentred, 1/math.Sqrt2, 1e-15)
}

// A cast to bfloat16 moves states by less than one layer does.
func TestCast(t *testing.T) {
	a := set("f32", vectors.G1(1, .75), vectors.Y())
	b := set("bf16", vectors.G1(1, .75), vectors.Y())
	for _, l := range b.Layers {
		for i, v := range l.Data {
			bits := math.Float32bits(float32(v))
			l.Data[i] = float64(math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff))
		}
	}
	r, err := Analyse(context.Background(), mem.New(a), mem.New(b), Default())
	if err != nil {
		t.Fatal(err)
	}
	cka, ruler := value(t, r.Result, "compare.cka@resid_post.mean.0"), value(t, r.Result, "compare.cka.ruler@resid_post.mean.0")
	rms := value(t, r.Result, "compare.rel-rms@resid_post.mean.0")
	// bfloat16 has 8 bits of mantissa: relative rounding is at most 2^-9, near .29 of it in rms.
	if !(cka > ruler && cka > .9999 && rms > 2e-4 && rms < math.Ldexp(1, -9)) || r.Settings["identical"] != false {
		t.Errorf("cka %.6f, ruler %.4f, rel-rms %.5f, identical %v", cka, ruler, rms, r.Settings["identical"])
	}
}

func TestWidths(t *testing.T) {
	wide := mem.Set{Name: "wide", First: 0, Rows: true, Layers: []geom.Dense{geom.NewDense(200, 80)}}
	x := vectors.G1(1, .75)
	for i := range 200 {
		copy(wide.Layers[0].Row(i), x[i*64:(i+1)*64])
		wide.Label = append(wide.Label, []string{"a", "b"}[i/100])
	}
	r, err := Analyse(context.Background(), mem.New(set("g1", x)), mem.New(wide), Default())
	if err != nil {
		t.Fatal(err)
	}
	vectors.Near(t, "cka of padded rows", value(t, r.Result, "compare.cka@resid_post.mean.0"), 1, 1e-12)
	if r.Settings["identical"] != false {
		t.Error("different widths are called identical")
	}
	for _, e := range r.Estimates {
		if strings.HasPrefix(e.Name, "compare.procrustes") || strings.HasPrefix(e.Name, "compare.rel") {
			t.Errorf("estimate %s at different widths", e.Name)
		}
	}
}

func TestBadInput(t *testing.T) {
	a := mem.New(set("a", vectors.G1(1, .75)))
	for name, edit := range map[string]func(*mem.States){
		"text":      func(s *mem.States) { s.Inf.Text = "sha256:other" },
		"plan":      func(s *mem.States) { s.Inf.Plan = "sha256:other" },
		"template":  func(s *mem.States) { s.Inf.Template = "other" },
		"span":      func(s *mem.States) { s.Inf.Views[0].Span = "all" },
		"layers":    func(s *mem.States) { s.Inf.Views[0].Layers = []int{5} },
		"labels":    func(s *mem.States) { s.Inf.Labels = []string{"a", "c"} },
		"documents": func(s *mem.States) { s.D.ID[3] = "x" },
	} {
		b := mem.New(set("b", vectors.Y()))
		edit(b)
		_, err := States(context.Background(), a, b, Default())
		if f := fault.As(err); f == nil || f.Class != fault.Input {
			t.Errorf("%s: %v, want an input error", name, err)
		}
	}
	none := set("none", vectors.Y())
	none.Rows, none.Block = false, 10
	if _, err := States(context.Background(), a, mem.New(none), Default()); fault.As(err) == nil || !strings.Contains(err.Error(), "none: rows of resid_post.mean layer 0") {
		t.Errorf("no rows: %v", err)
	}
	for name, edit := range map[string]func(*Options){
		"level":      func(o *Options) { o.Level = 2 },
		"neighbours": func(o *Options) { o.Neighbours = 0 },
		"layers":     func(o *Options) { o.Layers = "7" },
		"view":       func(o *Options) { o.View = "x.y" },
	} {
		o := Default()
		edit(&o)
		if _, err := States(context.Background(), a, a, o); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
	}
}
