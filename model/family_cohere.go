package model

import "assay/weights"

// cohereModern: what Command R and R7B share.
func cohereModern() modern {
	return modern{
		vocab: 256000, width: 8192, inner: 22528, layers: 40, heads: 64, positions: 8192,
		actKey: "hidden_act", act: "silu", gated: true, tied: true,
		norm: Norm{Kind: LayerNorm, Gain: true}, epsKey: "layer_norm_eps", eps: 1e-5,
	}
}

// cohereBlock reads it.
func cohereBlock(c *conf) (*Spec, Block, int) {
	s, b, layers := cohereModern().read(c)
	s.Head.Scale = c.nonzero("logit_scale", .0625)
	b.Form = Par1
	b.Attn.bias(c.BoolOr("attention_bias", false))
	return s, b, layers
}

// cohere: Command R and R+, Aya 23.
func cohere() *Family {
	return &Family{
		Name:  "cohere",
		Says:  "parallel from one LN without bias, gated MLP, neighbouring channels rotated, scaled logits; Command R, Aya 23",
		Keys:  cohereModern().keys(ropeKeys("logit_scale", "attention_bias", "use_qk_norm")...),
		Inert: []string{"model_max_length"},
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := cohereBlock(c)
			if c.BoolOrNull("use_qk_norm", false, false) {
				b.Attn.QKNorm = &QKNorm{Norm: b.Norm, Scope: ScopeHeads}
			}
			// Versions of transformers disagree on a missing rope_theta (10000,
			// then 500000), so there is no default.
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{MaxPositions: s.Positions}, b.Attn.HeadDim, true); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// cohere2: Command R7B and A. Sliding layers rotate, full layers do not.
func cohere2() *Family {
	return &Family{
		Name: "cohere2",
		Says: "as cohere with three sliding layers to a full one without rotation; Command R7B, Command A",
		Keys: cohereModern().keys(ropeKeys("logit_scale", "attention_bias", "sliding_window", "layer_types", "sliding_window_pattern", "_sliding_window_pattern",
			"layer_switch", "rotary_pct", "order_of_interleaved_layers", "position_embedding_type", "use_gated_activation", "use_parallel_block", "use_qk_norm", "use_embedding_sharing")...),
		Inert: []string{"use_parallel_embedding", "model_max_length"},
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := cohereBlock(c)
			c.onlyBool(true, "use_gated_activation", "use_parallel_block")
			c.onlyBool(false, "use_qk_norm")
			c.onlyString("order_of_interleaved_layers", "local_attn_first")
			c.onlyString("position_embedding_type", "rope_gptj")
			c.onlyBool(s.Head.Tied, "use_embedding_sharing")
			slides := c.sliding(layers, 4, "sliding_window_pattern", "layer_switch")
			window := c.slidingWindow(layers, 4096, slides)
			r, err := c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}, b.Attn.HeadDim, true)
			if err != nil {
				return s, err
			}
			if c.Has("rotary_pct") && c.Float("rotary_pct") != 1 {
				c.Refuse("rotary_pct", "1")
			}
			return s, s.repeat(layers, func(l int) Block {
				b := b
				if slides(l) {
					b.Attn.Rope, b.Attn.Window = r, window
				}
				return b
			})
		},
	}
}
