package model

import "assay/weights"

// falcon: Falcon 1 and 2, in all three layouts of q, k and v (grouped in the new
// decoder architecture, one key head with multi_query, else per head; all of them
// grouped by key head as stored) and with rotation or ALiBi.
func falcon() *Family {
	return &Family{
		Name: "falcon",
		Says: "parallel (one or two LN) or sequential, plain GELU MLP, fused q, k, v of three layouts, RoPE or ALiBi; Falcon 1 and 2",
		Keys: []string{"vocab_size", "hidden_size", "n_embed", "num_hidden_layers", "num_attention_heads", "num_kv_heads", "num_ln_in_parallel_attn",
			"new_decoder_architecture", "multi_query", "parallel_attn", "bias", "alibi", "ffn_hidden_size", "activation", "layer_norm_epsilon",
			"max_position_embeddings", "tie_word_embeddings", "rope_theta", "rope_parameters", "rope_scaling", "original_max_position_embeddings"},
		Names: Names{
			Base: "transformer.", Embed: "word_embeddings", Final: "ln_f", Head: "lm_head", Layer: "h.{l}.",
			Block: map[string]string{
				"n1": "input_layernorm", "n2": "post_attention_layernorm", "par.n1": "ln_attn", "par.n2": "ln_mlp",
				"qkv": "self_attention.query_key_value", "o": "self_attention.dense",
				"up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h",
			},
			Grouped: true,
		},
		Ignorable: []string{"h.*.self_attention.rotary_emb.inv_freq", "h.*.self_attention.maybe_rotary.inv_freq", "rotary_emb.inv_freq"},
		spec: func(c *conf) (*Spec, error) {
			n := Norm{Kind: LayerNorm, Eps: c.eps("layer_norm_epsilon", 1e-5), Gain: true, Bias: true}
			s := &Spec{
				Vocab: c.IntOr("vocab_size", 65024), Width: c.intOf(4544, "hidden_size", "n_embed"),
				Final: &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", true)},
			}
			heads := c.IntOr("num_attention_heads", 71)
			hd := c.headDim("num_attention_heads", s.Width, heads)
			bias := c.BoolOrNull("bias", false, false)
			b := Block{
				Norm: n,
				Attn: Attn{Heads: heads, KVHeads: c.falconKV(heads), HeadDim: hd, Scale: invSqrt(max(1, hd)), Bias: bias, BiasO: bias},
				MLP:  MLP{Width: c.IntOrNull("ffn_hidden_size", 4*s.Width, 4*s.Width), Act: c.activation("activation", "gelu"), Bias: bias, BiasDown: bias},
			}
			b.Form = c.falconForm()
			positions := c.IntOr("max_position_embeddings", 2048)
			r, err := c.rotary(weights.RoPEDefaults{Theta: 10000, MaxPositions: positions}, hd, false)
			if err != nil {
				return s, err
			}
			if c.BoolOrNull("alibi", false, false) { // the rotary keys stand there all the same
				b.Attn.ALiBi = &ALiBi{Scale: b.Attn.Scale, Rounded: true}
			} else {
				s.Positions, b.Attn.Rope = positions, r
			}
			return s, s.repeat(c.IntOr("num_hidden_layers", 32), func(int) Block { return b })
		},
	}
}

// falconKV is the number of key heads. With multi_query (outside the new
// decoder architecture) it is one whatever num_kv_heads says.
func (c *conf) falconKV(heads int) int {
	isNew, multi := c.BoolOrNull("new_decoder_architecture", false, false), c.BoolOrNull("multi_query", true, false)
	kv := c.IntOrNull("num_kv_heads", heads, heads)
	switch {
	case isNew:
		return kv
	case multi:
		return 1
	case kv != heads:
		c.Refuse("num_kv_heads", "%d as num_attention_heads, with neither multi_query nor new_decoder_architecture", heads)
	}
	return heads
}

// falconForm is the form of the block. The combinations that transformers cannot
// run are refused.
func (c *conf) falconForm() string {
	isNew, parallel := c.BoolOrNull("new_decoder_architecture", false, false), c.BoolOrNull("parallel_attn", true, false)
	missing := 1
	if isNew {
		missing = 2
	}
	norms := c.IntOrNull("num_ln_in_parallel_attn", missing, missing)
	switch {
	case isNew && !parallel:
		c.Refuse("parallel_attn", "true with new_decoder_architecture")
	case !parallel:
		return Seq
	case norms == 1:
		return Par1
	case norms == 2 && isNew:
		return Par
	case isNew:
		c.Refuse("num_ln_in_parallel_attn", "1 or 2")
	default:
		c.Refuse("num_ln_in_parallel_attn", "1 without new_decoder_architecture")
	}
	return Par1
}
