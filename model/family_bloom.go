package model

// bloom: BLOOM and BLOOMZ.
func bloom() *Family {
	return &Family{
		Name: "bloom",
		Says: "LN, plain tanh GELU MLP, ALiBi, a norm on the embeddings; BLOOM, BLOOMZ",
		Keys: []string{"vocab_size", "hidden_size", "n_embed", "n_layer", "num_hidden_layers", "n_head", "num_attention_heads", "n_inner", "layer_norm_epsilon",
			"apply_residual_connection_post_layernorm", "tie_word_embeddings"},
		// pretraining_tp and slow_but_exact choose an order of summation.
		Inert: []string{"attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion", "offset_alibi", "seq_length", "skip_bias_add",
			"skip_bias_add_qkv", "slow_but_exact"},
		Names: Names{
			Base: "transformer.", Embed: "word_embeddings", EmbedNorm: "word_embeddings_layernorm", Final: "ln_f", Head: "lm_head", Layer: "h.{l}.",
			Block: map[string]string{
				"n1": "input_layernorm", "n2": "post_attention_layernorm",
				"qkv": "self_attention.query_key_value", "o": "self_attention.dense",
				"up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h",
			},
			Grouped: true,
		},
		spec: func(c *conf) (*Spec, error) {
			n := Norm{Kind: LayerNorm, Eps: c.eps("layer_norm_epsilon", 1e-5), Gain: true, Bias: true}
			s := &Spec{
				Vocab: c.IntOr("vocab_size", 250880), Width: c.intOf(64, "hidden_size", "n_embed"),
				Final: &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", true)},
			}
			s.Embed.Norm = &n
			heads, layers := c.intOf(8, "n_head", "num_attention_heads"), c.intOf(2, "n_layer", "num_hidden_layers")
			hd := c.headDim("n_head", s.Width, heads)
			c.onlyInt("n_inner", 4*s.Width)
			c.Null("n_inner")
			b := Block{
				Form: Seq, Norm: n, FromNorm: c.BoolOr("apply_residual_connection_post_layernorm", false),
				Attn: Attn{Heads: heads, KVHeads: heads, HeadDim: hd, Scale: invSqrt(max(1, hd)), Bias: true, BiasO: true, ALiBi: &ALiBi{Scale: 1}},
				MLP:  MLP{Width: 4 * s.Width, Act: GELUTanh, Bias: true, BiasDown: true},
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// mpt: MPT 7B and 30B. Of the many switches of its code only one setting was
// ported to transformers; the others are refused.
func mpt() *Family {
	return &Family{
		Name: "mpt",
		Says: "LN without bias, plain GELU MLP, ALiBi, no biases; MPT",
		Keys: []string{"vocab_size", "d_model", "hidden_size", "n_heads", "num_attention_heads", "n_layers", "num_hidden_layers", "max_seq_len", "layer_norm_epsilon",
			"tie_word_embeddings", "expansion_ratio", "logit_scale", "no_bias", "norm_type", "attn_config", "attn_config.clip_qkv", "attn_config.softmax_scale",
			"attn_config.alibi", "attn_config.alibi_bias_max", "attn_config.attn_type", "attn_config.prefix_lm", "attn_config.qk_ln"},
		Inert: append([]string{"learned_pos_emb", "embedding_fraction", "init_device", "init_config", "emb_pdrop", "tokenizer_name", "verbose",
			"attn_config.attn_impl", "attn_config.attn_uses_sequence_id"}, within("attn_config", commonInert)...),
		Names: Names{
			Base: "transformer.", Embed: "wte", Final: "norm_f", Head: "lm_head", Layer: "blocks.{l}.",
			Block: map[string]string{"n1": "norm_1", "n2": "norm_2", "qkv": "attn.Wqkv", "o": "attn.out_proj", "up": "ffn.up_proj", "down": "ffn.down_proj"},
		},
		spec: func(c *conf) (*Spec, error) {
			n := Norm{Kind: LayerNorm, Eps: c.eps("layer_norm_epsilon", 1e-5), Gain: true}
			s := &Spec{
				Vocab: c.IntOr("vocab_size", 50368), Width: c.intOf(2048, "d_model", "hidden_size"), Positions: c.IntOr("max_seq_len", 2048),
				Final: &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", true)},
			}
			heads, layers := c.intOf(16, "n_heads", "num_attention_heads"), c.intOf(24, "n_layers", "num_hidden_layers")
			hd := c.headDim("n_heads", s.Width, heads)
			c.onlyInt("expansion_ratio", 4)
			c.onlyString("norm_type", "low_precision_layernorm", "layernorm")
			c.onlyBool(true, "no_bias")
			if c.Has("logit_scale") {
				c.Refuse("logit_scale", "null")
			}
			c.Null("logit_scale")
			a := &conf{Config: c.Sub("attn_config")}
			a.onlyBool(true, "alibi")
			a.onlyBool(false, "prefix_lm", "qk_ln")
			a.onlyInt("alibi_bias_max", 8)
			a.onlyString("attn_type", "multihead_attention")
			b := Block{
				Form: Seq, Norm: n,
				Attn: Attn{Heads: heads, KVHeads: heads, HeadDim: hd, Scale: invSqrt(max(1, hd)), ALiBi: &ALiBi{Scale: 1}},
				MLP:  MLP{Width: 4 * s.Width, Act: GELU},
			}
			b.Attn.Clip = a.cap("clip_qkv", 0)
			if scale := a.cap("softmax_scale", 0); scale != 0 {
				b.Attn.Scale = scale
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}
