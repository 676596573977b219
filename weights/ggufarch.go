package weights

import (
	"encoding/json/jsontext"
	"strings"

	"assay/weights/internal/gguf"
)

// The functions below write one family's configuration each. What GGUF does
// not store but llama.cpp fixes in code (which activation, which layers slide)
// is written out, so that no default of Hugging Face slips in where it differs.

// decoder writes the keys that all families share.
func (g *ggufConfig) decoder(modelType string) {
	g.text("model_type", modelType)
	g.number("vocab_size", g.rows("token_embd.weight"))
	g.used[g.arch+".vocab_size"] = true
	if n, ok := g.uint("vocab_size"); ok && n != g.rows("token_embd.weight") {
		g.fail("%s.vocab_size: found %d, token_embd.weight has %d rows", g.arch, n, g.rows("token_embd.weight"))
	}
	g.number("hidden_size", g.need("embedding_length"))
	g.number("num_hidden_layers", g.need("block_count"))
	heads, _ := g.heads()
	if heads == 0 {
		g.fail("%s.attention.head_count: not found, want a positive integer", g.arch)
	}
	g.number("num_attention_heads", heads)
	g.flag("tie_word_embeddings", !g.tensor("output.weight"))
	if v, ok := g.take("attention.causal"); ok {
		if causal, ok := v.Bool(); !ok || !causal {
			g.fail("%s.attention.causal: found %s, want true", g.arch, v)
		}
	}
}

// llamaLike writes the keys of decoders with grouped heads and a gated MLP.
func (g *ggufConfig) llamaLike(modelType string) {
	g.decoder(modelType)
	_, kv := g.heads()
	g.number("num_key_value_heads", kv)
	g.number("max_position_embeddings", g.need("context_length"))
	if n, ok := g.uint("feed_forward_length"); ok {
		g.number("intermediate_size", n)
	}
	if k, ok := g.uint("attention.key_length"); ok {
		if v, ok := g.uint("attention.value_length"); ok && v != k {
			g.fail("%s.attention.value_length: found %d, want key_length %d", g.arch, v, k)
		}
		g.number("head_dim", k)
	}
	g.text("hidden_act", "silu")
}

func (g *ggufConfig) rmsEps() { g.must("rms_norm_eps", "attention.layer_norm_rms_epsilon") }

func (g *ggufConfig) flatRope() { g.object("rope_parameters", g.rope("rope.freq_base", true)) }

func (g *ggufConfig) llama() {
	if n, ok := g.uint("expert_count"); ok && n > 0 {
		g.llamaLike("mixtral")
		g.number("num_local_experts", n)
		g.must("num_experts_per_tok", "expert_used_count")
		g.set("sliding_window", "null")
	} else {
		g.used["llama.expert_used_count"] = true
		g.llamaLike("llama")
		g.flag("attention_bias", g.tensor("blk.0.attn_q.bias"))
		g.flag("mlp_bias", g.tensor("blk.0.ffn_up.bias"))
	}
	g.rmsEps()
	g.flatRope()
}

func (g *ggufConfig) qwen2() {
	g.llamaLike("qwen2")
	g.rmsEps()
	g.flatRope()
}

func (g *ggufConfig) qwen3() {
	g.llamaLike("qwen3")
	g.flag("attention_bias", g.tensor("blk.0.attn_q.bias"))
	g.rmsEps()
	g.flatRope()
}

func (g *ggufConfig) experts(normalised bool) {
	g.number("num_experts", g.need("expert_count"))
	g.number("num_experts_per_tok", g.need("expert_used_count"))
	g.flag("norm_topk_prob", normalised)
}

func (g *ggufConfig) qwen2moe() {
	g.qwen2()
	g.out[0].value = jsontext.Value(`"qwen2_moe"`)
	g.experts(false)
	g.number("moe_intermediate_size", g.need("expert_feed_forward_length"))
	g.number("shared_expert_intermediate_size", g.need("expert_shared_feed_forward_length"))
}

func (g *ggufConfig) qwen3moe() {
	g.qwen3()
	g.out[0].value = jsontext.Value(`"qwen3_moe"`)
	g.experts(true)
	g.number("moe_intermediate_size", g.need("expert_feed_forward_length"))
}

// activation replaces the one that llamaLike wrote.
func (g *ggufConfig) activation(key, value string) {
	for i, m := range g.out {
		if m.key == "hidden_act" {
			g.out = append(g.out[:i], g.out[i+1:]...)
			break
		}
	}
	g.text(key, value)
}

func (g *ggufConfig) gemma() {
	g.llamaLike("gemma")
	g.activation("hidden_act", "gelu_pytorch_tanh")
	g.rmsEps()
	g.flatRope()
}

// attentionScale writes what llama.cpp divides scores by: the size of a head,
// but hidden_size / heads in the 27B model, which it knows by its layers.
func (g *ggufConfig) attentionScale(layers27B int) {
	n := g.headDim()
	if heads, _ := g.heads(); g.need("block_count") == layers27B && heads > 0 {
		n = g.need("embedding_length") / heads
	}
	g.number("query_pre_attn_scalar", n)
}

func (g *ggufConfig) gemma2() {
	g.llamaLike("gemma2")
	g.activation("hidden_activation", "gelu_pytorch_tanh")
	g.rmsEps()
	g.flatRope()
	g.attentionScale(46)
	g.softcap("attn_logit_softcapping", 50)
	g.softcap("final_logit_softcapping", 30)
	if !g.copy("sliding_window", "attention.sliding_window") {
		g.number("sliding_window", 4096)
	}
}

func (g *ggufConfig) softcap(key string, missing int) {
	if !g.copy(key, key) {
		g.number(key, missing)
	}
}

func (g *ggufConfig) gemma3() {
	g.llamaLike("gemma3_text")
	g.activation("hidden_activation", "gelu_pytorch_tanh")
	g.rmsEps()
	g.attentionScale(62)
	if !g.copy("final_logit_softcapping", "final_logit_softcapping") {
		g.set("final_logit_softcapping", "null")
	}
	n, ok := g.uint("attention.sliding_window")
	if !ok || n == 0 {
		g.fail("gemma3.attention.sliding_window: not found, want a positive integer")
	}
	g.number("sliding_window", n)
	g.number("sliding_window_pattern", 6)
	g.layered()
}

// layered writes a rotation for full layers and one for sliding layers, which
// no scaling touches.
func (g *ggufConfig) layered() {
	full, err := render(g.rope("rope.freq_base", true))
	if err != nil {
		g.fail("rope_parameters: %w", err)
	}
	base := "rope.freq_base_swa"
	if !g.has(base) && g.arch != "gemma3" {
		base = "rope.freq_base"
	}
	sliding, err := render(g.rope(base, false))
	if err != nil {
		g.fail("rope_parameters: %w", err)
	}
	g.object("rope_parameters", []member{{"full_attention", full}, {"sliding_attention", sliding}})
}

func (g *ggufConfig) gpt2() {
	g.text("model_type", "gpt2")
	g.number("vocab_size", g.rows("token_embd.weight"))
	g.number("n_embd", g.need("embedding_length"))
	g.number("n_layer", g.need("block_count"))
	g.number("n_head", g.need("attention.head_count"))
	g.number("n_positions", g.need("context_length"))
	// The key always says 4 n_embd; the tensor knows.
	if inner := g.rows("blk.0.ffn_up.weight"); inner != 4*g.need("embedding_length") {
		g.number("n_inner", inner)
	} else {
		g.set("n_inner", "null")
	}
	g.used["gpt2.feed_forward_length"], g.used["gpt2.attention.head_count_kv"] = true, true
	g.text("activation_function", "gelu_new")
	g.must("layer_norm_epsilon", "attention.layer_norm_epsilon")
	g.flag("tie_word_embeddings", !g.tensor("output.weight"))
}

func (g *ggufConfig) gptneox() {
	g.decoder("gpt_neox")
	g.number("max_position_embeddings", g.need("context_length"))
	g.number("intermediate_size", g.need("feed_forward_length"))
	g.text("hidden_act", "gelu")
	g.must("layer_norm_eps", "attention.layer_norm_epsilon")
	g.must("use_parallel_residual", "use_parallel_residual")
	g.flag("attention_bias", g.tensor("blk.0.attn_qkv.bias"))
	g.flatRope()
}

// bert writes an encoder of which the converter kept the body alone. RoBERTa's
// positions were cut to start at row 0.
func (g *ggufConfig) bert() {
	width, layers, heads, inner, act, kind := "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "bert"
	if !g.tensor("token_types.weight") {
		width, layers, heads, inner, act, kind = "dim", "n_layers", "n_heads", "hidden_dim", "activation", "distilbert"
	}
	g.text("model_type", kind)
	g.number("vocab_size", g.rows("token_embd.weight"))
	g.number(width, g.need("embedding_length"))
	g.number(layers, g.need("block_count"))
	g.number(heads, g.need("attention.head_count"))
	g.number(inner, g.need("feed_forward_length"))
	g.number("max_position_embeddings", g.need("context_length"))
	g.text(act, "gelu") // llama.cpp takes its tanh form, of models that were trained with erf
	if kind == "bert" {
		g.number("type_vocab_size", g.rows("token_types.weight"))
		g.must("layer_norm_eps", "attention.layer_norm_epsilon")
	} else if v, ok := g.take("attention.layer_norm_epsilon"); ok && float32(v.Float()) != 1e-12 {
		g.fail("bert.attention.layer_norm_epsilon: found %s, want 1e-12 where there are no token types", v)
	}
	if v, ok := g.take("attention.causal"); !ok {
		g.fail("bert.attention.causal: not found, want false")
	} else if causal, ok := v.Bool(); !ok || causal {
		g.fail("bert.attention.causal: found %s, want false", v)
	}
	for _, k := range []string{"attention.head_count_kv", "pooling_type", "classifier.output_labels"} {
		g.used["bert."+k] = true
	}
}

func (g *ggufConfig) bloom() {
	g.text("model_type", "bloom")
	g.number("vocab_size", g.rows("token_embd.weight"))
	g.number("hidden_size", g.need("embedding_length"))
	g.number("n_layer", g.need("block_count"))
	g.number("n_head", g.need("attention.head_count"))
	g.uint("attention.head_count_kv")
	g.number("seq_length", g.need("context_length"))
	g.used["bloom.feed_forward_length"] = true
	g.must("layer_norm_epsilon", "attention.layer_norm_epsilon")
	g.flag("apply_residual_connection_post_layernorm", false)
	g.flag("tie_word_embeddings", !g.tensor("output.weight"))
}

func (g *ggufConfig) falcon() {
	g.decoder("falcon")
	_, kv := g.heads()
	two := g.tensor("blk.0.attn_norm_2.weight")
	grouped := two || kv > 1
	g.flag("new_decoder_architecture", grouped)
	g.flag("multi_query", true)
	g.number("num_kv_heads", kv)
	if grouped {
		norms := 1
		if two {
			norms = 2
		}
		g.number("num_ln_in_parallel_attn", norms)
	}
	g.flag("parallel_attn", true)
	g.flag("alibi", false)
	g.flag("bias", false)
	g.number("ffn_hidden_size", g.rows("blk.0.ffn_up.weight"))
	g.text("activation", "gelu")
	g.number("max_position_embeddings", g.need("context_length"))
	g.must("layer_norm_epsilon", "attention.layer_norm_epsilon")
	g.used["falcon.feed_forward_length"] = true
	if v, ok := g.take("tensor_data_layout"); ok {
		if s, _ := v.Text(); s != "jploski" {
			g.fail("falcon.tensor_data_layout: found %s, want \"jploski\"", v)
		}
	}
	g.flatRope()
}

func (g *ggufConfig) phi2() {
	g.decoder("phi")
	_, kv := g.heads()
	g.number("num_key_value_heads", kv)
	g.number("max_position_embeddings", g.need("context_length"))
	g.number("intermediate_size", g.rows("blk.0.ffn_up.weight")) // the key always says 4 hidden_size
	g.used["phi2.feed_forward_length"] = true
	g.text("hidden_act", "gelu_new")
	g.must("layer_norm_eps", "attention.layer_norm_epsilon")
	g.flag("qk_layernorm", false)
	g.flatRope()
}

func (g *ggufConfig) phi3() {
	g.llamaLike("phi3")
	g.rmsEps()
	if n, ok := g.uint("attention.sliding_window"); ok && n > 0 {
		g.number("sliding_window", n)
	} else {
		g.set("sliding_window", "null")
	}
	if g.factors["rope_factors_long"] == nil {
		g.copy("original_max_position_embeddings", "rope.scaling.original_context_length")
	}
	g.flatRope()
}

func (g *ggufConfig) olmo() {
	g.llamaLike("olmo")
	if v, ok := g.take("attention.layer_norm_epsilon"); ok {
		if text, _ := v.JSON(); text != "1e-05" {
			g.fail("olmo.attention.layer_norm_epsilon: found %s, want 1e-05", v)
		}
	}
	if !g.copy("clip_qkv", "attention.clamp_kqv") {
		g.set("clip_qkv", "null")
	}
	g.flatRope()
}

func (g *ggufConfig) olmo2() {
	window, ok := g.uint("attention.sliding_window")
	if !ok || window == 0 {
		g.llamaLike("olmo2")
		g.rmsEps()
		g.flatRope()
		return
	}
	g.llamaLike("olmo3")
	g.rmsEps()
	g.number("sliding_window", window)
	var types []string
	layers := g.need("block_count")
	pattern, _ := g.take("attention.sliding_window_pattern")
	if pattern.Len != layers || pattern.Elem != gguf.Bool {
		g.fail("olmo2.attention.sliding_window_pattern: found %s, want %d booleans", pattern, layers)
		return
	}
	for i := range layers {
		if slides, _ := pattern.At(i).Bool(); slides {
			types = append(types, `"sliding_attention"`)
		} else {
			types = append(types, `"full_attention"`)
		}
	}
	g.set("layer_types", "["+strings.Join(types, ",")+"]")
	g.layered()
}

func (g *ggufConfig) olmoe() {
	g.llamaLike("olmoe")
	g.rmsEps()
	g.experts(false)
	g.flatRope()
}

func (g *ggufConfig) stablelm() {
	g.llamaLike("stablelm")
	g.must("layer_norm_eps", "attention.layer_norm_epsilon")
	// The key is written as true where config.json has none; the norm tells.
	g.used["stablelm.use_parallel_residual"] = true
	g.flag("use_parallel_residual", !g.tensor("blk.0.ffn_norm.weight"))
	g.flag("use_qkv_bias", g.tensor("blk.0.attn_q.bias"))
	g.flag("qk_layernorm", g.tensor("blk.0.attn_q_norm.weight"))
	g.flatRope()
}

func (g *ggufConfig) starcoder2() {
	g.llamaLike("starcoder2")
	g.activation("hidden_act", "gelu_pytorch_tanh")
	g.must("norm_epsilon", "attention.layer_norm_epsilon")
	g.flag("use_bias", g.tensor("blk.0.attn_q.bias"))
	g.set("sliding_window", "null") // not in the file, and llama.cpp uses none
	g.flatRope()
}

func (g *ggufConfig) cohere() {
	g.llamaLike("cohere")
	g.must("layer_norm_eps", "attention.layer_norm_epsilon")
	g.must("logit_scale", "logit_scale")
	g.flag("use_qk_norm", g.tensor("blk.0.attn_q_norm.weight"))
	g.flag("attention_bias", g.tensor("blk.0.attn_q.bias"))
	g.flatRope()
}

func (g *ggufConfig) cohere2() {
	g.llamaLike("cohere2")
	g.must("layer_norm_eps", "attention.layer_norm_epsilon")
	g.must("logit_scale", "logit_scale")
	g.must("sliding_window", "attention.sliding_window")
	g.number("sliding_window_pattern", 4)
	g.flatRope()
}

func (g *ggufConfig) glm4() {
	g.llamaLike("glm4")
	g.rmsEps()
	g.flag("attention_bias", g.tensor("blk.0.attn_q.bias"))
	g.flatRope()
}

func (g *ggufConfig) granite() {
	g.llamaLike("granite")
	g.rmsEps()
	g.flag("attention_bias", g.tensor("blk.0.attn_q.bias"))
	g.flag("mlp_bias", g.tensor("blk.0.ffn_up.bias"))
	g.must("attention_multiplier", "attention.scale")
	g.must("embedding_multiplier", "embedding_scale")
	g.must("residual_multiplier", "residual_scale")
	g.must("logits_scaling", "logit_scale")
	g.flatRope()
}

func (g *ggufConfig) smollm3() {
	g.llamaLike("smollm3")
	g.rmsEps()
	g.flag("attention_bias", g.tensor("blk.0.attn_q.bias"))
	g.flag("mlp_bias", g.tensor("blk.0.ffn_up.bias"))
	var rotates []string
	for i := range g.need("block_count") {
		rotates = append(rotates, map[bool]string{true: "0", false: "1"}[i%4 == 3])
	}
	g.set("no_rope_layers", "["+strings.Join(rotates, ",")+"]")
	g.flag("use_sliding_window", false)
	g.flatRope()
}
