package model

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/weights"
)

// layerKeys are the names under which families keep the number of layers.
var layerKeys = []string{"num_hidden_layers", "n_layer", "n_layers", "num_layers"}

// wantRefused checks that err is of class Input, has one of the codes and names
// what is wrong.
func wantRefused(t *testing.T, what string, err error, codes string, says ...string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Class != fault.Input || !strings.Contains(" "+codes+" ", " "+f.Code+" ") {
		t.Errorf("%s: error %v, want class 3 and code %s", what, err, codes)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: error %q does not name %q", what, err, s)
		}
	}
}

// TestFamiliesRefuse puts the same faults into every reference checkpoint: a
// tensor missing, of another shape, one too many; layers too few and too many;
// an unknown activation; a head that contradicts tie_word_embeddings.
func TestFamiliesRefuse(t *testing.T) {
	for _, c := range referenceCheckpoints(t) {
		t.Run(c.Name, func(t *testing.T) {
			e := edit(t, c.Name)
			d, err := Describe(e)
			if err != nil {
				t.Fatal(err)
			}
			f, infos := d.family, e.infos
			describe := func() error {
				_, err := Describe(e)
				return err
			}
			// What the configuration asks for is the same for all of these.
			tensors := func() error {
				_, err := account(f, d.Spec, e.Tensors())
				return err
			}
			for _, name := range slices.Sorted(maps.Values(d.inventory.names)) {
				e.infos = slices.Clone(infos)
				e.drop(name)
				wantRefused(t, "without "+name, tensors(), "tensor", normName(name), "missing")
				for i := range d.inventory.dims[keyOf(d.inventory, name)] {
					e.infos = slices.Clone(infos)
					e.change(name, func(t *weights.Info) {
						t.Shape = slices.Clone(t.Shape)
						t.Shape[i]++
					})
					wantRefused(t, fmt.Sprintf("%s longer on axis %d", name, i), tensors(), "tensor", name, "want [")
				}
				e.infos = slices.Clone(infos)
				e.change(name, func(t *weights.Info) { t.DType = weights.I8 })
				wantRefused(t, name+" of integers", tensors(), "tensor", name, "I8")
			}
			e.infos = slices.Clone(infos)
			last, beyond := fmt.Sprintf(".%d.", d.Info.Layers-1), fmt.Sprintf(".%d.", d.Info.Layers)
			i := slices.IndexFunc(infos, func(t weights.Info) bool {
				return strings.Contains("."+t.Name, last) && !strings.Contains(t.Name, "experts.") && !ignorable(f, f.Names.Base, t.Name)
			})
			extra := infos[i]
			extra.Name = strings.Replace(extra.Name, last[1:], beyond[1:], 1)
			e.infos = append(e.infos, extra)
			wantRefused(t, "one tensor more", tensors(), "tensor", extra.Name, "not part")
			e.infos = infos

			key := layerKeys[slices.IndexFunc(layerKeys, func(k string) bool { return e.config[k] != nil })]
			n := e.config[key].(float64)
			for _, to := range []float64{n - 1, n + 1, 0, -1} {
				e.config[key] = to
				wantRefused(t, fmt.Sprintf("%s %v", key, to), describe(), "tensor unsupported malformed")
			}
			e.config[key] = n

			for _, k := range []string{"hidden_act", "hidden_activation", "activation_function", "activation"} {
				if v, ok := e.config[k]; ok && slices.Contains(f.Keys, k) && v != nil {
					e.config[k] = "relu6"
					wantRefused(t, k, describe(), "unsupported", k, "relu6")
					e.config[k] = v
				}
			}
			tied, had := e.config["tie_word_embeddings"]
			e.config["tie_word_embeddings"] = !d.Spec.Head.Tied
			if other, e2 := Describe(e); e2 != nil {
				err = e2
			} else {
				r := &reader{ctx: context.Background(), src: e, inv: other.inventory}
				embed, e2 := r.get("embed.w")
				err = cmp.Or(e2, r.checkTie(matrix{f: embed}))
			}
			switch {
			case !d.Spec.Head.Tied:
				wantRefused(t, "tied with another head stored", err, "tie-mismatch", f.Names.Head)
			case d.inventory.spare == "":
				wantRefused(t, "untied without a head", err, "tensor unsupported unknown-key", "")
			case err != nil:
				t.Errorf("untied with an equal head stored: %v", err)
			}
			if e.config["tie_word_embeddings"] = tied; !had {
				delete(e.config, "tie_word_embeddings")
			}
			if err := describe(); err != nil {
				t.Errorf("the test did not restore the checkpoint: %v", err)
			}
		})
	}
}

// normName is the present name of a norm's tensor.
func normName(name string) string {
	return strings.NewReplacer(".gamma", ".weight", ".beta", ".bias").Replace(name)
}

func keyOf(inv *inventory, name string) string {
	for k, n := range inv.names {
		if n == name {
			return k
		}
	}
	return ""
}

// TestForeignKeys: a key that another family reads is refused, not skipped,
// unless this family reads it too or is known to ignore it.
func TestForeignKeys(t *testing.T) {
	var keys []string
	for _, f := range Families() {
		for _, k := range f.Keys {
			if !strings.Contains(k, ".") && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	seen := map[string]bool{}
	for _, c := range referenceCheckpoints(t) {
		if seen[c.ModelType] {
			continue
		}
		seen[c.ModelType] = true
		e := edit(t, c.Name)
		f, _ := familyOf(c.ModelType)
		for _, k := range keys {
			if _, there := e.config[k]; there || slices.Contains(f.Keys, k) || matches(slices.Concat(f.Inert, commonInert), k) {
				continue
			}
			e.config[k] = 0.5
			_, _, err := resolve(e.Config(), nil)
			wantRefused(t, c.ModelType+" with "+k, err, "unknown-key", k, "0.5")
			delete(e.config, k)
		}
	}
}

func matches(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := filepath.Match(p, key)
		return ok
	})
}

// configs lists the configurations of all reference checkpoints and variants.
func configs(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, c := range referenceCheckpoints(t) {
		out[c.Name] = edit(t, c.Name).config
	}
	for _, v := range readVariants(t) {
		var m map[string]any
		if err := json.Unmarshal(v.Config, &m); err != nil {
			t.Fatal(err)
		}
		out[v.Name] = m
	}
	return out
}

// resolveMap resolves a configuration given as a map.
func resolveMap(t *testing.T, m map[string]any) (*weights.Config, *Family, *Spec, error) {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := weights.ParseConfig("config.json", b)
	if err != nil {
		t.Fatal(err)
	}
	f, s, err := resolve(c, nil)
	return c, f, s, err
}

// TestKeysAreRead: the table of keys is complete and holds nothing that nobody
// reads. A key whose value no family can use is an error in each family that
// lists it; a key that was read is listed.
func TestKeysAreRead(t *testing.T) {
	read := map[string]map[string]bool{}
	all := configs(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		cfg, f, _, err := resolveMap(t, m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if read[f.Name] == nil {
			read[f.Name] = map[string]bool{}
		}
		used := cfg.Used()
		for _, d := range cfg.Defaulted() {
			used = append(used, d.Key)
		}
		for _, k := range used {
			if top, _, nested := strings.Cut(k, "."); nested && !slices.Contains(f.Keys, k) {
				k = top // the parts of rope_parameters
			}
			if k != "model_type" && k != "text_config.model_type" && !slices.Contains(f.Keys, k) {
				t.Errorf("%s: %s reads %q, which its Keys do not list", name, f.Name, k)
			}
		}
		for _, k := range f.Keys {
			at, last := m, k
			if top, below, nested := strings.Cut(k, "."); nested {
				if m[top] == nil {
					m[top] = map[string]any{}
				}
				at, last = m[top].(map[string]any), below
			}
			old, had := at[last]
			at[last] = []any{map[string]any{}}
			_, _, _, err := resolveMap(t, m)
			if f := fault.As(err); f != nil && f.Code != "unknown-key" {
				read[m["model_type"].(string)][k] = true
			}
			if at[last] = old; !had {
				delete(at, last)
			}
		}
	}
	for _, f := range denseFamilies() {
		for _, k := range f.Keys {
			if !read[f.Name][k] {
				t.Errorf("%s lists %q, which it does not read", f.Name, k)
			}
		}
	}
}

// TestElsewhere: the same tensors under the prefixes that other files give them
// are the same model; a prefix that no file has is refused.
func TestElsewhere(t *testing.T) {
	for _, tc := range []struct {
		name, from string
		to         []string
	}{
		{"opt", "model.decoder.", []string{"decoder.", ""}},
		{"gpt2-gelu", "transformer.", []string{""}},
		{"bloom", "", []string{"transformer."}},
		{"gemma2", "model.", []string{""}},
		{"falcon-gqa", "transformer.", []string{""}},
	} {
		e := edit(t, tc.name)
		want, err := Describe(e)
		if err != nil {
			t.Fatal(err)
		}
		infos := e.infos
		for _, to := range append(tc.to, "elsewhere.") {
			e.infos = slices.Clone(infos)
			for i := range e.infos {
				if n := &e.infos[i].Name; !strings.HasPrefix(*n, "lm_head") {
					*n = to + strings.TrimPrefix(*n, tc.from)
				}
			}
			got, err := Describe(e)
			if to == "elsewhere." {
				wantRefused(t, tc.name+" "+to, err, "tensor", "missing")
				continue
			}
			if err != nil || got.Info.Params != want.Info.Params {
				t.Errorf("%s under %q: %v", tc.name, to, err)
			}
		}
	}
	// Gemma 3 with vision, as version 4 of transformers named its tensors, with a
	// vision tower and the tied output matrix.
	vs := readVariants(t)
	v := vs[slices.IndexFunc(vs, func(v variant) bool { return v.Name == "gemma3-vision" })]
	src := v.source(t)
	for i := range src.infos {
		n := &src.infos[i].Name
		*n = strings.Replace(*n, "model.language_model.", "language_model.model.", 1)
	}
	src.infos = append(src.infos, weights.Info{Name: "vision_tower.vision_model.post_layernorm.weight", DType: weights.F32, Shape: []int{8}},
		weights.Info{Name: "multi_modal_projector.mm_soft_emb_norm.weight", DType: weights.F32, Shape: []int{8}},
		weights.Info{Name: "language_model.lm_head.weight", DType: weights.F32, Shape: []int{61, 16}})
	d, err := Describe(src)
	if err != nil || d.inventory.spare != "language_model.lm_head.weight" {
		t.Errorf("gemma3 as version 4 named it: %v", err)
	}
}

// TestGemmaAct: what a Gemma 1 file says about its activation.
func TestGemmaAct(t *testing.T) {
	for _, tc := range []struct {
		act, activation any
		want            string // "" = refused
		warns           bool
	}{
		{"gelu", nil, GELUTanh, true},
		{"gelu_pytorch_tanh", nil, GELUTanh, false},
		{nil, nil, GELUTanh, false}, // both missing
		{"gelu", "gelu_pytorch_tanh", GELUTanh, true},
		{"gelu_pytorch_tanh", "gelu_pytorch_tanh", GELUTanh, false},
		{"silu", nil, SiLU, false},
		{"gelu_pytorch_tanh", "silu", "", false},
	} {
		e := edit(t, "gemma")
		delete(e.config, "hidden_act")
		if tc.act != nil {
			e.config["hidden_act"] = tc.act
		}
		e.config["hidden_activation"] = tc.activation
		d, err := Describe(e)
		if tc.want == "" {
			wantRefused(t, fmt.Sprint(tc.act, tc.activation), err, "unsupported", "hidden_activation")
			continue
		}
		if err != nil || d.Spec.Kinds[0].MLP.Act != tc.want {
			t.Errorf("%v, %v: %v; want %s", tc.act, tc.activation, err, tc.want)
			continue
		}
		ws := d.Info.Warnings
		if (len(ws) == 1 && ws[0].Code == "gemma-act") != tc.warns || len(ws) > 1 {
			t.Errorf("%v, %v: warnings %v, want gemma-act %t", tc.act, tc.activation, ws, tc.warns)
		}
	}
}

// TestContradictions: settings that transformers cannot run, or that say two
// things at once, are refused with the key that is wrong.
func TestContradictions(t *testing.T) {
	type kv = map[string]any
	list := func(s ...any) []any { return s }
	for _, tc := range []struct {
		base string
		set  kv
		says string
	}{
		{"gpt2", kv{"hidden_size": 40.0}, "hidden_size"},
		{"gpt2", kv{"n_head": 5.0}, "n_head"},
		{"gpt2", kv{"add_cross_attention": true}, "add_cross_attention"},
		{"gpt2", kv{"n_embd": nil}, "n_embd"},
		{"gpt_neo", kv{"attention_layers": list("global", "global", "local")}, "attention_layers"},
		{"gpt_neo", kv{"attention_types": list(list(list("global"), 2.0)), "attention_layers": nil}, "attention_types"},
		{"gpt_neo", kv{"attention_types": list(list(list("round"), 3.0)), "attention_layers": nil}, "attention_types"},
		{"gpt_neo", kv{"attention_types": "global"}, "attention_types"},
		{"gpt_neo", kv{"attention_types": list(list(list("global"))), "attention_layers": nil}, "attention_types"},
		{"gpt_neo", kv{"attention_types": list(list(list("global"), 1e9)), "attention_layers": nil}, "attention_types"},
		{"gpt_neo", kv{"attention_types": list(list(list("global"), -1.0)), "attention_layers": nil}, "attention_types"},
		{"gpt_neo", kv{"attention_types": list(list(list("global", "local", "global", "local"), float64(1<<62))), "attention_layers": nil}, "attention_types"},
		{"gpt_neo", kv{"attention_types": list(list(list("global"), 4000.0), list(list("local"), 4000.0)), "attention_layers": nil}, "attention_types"},
		{"gpt_neo", kv{"window_size": 0.0}, "window_size"},
		{"gptj", kv{"rotary_dim": 7.0}, "rotary_dim"},
		{"gptj", kv{"rotary_dim": 18.0}, "rotary_dim"},
		{"gptj", kv{"rotary_dim": nil}, "rotary_dim"},
		{"gptj", kv{"rotary": false}, "rotary"},
		{"olmo", kv{"clip_qkv": 0.0}, "clip_qkv"},
		{"olmo", kv{"rms_norm_eps": 1e-5}, "rms_norm_eps"}, // its epsilon is fixed
		{"olmo3", kv{"rope_parameters": nil, "rope_theta": 50000.0}, "rope_theta"},
		{"olmo3", kv{"sliding_window": nil}, "sliding_window"},
		{"olmo3", kv{"rope_parameters": nil, "rope_scaling": kv{"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32.0, "truncate": false}}, "truncate"},
		{"olmo3", kv{"rope_parameters": kv{"rope_type": "default", "rope_theta": 5e5}}, "rope_parameters"},
		{"gemma", kv{"use_bidirectional_attention": true}, "use_bidirectional_attention"},
		{"gemma", kv{"num_key_value_heads": nil}, "num_key_value_heads"},
		{"gemma2", kv{"query_pre_attn_scalar": 0.0}, "query_pre_attn_scalar"},
		{"gemma2", kv{"attn_logit_softcapping": -1.0}, "attn_logit_softcapping"},
		{"gemma2", kv{"layer_types": list("sliding_attention")}, "layer_types"},
		{"gemma3", kv{"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"},
		{"gemma3", kv{"sliding_window_pattern": 0.0}, "sliding_window_pattern"},
		{"gemma3", kv{"layer_types": list("sliding_attention", "sliding_attention", "sliding_attention", "full_attention")}, "layer_types"},
		{"gemma3", kv{"_sliding_window_pattern": 6.0}, "_sliding_window_pattern"},
		{"phi3", kv{"rope_parameters": kv{"rope_type": "yarn", "factor": 2.0}}, "yarn"},
		{"phi3", kv{"original_max_position_embeddings": nil, "rope_parameters": kv{"rope_type": "longrope", "short_factor": list(1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
			"long_factor": list(1.0, 1.0, 1.0, 1.0, 1.0, 1.0), "original_max_position_embeddings": 32.0}}, "original_max_position_embeddings"},
		{"opt", kv{"scale_embeddings": true}, "scale_embeddings"},
		{"opt", kv{"layer_norm_eps": 1e-6}, "layer_norm_eps"}, // its epsilon is fixed
		{"opt", kv{"word_embed_proj_dim": 0.0}, "word_embed_proj_dim"},
		{"falcon-gqa", kv{"parallel_attn": false}, "parallel_attn"},
		{"falcon-gqa", kv{"num_ln_in_parallel_attn": 3.0}, "num_ln_in_parallel_attn"},
		{"falcon-gqa", kv{"num_kv_heads": 4.0}, "num_key_value_heads"},
		{"falcon-multiquery", kv{"num_ln_in_parallel_attn": 2.0}, "num_ln_in_parallel_attn"},
		{"falcon-multiquery", kv{"multi_query": false, "num_kv_heads": 2.0}, "num_kv_heads"},
		{"falcon-multiquery", kv{"apply_residual_connection_post_layernorm": true}, "apply_residual_connection_post_layernorm"},
		{"bloom", kv{"n_inner": 100.0}, "n_inner"},
		{"bloom", kv{"n_head": 4.0}, "num_attention_heads"},
		{"mpt", kv{"expansion_ratio": 2.0}, "expansion_ratio"},
		{"mpt", kv{"logit_scale": 0.5}, "logit_scale"},
		{"mpt", kv{"no_bias": false}, "no_bias"},
		{"mpt", kv{"norm_type": "rmsnorm"}, "norm_type"},
		{"mpt", kv{"attn_config": kv{"alibi": false}}, "attn_config.alibi"},
		{"mpt", kv{"attn_config": kv{"alibi_bias_max": 16.0}}, "attn_config.alibi_bias_max"},
		{"mpt", kv{"attn_config": kv{"qk_ln": true}}, "attn_config.qk_ln"},
		{"mpt", kv{"attn_config": kv{"attn_type": "multiquery_attention"}}, "attn_config.attn_type"},
		{"mpt", kv{"attn_config": kv{"sliding_window_size": 9.0}}, "attn_config.sliding_window_size"},
		{"stablelm", kv{"head_dim": 8.0}, "head_dim"},
		{"stablelm", kv{"rotary_scaling_factor": 2.0}, "rotary_scaling_factor"},
		{"starcoder2", kv{"norm_type": "rms_norm"}, "norm_type"},
		{"starcoder2", kv{"sliding_window": 0.0}, "sliding_window"},
		{"cohere", kv{"rope_theta": nil}, "rope_theta"},
		{"cohere", kv{"logit_scale": 0.0}, "logit_scale"},
		{"cohere", kv{"logit_scale": nil}, "logit_scale"},
		{"cohere2", kv{"layer_switch": 3.0}, "layer_switch"},
		{"cohere2", kv{"rotary_pct": 0.5}, "rotary_pct"},
		{"cohere2", kv{"use_qk_norm": true}, "use_qk_norm"},
		{"cohere2", kv{"use_parallel_block": false}, "use_parallel_block"},
		{"cohere2", kv{"position_embedding_type": "rope_neox"}, "position_embedding_type"},
		{"cohere2", kv{"use_embedding_sharing": false}, "use_embedding_sharing"},
		{"granite", kv{"embedding_multiplier": 0.0}, "embedding_multiplier"},
		{"granite", kv{"logits_scaling": 0.0}, "logits_scaling"},
		{"smollm3", kv{"no_rope_layers": list(1.0, 1.0, 1.0)}, "no_rope_layers"},
		{"smollm3", kv{"no_rope_layers": list(1.0, 1.0, 1.0, 2.0)}, "no_rope_layers"},
		{"smollm3", kv{"no_rope_layer_interval": 0.0}, "no_rope_layer_interval"},
		{"smollm3", kv{"layer_types": list("sliding_attention", "full_attention", "full_attention", "full_attention")}, "layer_types"},
		{"glm4", kv{"num_key_value_heads": 3.0}, "num_key_value_heads"},
		{"glm4", kv{"rope_parameters": kv{"rope_type": "default", "partial_rotary_factor": 0.5}, "partial_rotary_factor": 0.25}, "partial_rotary_factor"},
	} {
		e := edit(t, tc.base)
		var keys []string
		for k, v := range tc.set {
			e.config[k] = v
			keys = append(keys, k)
		}
		slices.SortFunc(keys, cmp.Compare[string])
		_, err := Describe(e)
		wantRefused(t, fmt.Sprint(tc.base, " ", keys), err, "unsupported malformed unknown-key", tc.says)
	}
}

// TestPublished: configurations as published with well-known checkpoints are
// read without a complaint, whatever else they hold.
func TestPublished(t *testing.T) {
	for _, tc := range []struct {
		name, config string
		check        func(s *Spec) bool
	}{
		{"MPT-7B", `{"architectures":["MPTForCausalLM"],"attn_config":{"alibi":true,"alibi_bias_max":8,"attn_impl":"torch","attn_pdrop":0,"attn_type":"multihead_attention",
			"attn_uses_sequence_id":false,"clip_qkv":null,"prefix_lm":false,"qk_ln":false,"softmax_scale":null},"auto_map":{"AutoConfig":"configuration_mpt.MPTConfig",
			"AutoModelForCausalLM":"modeling_mpt.MPTForCausalLM"},"d_model":4096,"emb_pdrop":0,"embedding_fraction":1.0,"expansion_ratio":4,"init_config":{"emb_init_std":null,
			"emb_init_uniform_lim":null,"fan_mode":"fan_in","init_div_is_residual":true,"init_gain":0,"init_nonlinearity":"relu","init_std":0.02,"name":"kaiming_normal_","verbose":0},
			"init_device":"cpu","learned_pos_emb":true,"logit_scale":null,"max_seq_len":2048,"model_type":"mpt","n_heads":32,"n_layers":32,"no_bias":true,
			"norm_type":"low_precision_layernorm","resid_pdrop":0,"tokenizer_name":"EleutherAI/gpt-neox-20b","torch_dtype":"bfloat16"}`,
			func(s *Spec) bool { return s.Width == 4096 && len(s.Layers) == 32 && s.Kinds[0].Attn.HeadDim == 128 }},
		{"Gemma-3-12B-it", `{"architectures":["Gemma3ForConditionalGeneration"],"boi_token_index":255999,"eoi_token_index":256000,"eos_token_id":[1,106],"image_token_index":262144,
			"initializer_range":0.02,"mm_tokens_per_image":256,"model_type":"gemma3","text_config":{"hidden_size":3840,"intermediate_size":15360,"model_type":"gemma3_text",
			"num_attention_heads":16,"num_hidden_layers":48,"num_key_value_heads":8,"rope_scaling":{"factor":8.0,"rope_type":"linear"},"sliding_window":1024},
			"torch_dtype":"bfloat16","vision_config":{"hidden_size":1152,"image_size":896,"intermediate_size":4304,"model_type":"siglip_vision_model","num_attention_heads":16,
			"num_hidden_layers":27,"patch_size":14,"vision_use_head":false}}`,
			func(s *Spec) bool {
				local, full := s.Block(0).Attn, s.Block(5).Attn
				return s.Vocab == 262208 && len(s.Kinds) == 2 && local.Window == 1024 && full.Window == 0 && local.HeadDim == 256 && local.Rope.Freq[0] == 1 && full.Rope.Freq[0] == .125
			}},
		{"SmolLM3-3B-Base", `{"architectures":["SmolLM3ForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"bos_token_id":null,"eos_token_id":128001,"hidden_act":"silu",
			"hidden_size":2048,"initializer_range":0.02,"intermediate_size":11008,"max_position_embeddings":65536,"model_type":"smollm3","no_rope_layer_interval":4,
			"num_attention_heads":16,"num_hidden_layers":36,"num_key_value_heads":4,"pad_token_id":128004,"pretraining_tp":2,"rms_norm_eps":1e-06,"rope_scaling":null,
			"rope_theta":5000000.0,"sliding_window":null,"tie_word_embeddings":true,"torch_dtype":"bfloat16","use_cache":true,"use_sliding_window":false,"vocab_size":128256}`,
			func(s *Spec) bool { return s.Block(2).Attn.Rope != nil && s.Block(3).Attn.Rope == nil && s.Head.Tied }},
		{"OPT-125M", `{"_remove_final_layer_norm":false,"activation_function":"relu","attention_dropout":0.0,"bos_token_id":2,"do_layer_norm_before":true,"dropout":0.1,
			"enable_bias":true,"eos_token_id":2,"ffn_dim":3072,"hidden_size":768,"init_std":0.02,"layer_norm_elementwise_affine":true,"layerdrop":0.0,
			"max_position_embeddings":2048,"model_type":"opt","num_attention_heads":12,"num_hidden_layers":12,"pad_token_id":1,"use_cache":true,"vocab_size":50272,"word_embed_proj_dim":768}`,
			func(s *Spec) bool { return s.Embed.Learned.Rows == 2050 && s.Final != nil }},
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

// The folder of tests holds what the README of the reference promises.
func TestReferenceFamilies(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(referenceDir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range denseFamilies() {
		if f.Name != "gemma3" && !strings.Contains(string(b), `"model_type": "`+f.Name+`"`) {
			t.Errorf("%s: no reference checkpoint", f.Name)
		}
	}
}

// TestRewritten: what transformers 5.23 writes after reading a configuration
// means the same as the configuration itself, in whatever style it was written
// (testdata/rewritten.json).
func TestRewritten(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "rewritten.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rewritten map[string]map[string]any
	if err := json.Unmarshal(b, &rewritten); err != nil {
		t.Fatal(err)
	}
	all := configs(t)
	for name, m := range rewritten {
		_, _, want, err := resolveMap(t, all[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, _, got, err := resolveMap(t, m)
		if err != nil {
			t.Errorf("%s rewritten: %v", name, err)
			continue
		}
		if digest(t, got) != digest(t, want) {
			a, _ := want.Canonical()
			b, _ := got.Canonical()
			t.Errorf("%s means\n%s\nrewritten\n%s", name, a, b)
		}
	}
	if len(rewritten) < 60 {
		t.Errorf("%d configurations, want those of all variants and checkpoints", len(rewritten))
	}
}

// A configuration whose every layer is a kind of its own costs no more than its
// layers: comparing each with each took minutes.
func TestManyKinds(t *testing.T) {
	start := time.Now()
	_, _, s, err := resolveMap(t, map[string]any{"model_type": "gpt2", "n_layer": 1e9, "scale_attn_by_inverse_layer_idx": true})
	if err != nil || len(s.Kinds) != maxLayers || len(s.Layers) != maxLayers {
		t.Fatalf("%d kinds, %v", len(s.Kinds), err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestGGUFFamilies: the configurations that GGUF headers stand for are those of
// the families, tensor by tensor.
func TestGGUFFamilies(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "weights", "testdata", "gguf", "*.gguf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		ck, err := weights.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := familyOf(ck.Config().String("model_type")); ok {
			if _, err := Describe(ck); err != nil {
				t.Errorf("%s: %v", filepath.Base(name), err)
			}
		}
		ck.Close()
	}
}
