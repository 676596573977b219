package weights

import (
	"fmt"
	"strconv"
	"strings"
)

// layout says what a converter did to a tensor's rows, to be undone.
type layout int

const (
	asStored   layout = iota
	permutedQ         // rows of each head: halves interleaved, for ggml's rotation
	permutedK         // the same, with key-value heads
	stackedQKV        // all q, then all k, then all v, instead of per head or group
	transposed        // [out,in], stored as [in,out] by GPT-2
	plusOne           // norms of Gemma, stored with 1 added
)

// family translates one architecture of GGUF to the names and the
// configuration of Hugging Face. Names are without .weight and .bias.
type family struct {
	arch    string
	global  map[string]string
	block   string            // prefix of block %d
	parts   map[string]string // %d in a target: one tensor per expert or head
	layouts map[string]layout
	config  func(*ggufConfig)
}

// The names of decoders in the style of Llama and of Bloom.

func llamaGlobal() map[string]string {
	return map[string]string{"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
}

func llamaParts() map[string]string {
	return map[string]string{
		"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
		"attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
		"ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
	}
}

func bloomParts() map[string]string {
	return map[string]string{
		"attn_norm": "input_layernorm", "attn_qkv": "self_attention.query_key_value", "attn_output": "self_attention.dense",
		"ffn_norm": "post_attention_layernorm", "ffn_up": "mlp.dense_h_to_4h", "ffn_down": "mlp.dense_4h_to_h",
	}
}

const llamaBlock = "model.layers.%d."

// with changes parts and returns them; an empty target removes a part.
func with(parts map[string]string, changes ...string) map[string]string {
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			delete(parts, changes[i])
		} else {
			parts[changes[i]] = changes[i+1]
		}
	}
	return parts
}

// families lists the architectures that are read, each checked against
// llama.cpp's own converter (testdata/make_gguf.py).
func families() []family {
	rotated := map[string]layout{"attn_q": permutedQ, "attn_k": permutedK}
	gemmaNorms := map[string]layout{"output_norm": plusOne, "attn_norm": plusOne, "ffn_norm": plusOne, "post_attention_norm": plusOne, "post_ffw_norm": plusOne, "attn_q_norm": plusOne, "attn_k_norm": plusOne}
	sandwich := func() map[string]string {
		return with(llamaParts(), "ffn_norm", "pre_feedforward_layernorm", "post_attention_norm", "post_attention_layernorm", "post_ffw_norm", "post_feedforward_layernorm")
	}
	experts := with(llamaParts(), "ffn_gate_inp", "mlp.gate", "ffn_gate_exps", "mlp.experts.%d.gate_proj", "ffn_up_exps", "mlp.experts.%d.up_proj", "ffn_down_exps", "mlp.experts.%d.down_proj",
		"ffn_gate_inp_shexp", "mlp.shared_expert_gate", "ffn_gate_shexp", "mlp.shared_expert.gate_proj", "ffn_up_shexp", "mlp.shared_expert.up_proj", "ffn_down_shexp", "mlp.shared_expert.down_proj")
	stacked := map[string]layout{"attn_qkv": stackedQKV}
	return []family{
		{"llama", llamaGlobal(), llamaBlock, with(llamaParts(), "ffn_gate_inp", "block_sparse_moe.gate", "ffn_gate_exps", "block_sparse_moe.experts.%d.w1",
			"ffn_down_exps", "block_sparse_moe.experts.%d.w2", "ffn_up_exps", "block_sparse_moe.experts.%d.w3"), rotated, (*ggufConfig).llama},
		{"qwen2", llamaGlobal(), llamaBlock, llamaParts(), nil, (*ggufConfig).qwen2},
		{"qwen3", llamaGlobal(), llamaBlock, llamaParts(), nil, (*ggufConfig).qwen3},
		{"qwen2moe", llamaGlobal(), llamaBlock, experts, nil, (*ggufConfig).qwen2moe},
		{"qwen3moe", llamaGlobal(), llamaBlock, experts, nil, (*ggufConfig).qwen3moe},
		{"gemma", llamaGlobal(), llamaBlock, llamaParts(), gemmaNorms, (*ggufConfig).gemma},
		{"gemma2", llamaGlobal(), llamaBlock, sandwich(), gemmaNorms, (*ggufConfig).gemma2},
		{"gemma3", llamaGlobal(), llamaBlock, sandwich(), gemmaNorms, (*ggufConfig).gemma3},
		{"gpt2", map[string]string{"token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f", "output": "lm_head"}, "transformer.h.%d.",
			map[string]string{"attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"},
			map[string]layout{"attn_qkv": transposed, "attn_output": transposed, "ffn_up": transposed, "ffn_down": transposed}, (*ggufConfig).gpt2},
		{"gptneox", map[string]string{"token_embd": "gpt_neox.embed_in", "output_norm": "gpt_neox.final_layer_norm", "output": "embed_out"}, "gpt_neox.layers.%d.",
			with(bloomParts(), "attn_qkv", "attention.query_key_value", "attn_output", "attention.dense"), stacked, (*ggufConfig).gptneox},
		{"bloom", map[string]string{"token_embd": "transformer.word_embeddings", "token_embd_norm": "transformer.word_embeddings_layernorm", "output_norm": "transformer.ln_f", "output": "lm_head"},
			"transformer.h.%d.", bloomParts(), stacked, (*ggufConfig).bloom},
		{"falcon", map[string]string{"token_embd": "transformer.word_embeddings", "output_norm": "transformer.ln_f", "output": "lm_head"}, "transformer.h.%d.",
			with(bloomParts(), "ffn_norm", ""), stacked, (*ggufConfig).falcon},
		{"phi2", with(llamaGlobal(), "output_norm", "model.final_layernorm"), llamaBlock,
			with(llamaParts(), "attn_output", "self_attn.dense", "ffn_gate", "", "ffn_norm", "", "ffn_up", "mlp.fc1", "ffn_down", "mlp.fc2"), nil, (*ggufConfig).phi2},
		{"phi3", llamaGlobal(), llamaBlock, with(llamaParts(), "attn_q", "", "attn_k", "", "attn_v", "", "attn_qkv", "self_attn.qkv_proj", "ffn_gate", "", "ffn_up", "mlp.gate_up_proj"), nil, (*ggufConfig).phi3},
		{"olmo", llamaGlobal(), llamaBlock, llamaParts(), rotated, (*ggufConfig).olmo},
		{"olmo2", llamaGlobal(), llamaBlock, with(sandwich(), "ffn_norm", ""), nil, (*ggufConfig).olmo2},
		{"olmoe", llamaGlobal(), llamaBlock, experts, nil, (*ggufConfig).olmoe},
		{"stablelm", llamaGlobal(), llamaBlock, with(llamaParts(), "attn_q_norm", "self_attn.q_layernorm.norms.%d", "attn_k_norm", "self_attn.k_layernorm.norms.%d"), nil, (*ggufConfig).stablelm},
		{"starcoder2", llamaGlobal(), llamaBlock, with(llamaParts(), "ffn_gate", "", "ffn_up", "mlp.c_fc", "ffn_down", "mlp.c_proj"), nil, (*ggufConfig).starcoder2},
		{"command-r", llamaGlobal(), llamaBlock, llamaParts(), nil, (*ggufConfig).cohere},
		{"cohere2", llamaGlobal(), llamaBlock, llamaParts(), nil, (*ggufConfig).cohere2},
		{"glm4", llamaGlobal(), llamaBlock, with(llamaParts(), "post_attention_norm", "post_self_attn_layernorm", "post_ffw_norm", "post_mlp_layernorm", "ffn_gate", "", "ffn_up", "mlp.gate_up_proj"), nil, (*ggufConfig).glm4},
		{"granite", llamaGlobal(), llamaBlock, llamaParts(), rotated, (*ggufConfig).granite},
		{"smollm3", llamaGlobal(), llamaBlock, llamaParts(), rotated, (*ggufConfig).smollm3},
		{"bert", map[string]string{"token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings", "token_types": "embeddings.token_type_embeddings",
			"token_embd_norm": "embeddings.LayerNorm", "cls": "classifier.dense", "cls.output": "classifier.out_proj"}, "encoder.layer.%d.",
			map[string]string{"attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value", "attn_output": "attention.output.dense",
				"attn_output_norm": "attention.output.LayerNorm", "ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm"}, nil, (*ggufConfig).bert},
	}
}

// distilbert is architecture bert under the names of the family without token types.
func distilbert(f family) family {
	f.block = "transformer.layer.%d."
	f.parts = map[string]string{"attn_q": "attention.q_lin", "attn_k": "attention.k_lin", "attn_v": "attention.v_lin", "attn_output": "attention.out_lin",
		"attn_output_norm": "sa_layer_norm", "ffn_up": "ffn.lin1", "ffn_down": "ffn.lin2", "layer_output_norm": "output_layer_norm"}
	return f
}

// familyOf finds an architecture; names lists all of them for a message.
func familyOf(arch string) (f family, names string, ok bool) {
	var all []string
	for _, f := range families() {
		if f.arch == arch {
			return f, "", true
		}
		all = append(all, f.arch)
	}
	return family{}, strings.Join(all, ", "), false
}

// rename translates a tensor's name. many is true if the target holds one
// tensor per slice of the first dimension: it then has a %d left.
func (f family) rename(name string) (target string, kind layout, many bool, err error) {
	base, suffix, ok := cutSuffix(name)
	if !ok {
		return "", 0, false, fmt.Errorf("want a name that ends in .weight or .bias")
	}
	if g, ok := f.global[base]; ok {
		return g + suffix, f.layouts[base], false, nil
	}
	rest, ok := strings.CutPrefix(base, "blk.")
	number, part, ok2 := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(number, 10, 31)
	target, ok3 := f.parts[part]
	if !ok || !ok2 || err != nil || !ok3 || strconv.FormatUint(n, 10) != number {
		return "", 0, false, fmt.Errorf("not a tensor of architecture %s", f.arch)
	}
	return fmt.Sprintf(f.block, n) + target + suffix, f.layouts[part], strings.Contains(target, "%d"), nil
}

func cutSuffix(name string) (base, suffix string, ok bool) {
	for _, s := range []string{".weight", ".bias"} {
		if b, found := strings.CutSuffix(name, s); found {
			return b, s, true
		}
	}
	return "", "", false
}
