package model

import (
	"assay/internal/fault"
	"assay/weights"
)

// olmo: OLMo 1.
func olmo() *Family {
	d := modern{
		vocab: 50304, width: 4096, inner: 11008, layers: 32, heads: 32, positions: 2048,
		actKey: "hidden_act", act: "silu", gated: true,
		norm: Norm{Kind: LayerNorm}, eps: 1e-5, // a constant of the family, not a key
	}
	return &Family{
		Name:  "olmo",
		Says:  "as llama with LN without gain and bias, q, k and v clipped; OLMo 1",
		Keys:  d.keys(ropeKeys("attention_bias", "clip_qkv")...),
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			b.Attn.bias(c.BoolOr("attention_bias", false))
			b.Attn.Clip = c.cap("clip_qkv", 0)
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}, b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// olmo2Names: norms stand after attention and MLP.
func olmo2Names() Names {
	n := llamaNames()
	n.Block["n1"], n.Block["n2"] = "post_attention_layernorm", "post_feedforward_layernorm"
	return n
}

func olmo2Modern() modern {
	return modern{
		vocab: 50304, width: 4096, inner: 11008, layers: 32, heads: 32, positions: 2048,
		actKey: "hidden_act", act: "silu", gated: true,
		norm: Norm{Kind: RMSNorm, Gain: true}, epsKey: "rms_norm_eps", eps: 1e-5,
	}
}

// olmo2Block reads what OLMo 2 and 3 share.
func olmo2Block(c *conf) (*Spec, Block, int) {
	s, b, layers := olmo2Modern().read(c)
	b.Form = Post
	b.Attn.bias(c.BoolOr("attention_bias", false))
	b.Attn.QKNorm = &QKNorm{Norm: b.Norm, Scope: ScopeWhole}
	return s, b, layers
}

// olmo2: OLMo 2.
func olmo2() *Family {
	return &Family{
		Name:  "olmo2",
		Says:  "as llama with RMS norms after attention and MLP and over all of q and all of k; OLMo 2",
		Keys:  olmo2Modern().keys(ropeKeys("attention_bias")...),
		Names: olmo2Names(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := olmo2Block(c)
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}, b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// olmo3: three sliding layers, then a full one; a scaled rotation is for the
// full layers only.
func olmo3() *Family {
	return &Family{
		Name:  "olmo3",
		Says:  "as olmo2 with sliding layers, whose rotation is not scaled; OLMo 3",
		Keys:  olmo2Modern().keys("attention_bias", "sliding_window", "layer_types", "rope_theta", "rope_parameters", "rope_scaling"),
		Names: olmo2Names(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := olmo2Block(c)
			slides := c.sliding(layers, 4)
			window := c.slidingWindow(layers, 4096, slides)
			const theta = 500000
			rs := c.RoPELayers(map[string]weights.RoPEDefaults{
				fullAttention:    {Theta: theta, MaxPositions: s.Positions},
				slidingAttention: {Theta: theta, MaxPositions: s.Positions, NoScaling: true},
			})
			if c.Has("rope_theta") && !c.Has("rope_parameters") && c.Float("rope_theta") != theta {
				// transformers 5.23 gives an older file's rope_theta to the full
				// layers and 500000 to the others; no published file tells which is meant.
				c.Refuse("rope_theta", "%d, or rope_parameters with a theta for each layer type", theta)
			}
			return s, s.repeatSliding(c, layers, b, slides, window, rs)
		},
	}
}

// repeatSliding adds n layers with a rotation per layer type; sliding ones have a window.
func (s *Spec) repeatSliding(c *conf, n int, b Block, slides func(l int) bool, window int, rs map[string]weights.RoPE) error {
	if err := c.Err(); err != nil {
		return err
	}
	ropes := map[string]*Rope{}
	for _, kind := range []string{fullAttention, slidingAttention} {
		if r := rs[kind]; r.Type == "yarn" && !r.Truncate {
			// transformers 5.23 looks for the key in the wrong object and
			// truncates all the same; what is meant cannot be known.
			return fault.Inputf("unsupported", "model: %s: rotation of %s layers: truncate false: want true or nothing in this family", c.Source(), kind)
		}
		r, err := rope(rs[kind], b.Attn.HeadDim, false)
		if err != nil {
			return err
		}
		ropes[kind] = r
	}
	return s.repeat(n, func(l int) Block {
		b := b
		b.Attn.Rope = ropes[fullAttention]
		if slides(l) {
			b.Attn.Rope, b.Attn.Window = ropes[slidingAttention], window
		}
		return b
	})
}
