package model

import (
	"encoding/json"
	"slices"

	"assay/weights"
)

// gptNames are the tensor names that GPT-2 and its kin share.
func gptNames(block map[string]string) Names {
	block["n1"], block["n2"] = "ln_1", "ln_2"
	return Names{Base: "transformer.", Embed: "wte", Positions: "wpe", Final: "ln_f", Head: "lm_head", Layer: "h.{l}.", Block: block}
}

// summaryKeys configure a head that is not run.
func summaryKeys(more ...string) []string {
	return append([]string{"summary_*", "n_ctx", "n_special", "predict_special_tokens", "embed_dropout", "resid_dropout", "_num_labels"}, more...)
}

// gpt2: GPT-2, DistilGPT-2 and what was published in their form.
func gpt2() *Family {
	return &Family{
		Name: "gpt2",
		Says: "LN, plain MLP, learned positions, matrices stored [in, out]; GPT-2, DistilGPT-2",
		Keys: []string{"vocab_size", "n_embd", "hidden_size", "n_layer", "num_hidden_layers", "n_head", "num_attention_heads", "n_positions",
			"max_position_embeddings", "n_inner", "activation_function", "layer_norm_epsilon", "scale_attn_weights",
			"scale_attn_by_inverse_layer_idx", "tie_word_embeddings"},
		// The order of operations that reorder_and_upcast_attn asks for changes no value.
		Inert: summaryKeys("reorder_and_upcast_attn"),
		Names: func() Names {
			n := gptNames(map[string]string{"qkv": "attn.c_attn", "o": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"})
			n.Transposed = true
			return n
		}(),
		Ignorable: []string{"h.*.attn.bias", "h.*.attn.masked_bias"},
		spec: func(c *conf) (*Spec, error) {
			n := Norm{Kind: LayerNorm, Eps: c.eps("layer_norm_epsilon", 1e-5), Gain: true, Bias: true}
			s := &Spec{
				Vocab: c.IntOr("vocab_size", 50257), Width: c.intOf(768, "n_embd", "hidden_size"),
				Positions: c.intOf(1024, "n_positions", "max_position_embeddings"),
				Final:     &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", true)},
			}
			s.Embed.Learned = &Learned{Rows: s.Positions}
			heads, layers := c.intOf(12, "n_head", "num_attention_heads"), c.intOf(12, "n_layer", "num_hidden_layers")
			hd := c.headDim("n_head", s.Width, heads)
			b := Block{
				Form: Seq, Norm: n,
				Attn: Attn{Heads: heads, KVHeads: heads, HeadDim: hd, Scale: 1, Bias: true, BiasO: true},
				MLP:  MLP{Width: c.IntOrNull("n_inner", 4*s.Width, 4*s.Width), Act: c.activation("activation_function", "gelu_new"), Bias: true, BiasDown: true},
			}
			if c.BoolOr("scale_attn_weights", true) {
				b.Attn.Scale = invSqrt(max(1, hd))
			}
			inverse := c.BoolOr("scale_attn_by_inverse_layer_idx", false)
			return s, s.repeat(layers, func(l int) Block {
				b := b
				if inverse {
					b.Attn.Scale /= Float(l + 1)
				}
				return b
			})
		},
	}
}

// gptNeo: scores are not divided by the root of the head size, and layers
// alternate between all keys and a window.
func gptNeo() *Family {
	return &Family{
		Name: "gpt_neo",
		Says: "as gpt2 without a scale on the scores, global and local attention; GPT-Neo",
		Keys: []string{"vocab_size", "hidden_size", "num_layers", "num_hidden_layers", "num_heads", "num_attention_heads", "max_position_embeddings",
			"intermediate_size", "activation_function", "layer_norm_epsilon", "attention_types", "attention_layers", "window_size", "tie_word_embeddings"},
		Inert: summaryKeys(),
		Names: gptNames(map[string]string{
			"q": "attn.attention.q_proj", "k": "attn.attention.k_proj", "v": "attn.attention.v_proj", "o": "attn.attention.out_proj",
			"up": "mlp.c_fc", "down": "mlp.c_proj"}),
		Ignorable: []string{"h.*.attn.attention.bias", "h.*.attn.attention.masked_bias"},
		spec: func(c *conf) (*Spec, error) {
			n := Norm{Kind: LayerNorm, Eps: c.eps("layer_norm_epsilon", 1e-5), Gain: true, Bias: true}
			s := &Spec{
				Vocab: c.IntOr("vocab_size", 50257), Width: c.IntOr("hidden_size", 2048), Positions: c.IntOr("max_position_embeddings", 2048),
				Final: &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", true)},
			}
			s.Embed.Learned = &Learned{Rows: s.Positions}
			heads, layers := c.intOf(16, "num_heads", "num_attention_heads"), c.intOf(24, "num_layers", "num_hidden_layers")
			hd := c.headDim("num_heads", s.Width, heads)
			window := c.IntOr("window_size", 256)
			if window <= 0 {
				c.Refuse("window_size", "at least 1")
			}
			local := c.localLayers(layers)
			b := Block{
				Form: Seq, Norm: n,
				Attn: Attn{Heads: heads, KVHeads: heads, HeadDim: hd, Scale: 1, BiasO: true},
				MLP: MLP{Width: c.IntOrNull("intermediate_size", 4*s.Width, 4*s.Width), Act: c.activation("activation_function", "gelu_new"),
					Bias: true, BiasDown: true},
			}
			return s, s.repeat(layers, func(l int) Block {
				b := b
				if l < len(local) && local[l] {
					b.Attn.Window = window
				}
				return b
			})
		},
	}
}

// localLayers reads attention_types, [[["global", "local"], 12]], and its
// expansion attention_layers, which has to agree where it stands.
func (c *conf) localLayers(n int) []bool {
	const key = "attention_types"
	var types [][2]json.RawMessage
	raw, ok := c.Raw(key)
	if !ok {
		raw = []byte(`[[["global","local"],12]]`)
		c.NoteDefault(key, string(raw))
	}
	// encoding/json drops what stands beyond an array's two places, and a list
	// of one leaves an empty value that does not parse below.
	if err := json.Unmarshal(raw, &types); err != nil {
		c.Refuse(key, "a list of [kinds, times]")
		return nil
	}
	var kinds []string
	for _, t := range types {
		var of []string
		var times int
		if json.Unmarshal(t[0], &of) != nil || json.Unmarshal(t[1], &times) != nil || times < 0 ||
			times > maxLayers || len(kinds)+times*len(of) > maxLayers {
			c.Refuse(key, "a list of [kinds, times]")
			return nil
		}
		for range times {
			kinds = append(kinds, of...)
		}
	}
	if c.Has("attention_layers") {
		if given := c.Strings("attention_layers"); !slices.Equal(given, kinds) {
			c.Refuse("attention_layers", "the same as attention_types")
		}
	} else {
		c.Null("attention_layers")
	}
	if len(kinds) != n {
		c.Refuse(key, "%d layers (found %d)", n, len(kinds))
	}
	local := make([]bool, len(kinds))
	for i, k := range kinds {
		local[i] = k == "local"
		if k != "local" && k != "global" {
			c.Refuse(key, "global or local")
			break
		}
	}
	return local
}

// gptJ: attention and MLP side by side from one norm, neighbours rotated.
func gptJ() *Family {
	names := gptNames(map[string]string{"q": "attn.q_proj", "k": "attn.k_proj", "v": "attn.v_proj", "o": "attn.out_proj", "up": "mlp.fc_in", "down": "mlp.fc_out"})
	return &Family{
		Name: "gptj",
		Says: "parallel from one LN, plain MLP, neighbouring channels of part of each head rotated, bias on the head; GPT-J",
		Keys: []string{"vocab_size", "n_embd", "hidden_size", "n_layer", "num_hidden_layers", "n_head", "num_attention_heads", "n_positions",
			"max_position_embeddings", "n_inner", "rotary_dim", "activation_function", "layer_norm_epsilon", "tie_word_embeddings", "rotary", "scale_attn_weights"},
		Inert:     summaryKeys(),
		Names:     names,
		Ignorable: []string{"h.*.attn.bias", "h.*.attn.masked_bias", "h.*.attn.embed_positions"},
		spec: func(c *conf) (*Spec, error) {
			n := Norm{Kind: LayerNorm, Eps: c.eps("layer_norm_epsilon", 1e-5), Gain: true, Bias: true}
			s := &Spec{
				Vocab: c.IntOr("vocab_size", 50400), Width: c.intOf(4096, "n_embd", "hidden_size"),
				Positions: c.intOf(2048, "n_positions", "max_position_embeddings"),
				Final:     &n, Head: Head{Tied: c.BoolOr("tie_word_embeddings", false), Bias: true},
			}
			heads, layers := c.intOf(16, "n_head", "num_attention_heads"), c.intOf(28, "n_layer", "num_hidden_layers")
			hd := c.headDim("n_head", s.Width, heads)
			c.onlyBool(true, "rotary", "scale_attn_weights")
			dim := c.IntOr("rotary_dim", 64)
			if dim < 2 || dim%2 != 0 || dim > hd {
				c.Refuse("rotary_dim", "an even number from 2 to the size %d of a head", hd)
				return s, c.Err()
			}
			r, err := rope(weights.RoPE{Type: "default", Theta: 10000, Partial: 1, MaxPositions: s.Positions}, dim, true)
			if err != nil {
				return s, err
			}
			b := Block{
				Form: Par1, Norm: n,
				Attn: Attn{Heads: heads, KVHeads: heads, HeadDim: hd, Scale: invSqrt(max(1, hd)), Rope: r},
				MLP:  MLP{Width: c.IntOrNull("n_inner", 4*s.Width, 4*s.Width), Act: c.activation("activation_function", "gelu_new"), Bias: true, BiasDown: true},
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}
