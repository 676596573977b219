package lens

import (
	"context"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/probes"
)

// three positions at three layers: by hand.
func states() *mem.States {
	s := mem.New(mem.Set{Name: "s", Layers: []geom.Dense{geom.NewDense(2, 1)}, Label: []string{"", ""}})
	top := func(ids ...int32) (out []int32) {
		for _, id := range ids {
			out = append(out, id, 90, 91, 92, 93)
		}
		return out
	}
	s.LensOf = &latent.Lens{
		Layers: []int{0, 1, 2},
		Doc:    []int32{0, 0, 1}, Pos: []int32{3, 7, 5}, Target: []int32{11, -1, 12},
		LogProb: []float32{-6, -2, -1, nan, nan, nan, -8, -4, -3},
		Entropy: []float32{3, 2, 1, 3, 2, 1, 3, 2, 1},
		KL:      []float32{5, 1, 0, 4, 1, 0, 6, 4, 0},
		Rank:    []int32{100, 2, 0, 0, 0, 0, 50, 4, 2},
		TopID:   append(append(top(7, 8, 8), top(9, 5, 9)...), top(4, 4, 4)...),
	}
	return s
}

var nan = float32(math.NaN())

type scores map[string]float64

func (s scores) LogProb(doc string, pos int) (float64, bool) {
	v, ok := s[doc]
	return v, ok && (pos == 3 || pos == 5)
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

func TestByHand(t *testing.T) {
	o := Default()
	o.Trace = scores{"d00000": -1.00002, "d00001": -3}
	r, err := Analyse(context.Background(), states(), o)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"lens.logprob@0": -7, "lens.logprob@2": -2, "lens.kl@0": 5, "lens.kl@1": 2, "lens.kl@2": 0,
		// Final tokens 8, 9, 4: layer 0 agrees at positions 2 and 3, layer 1 at 1 and 3.
		"lens.agreement@0": 2. / 3, "lens.agreement@1": 2. / 3, "lens.agreement@2": 1, "lens.depth": 0,
		"lens.rank@0": 75, "lens.rank@1": 3, "lens.entropy@1": 2,
		// Settled: layer 1; layer 2, because 9 was left at layer 1; layer 0.
		"lens.settled": 1,
	} {
		if got := value(t, r.Result, name); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if d := value(t, r.Result, "lens.trace.difference"); math.Abs(d-2e-5) > 1e-9 {
		t.Errorf("difference from the trace %v, want 2e-5", d)
	}
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 || len(r.Rows) != 3 {
		t.Errorf("tier %s, %d p-values, %d rows", r.Verdict.Tier, len(r.P), len(r.Rows))
	}
}

// Two units of one position each: mean 2, values without each 3 and 1, so
// se = sqrt(1/2 (1+1)) = 1.
func TestJackknife(t *testing.T) {
	m, ci := jackMean([]int{0, 1}, []int{7, 9}, func(i int) float64 { return float64(1 + 2*i) }, .95)
	// scipy 1.17 stats.t.ppf(.975, 1) = 12.706204736174694.
	if m != 2 || math.Abs(ci.Hi-2-12.706204736174694) > 1e-6 {
		t.Errorf("mean %v, interval %+v", m, ci)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*mem.States, *Options)
		says string
	}{
		{"no lens", func(s *mem.States, _ *Options) { s.LensOf = nil }, "no readings"},
		{"second norm", func(s *mem.States, _ *Options) { s.LensOf.KL[2] = .02 }, "KL of the last layer"},
		{"trace of another run", func(_ *mem.States, o *Options) { o.Trace = scores{"d00000": -1.2} }, "trace -1.2"},
		{"trace of other texts", func(_ *mem.States, o *Options) { o.Trace = scores{} }, "no position is scored"},
		{"NaN", func(s *mem.States, _ *Options) { s.LensOf.LogProb[0] = nan }, "NaN"},
		{"short tensor", func(s *mem.States, _ *Options) { s.LensOf.Rank = s.LensOf.Rank[:4] }, "lens.rank: 4 values, want 9"},
		{"document out of range", func(s *mem.States, _ *Options) { s.LensOf.Doc[0] = 9 }, "document 9, want below 2"},
		{"no positions", func(s *mem.States, _ *Options) { s.LensOf.Doc = nil }, "0 positions"},
	} {
		s, o := states(), Default()
		c.edit(s, &o)
		_, err := Run(context.Background(), s, o)
		if f := fault.As(err); f == nil || f.Class != fault.Input || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an input error with %q", c.name, err, c.says)
		}
	}
	if _, err := Run(context.Background(), states(), Options{}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("zero options: %v, want a usage error", err)
	}
}
