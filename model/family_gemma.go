package model

import (
	"math"

	"assay/weights"
)

// gemmaNorm is the norm of all Gemmas: RMS, the stored gain w multiplies as 1 + w.
func gemmaNorm() Norm { return Norm{Kind: RMSNorm, Gain: true, PlusOne: true} }

// gemmaAct reads the activation. Under the key that the first release wrote,
// "gelu" means the tanh form, and so does no key.
func (c *conf) gemmaAct(key, other string) string {
	act := c.activation(key, "gelu_pytorch_tanh")
	legacy := key == "hidden_act" && act == GELU
	if legacy {
		act = GELUTanh
		c.warn("gemma-act", `hidden_act "gelu" of a Gemma checkpoint is read as the tanh form, as transformers 5.23 does; version 4 ignored the key and did the same`)
	}
	// The name that transformers does not read for this family: where it stands
	// it has to mean the same.
	if c.Has(other) {
		o := c.activation(other, "")
		if o == GELU && other == "hidden_act" {
			o = GELUTanh
		}
		if o != act && c.Err() == nil {
			c.Refuse(other, "the same as %s", key)
		}
	} else {
		c.Null(other)
	}
	return act
}

// gemma: Gemma 1.
func gemma() *Family {
	d := modern{
		vocab: 256000, width: 3072, inner: 24576, layers: 28, heads: 16, positions: 8192, kv: 16, headDim: 256,
		actKey: "hidden_act", act: "gelu_pytorch_tanh", gated: true, tied: true,
		norm: gemmaNorm(), epsKey: "rms_norm_eps", eps: 1e-6,
	}
	return &Family{
		Name:  "gemma",
		Says:  "as llama with RMS gains stored minus one, gated tanh GELU, scaled embeddings; Gemma 1",
		Keys:  d.keys(ropeKeys("hidden_activation", "attention_bias", "use_bidirectional_attention")...),
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			s.Embed.Scale = Float(math.Sqrt(float64(s.Width)))
			b.MLP.Act = c.gemmaAct("hidden_act", "hidden_activation")
			b.Attn.bias(c.BoolOr("attention_bias", false))
			c.onlyBool(false, "use_bidirectional_attention")
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}, b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// gemma2Names: a norm before and after each part.
func gemma2Names() Names {
	n := llamaNames()
	n.Block["n2"], n.Block["n3"], n.Block["n4"] = "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"
	return n
}

// gemma2Block reads what Gemma 2 and 3 share.
func gemma2Block(c *conf, d modern, attnCap, finalCap float64) (*Spec, Block, int) {
	s, b, layers := d.read(c)
	s.Embed.Scale = Float(math.Sqrt(float64(s.Width)))
	s.Head.Cap = c.cap("final_logit_softcapping", finalCap)
	b.Form = Sandwich
	b.MLP.Act = c.gemmaAct("hidden_activation", "hidden_act")
	b.Attn.bias(c.BoolOr("attention_bias", false))
	b.Attn.Scale = Float(1 / math.Sqrt(float64(c.positive("query_pre_attn_scalar", 256))))
	if attnCap != 0 {
		b.Attn.Cap = c.cap("attn_logit_softcapping", attnCap)
	}
	c.onlyBool(false, "use_bidirectional_attention")
	return s, b, layers
}

func gemma2Modern() modern {
	return modern{
		vocab: 256000, width: 2304, inner: 9216, layers: 26, heads: 8, positions: 8192, kv: 4, headDim: 256,
		actKey: "hidden_activation", act: "gelu_pytorch_tanh", gated: true, tied: true,
		norm: gemmaNorm(), epsKey: "rms_norm_eps", eps: 1e-6,
	}
}

// gemma2: layers alternate between a window and all keys.
func gemma2() *Family {
	d := gemma2Modern()
	return &Family{
		Name: "gemma2",
		Says: "as gemma with norms before and after each part, soft caps, alternating sliding layers; Gemma 2",
		Keys: d.keys(ropeKeys("hidden_act", "attention_bias", "use_bidirectional_attention", "query_pre_attn_scalar", "attn_logit_softcapping",
			"final_logit_softcapping", "sliding_window", "layer_types")...),
		Names: gemma2Names(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := gemma2Block(c, d, 50, 30)
			slides := c.sliding(layers, 2)
			window := c.slidingWindow(layers, 4096, slides)
			r, err := c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: s.Positions}, b.Attn.HeadDim, false)
			if err != nil {
				return s, err
			}
			b.Attn.Rope = r
			return s, s.repeat(layers, func(l int) Block {
				b := b
				if slides(l) {
					b.Attn.Window = window
				}
				return b
			})
		},
	}
}

func gemma3Modern() modern {
	d := gemma2Modern()
	d.vocab, d.positions = 262208, 131072
	return d
}

func gemma3Keys() []string {
	return gemma3Modern().keys("hidden_act", "attention_bias", "use_bidirectional_attention", "query_pre_attn_scalar", "final_logit_softcapping",
		"sliding_window", "sliding_window_pattern", "_sliding_window_pattern", "layer_types", "rope_theta", "rope_local_base_freq", "rope_parameters", "rope_scaling")
}

// gemma3Spec reads the text part of a Gemma 3.
func gemma3Spec(c *conf) (*Spec, error) {
	s, b, layers := gemma2Block(c, gemma3Modern(), 0, 0)
	b.Attn.QKNorm = &QKNorm{Norm: b.Norm, Scope: ScopeHead}
	slides := c.sliding(layers, 6, "sliding_window_pattern")
	window := c.slidingWindow(layers, 4096, slides)
	rs := c.RoPELayers(map[string]weights.RoPEDefaults{
		fullAttention:    {Theta: 1e6, MaxPositions: s.Positions},
		slidingAttention: {Theta: 1e4, ThetaKeys: []string{"rope_local_base_freq"}, MaxPositions: s.Positions, NoScaling: true},
	})
	return s, s.repeatSliding(c, layers, b, slides, window, rs)
}

// gemma3Text: the text model of its own.
func gemma3Text() *Family {
	return &Family{
		Name:  "gemma3_text",
		Says:  "as gemma2 without a cap on scores, norms on q and k, five sliding layers to one full, a rotation for each; Gemma 3 text",
		Keys:  gemma3Keys(),
		Names: gemma2Names(), Ignorable: llamaIgnorable(),
		spec: gemma3Spec,
	}
}

// gemma3: a checkpoint that also sees images; its text model is what runs, and
// the text holds no images.
func gemma3() *Family {
	n := gemma2Names()
	n.Base = "model.language_model."
	n.Elsewhere = []Place{{"language_model.model.", "language_model.lm_head"}}
	return &Family{
		Name: "gemma3",
		Says: "the text part (text_config) of Gemma 3 with vision, run as gemma3_text",
		Keys: append([]string{"text_config", "tie_word_embeddings"}, within("text_config", gemma3Keys())...),
		Inert: append([]string{"vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index", "image_token_index", "boi_token_id",
			"eoi_token_id", "image_token_id"}, within("text_config", commonInert)...),
		Names:     n,
		Ignorable: append(llamaIgnorable(), "vision_tower.*", "multi_modal_projector.*", "model.vision_tower.*", "model.multi_modal_projector.*"),
		spec: func(c *conf) (*Spec, error) {
			tied := c.BoolOrNull("tie_word_embeddings", true, true)
			text := &conf{Config: c.Sub("text_config")}
			text.onlyString("model_type", "gemma3_text")
			if text.Has("final_logit_softcapping") { // transformers 5.23 ignores it here
				text.Refuse("final_logit_softcapping", "null in a gemma3 model")
			}
			s, err := gemma3Spec(text)
			c.warnings = append(c.warnings, text.warnings...)
			if text.Has("tie_word_embeddings") && s.Head.Tied != tied {
				c.Refuse("tie_word_embeddings", "%t as in text_config", s.Head.Tied)
			}
			s.Head.Tied = tied
			return s, err
		},
	}
}

// within puts the name of an object before its keys.
func within(object string, keys []string) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = object + "." + k
	}
	return out
}
