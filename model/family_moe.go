package model

import (
	"math"

	"assay/weights"
)

// moe is a family of Llama's line whose MLPs are experts.
type moe struct {
	modern
	theta        float64
	n, k         int    // experts, and how many a token takes, where the keys are missing
	width        string // key of an expert's width
	widthMissing int
	normalise    bool // always, else as norm_topk_prob says
	shared       bool
	steps        bool // decoder_sparse_step and mlp_only_layers: some layers are dense
}

// mixed are the values that the families share.
func mixed(d moe) moe {
	d.actKey, d.act, d.gated = "hidden_act", "silu", true
	d.norm, d.epsKey = Norm{Kind: RMSNorm, Gain: true}, "rms_norm_eps"
	return d
}

// keys are those that read reads, and more.
func (d moe) keys(more ...string) []string {
	k := append(d.modern.keys(ropeKeys("num_experts", "num_local_experts", "num_experts_per_tok")...), more...)
	if d.width != "intermediate_size" {
		k = append(k, d.width)
	}
	if !d.normalise {
		k = append(k, "norm_topk_prob")
	}
	if d.shared {
		k = append(k, "shared_expert_intermediate_size")
	}
	if d.steps {
		k = append(k, "decoder_sparse_step", "mlp_only_layers")
	}
	return k
}

// routerInert are keys of training: losses and noise of the router.
func routerInert() []string {
	return []string{"output_router_logits", "router_aux_loss_coef", "router_jitter_noise"}
}

// read returns the Spec with its layers; edit changes the block of a layer.
func (d moe) read(c *conf, edit func(l int, b *Block)) (*Spec, error) {
	s, b, layers := d.modern.read(c)
	var err error
	if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: d.theta, MaxPositions: s.Positions}, b.Attn.HeadDim, false); err != nil {
		return s, err
	}
	// Versions of transformers write either name.
	x := &Experts{N: c.intOf(d.n, "num_experts", "num_local_experts"), Top: c.IntOr("num_experts_per_tok", d.k), Normalise: d.normalise || c.BoolOr("norm_topk_prob", false)}
	if d.shared {
		if x.Shared = c.IntOr("shared_expert_intermediate_size", 5632); x.Shared <= 0 {
			c.Refuse("shared_expert_intermediate_size", "at least 1")
		}
	}
	width := b.MLP.Width
	if d.width != "intermediate_size" {
		width = c.IntOr(d.width, d.widthMissing)
	}
	sparse := func(int) bool { return true }
	if d.steps {
		sparse = c.sparseLayers(layers)
	}
	return s, s.repeat(layers, func(l int) Block {
		b := b
		if sparse(l) {
			b.MLP.Width, b.MLP.Experts = width, x
		}
		edit(l, &b)
		return b
	})
}

// sparseLayers tells which of n layers have experts: every decoder_sparse_step-th,
// but none that mlp_only_layers lists.
func (c *conf) sparseLayers(n int) func(l int) bool {
	step := c.IntOr("decoder_sparse_step", 1)
	if step < 1 {
		c.Refuse("decoder_sparse_step", "at least 1")
		step = 1
	}
	only := map[int]bool{}
	if c.Has("mlp_only_layers") {
		for _, l := range c.Ints("mlp_only_layers") {
			if l < 0 || l >= n {
				c.Refuse("mlp_only_layers", "layers from 0 to %d", n-1)
				break
			}
			only[l] = true
		}
	} else {
		c.Null("mlp_only_layers")
	}
	return func(l int) bool { return !only[l] && (l+1)%step == 0 }
}

// qwenExpertNames are the tensor names of Qwen's mixtures and of OLMoE.
func qwenExpertNames() Names {
	n := llamaNames()
	for slot, name := range map[string]string{
		"router": "mlp.gate", "egate": "mlp.experts.{e}.gate_proj", "eup": "mlp.experts.{e}.up_proj", "edown": "mlp.experts.{e}.down_proj",
		"sgate": "mlp.shared_expert.gate_proj", "sup": "mlp.shared_expert.up_proj", "sdown": "mlp.shared_expert.down_proj", "sg": "mlp.shared_expert_gate",
	} {
		n.Block[slot] = name
	}
	return n
}

// mixtral: as mistral with experts whose weights are always renormalised.
func mixtral() *Family {
	d := mixed(moe{
		modern: modern{vocab: 32000, width: 4096, inner: 14336, layers: 32, heads: 32, positions: 131072, kv: 8, kvNull: true, eps: 1e-5},
		theta:  1e6, n: 8, k: 2, width: "intermediate_size", normalise: true,
	})
	names := llamaNames()
	for slot, name := range map[string]string{
		"router": "block_sparse_moe.gate", "egate": "block_sparse_moe.experts.{e}.w1", "eup": "block_sparse_moe.experts.{e}.w3", "edown": "block_sparse_moe.experts.{e}.w2",
	} {
		names.Block[slot] = name
	}
	return &Family{
		Name:  "mixtral",
		Says:  "as mistral with a mixture of experts, the weights of the chosen renormalised; Mixtral 8x7B, 8x22B",
		Keys:  d.keys("sliding_window"),
		Inert: routerInert(), Names: names, Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			w := c.window("sliding_window", 0)
			return d.read(c, func(_ int, b *Block) { b.Attn.Window = w })
		},
	}
}

// qwen2MoE: as qwen2 with experts and a shared expert behind a gate.
func qwen2MoE() *Family {
	d := mixed(moe{
		modern: modern{vocab: 151936, width: 2048, inner: 5632, layers: 24, heads: 16, positions: 32768, kv: 16, eps: 1e-6},
		theta:  10000, n: 60, k: 4, width: "moe_intermediate_size", widthMissing: 1408, shared: true, steps: true,
	})
	return &Family{
		Name:  "qwen2_moe",
		Says:  "as qwen2 with a mixture of experts and a shared expert; Qwen 1.5 MoE, Qwen 2 57B",
		Keys:  d.keys("qkv_bias", "use_sliding_window", "sliding_window", "max_window_layers", "layer_types"),
		Inert: routerInert(), Names: qwenExpertNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			bias, window := c.BoolOr("qkv_bias", true), qwenMoEWindows(c)
			return d.read(c, func(l int, b *Block) { b.Attn.Bias, b.Attn.Window = bias, window(l) })
		},
	}
}

// qwenMoEWindows is qwenWindows, but without layer_types the even layers below
// max_window_layers slide.
func qwenMoEWindows(c *conf) func(l int) int {
	window := qwenWindows(c)
	if c.Has("layer_types") {
		return window
	}
	from := c.IntOr("max_window_layers", 28)
	return func(l int) int {
		if l%2 == 0 && l < from {
			return window(math.MaxInt) // that of a layer that slides
		}
		return 0
	}
}

// qwen3MoE: as qwen3 with experts.
func qwen3MoE() *Family {
	d := mixed(moe{
		modern: modern{vocab: 151936, width: 2048, inner: 6144, layers: 24, heads: 32, positions: 32768, kv: 4, eps: 1e-6},
		theta:  10000, n: 128, k: 8, width: "moe_intermediate_size", widthMissing: 768, steps: true,
	})
	return &Family{
		Name:  "qwen3_moe",
		Says:  "as qwen3 with a mixture of experts; Qwen 3 30B-A3B, 235B-A22B",
		Keys:  d.keys("attention_bias", "use_sliding_window", "sliding_window", "max_window_layers"),
		Inert: routerInert(), Names: qwenExpertNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			bias, w := c.BoolOr("attention_bias", false), 0
			if c.BoolOr("use_sliding_window", false) { // in all layers
				w = c.window("sliding_window", 4096)
				if c.Has("max_window_layers") && c.Int("max_window_layers") > 0 {
					c.Refuse("max_window_layers", "0, or absent, where use_sliding_window is true: versions of transformers disagree on it")
				}
			} else {
				c.IntOrNull("sliding_window", 4096, 0)
				c.IntOrNull("max_window_layers", 0, 0)
			}
			return d.read(c, func(_ int, b *Block) {
				b.Attn.bias(bias)
				b.Attn.Window, b.Attn.QKNorm = w, &QKNorm{Norm: b.Norm, Scope: ScopeHead}
			})
		},
	}
}

// olmoe: OLMoE.
func olmoe() *Family {
	d := mixed(moe{
		modern: modern{vocab: 50304, width: 2048, inner: 2048, layers: 16, heads: 16, positions: 4096, eps: 1e-5},
		theta:  10000, n: 64, k: 8, width: "intermediate_size",
	})
	return &Family{
		Name:  "olmoe",
		Says:  "as llama with a mixture of experts, an RMS norm over all of q and all of k, then a clip; OLMoE",
		Keys:  d.keys("attention_bias", "clip_qkv"),
		Inert: routerInert(), Names: qwenExpertNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			bias, clip := c.BoolOr("attention_bias", false), c.cap("clip_qkv", 0)
			return d.read(c, func(_ int, b *Block) {
				b.Attn.bias(bias)
				b.Attn.Clip, b.Attn.QKNorm = clip, &QKNorm{Norm: b.Norm, Scope: ScopeWhole, First: true}
			})
		},
	}
}
