package bench

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/model"
	"assay/weights"
)

// The first ids by Python's integers: x = (x * 1103515245 + 12345) % 2**31 from
// 1, id = (x >> 8) % 50304.
func TestIDs(t *testing.T) {
	got := IDs(2, 2, 50304)
	if want := []int32{34814, 15408, 23652, 6939, 1247, 32116}; !slices.Equal(slices.Concat(got...), want) {
		t.Errorf("IDs = %v, want %v", got, want)
	}
}

// By hand: 100 tokens of 2 GFLOP in 2 s (median) and 4 s of processor time, on
// a machine of 200 and 80 GFLOP/s.
func TestRates(t *testing.T) {
	r := &Result{Batch: 10, Length: 10, FLOP: 2e9, Wall: []float64{2, 1.9, 2.2}, CPU: []float64{4, 3, 5}}
	r.rates([]float64{190, 200}, []float64{80, 70})
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"tokens/s", r.TokS, 50}, {"GFLOP/s", r.GFlops, 100}, {"share", r.Share, .5},
		{"tokens per cpu second", r.TokCPU, 25}, {"per cpu", r.PerCPU, 50}, {"share by cpu", r.ShareCPU, .625},
		{"spread", r.Spread, .15},
	} {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s = %g, want %g", c.name, c.got, c.want)
		}
	}
	if !r.Noisy {
		t.Error("a spread of 15 % is not called noisy")
	}
	if lines := strings.Count(r.Benchfmt("x"), "BenchmarkScore/x/10x10-"); lines != 3 {
		t.Errorf("%d benchmark lines, want 3", lines)
	}
}

func TestRun(t *testing.T) {
	ck, err := weights.Open("../../testdata/reference/mistral-sliding")
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	m, err := model.Load(context.Background(), ck, model.Options{BatchTokens: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r, err := Run(context.Background(), m, Options{Batch: 2, Length: 24, Repeat: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Wall) != 2 || r.TokS <= 0 || r.Peak <= 0 || r.Logprob >= 0 {
		t.Errorf("result %+v", r)
	}
	if r.TokCPU > 0 && (r.Products == nil || r.Products.PerCPU <= 0) {
		t.Errorf("products %+v", r.Products)
	}
	if _, err := Run(context.Background(), m, Options{Batch: -1}); err == nil {
		t.Error("a negative batch was accepted")
	}
	if c := Estimate(m, 1000, 64); c.Seconds != 0 || c.FLOP <= 0 || c.Memory <= 0 {
		t.Errorf("estimate of a short run: %+v", c)
	}
	if c := Estimate(m, 1e12, 64); c.Seconds <= 0 {
		t.Errorf("estimate of a long run: %+v", c)
	}
}
