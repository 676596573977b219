package model

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/weights"
)

// edited is a reference checkpoint with a changed configuration or changed tensors.
type edited struct {
	ck     *weights.Checkpoint // not embedded: its 16-bit values would go past the edits
	config map[string]any
	infos  []weights.Info
	values func(name string, x []float32)
}

func edit(t testing.TB, name string) *edited {
	t.Helper()
	ck := openReference(t, name)
	b, err := os.ReadFile(filepath.Join(referenceDir, name, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	e := &edited{ck: ck, config: map[string]any{}}
	if err := json.Unmarshal(b, &e.config); err != nil {
		t.Fatal(err)
	}
	e.infos = slices.Collect(ck.Tensors())
	return e
}

func (e *edited) Config() *weights.Config {
	b, err := json.Marshal(e.config)
	if err != nil {
		panic(err)
	}
	c, err := weights.ParseConfig("config.json", b)
	if err != nil {
		panic(err)
	}
	return c
}

func (e *edited) Tensors() iter.Seq[weights.Info] { return slices.Values(e.infos) }

func (e *edited) F32(name string, dst []float32) error {
	if err := e.ck.F32(strings.TrimSuffix(name, "~"), dst); err != nil {
		return err
	}
	if e.values != nil {
		e.values(name, dst)
	}
	return nil
}

func (e *edited) drop(name string) {
	e.infos = slices.DeleteFunc(e.infos, func(i weights.Info) bool { return i.Name == name })
}

func (e *edited) change(name string, f func(i *weights.Info)) {
	for k := range e.infos {
		if e.infos[k].Name == name {
			f(&e.infos[k])
		}
	}
}

// TestRefuse: each fault is refused by Load with its class, code and the name of
// what is wrong, before any graph is built.
func TestRefuse(t *testing.T) {
	const norm, o = "model.layers.1.input_layernorm.weight", "model.layers.0.self_attn.o_proj.weight"
	for _, c := range []struct {
		name, base string
		edit       func(e *edited)
		code       string
		says       []string
	}{
		{"missing tensor", "llama-mha", func(e *edited) { e.drop(norm) }, "tensor", []string{norm, "missing"}},
		{"missing head", "llama-mha", func(e *edited) { e.drop("lm_head.weight") }, "tensor", []string{"lm_head.weight", "missing"}},
		{"renamed tensor", "llama-mha", func(e *edited) { e.change(norm, func(i *weights.Info) { i.Name += "~" }) }, "tensor", []string{norm, "missing"}},
		{"extra tensor", "llama-mha", func(e *edited) {
			e.infos = append(e.infos, weights.Info{Name: "model.layers.2.mlp.up_proj.weight", DType: weights.F32, Shape: []int{100, 48}})
		}, "tensor", []string{"model.layers.2.mlp.up_proj.weight", "not part"}},
		{"adapter", "qwen2", func(e *edited) {
			e.infos = append(e.infos, weights.Info{Name: "model.layers.0.self_attn.q_proj.lora_A.weight", DType: weights.F32, Shape: []int{8, 48}})
		}, "tensor", []string{"lora_A"}},
		{"one layer less in config", "llama-mha", func(e *edited) { e.config["num_hidden_layers"] = 1 }, "tensor", []string{"model.layers.1.", "not part"}},
		{"one layer more in config", "llama-mha", func(e *edited) { e.config["num_hidden_layers"] = 3 }, "tensor", []string{"model.layers.2.", "missing"}},
		{"misshapen", "llama-mha", func(e *edited) { e.change(norm, func(i *weights.Info) { i.Shape = []int{47} }) }, "tensor", []string{norm, "[47]", "[48]"}},
		{"transposed", "mistral-sliding", func(e *edited) { e.change(o, func(i *weights.Info) { i.Shape = []int{80, 48} }) }, "tensor", []string{o, "[80 48]", "[48 80]"}},
		{"integer weights", "llama-mha", func(e *edited) { e.change(norm, func(i *weights.Info) { i.DType = weights.I32 }) }, "tensor", []string{norm, "I32"}},
		{"vocabulary differs", "llama-mha", func(e *edited) { e.config["vocab_size"] = 609 }, "tensor", []string{"embed_tokens", "[608 48]", "[609 48]"}},
		{"tie mismatch", "qwen2", func(e *edited) {
			e.infos = append(e.infos, weights.Info{Name: "lm_head.weight", DType: weights.F32, Shape: []int{520, 48}})
		}, "", nil},
		{"tied in config, head stored", "llama-mha", func(e *edited) { e.config["tie_word_embeddings"] = true }, "tie-mismatch", []string{"lm_head.weight"}},
		{"untied in config, no head", "qwen2", func(e *edited) { e.config["tie_word_embeddings"] = false }, "tensor", []string{"lm_head.weight", "missing"}},
		{"model_type", "llama-mha", func(e *edited) { e.config["model_type"] = "llama5" }, "unsupported", []string{`"llama5"`, "gpt_neox"}},
		{"no model_type", "llama-mha", func(e *edited) { delete(e.config, "model_type") }, "malformed", []string{"model_type"}},
		{"unknown key", "llama-mha", func(e *edited) { e.config["attention_multiplier"] = 0.5 }, "unknown-key", []string{"attention_multiplier", "0.5"}},
		{"key of another family", "llama-mha", func(e *edited) { e.config["sliding_window"] = 128 }, "unknown-key", []string{"sliding_window"}},
		{"key of another family", "gpt_neox-parallel", func(e *edited) { e.config["attn_logit_softcapping"] = 30 }, "unknown-key", []string{"attn_logit_softcapping"}},
		{"quantised", "llama-mha", func(e *edited) { e.config["quantization_config"] = map[string]any{"bits": 4} }, "unsupported", []string{"quantization_config"}},
		{"RoPE type", "llama-llama3", func(e *edited) {
			e.config["rope_parameters"].(map[string]any)["rope_type"] = "spiral"
		}, "unsupported", []string{"spiral"}},
		{"activation", "llama-mha", func(e *edited) { e.config["hidden_act"] = "quick_gelu" }, "unsupported", []string{"quick_gelu"}},
		{"heads do not divide the width", "gpt_neox-parallel", func(e *edited) { e.config["num_attention_heads"] = 5 }, "unsupported", []string{"num_attention_heads", "5"}},
		{"heads do not divide the width", "llama-mha", func(e *edited) {
			e.config["num_attention_heads"], e.config["num_key_value_heads"] = 5, 5
		}, "unsupported", []string{"hidden_size"}},
		{"key heads do not divide the heads", "llama-mha", func(e *edited) { e.config["num_key_value_heads"] = 3 }, "unsupported", []string{"num_key_value_heads", "3"}},
		{"no heads", "llama-mha", func(e *edited) { e.config["num_attention_heads"] = 0 }, "unsupported", []string{"num_attention_heads"}},
		{"negative width", "llama-mha", func(e *edited) { e.config["hidden_size"] = -48 }, "unsupported", []string{"hidden_size"}},
		{"no layers", "llama-mha", func(e *edited) { e.config["num_hidden_layers"] = 0 }, "unsupported", []string{"num_hidden_layers"}},
		{"absurd layers", "llama-mha", func(e *edited) { e.config["num_hidden_layers"] = 1 << 40 }, "tensor", []string{"missing"}},
		{"width is text", "llama-mha", func(e *edited) { e.config["hidden_size"] = "48" }, "malformed", []string{"hidden_size"}},
		{"width missing", "llama-mha", func(e *edited) { delete(e.config, "hidden_size") }, "malformed", []string{"hidden_size"}},
		{"window of zero", "mistral-sliding", func(e *edited) { e.config["sliding_window"] = 0 }, "unsupported", []string{"sliding_window"}},
		{"odd head", "llama-mha", func(e *edited) { e.config["head_dim"] = 11 }, "unsupported", nil},
		{"layer types too few", "qwen3", func(e *edited) { e.config["layer_types"] = []string{"full_attention"} }, "unsupported", []string{"layer_types"}},
		{"layer types unknown", "qwen3", func(e *edited) { e.config["layer_types"] = []string{"full_attention", "round"} }, "unsupported", []string{"layer_types"}},
		{"sliding layers without a window", "qwen3", func(e *edited) {
			e.config["layer_types"] = []string{"full_attention", "sliding_attention"}
		}, "unsupported", []string{"layer_types"}},
	} {
		t.Run(c.name+" "+c.base, func(t *testing.T) {
			e := edit(t, c.base)
			c.edit(e)
			m, err := Load(context.Background(), e, Options{})
			if c.code == "" { // an allowed edit, so that the test can tell
				if err == nil {
					t.Fatal("loaded; want an error or a checkpoint that says so")
				}
				return
			}
			if err == nil {
				m.Close()
				t.Fatalf("loaded, want %s", c.code)
			}
			f := fault.As(err)
			if f == nil || f.Class != fault.Input || f.Code != c.code {
				t.Fatalf("error %v (%+v), want class 3, code %s", err, f, c.code)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not name %q", err, s)
				}
			}
		})
	}
}

// A key in Options.AcceptKeys is not refused; empty values never are.
func TestAcceptKey(t *testing.T) {
	e := edit(t, "llama-mha")
	e.config["attention_multiplier"] = 0.5
	e.config["some_new_switch"] = false
	m, err := Load(context.Background(), e, Options{AcceptKeys: []string{"attention_multiplier"}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !slices.Equal(m.Info().Accepted, []string{"attention_multiplier"}) {
		t.Fatalf("accepted %v", m.Info().Accepted)
	}
}

// A tied model may store its output matrix a second time if it is the same.
func TestTiedTwice(t *testing.T) {
	for _, same := range []bool{true, false} {
		e := edit(t, "qwen2")
		e.infos = append(e.infos, weights.Info{Name: "lm_head.weight", DType: weights.BF16, Shape: []int{520, 48}})
		src := &twice{e, same}
		m, err := Load(context.Background(), src, Options{})
		if same {
			if err != nil {
				t.Fatal(err)
			}
			m.Close()
			continue
		}
		if f := fault.As(err); f == nil || f.Code != "tie-mismatch" {
			t.Fatalf("error %v, want tie-mismatch", err)
		}
	}
}

// twice stores the embedding again as lm_head, changed in its last value.
type twice struct {
	*edited
	same bool
}

func (s *twice) F32(name string, dst []float32) error {
	if name != "lm_head.weight" {
		return s.edited.F32(name, dst)
	}
	if err := s.edited.F32("model.embed_tokens.weight", dst); err != nil {
		return err
	}
	if !s.same {
		dst[len(dst)-1] *= 1.01
	}
	return nil
}

// TestBadWindows: what a caller may get wrong is an error that says where.
func TestBadWindows(t *testing.T) {
	m := loadReference(t, "llama-mha", Options{BatchTokens: 64}) // 608 entries, 160 positions
	long := make([]int32, 161)
	for _, c := range []struct {
		name string
		w    Window
		code string
		says string
	}{
		{"empty", Window{Doc: 3, Index: 1}, "window", "doc 3 window 1"},
		{"too long", Window{IDs: long}, "window", "160 positions"},
		{"input above the vocabulary", Window{Doc: 2, IDs: []int32{1, 608}}, "id", "doc 2 window 0 input 1 (id 608)"},
		{"input below zero", Window{IDs: []int32{-1}}, "id", "id -1"},
		{"target above the vocabulary", Window{IDs: []int32{1, 2}, Targets: []int32{2, 5000}}, "id", "target 1 (id 5000)"},
		{"more targets than inputs", Window{IDs: []int32{1}, Targets: []int32{2, 3}}, "window", "2 targets for 1 inputs"},
		{"row outside", Window{IDs: []int32{1, 2}, Targets: []int32{2}, Rows: []int32{2}}, "window", "row 2 of 2"},
		{"rows and targets differ", Window{IDs: []int32{1, 2}, Targets: []int32{2}, Rows: []int32{0, 1}}, "window", "2 rows for 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok := Window{IDs: []int32{1, 2, 3}, Targets: []int32{2, 3, 4}}
			emitted := 0
			err := m.Score(context.Background(), each([]Window{ok, c.w}), ScoreOptions{}, func(Window, Scores) error { emitted++; return nil })
			f := fault.As(err)
			if f == nil || f.Class != fault.Input || f.Code != c.code || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v (%+v), want code %s and %q", err, f, c.code, c.says)
			}
			if emitted != 0 {
				t.Fatalf("%d windows emitted; the graph must not run", emitted)
			}
		})
	}
}

// TestNonFinite: a weight or an output that is not a number stops the run and
// is named; nothing is imputed.
func TestNonFinite(t *testing.T) {
	for name, v := range map[string]float32{"nan": float32(math.NaN()), "inf": float32(math.Inf(1))} {
		t.Run(name, func(t *testing.T) {
			e := edit(t, "llama-mha")
			e.values = func(name string, x []float32) {
				if name == "model.layers.0.mlp.down_proj.weight" {
					x[7] = v
				}
			}
			m, err := Load(context.Background(), e, Options{BatchTokens: 64})
			if err == nil {
				defer m.Close()
				w := Window{Doc: 4, Index: 2, IDs: []int32{1, 2, 3}, Targets: []int32{2, 3, 4}}
				err = m.Score(context.Background(), each([]Window{w}), ScoreOptions{}, func(Window, Scores) error { return nil })
				if err == nil || !strings.Contains(err.Error(), "doc 4 window 2") {
					t.Fatalf("error %v, want one that names the document", err)
				}
				err2 := m.States(context.Background(), each([]Window{w}), []Tap{{Name: TapResidPost}}, func(Window, Tap, int, View) error { return nil })
				if f := fault.As(err2); f == nil || f.Code != "nonfinite" || !strings.Contains(err2.Error(), "resid_post layer 1") {
					t.Fatalf("states: error %v, want nonfinite at resid_post layer 1", err2)
				}
			}
			if f := fault.As(err); f == nil || f.Class != fault.Input || f.Code != "nonfinite" {
				t.Fatalf("error %v, want nonfinite", err)
			}
		})
	}
}

// TestOptions: options that cannot be met are usage errors, also of tags that
// this build lacks.
func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"backend":       {Backend: "tpu"},
		"relative xla":  {Backend: "xla:plugin.so"},
		"weights":       {Weights: "packed"},
		"batch":         {BatchTokens: 1},
		"threads":       {Threads: -1},
		"batch below 0": {BatchTokens: -4},
	} {
		m, err := Load(context.Background(), openReference(t, "llama-mha"), o)
		if f := fault.As(err); f == nil || f.Class != fault.Usage {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
		m.Close()
	}
	_, err := Load(context.Background(), openReference(t, "llama-mha"), Options{Memory: 1 << 20})
	if f := fault.As(err); f == nil || f.Class != fault.Retry || f.Code != "memory" {
		t.Errorf("memory: %v, want class 4, code memory", err)
	}
	m := loadReference(t, "llama-mha", Options{BatchTokens: 64})
	none := func(Window, Scores) error { return nil }
	for name, so := range map[string]ScoreOptions{"vocab": {Vocab: 609}, "vocab below 0": {Vocab: -1}, "top": {TopK: 609}} {
		if f := fault.As(m.Score(context.Background(), each(nil), so, none)); f == nil || f.Class != fault.Usage {
			t.Errorf("%s: want a usage error", name)
		}
	}
	for _, tap := range []Tap{{Name: "resid"}, {Name: TapResidPost, Layers: []int{3}}, {Name: TapAttnOut, Layers: []int{0}}} {
		err := m.States(context.Background(), each(nil), []Tap{tap}, func(Window, Tap, int, View) error { return nil })
		if f := fault.As(err); f == nil || f.Class != fault.Usage {
			t.Errorf("tap %v: %v, want a usage error", tap, err)
		}
	}
	if _, _, _, err := m.Matrix("middle"); err == nil {
		t.Error("matrix: want an error")
	}
}

// TestStops: errors of the input and of the callbacks, and a cancelled context,
// come back as they are.
func TestStops(t *testing.T) {
	m := loadReference(t, "llama-mha", Options{BatchTokens: 64})
	bad := errors.New("bad")
	ws := randomWindows(40, 20, 608)
	err := m.Score(context.Background(), each(ws), ScoreOptions{}, func(w Window, _ Scores) error {
		if w.Doc == 5 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) {
		t.Errorf("emit: %v", err)
	}
	err = m.Score(context.Background(), func(yield func(Window, error) bool) {
		if yield(ws[0], nil) {
			yield(Window{}, bad)
		}
	}, ScoreOptions{}, func(Window, Scores) error { return nil })
	if !errors.Is(err, bad) {
		t.Errorf("input: %v", err)
	}
	err = m.States(context.Background(), each(ws), []Tap{{Name: TapFinalNorm}}, func(Window, Tap, int, View) error { return bad })
	if !errors.Is(err, bad) {
		t.Errorf("reduce: %v", err)
	}
	err = m.Score(context.Background(), each(ws), ScoreOptions{}, func(Window, Scores) error { panic("in the caller") })
	if err == nil || !strings.Contains(err.Error(), "in the caller") {
		t.Errorf("panic: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err = m.Score(ctx, each(ws), ScoreOptions{}, func(Window, Scores) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancel: %v", err)
	}
	if got := scoreAll(t, m, ws[:3], ScoreOptions{}); len(got) != 3 { // the model still works
		t.Errorf("%d windows after errors", len(got))
	}
}

// TestFamilyKeys: what a family says it reads is what it reads, so that the
// table for readers is true.
func TestFamilyKeys(t *testing.T) {
	for _, c := range referenceCheckpoints(t) {
		cfg := openReference(t, c.Name).Config()
		f, _, err := resolve(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		read := map[string]bool{}
		for _, k := range cfg.Used() {
			read[strings.SplitN(k, ".", 2)[0]] = true
		}
		for _, d := range cfg.Defaulted() {
			read[strings.SplitN(d.Key, ".", 2)[0]] = true
		}
		delete(read, "model_type")
		for _, k := range slices.Sorted(maps.Keys(read)) {
			if !slices.Contains(f.Keys, k) {
				t.Errorf("%s: reads %q, which Keys does not list", f.Name, k)
			}
		}
	}
}
