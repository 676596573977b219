package model

import "assay/weights"

// stablelm: StableLM 3B, StableLM 2.
func stablelm() *Family {
	d := modern{
		vocab: 50304, width: 2560, inner: 6912, layers: 32, heads: 32, positions: 4096, kv: 32,
		actKey: "hidden_act", act: "silu", gated: true,
		norm: Norm{Kind: LayerNorm, Gain: true, Bias: true}, epsKey: "layer_norm_eps", eps: 1e-5,
	}
	n := llamaNames()
	n.Block["qn"], n.Block["kn"] = "self_attn.q_layernorm.norms.{h}", "self_attn.k_layernorm.norms.{h}"
	return &Family{
		Name: "stablelm",
		Says: "LN, gated MLP, part of each head rotated, sequential or parallel from one norm; StableLM 3B, StableLM 2",
		Keys: d.keys(ropeKeys("partial_rotary_factor", "use_qkv_bias", "qk_layernorm", "use_parallel_residual",
			"rotary_scaling_factor")...),
		// All its norms have a bias, whatever use_norm_bias says.
		Inert: []string{"use_norm_bias"},
		Names: n, Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			c.onlyInt("head_dim", s.Width/max(1, b.Attn.Heads))
			c.onlyInt("rotary_scaling_factor", 1)
			b.Attn.Bias = c.BoolOr("use_qkv_bias", false)
			if c.BoolOr("qk_layernorm", false) {
				qk := b.Norm
				qk.Bias = false
				b.Attn.QKNorm = &QKNorm{Norm: qk, Scope: ScopeHeads}
			}
			if c.BoolOr("use_parallel_residual", false) {
				b.Form = Par1
			}
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, Partial: .25, PartialKeys: []string{"partial_rotary_factor"}, MaxPositions: s.Positions},
				b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// starcoder2: StarCoder 2.
func starcoder2() *Family {
	d := modern{
		vocab: 49152, width: 3072, inner: 12288, layers: 30, heads: 24, positions: 4096, kv: 2,
		actKey: "hidden_act", act: "gelu_pytorch_tanh", tied: true,
		norm: Norm{Kind: LayerNorm, Gain: true, Bias: true}, epsKey: "norm_epsilon", eps: 1e-5,
	}
	n := llamaNames()
	n.Block["up"], n.Block["down"] = "mlp.c_fc", "mlp.c_proj"
	delete(n.Block, "gate")
	return &Family{
		Name: "starcoder2",
		Says: "LN, plain tanh GELU MLP, grouped heads, biases, a sliding window; StarCoder 2",
		Keys: d.keys(ropeKeys("use_bias", "sliding_window", "mlp_type", "norm_type", "scale_attn_weights")...),
		// Left over from the first StarCoder; transformers reads none of them here.
		Inert: []string{"activation_function", "layer_norm_epsilon", "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32"},
		Names: n, Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			bias := c.BoolOr("use_bias", true)
			b.Attn.bias(bias)
			b.MLP.bias(bias)
			b.Attn.Window = c.window("sliding_window", 0)
			c.onlyString("mlp_type", "default")
			c.onlyString("norm_type", "layer_norm")
			c.onlyBool(true, "scale_attn_weights")
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}, b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}
