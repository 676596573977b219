package model

import (
	"iter"
	"slices"
	"strings"

	"assay/weights"
)

// encoderNames are the tensor names of BERT's line, without its head.
func encoderNames(base string) Names {
	return Names{
		Base: base, Embed: "embeddings.word_embeddings", Positions: "embeddings.position_embeddings",
		Types: "embeddings.token_type_embeddings", EmbedNorm: "embeddings.LayerNorm", Layer: "encoder.layer.{l}.",
		Block: map[string]string{
			"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "o": "attention.output.dense",
			"n1": "attention.output.LayerNorm", "n2": "output.LayerNorm", "up": "intermediate.dense", "down": "output.dense",
		},
	}
}

// encoderIgnorable are buffers, and heads other than the masked language model's.
func encoderIgnorable(more ...string) []string {
	return append([]string{"embeddings.position_ids", "pooler.*", "classifier.*", "qa_outputs.*"}, more...)
}

// encoderKeys are the keys that encoderSpec reads.
func encoderKeys(more ...string) []string {
	return append([]string{"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps",
		"max_position_embeddings", "type_vocab_size", "tie_word_embeddings", "position_embedding_type", "is_decoder", "add_cross_attention", "architectures"}, more...)
}

// encoderSizes are the numbers of an encoder, read under its own keys.
type encoderSizes struct {
	vocab, width, layers, heads, inner, positions, types int
	act                                                  string
	eps                                                  Float
	headsKey                                             string
}

// spec builds an encoder with the head of a masked language model, whose
// activation is headAct.
func (z encoderSizes) spec(c *conf, headAct string) (*Spec, error) {
	n := Norm{Kind: LayerNorm, Eps: z.eps, Gain: true, Bias: true}
	s := &Spec{
		Vocab: z.vocab, Width: z.width, Positions: z.positions,
		Embed: Embed{Learned: &Learned{Rows: z.positions}, Types: z.types, Norm: &n},
		Head:  Head{Tied: c.BoolOr("tie_word_embeddings", true), Bias: true, Transform: &Transform{Act: headAct, Norm: n}},
	}
	if z.positions < 1 || z.positions > maxSize {
		c.Refuse("max_position_embeddings", "1 to %d", maxSize)
	}
	hd := c.headDim(z.headsKey, z.width, z.heads)
	b := Block{
		Form: PostNorm, Norm: n,
		Attn: Attn{Heads: z.heads, KVHeads: z.heads, HeadDim: hd, Scale: invSqrt(max(1, hd)), Bidirectional: true},
		MLP:  MLP{Width: z.inner, Act: z.act},
	}
	b.Attn.bias(true)
	b.MLP.bias(true)
	s.headOptional = !c.masksTokens()
	return s, s.repeat(z.layers, func(int) Block { return b })
}

// masksTokens reports whether the configuration names a class that has the head
// of a masked language model; where it names none, the tensors have to show it.
func (c *conf) masksTokens() bool {
	if !c.Has("architectures") {
		return false
	}
	return slices.ContainsFunc(c.Strings("architectures"), func(a string) bool {
		return strings.HasSuffix(a, "ForMaskedLM") || strings.HasSuffix(a, "ForPreTraining")
	})
}

// storesHead reports whether any tensor of Head.Transform is stored.
func (f *Family) storesHead(ts iter.Seq[weights.Info]) bool {
	for t := range ts {
		for _, p := range []string{f.Names.Transform, f.Names.TransformNorm} {
			if p != "" && strings.HasPrefix(t.Name, p+".") {
				return true
			}
		}
	}
	return false
}

// encoderSpec reads the keys that BERT and RoBERTa share; vocab is the size where
// the key is missing, headAct the head's activation, "" for that of the blocks.
func encoderSpec(c *conf, vocab int, headAct string) (*Spec, error) {
	// BERT can be built as a decoder, which masks the future: another model.
	c.onlyBool(false, "is_decoder", "add_cross_attention")
	c.onlyString("position_embedding_type", "absolute")
	z := encoderSizes{
		vocab: c.IntOr("vocab_size", vocab), width: c.IntOr("hidden_size", 768), layers: c.IntOr("num_hidden_layers", 12),
		heads: c.IntOr("num_attention_heads", 12), inner: c.IntOr("intermediate_size", 3072), positions: c.IntOr("max_position_embeddings", 512),
		types: c.IntOr("type_vocab_size", 2), act: c.activation("hidden_act", "gelu"), eps: c.eps("layer_norm_eps", 1e-12), headsKey: "num_attention_heads",
	}
	if z.types < 1 || z.types > maxSize {
		c.Refuse("type_vocab_size", "1 to %d", maxSize)
	}
	if headAct == "" {
		headAct = z.act
	}
	return z.spec(c, headAct)
}

// bert: BERT and what was published in its form.
func bert() *Family {
	n := encoderNames("bert.")
	n.Head, n.HeadBias = "cls.predictions.decoder", "cls.predictions"
	n.Transform, n.TransformNorm = "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"
	return &Family{
		Name:  "bert",
		Says:  "encoder: all inputs see each other, norms after each part, learned positions, token types, masked-LM head; BERT, sentence encoders",
		Keys:  encoderKeys(),
		Inert: []string{"directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type"},
		Names: n, Ignorable: encoderIgnorable("cls.seq_relationship.*"),
		spec: func(c *conf) (*Spec, error) { return encoderSpec(c, 30522, "") },
	}
}

// roberta: as bert, with positions counted from the padding id.
func roberta() *Family {
	n := encoderNames("roberta.")
	n.Head, n.HeadBias, n.Transform, n.TransformNorm = "lm_head.decoder", "lm_head", "lm_head.dense", "lm_head.layer_norm"
	return &Family{
		Name:  "roberta",
		Says:  "as bert, positions counted from the padding id; RoBERTa, DistilRoBERTa",
		Keys:  encoderKeys("pad_token_id"),
		Names: n, Ignorable: encoderIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, err := encoderSpec(c, 50265, GELU) // the head's activation is fixed
			if err != nil {
				return s, err
			}
			pad := c.IntOr("pad_token_id", 1)
			if pad < 0 || pad >= min(s.Vocab, s.Positions-1) {
				c.Refuse("pad_token_id", "0 to %d, below vocab_size and max_position_embeddings", max(0, min(s.Vocab, s.Positions-1)-1))
				return s, c.Err()
			}
			s.Embed.Learned.Pad, s.Embed.Learned.Offset = &pad, pad+1
			s.Positions -= pad + 1
			return s, nil
		},
	}
}

// distilbert: BERT without token types, under other names.
func distilbert() *Family {
	n := Names{
		Base: "distilbert.", Embed: "embeddings.word_embeddings", Positions: "embeddings.position_embeddings", EmbedNorm: "embeddings.LayerNorm",
		Layer: "transformer.layer.{l}.",
		Block: map[string]string{
			"q": "attention.q_lin", "k": "attention.k_lin", "v": "attention.v_lin", "o": "attention.out_lin",
			"n1": "sa_layer_norm", "n2": "output_layer_norm", "up": "ffn.lin1", "down": "ffn.lin2",
		},
		Head: "vocab_projector", Transform: "vocab_transform", TransformNorm: "vocab_layer_norm",
	}
	return &Family{
		Name: "distilbert",
		Says: "as bert without token types; DistilBERT",
		Keys: []string{"vocab_size", "dim", "n_layers", "n_heads", "hidden_dim", "activation", "max_position_embeddings", "tie_word_embeddings", "architectures"},
		// Sinusoidal positions are stored as a table like learned ones.
		Inert: []string{"sinusoidal_pos_embds", "tie_weights_", "qa_dropout", "seq_classif_dropout"},
		Names: n, Ignorable: encoderIgnorable("pre_classifier.*"),
		spec: func(c *conf) (*Spec, error) {
			act := c.activation("activation", "gelu")
			return encoderSizes{
				vocab: c.IntOr("vocab_size", 30522), width: c.IntOr("dim", 768), layers: c.IntOr("n_layers", 6), heads: c.IntOr("n_heads", 12),
				inner: c.IntOr("hidden_dim", 4*768), positions: c.IntOr("max_position_embeddings", 512), act: act, eps: 1e-12, headsKey: "n_heads",
			}.spec(c, act)
		},
	}
}
