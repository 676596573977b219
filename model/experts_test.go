package model

import (
	"context"
	"math"
	"slices"
	"testing"

	"assay/internal/fault"
)

// Two of four experts by hand: router rows (1,0) (0,1) (1,1) (0,0).
func TestExpertChoice(t *testing.T) {
	router := []float32{1, 0, 0, 1, 1, 1, 0, 0}
	n := []float32{2, 1, -9, -9, 0, 0}
	x := Experts{N: 4, Top: 2}
	r := x.choose([]int{0, 2}, n, router)
	// Row 0 scores 2 1 3 0: experts 2 and 0. Row 2 scores four zeros: ties go to 0 and 1. Row 1 is padding.
	want := [][]int{{0, 2}, {2}, {0}, nil}
	for e := range r {
		if !slices.Equal(r[e].rows, want[e]) {
			t.Errorf("expert %d takes rows %v, want %v", e, r[e].rows, want[e])
		}
	}
	all := math.Exp(2) + math.Exp(1) + math.Exp(3) + 1
	near := func(what string, got float32, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > 1e-7 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("p of expert 0", r[0].weight[0], math.Exp(2)/all)
	near("p of expert 2", r[2].weight[0], math.Exp(3)/all)
	near("p of a tie", r[1].weight[0], .25)
	x.Normalise = true
	r = x.choose([]int{0, 2}, n, router)
	near("renormalised", r[0].weight[0], math.Exp(2)/(math.Exp(2)+math.Exp(3)))
	near("a renormalised tie", r[1].weight[0], .5)
	// Scores whose exponentials overflow.
	r = x.choose([]int{0}, []float32{500, 400}, router)
	near("large scores", r[2].weight[0], 1)
}

// The rows of a product are a bucket that holds them, and enough that the Go
// backend takes the same kernel for all.
func TestExpertRows(t *testing.T) {
	for _, c := range []struct{ n, mults, want int }{
		{1, 1 << 22, 16}, {16, 1 << 22, 16}, {17, 1 << 22, 24}, {25, 1 << 22, 32}, {100, 1 << 22, 128}, {1, 1 << 12, 1024}, {1, 1409, 3072},
	} {
		if got := expertRows(c.n, c.mults); got != c.want {
			t.Errorf("expertRows(%d, %d) = %d, want %d", c.n, c.mults, got, c.want)
		}
	}
}

// What a mixture says of a token does not depend on padding, batch mates, the size
// of the batch or how the matrices are held.
func TestExpertInvariance(t *testing.T) {
	for _, name := range []string{"mixtral", "qwen2_moe"} {
		m := loadReference(t, name, Options{BatchTokens: 512})
		ws := randomWindows(8, 80, m.spec.Vocab)
		r, err := m.Invariance(context.Background(), ws)
		if err != nil || !r.WithinTol {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		all := scoreAll(t, m, ws, ScoreOptions{LogprobOnly: true})
		for _, i := range []int{0, 7} {
			one := scoreAll(t, m, ws[i:i+1], ScoreOptions{LogprobOnly: true})[0]
			if d := largestDifference(one.Logprob, all[i].Logprob); d > InvarianceBound {
				t.Errorf("%s: window %d alone differs by %.1g", name, i, d)
			}
		}
		half := loadReference(t, name, Options{BatchTokens: 512, Weights: WeightsWide16})
		for i, s := range scoreAll(t, half, ws[:2], ScoreOptions{LogprobOnly: true}) {
			if d := largestDifference(s.Logprob, all[i].Logprob); d > tolLogprob {
				t.Errorf("%s: window %d with weights in 16 bits differs by %.1g", name, i, d)
			}
		}
	}
}

// A tap without meaning is refused; what one token meets is counted.
func TestExpertInfo(t *testing.T) {
	m := loadReference(t, "qwen2_moe", Options{BatchTokens: 64})
	err := m.States(context.Background(), each(randomWindows(1, 9, 320)), []Tap{{Name: TapMLPAct}}, func(Window, Tap, int, View) error { return nil })
	if f := fault.As(err); f == nil || f.Class != fault.Usage {
		t.Errorf("mlp_act: %v, want a usage error", err)
	}
	// By hand: 2 layers, each leaves 4 of 6 experts out, of 3 matrices of 20 x 32.
	if got, want := m.Info().Body-m.Info().Active, int64(2*4*3*20*32); got != want {
		t.Errorf("%d weights idle, want %d", got, want)
	}
	if d := loadReference(t, "qwen2", Options{BatchTokens: 64}).Info(); d.Active != d.Body {
		t.Errorf("a dense model leaves %d weights out", d.Body-d.Active)
	}
}

// Keys of experts that contradict each other or the tensors are refused.
func TestExpertRefuse(t *testing.T) {
	for _, c := range []struct {
		base, key string
		value     any
		code      string
	}{
		{"mixtral", "num_experts_per_tok", 5, "unsupported"},
		{"mixtral", "num_experts_per_tok", 0, "unsupported"},
		{"mixtral", "num_local_experts", 5, "tensor"},
		{"mixtral", "num_local_experts", 3, "tensor"},
		{"mixtral", "num_local_experts", 0, "unsupported"},
		{"mixtral", "num_local_experts", 1 << 40, "unsupported"},
		{"mixtral", "num_experts", 5, "unsupported"}, // num_local_experts says 4
		{"mixtral", "norm_topk_prob", true, "unknown-key"},
		{"mixtral", "shared_expert_intermediate_size", 8, "unknown-key"},
		{"qwen2_moe", "decoder_sparse_step", 0, "unsupported"},
		{"qwen2_moe", "decoder_sparse_step", 2, "tensor"},
		{"qwen2_moe", "mlp_only_layers", []int{0}, "tensor"},
		{"qwen2_moe", "mlp_only_layers", []int{2}, "unsupported"},
		{"qwen2_moe", "shared_expert_intermediate_size", 0, "unsupported"},
		{"qwen2_moe", "moe_intermediate_size", 21, "tensor"},
		{"qwen2_moe", "attention_bias", true, "unknown-key"},
		{"qwen2_moe", "num_hidden_layers", 1 << 40, "tensor"},
		{"qwen3_moe", "clip_qkv", 1.5, "unknown-key"},
		{"olmoe", "clip_qkv", 0, "unsupported"},
		{"olmoe", "decoder_sparse_step", 2, "unknown-key"},
		{"llama-mha", "num_local_experts", 4, "unknown-key"},
		{"qwen2", "num_experts", 4, "unknown-key"},
	} {
		e := edit(t, c.base)
		e.config[c.key] = c.value
		_, err := Describe(e)
		wantRefused(t, c.base+" "+c.key, err, c.code)
	}
	e := edit(t, "qwen3_moe")
	e.config["use_sliding_window"], e.config["sliding_window"], e.config["max_window_layers"] = true, 8, 1
	_, err := Describe(e)
	wantRefused(t, "max_window_layers beside a window", err, "unsupported", "max_window_layers")
}
