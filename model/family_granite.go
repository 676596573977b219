package model

import "assay/weights"

// granite: Granite 3 dense.
func granite() *Family {
	d := modern{
		vocab: 32000, width: 4096, inner: 11008, layers: 32, heads: 32, positions: 2048,
		actKey: "hidden_act", act: "silu", gated: true,
		norm: Norm{Kind: RMSNorm, Gain: true}, epsKey: "rms_norm_eps", eps: 1e-6,
	}
	return &Family{
		Name: "granite",
		Says: "as llama with multipliers on embeddings, residuals, scores and logits; Granite 3",
		Keys: d.keys(ropeKeys("attention_bias", "mlp_bias", "embedding_multiplier", "logits_scaling", "residual_multiplier",
			"attention_multiplier")...),
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			b.Attn.bias(c.BoolOr("attention_bias", false))
			b.MLP.bias(c.BoolOr("mlp_bias", false))
			s.Embed.Scale = c.nonzero("embedding_multiplier", 1)
			s.Head.Scale = 1 / c.nonzero("logits_scaling", 1)
			b.Residual = c.nonzero("residual_multiplier", 1)
			b.Attn.Scale = c.nonzero("attention_multiplier", 1)
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}, b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// smollm3: SmolLM 3. Every fourth layer does not rotate.
func smollm3() *Family {
	d := modern{
		vocab: 128256, width: 2048, inner: 11008, layers: 36, heads: 16, positions: 32768, kv: 4, kvNull: true,
		actKey: "hidden_act", act: "silu", gated: true, tied: true,
		norm: Norm{Kind: RMSNorm, Gain: true}, epsKey: "rms_norm_eps", eps: 1e-6,
	}
	return &Family{
		Name: "smollm3",
		Says: "as llama with every fourth layer not rotated; SmolLM 3",
		Keys: d.keys(ropeKeys("attention_bias", "mlp_bias", "no_rope_layers", "no_rope_layer_interval", "use_sliding_window", "sliding_window",
			"layer_types")...),
		Inert: []string{"max_window_layers"},
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			b.Attn.bias(c.BoolOr("attention_bias", false))
			b.MLP.bias(c.BoolOr("mlp_bias", false))
			rotates := c.rotatingLayers(layers)
			slides, window := c.smollmWindows(layers, rotates)
			r, err := c.rotary(weights.RoPEDefaults{Theta: 2e6, MaxPositions: s.Positions}, b.Attn.HeadDim, false)
			if err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(l int) Block {
				b := b
				if rotates(l) {
					b.Attn.Rope = r
				}
				if slides(l) {
					b.Attn.Window = window
				}
				return b
			})
		},
	}
}

// rotatingLayers reads no_rope_layers, whose 1 means that a layer does rotate;
// without it every no_rope_layer_interval-th does not.
func (c *conf) rotatingLayers(n int) func(l int) bool {
	every := c.IntOr("no_rope_layer_interval", 4)
	if every < 1 {
		c.Refuse("no_rope_layer_interval", "at least 1")
		return func(int) bool { return true }
	}
	list := c.Ints("no_rope_layers")
	if !c.Has("no_rope_layers") {
		return func(l int) bool { return (l+1)%every != 0 }
	}
	if len(list) != n {
		c.Refuse("no_rope_layers", "%d numbers, one per layer", n)
	}
	for _, v := range list {
		if v != 0 && v != 1 {
			c.Refuse("no_rope_layers", "0 or 1")
			break
		}
	}
	return func(l int) bool { return l < len(list) && list[l] == 1 }
}

// smollmWindows: with use_sliding_window the layers that layer_types names slide,
// else those that do not rotate.
func (c *conf) smollmWindows(n int, rotates func(l int) bool) (slides func(l int) bool, window int) {
	on, window := c.BoolOr("use_sliding_window", false), c.window("sliding_window", 0)
	slides = func(l int) bool { return on && window != 0 && !rotates(l) }
	if c.Has("layer_types") {
		slides = c.sliding(n, 1)
	} else {
		c.Null("layer_types")
	}
	for l := range min(n, maxLayers) {
		if slides(l) && (!on || window == 0) {
			c.Refuse("layer_types", "no sliding layers where use_sliding_window is false or sliding_window null")
			break
		}
	}
	return slides, window
}

// glm4: GLM-4-0414.
func glm4() *Family {
	d := modern{
		vocab: 151552, width: 4096, inner: 13696, layers: 40, heads: 32, positions: 131072, kv: 2, headDim: 128,
		actKey: "hidden_act", act: "silu", gated: true,
		norm: Norm{Kind: RMSNorm, Gain: true}, epsKey: "rms_norm_eps", eps: 1.5625e-7,
	}
	n := fusedNames(llamaNames(), false)
	n.Block["n2"], n.Block["n3"], n.Block["n4"] = "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm"
	return &Family{
		Name:  "glm4",
		Says:  "norms before and after each part, fused gate and up, neighbouring channels of half of each head rotated; GLM-4-0414",
		Keys:  d.keys(ropeKeys("partial_rotary_factor", "attention_bias")...),
		Names: n, Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			b.Form = Sandwich
			b.Attn.Bias = c.BoolOr("attention_bias", true)
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, Partial: .5, PartialKeys: []string{"partial_rotary_factor"}, MaxPositions: s.Positions},
				b.Attn.HeadDim, true); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}
