package model

import (
	"fmt"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/weights"
)

// conf reads config.json for a family: the getters of weights.Config, and the
// readings that families share.
type conf struct {
	*weights.Config
	warnings []weights.Warning
}

// warn adds what the caller has to be told although the checkpoint runs.
func (c *conf) warn(code, text string) {
	c.warnings = append(c.warnings, weights.Warning{Code: code, Text: text})
}

// commonInert are keys that no family's mathematics reads: names, training and
// generation settings, storage types.
var commonInert = []string{
	"_name_or_path", "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "auto_map",
	"bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "unk_token_id", "mask_token_id", "decoder_start_token_id",
	"initializer_range", "initializer_factor", "attention_dropout", "attn_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop", "hidden_dropout",
	"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "embedding_dropout", "residual_dropout", "dropout", "ffn_dropout",
	"use_cache", "cache_implementation", "gradient_checkpointing", "is_decoder", "output_attentions", "output_hidden_states", "return_dict",
	"num_labels", "id2label", "label2id", "problem_type", "task_specific_params", "finetuning_task",
	"num_beams", "num_beam_groups", "num_return_sequences", "length_penalty", "diversity_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
	"typical_p", "max_length", "min_length", "do_sample", "temperature", "top_k", "top_p", "repetition_penalty", "pretraining_tp", "tokenizer_class",
	"_attn_implementation_autoset", "attn_implementation", "_flash_attn_2_enabled", "use_bfloat16", "chunk_size_feed_forward",
}

// resolve finds the family of a configuration and reads its Spec. Keys in accept
// are not refused although nobody reads them.
func resolve(cfg *weights.Config, accept []string) (*Family, *Spec, error) {
	c := &conf{Config: cfg}
	mt := c.String("model_type")
	if err := c.Err(); err != nil {
		return nil, nil, err
	}
	f, ok := familyOf(mt)
	if !ok {
		return nil, nil, fault.Inputf("unsupported", "model: %s: model_type %q: not supported, want one of %s", c.Source(), mt, strings.Join(Supported(), ", ")).
			Hint("no other family is tried in its place")
	}
	if c.Has("quantization_config") {
		return nil, nil, fault.Inputf("unsupported", "model: %s: quantization_config: quantised weights are not supported", c.Source())
	}
	s, err := f.spec(c)
	if e := c.Err(); e != nil { // what is wrong with a key comes first
		return nil, nil, e
	}
	if err != nil {
		return nil, nil, err
	}
	s.Family, s.warnings = f.Name, c.warnings
	if u := c.Unknown(slices.Concat(commonInert, f.Inert, accept)...); len(u) > 0 {
		e := fault.Inputf("unknown-key", "model: %s: key %q: value %s: a %s model has no such key", c.Source(), u[0].Path, u[0].Value, f.Name).
			Hint("it may change the mathematics; to run without it: --accept-key %s", u[0].Path)
		for _, k := range u[1:] {
			e = e.Hint("also %s = %s", k.Path, k.Value)
		}
		return nil, nil, e
	}
	return f, s, s.validate()
}

// activation maps the names of transformers' ACT2FN.
func (c *conf) activation(key, missing string) string {
	switch c.StringOr(key, missing) {
	case "gelu":
		return GELU
	case "gelu_new", "gelu_pytorch_tanh", "gelu_fast":
		return GELUTanh
	case "silu", "swish":
		return SiLU
	case "relu":
		return ReLU
	}
	c.Refuse(key, "gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, silu, swish or relu")
	return ""
}

// heads reads the head counts and sizes of the Llama line. missingKV and
// missingDim are the values of absent keys; 0 means derived.
func (c *conf) heads(missingKV, missingDim int) (heads, kv, hd int) {
	heads = c.Int("num_attention_heads")
	width := c.Int("hidden_size")
	for key, v := range map[string]int{"num_attention_heads": heads, "hidden_size": width} {
		if v <= 0 && c.Has(key) {
			c.Refuse(key, "at least 1")
		}
	}
	if missingKV == 0 {
		missingKV = heads
	}
	kv = c.IntOrNull("num_key_value_heads", missingKV, heads)
	derived := 0
	if heads > 0 {
		derived = width / heads
	}
	if missingDim == 0 {
		missingDim = derived
	}
	hd = c.IntOrNull("head_dim", missingDim, derived)
	if heads > 0 && width%heads != 0 && !c.Has("head_dim") && missingDim == derived {
		c.Refuse("hidden_size", "a multiple of num_attention_heads %d", heads)
	}
	return heads, kv, hd
}

// rope builds the tables' frequencies for heads of hd.
func rope(r weights.RoPE, hd int, interleaved bool) (*Rope, error) {
	if hd > maxHeads { // the table is as long as the head
		return nil, fault.Inputf("unsupported", "model: config.json: heads of %d channels, want at most %d", hd, maxHeads)
	}
	short, factor, err := r.InvFreq(hd, 1)
	if err != nil {
		return nil, err
	}
	out := &Rope{Dim: 2 * len(short), Interleaved: interleaved, Freq: asFloats(short)}
	if factor != 1 {
		out.Factor = Float(factor)
	}
	if r.Type == "longrope" {
		long, _, err := r.InvFreq(hd, r.Original+1)
		if err != nil {
			return nil, err
		}
		out.Long, out.Original = asFloats(long), r.Original
	}
	switch r.Type {
	case "default":
	case "linear", "dynamic":
		out.extension = fmt.Sprintf("%s, factor %g", r.Type, r.Factor)
	case "longrope":
		out.extension = fmt.Sprintf("longrope, beyond %d positions", r.Original)
	default:
		out.extension = fmt.Sprintf("%s, factor %g over %d positions", r.Type, r.Factor, r.Original)
	}
	return out, nil
}

func asFloats(x []float64) []Float {
	out := make([]Float, len(x))
	for i, v := range x {
		out[i] = Float(v)
	}
	return out
}

// Sizes beyond any model: what a configuration claims must not cost time or
// memory before the tensors confirm it.
const (
	maxHeads = 1 << 16 // heads, and channels of one
	maxSize  = 1 << 28 // vocabulary, widths, positions
	// Experts of a layer, and of all layers.
	maxExperts        = 1 << 10
	maxExpertMatrices = 1 << 17
)

// validate refuses a Spec whose numbers contradict each other.
func (s *Spec) validate() error {
	bad := func(format string, args ...any) error {
		return fault.Inputf("unsupported", "model: config.json: "+format, args...)
	}
	for _, p := range []struct {
		name string
		v    int
	}{{"vocab_size", s.Vocab}, {"hidden_size", s.Width}, {"num_hidden_layers", len(s.Layers)}} {
		if p.v <= 0 || p.v > maxSize {
			return bad("%s: %d, want 1 to %d", p.name, p.v, maxSize)
		}
	}
	for i := range s.Kinds {
		a, m := &s.Kinds[i].Attn, &s.Kinds[i].MLP
		switch {
		case a.Heads > maxHeads || a.HeadDim > maxHeads || m.Width > maxSize:
			return bad("%d heads of %d channels, intermediate_size %d: beyond any model", a.Heads, a.HeadDim, m.Width)
		case a.Heads <= 0 || a.KVHeads <= 0 || a.HeadDim <= 0:
			return bad("%d heads, %d key heads of %d channels: want at least 1 of each", a.Heads, a.KVHeads, a.HeadDim)
		case a.Heads%a.KVHeads != 0:
			return bad("num_key_value_heads: %d does not divide num_attention_heads %d", a.KVHeads, a.Heads)
		case a.Rope != nil && a.HeadDim%2 != 0:
			return bad("head_dim: %d, want an even number where positions are rotated", a.HeadDim)
		case m.Width <= 0:
			return bad("intermediate_size: %d, want at least 1", m.Width)
		case m.Experts != nil && (m.Experts.N < 1 || m.Experts.N > maxExperts || m.Experts.N*len(s.Layers) > maxExpertMatrices):
			return bad("%d experts in %d layers: want 1 to %d, and no more than %d in all", m.Experts.N, len(s.Layers), maxExperts, maxExpertMatrices)
		case m.Experts != nil && (s.Kinds[i].Form != Seq || s.Kinds[i].Residual != 0 || !m.Gated):
			return bad("experts in a block of another form than Llama's")
		case m.Experts != nil && (m.Experts.Top < 1 || m.Experts.Top > m.Experts.N):
			return bad("num_experts_per_tok: %d, want 1 to the number of experts, %d", m.Experts.Top, m.Experts.N)
		case m.Experts != nil && (m.Experts.Shared < 0 || m.Experts.Shared > maxSize):
			return bad("shared_expert_intermediate_size: %d, want 1 to %d", m.Experts.Shared, maxSize)
		case a.Window < 0:
			return bad("sliding_window: %d, want at least 1 or null", a.Window)
		}
	}
	return nil
}
