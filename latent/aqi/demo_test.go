package aqi

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/latent/internal/vectors"
	"assay/probes"
)

// demo is testdata/demo-states.f16: the demo checkpoint alice on 40 Bible and 40
// Shakespeare texts, layers 0 to 3 (see make_demo_states.py).
func demo(t *testing.T, block int) mem.Set {
	t.Helper()
	raw, err := os.ReadFile("testdata/demo-states.f16")
	if err != nil {
		t.Fatal(err)
	}
	const n, k, w = 80, 4, 128
	if len(raw) != 2*n*k*w {
		t.Fatalf("demo-states.f16: %d bytes, want %d", len(raw), 2*n*k*w)
	}
	set := mem.Set{Name: "alice", First: 0, Rows: true, Block: block}
	for range k {
		set.Layers = append(set.Layers, geom.NewDense(n, w))
	}
	for i := range n {
		set.Label = append(set.Label, []string{"kjv", "shk"}[i/40])
		for l := range k {
			for j := range w {
				set.Layers[l].Row(i)[j] = half(binary.LittleEndian.Uint16(raw[2*((i*k+l)*w+j):]))
			}
		}
	}
	return set
}

// half decodes an IEEE 754 binary16 that is finite.
func half(b uint16) float64 {
	e, m, s := int(b>>10&31), float64(b&1023), 1-2*float64(b>>15)
	if e == 0 {
		return s * math.Ldexp(m, -24)
	}
	return s * math.Ldexp(1024+m, e-25)
}

// Real states against scikit-learn 1.9 and numpy 2.4.
func TestDemoAgainstSklearn(t *testing.T) {
	raw, err := os.ReadFile("testdata/demo-expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Layers []struct {
			Theta, R2, CHI, DBS, Silhouette float64
			CKA                             float64 `json:"cka_with_layer_3"`
		}
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	set := demo(t, 4)
	r := run(t, mem.New(set), nil, func(o *Options) { o.Space.Pool = "none" })
	for l, w := range want.Layers {
		for name, v := range map[string]float64{"theta": w.Theta, "r2": w.R2, "chi": w.CHI, "dbs": w.DBS, "silhouette": w.Silhouette} {
			name = fmt.Sprintf("aqi.%s@resid_post.mean.%d", name, l)
			vectors.Near(t, name, estimate(t, r.Result, name), v, 1e-9)
		}
		c, err := geom.CKA(set.Layers[l], set.Layers[3], 1)
		if err != nil {
			t.Fatal(err)
		}
		vectors.Near(t, "cka", c.CKA, w.CKA, 1e-9)
	}
}

// Two kinds of text lie apart; the same rows with shuffled labels do not.
func TestDemoSeparates(t *testing.T) {
	o := quick()
	o.Infer.Draws = 999
	o.Indices = []string{"r2", "probe"}
	a, err := measureAll(context.Background(), mem.New(demo(t, 0)), o, true)
	if err != nil {
		t.Fatal(err)
	}
	if p := a.head.perm.Log10P(); p != -3 || a.head.lo < .5 || a.head.probe.AUROC < .95 {
		t.Errorf("log10 p %v, theta from %v, probe %v; want -3, above .5, above .95", p, a.head.lo, a.head.probe.AUROC)
	}
	// Without texts, pairs or strata this is tier C all the same.
	if tier := a.tier(a.checks()); tier != probes.TierC {
		t.Errorf("tier %s, want C", tier)
	}
	r := rand.New(rand.NewPCG(71, 1))
	o.Infer.Draws, o.Indices = 99, []string{"r2"}
	small := 0
	const runs = 20
	for range runs {
		set := demo(t, 0)
		r.Shuffle(len(set.Label), func(i, j int) { set.Label[i], set.Label[j] = set.Label[j], set.Label[i] })
		a, err := measureAll(context.Background(), mem.New(set), o, true)
		if err != nil {
			t.Fatal(err)
		}
		if a.head.perm.Log10P() <= math.Log10(.05) {
			small++
		}
		if a.head.sep.R2 > .05 {
			t.Errorf("shuffled labels: R2 %.4f", a.head.sep.R2)
		}
	}
	// Binomial(20, .05): 5 or more has probability .003.
	if small >= 5 {
		t.Errorf("p <= .05 in %d of %d shuffles", small, runs)
	}
}
