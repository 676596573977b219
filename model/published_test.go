package model

import (
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/weights"
)

// Configurations of encoders and mixtures as published with well-known checkpoints
// are read without a complaint.
func TestPublishedEncodersAndExperts(t *testing.T) {
	for _, tc := range []struct {
		name, config string
		check        func(s *Spec) bool
	}{
		{"bert-base-uncased", `{"architectures":["BertForMaskedLM"],"attention_probs_dropout_prob":0.1,"gradient_checkpointing":false,"hidden_act":"gelu","hidden_dropout_prob":0.1,
			"hidden_size":768,"initializer_range":0.02,"intermediate_size":3072,"layer_norm_eps":1e-12,"max_position_embeddings":512,"model_type":"bert","num_attention_heads":12,
			"num_hidden_layers":12,"pad_token_id":0,"position_embedding_type":"absolute","transformers_version":"4.6.0.dev0","type_vocab_size":2,"use_cache":true,"vocab_size":30522}`,
			func(s *Spec) bool {
				return s.Positions == 512 && s.Embed.Types == 2 && s.Head.Tied && !s.headOptional && s.Kinds[0].Attn.HeadDim == 64
			}},
		{"bert-base-multilingual-cased", `{"architectures":["BertForMaskedLM"],"attention_probs_dropout_prob":0.1,"directionality":"bidi","hidden_act":"gelu","hidden_dropout_prob":0.1,
			"hidden_size":768,"initializer_range":0.02,"intermediate_size":3072,"layer_norm_eps":1e-12,"max_position_embeddings":512,"model_type":"bert","num_attention_heads":12,
			"num_hidden_layers":12,"pad_token_id":0,"pooler_fc_size":768,"pooler_num_attention_heads":12,"pooler_num_fc_layers":3,"pooler_size_per_head":128,
			"pooler_type":"first_token_transform","position_embedding_type":"absolute","type_vocab_size":2,"use_cache":true,"vocab_size":119547}`,
			func(s *Spec) bool { return s.Vocab == 119547 }},
		{"all-MiniLM-L6-v2", `{"_name_or_path":"nreimers/MiniLM-L6-H384-uncased","architectures":["BertModel"],"attention_probs_dropout_prob":0.1,"gradient_checkpointing":false,"hidden_act":"gelu",
			"hidden_dropout_prob":0.1,"hidden_size":384,"initializer_range":0.02,"intermediate_size":1536,"layer_norm_eps":1e-12,"max_position_embeddings":512,"model_type":"bert",
			"num_attention_heads":12,"num_hidden_layers":6,"pad_token_id":0,"position_embedding_type":"absolute","type_vocab_size":2,"use_cache":true,"vocab_size":30522}`,
			func(s *Spec) bool { return s.headOptional && len(s.Layers) == 6 }},
		{"roberta-base", `{"architectures":["RobertaForMaskedLM"],"attention_probs_dropout_prob":0.1,"bos_token_id":0,"eos_token_id":2,"hidden_act":"gelu","hidden_dropout_prob":0.1,"hidden_size":768,
			"initializer_range":0.02,"intermediate_size":3072,"layer_norm_eps":1e-05,"max_position_embeddings":514,"model_type":"roberta","num_attention_heads":12,"num_hidden_layers":12,
			"pad_token_id":1,"type_vocab_size":1,"vocab_size":50265}`,
			func(s *Spec) bool {
				return s.Positions == 512 && s.Embed.Learned.Rows == 514 && *s.Embed.Learned.Pad == 1 && s.Embed.Types == 1
			}},
		{"distilbert-base-uncased", `{"activation":"gelu","architectures":["DistilBertForMaskedLM"],"attention_dropout":0.1,"dim":768,"dropout":0.1,"hidden_dim":3072,"initializer_range":0.02,
			"max_position_embeddings":512,"model_type":"distilbert","n_heads":12,"n_layers":6,"pad_token_id":0,"qa_dropout":0.1,"seq_classif_dropout":0.2,"sinusoidal_pos_embds":false,
			"tie_weights_":true,"transformers_version":"4.10.0.dev0","vocab_size":30522}`,
			func(s *Spec) bool { return s.Embed.Types == 0 && len(s.Layers) == 6 && s.Kinds[0].Norm.Eps == 1e-12 }},
		{"Mixtral-8x7B-v0.1", `{"architectures":["MixtralForCausalLM"],"attention_dropout":0.0,"bos_token_id":1,"eos_token_id":2,"hidden_act":"silu","hidden_size":4096,"initializer_range":0.02,
			"intermediate_size":14336,"max_position_embeddings":32768,"model_type":"mixtral","num_attention_heads":32,"num_experts_per_tok":2,"num_hidden_layers":32,"num_key_value_heads":8,
			"num_local_experts":8,"output_router_logits":false,"rms_norm_eps":1e-05,"rope_theta":1000000.0,"router_aux_loss_coef":0.02,"sliding_window":null,"tie_word_embeddings":false,
			"torch_dtype":"bfloat16","transformers_version":"4.36.0.dev0","use_cache":true,"vocab_size":32000}`,
			func(s *Spec) bool {
				x := s.Kinds[0].MLP.Experts
				return x.N == 8 && x.Top == 2 && x.Normalise && s.Kinds[0].MLP.Width == 14336 && s.Kinds[0].Attn.Window == 0
			}},
		{"Qwen1.5-MoE-A2.7B", `{"architectures":["Qwen2MoeForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,"eos_token_id":151643,"hidden_act":"silu","hidden_size":2048,
			"initializer_range":0.02,"intermediate_size":5632,"max_position_embeddings":8192,"max_window_layers":21,"model_type":"qwen2_moe","num_attention_heads":16,"num_hidden_layers":24,
			"num_key_value_heads":16,"rms_norm_eps":1e-06,"rope_theta":1000000.0,"sliding_window":32768,"tie_word_embeddings":false,"torch_dtype":"bfloat16","use_cache":true,
			"use_sliding_window":false,"vocab_size":151936,"decoder_sparse_step":1,"moe_intermediate_size":1408,"shared_expert_intermediate_size":5632,"num_experts_per_tok":4,
			"num_experts":60,"norm_topk_prob":false,"output_router_logits":false,"router_aux_loss_coef":0.001}`,
			func(s *Spec) bool {
				x := s.Kinds[0].MLP.Experts
				return len(s.Kinds) == 1 && x.N == 60 && x.Top == 4 && !x.Normalise && x.Shared == 5632 && s.Kinds[0].MLP.Width == 1408 && s.Kinds[0].Attn.Bias
			}},
		{"Qwen3-30B-A3B", `{"architectures":["Qwen3MoeForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"bos_token_id":151643,"decoder_sparse_step":1,"eos_token_id":151645,"head_dim":128,
			"hidden_act":"silu","hidden_size":2048,"initializer_range":0.02,"intermediate_size":6144,"max_position_embeddings":40960,"max_window_layers":48,"mlp_only_layers":[],
			"model_type":"qwen3_moe","moe_intermediate_size":768,"norm_topk_prob":true,"num_attention_heads":32,"num_experts":128,"num_experts_per_tok":8,"num_hidden_layers":48,
			"num_key_value_heads":4,"output_router_logits":false,"rms_norm_eps":1e-06,"rope_scaling":null,"rope_theta":1000000.0,"router_aux_loss_coef":0.001,"sliding_window":null,
			"tie_word_embeddings":false,"torch_dtype":"bfloat16","transformers_version":"4.51.0","use_cache":true,"use_sliding_window":false,"vocab_size":151936}`,
			func(s *Spec) bool {
				x := s.Kinds[0].MLP.Experts
				return x.N == 128 && x.Top == 8 && x.Normalise && s.Kinds[0].Attn.HeadDim == 128 && s.Kinds[0].Attn.QKNorm.Scope == ScopeHead
			}},
		{"OLMoE-1B-7B-0924", `{"architectures":["OlmoeForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"clip_qkv":null,"eos_token_id":50279,"hidden_act":"silu","hidden_size":2048,
			"initializer_range":0.02,"intermediate_size":1024,"max_position_embeddings":4096,"model_type":"olmoe","norm_topk_prob":false,"num_attention_heads":16,"num_experts":64,
			"num_experts_per_tok":8,"num_hidden_layers":16,"num_key_value_heads":16,"output_router_logits":false,"pad_token_id":1,"rms_norm_eps":1e-05,"rope_scaling":null,
			"rope_theta":10000.0,"router_aux_loss_coef":0.01,"tie_word_embeddings":false,"torch_dtype":"bfloat16","use_cache":true,"vocab_size":50304}`,
			func(s *Spec) bool {
				return s.Kinds[0].MLP.Experts.N == 64 && s.Kinds[0].MLP.Width == 1024 && s.Kinds[0].Attn.QKNorm.Scope == ScopeWhole
			}},
	} {
		c, err := weights.ParseConfig("config.json", []byte(tc.config))
		if err != nil {
			t.Fatal(err)
		}
		if _, s, err := resolve(c, nil); err != nil || !tc.check(s) {
			t.Errorf("%s: %v, %+v", tc.name, err, s)
		}
	}
}

// A number that no model has, under any key of any family, is refused as bad input
// or bounds nothing; it costs neither time nor memory.
func TestAbsurdNumbers(t *testing.T) {
	for _, c := range referenceCheckpoints(t) {
		e := edit(t, c.Name)
		f, _ := familyOf(c.ModelType)
		for _, n := range numbers(e.config, f, "") {
			for _, v := range []float64{1 << 40, -1 << 40, 1e300, 0.5, 1e-300} {
				restore := n.set(v)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				_, err := Describe(e)
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				restore()
				if fa := fault.As(err); err != nil && (fa == nil || fa.Class != fault.Input || fa.Code == "internal") {
					t.Errorf("%s: %s %g: %v, want a refusal of bad input", c.Name, n.key, v, err)
				}
				if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 256 || took > 20*time.Second {
					t.Errorf("%s: %s %g: %d MB and %v", c.Name, n.key, v, got, took)
				}
			}
		}
	}
}

// The folder of reference checkpoints has one of every encoder and mixture.
func TestReferenceEncodersAndExperts(t *testing.T) {
	have := map[string]bool{}
	for _, c := range referenceCheckpoints(t) {
		have[c.ModelType] = true
	}
	for _, f := range slices.Concat(expertFamilies(), encoderFamilies()) {
		if !have[f.Name] {
			t.Errorf("%s: no reference checkpoint among %v", f.Name, slices.Sorted(maps.Keys(have)))
		}
	}
}
