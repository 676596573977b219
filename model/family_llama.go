package model

import (
	"math"

	"assay/weights"
)

// llamaNames are the tensor names that most families after Llama use.
func llamaNames() Names {
	return Names{
		Base: "model.", Embed: "embed_tokens", Final: "norm", Head: "lm_head",
		Layer: "layers.{l}.",
		Block: map[string]string{
			"n1": "input_layernorm", "n2": "post_attention_layernorm",
			"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
			"qn": "self_attn.q_norm", "kn": "self_attn.k_norm",
			"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
		},
	}
}

// llamaIgnorable are stored rotary tables.
func llamaIgnorable() []string {
	return []string{"layers.*.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"}
}

// llamaKeys are the keys that llamaSpec reads.
func llamaKeys(more ...string) []string {
	return append([]string{"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "head_dim",
		"hidden_act", "rms_norm_eps", "max_position_embeddings", "tie_word_embeddings", "rope_theta", "rope_parameters", "rope_scaling",
		"original_max_position_embeddings"}, more...)
}

// llamaLike is what differs between the families that follow Llama.
type llamaLike struct {
	positions, kv, headDim int // values of missing keys; 0 = derived
	bias, biasO            bool
	biasMLP                bool
	qkNorm                 bool
	window                 func(l int) int
}

// llamaSpec reads a configuration of the Llama line: sequential blocks, RMS
// norms, gated MLP, RoPE over whole heads.
func llamaSpec(c *conf, o llamaLike) (*Spec, error) {
	n := Norm{Kind: RMSNorm, Eps: Float(c.FloatOr("rms_norm_eps", 1e-6)), Gain: true}
	s := &Spec{
		Vocab: c.Int("vocab_size"), Width: c.Int("hidden_size"), Positions: c.IntOr("max_position_embeddings", o.positions),
		Final: &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", false)},
	}
	heads, kv, hd := c.heads(o.kv, o.headDim)
	if hd <= 0 {
		return s, c.Err()
	}
	r, err := rope(c.RoPE(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}), hd, false)
	if err != nil {
		return s, err
	}
	b := Block{
		Form: Seq, Norm: n,
		Attn: Attn{Heads: heads, KVHeads: kv, HeadDim: hd, Scale: Float(1 / math.Sqrt(float64(hd))), Bias: o.bias, BiasO: o.biasO, Rope: r},
		MLP:  MLP{Width: c.Int("intermediate_size"), Act: c.activation("hidden_act", "silu"), Gated: true, Bias: o.biasMLP, BiasDown: o.biasMLP},
	}
	if o.qkNorm {
		b.Attn.QKNorm = &QKNorm{Norm: n, Scope: ScopeHead}
	}
	return s, s.repeat(c.Int("num_hidden_layers"), func(l int) Block {
		b := b
		if o.window != nil {
			b.Attn.Window = o.window(l)
		}
		return b
	})
}

// llama: Llama 1 to 3.2, and what was published in its form.
func llama() *Family {
	return &Family{
		Name:  "llama",
		Says:  "RMS norm, gated MLP, grouped heads, RoPE; Llama 1-3, TinyLlama, SmolLM, Yi, DeepSeek dense",
		Keys:  llamaKeys("attention_bias", "mlp_bias"),
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			bias, mlp := c.BoolOr("attention_bias", false), c.BoolOr("mlp_bias", false)
			return llamaSpec(c, llamaLike{positions: 2048, bias: bias, biasO: bias, biasMLP: mlp})
		},
	}
}

// mistral: as llama, with a sliding window in all layers.
func mistral() *Family {
	return &Family{
		Name:  "mistral",
		Says:  "as llama with a sliding window; Mistral 7B",
		Keys:  llamaKeys("sliding_window"),
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			w := c.IntOrNull("sliding_window", 4096, 0)
			if w <= 0 && c.Has("sliding_window") {
				c.Refuse("sliding_window", "at least 1, or null")
			}
			return llamaSpec(c, llamaLike{positions: 131072, kv: 8, window: func(int) int { return w }})
		},
	}
}
