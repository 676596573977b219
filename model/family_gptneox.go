package model

import (
	"math"

	"assay/weights"
)

// gptNeoX: Pythia, GPT-NeoX-20B.
func gptNeoX() *Family {
	return &Family{
		Name: "gpt_neox",
		Says: "parallel or sequential residual, LN, plain MLP, part of each head rotated; Pythia, GPT-NeoX",
		Keys: []string{"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps",
			"max_position_embeddings", "use_parallel_residual", "attention_bias", "tie_word_embeddings",
			"rotary_pct", "rotary_emb_base", "rope_theta", "rope_parameters", "rope_scaling", "original_max_position_embeddings"},
		Names: Names{
			Base: "gpt_neox.", Embed: "embed_in", Final: "final_layer_norm", Head: "embed_out",
			Layer: "layers.{l}.",
			Block: map[string]string{
				"n1": "input_layernorm", "n2": "post_attention_layernorm",
				"qkv": "attention.query_key_value", "o": "attention.dense",
				"up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h",
			},
			Grouped: true,
		},
		Ignorable: []string{"layers.*.attention.bias", "layers.*.attention.masked_bias", "layers.*.attention.rotary_emb.inv_freq", "rotary_emb.inv_freq"},
		spec: func(c *conf) (*Spec, error) {
			n := Norm{Kind: LayerNorm, Eps: Float(c.FloatOr("layer_norm_eps", 1e-5)), Gain: true, Bias: true}
			s := &Spec{
				Vocab: c.Int("vocab_size"), Width: c.Int("hidden_size"), Positions: c.IntOr("max_position_embeddings", 2048),
				Final: &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", false)},
			}
			heads := c.Int("num_attention_heads")
			if heads <= 0 || s.Width%heads != 0 {
				c.Refuse("num_attention_heads", "a divisor of hidden_size %d", s.Width)
				return s, nil
			}
			hd := s.Width / heads
			r, err := rope(c.RoPE(weights.RoPEDefaults{Theta: 10000, ThetaKeys: []string{"rotary_emb_base", "rope_theta"}, Partial: .25,
				PartialKeys: []string{"rotary_pct"}, MaxPositions: s.Positions}), hd, false)
			if err != nil {
				return s, err
			}
			bias := c.BoolOr("attention_bias", true)
			b := Block{
				Form: Par, Norm: n,
				Attn: Attn{Heads: heads, KVHeads: heads, HeadDim: hd, Scale: Float(1 / math.Sqrt(float64(hd))), Bias: bias, BiasO: bias, Rope: r},
				MLP:  MLP{Width: c.Int("intermediate_size"), Act: c.activation("hidden_act", "gelu"), Bias: true, BiasDown: true},
			}
			if !c.BoolOr("use_parallel_residual", true) {
				b.Form = Seq
			}
			return s, s.repeat(c.Int("num_hidden_layers"), func(int) Block { return b })
		},
	}
}
