package model

// opt: OPT and Galactica. The 350m size has its norms after each part and
// embeddings narrower than the model.
func opt() *Family {
	return &Family{
		Name: "opt",
		Says: "LN before or (350m) after each part, plain ReLU MLP, learned positions from 2; OPT, Galactica",
		Keys: []string{"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "max_position_embeddings", "word_embed_proj_dim",
			"activation_function", "do_layer_norm_before", "_remove_final_layer_norm", "enable_bias", "layer_norm_elementwise_affine",
			"tie_word_embeddings", "scale_embeddings", "learned_embeddings"},
		Inert: []string{"activation_dropout", "layerdrop", "init_std", "prefix"},
		Names: Names{
			Base: "model.decoder.", Embed: "embed_tokens", Positions: "embed_positions", EmbedProj: "project_in", Final: "final_layer_norm",
			Head: "lm_head", HeadProj: "project_out", Layer: "layers.{l}.",
			Block: map[string]string{
				"n1": "self_attn_layer_norm", "n2": "final_layer_norm",
				"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.out_proj",
				"up": "fc1", "down": "fc2",
			},
		},
		Ignorable: []string{"version"},
		spec: func(c *conf) (*Spec, error) {
			affine, bias := c.BoolOr("layer_norm_elementwise_affine", true), c.BoolOr("enable_bias", true)
			n := Norm{Kind: LayerNorm, Eps: 1e-5, Gain: affine, Bias: affine} // eps is a constant of the family, not a key
			s := &Spec{
				Vocab: c.IntOr("vocab_size", 50272), Width: c.IntOr("hidden_size", 768), Positions: c.IntOr("max_position_embeddings", 2048),
				Head: Head{Tied: c.BoolOr("tie_word_embeddings", true)},
			}
			s.Embed.Learned = &Learned{Rows: s.Positions + 2, Offset: 2}
			if e := c.IntOrNull("word_embed_proj_dim", s.Width, s.Width); e != s.Width {
				s.Embed.Width = e
				if e <= 0 {
					c.Refuse("word_embed_proj_dim", "at least 1")
				}
			}
			c.onlyBool(false, "scale_embeddings")
			c.onlyBool(true, "learned_embeddings")
			heads := c.IntOr("num_attention_heads", 12)
			hd := c.headDim("num_attention_heads", s.Width, heads)
			b := Block{
				Form: PostNorm, Norm: n,
				Attn: Attn{Heads: heads, KVHeads: heads, HeadDim: hd, Scale: invSqrt(max(1, hd)), Bias: bias, BiasO: bias},
				MLP:  MLP{Width: c.IntOr("ffn_dim", 3072), Act: c.activation("activation_function", "relu"), Bias: bias, BiasDown: bias},
			}
			before, removed := c.BoolOr("do_layer_norm_before", true), c.BoolOr("_remove_final_layer_norm", false)
			if before {
				b.Form = Seq
			}
			if before && !removed {
				s.Final = &n
			}
			return s, s.repeat(c.IntOr("num_hidden_layers", 12), func(int) Block { return b })
		},
	}
}
