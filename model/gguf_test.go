package model

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"assay/weights"
)

const ggufDir = "../weights/testdata/gguf"

// original is a checkpoint as it was before llama.cpp's converter made a GGUF file
// of it: its config.json, and the tensors, which package weights holds against the
// digests of the original's values (TestGGUFTensors).
type original struct {
	ck     *weights.Checkpoint
	config json.RawMessage
}

func (o original) Config() *weights.Config {
	c, err := weights.ParseConfig("config.json", o.config)
	if err != nil {
		panic(err)
	}
	return c
}
func (o original) Tensors() iter.Seq[weights.Info]      { return o.ck.Tensors() }
func (o original) F32(name string, dst []float32) error { return o.ck.F32(name, dst) }

// The same model from safetensors and from a GGUF file gives the same trace, for
// every family of which llama.cpp's converter (testdata/make_gguf.py of package
// weights) made one: what GGUF does not store, the reader knows.
func TestGGUFGivesTheSameTrace(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(ggufDir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct{ Config json.RawMessage }
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ck, err := weights.Open(filepath.Join(ggufDir, name+".gguf"))
			if err != nil {
				t.Fatal(err)
			}
			defer ck.Close()
			load := func(src Source) *Model {
				m, err := Load(context.Background(), src, Options{BatchTokens: 64})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Close)
				return m
			}
			got, want := load(ck), load(original{ck, c.Config})
			seen[want.spec.Family] = true
			if got.spec.Family != want.spec.Family || got.spec.Encoder() != want.spec.Encoder() {
				t.Fatalf("family %s, want %s", got.spec.Family, want.spec.Family)
			}
			n := 60
			for _, p := range []int{got.spec.Positions, want.spec.Positions} {
				if p > 0 {
					n = min(n, p)
				}
			}
			ws := randomWindows(2, n, want.spec.Vocab)
			if want.spec.Head.None { // an encoder: the converter leaves its head out
				compareStates(t, got, want, ws)
				return
			}
			a, b := scoreAll(t, got, ws, ScoreOptions{}), scoreAll(t, want, ws, ScoreOptions{})
			worst := 0.0
			for i := range a {
				for _, x := range [][2][]float32{{a[i].Logprob, b[i].Logprob}, {a[i].Entropy, b[i].Entropy}, {a[i].SD, b[i].SD}, {a[i].ArgmaxLogprob, b[i].ArgmaxLogprob}} {
					for k := range x[0] {
						worst = math.Max(worst, math.Abs(float64(x[0][k])-float64(x[1][k])))
					}
				}
				for k := range a[i].Rank {
					if a[i].Rank[k] != b[i].Rank[k] || a[i].ArgmaxID[k] != b[i].ArgmaxID[k] {
						t.Fatalf("window %d target %d: rank %d, argmax %d; want %d, %d", i, k, a[i].Rank[k], a[i].ArgmaxID[k], b[i].Rank[k], b[i].ArgmaxID[k])
					}
				}
			}
			if !(worst <= 1e-6) {
				ca, _ := got.spec.Canonical()
				cb, _ := want.spec.Canonical()
				t.Errorf("scores differ by %.2g\n%s\nwant\n%s", worst, ca, cb)
			}
			t.Logf("largest difference %.1e", worst)
		})
	}
	for _, f := range []string{"llama", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "bloom", "falcon", "phi", "phi3",
		"olmo", "olmo2", "olmo3", "olmoe", "stablelm", "starcoder2", "cohere", "cohere2", "glm4", "granite", "smollm3", "bert", "distilbert"} {
		if !seen[f] {
			t.Errorf("no GGUF file of family %s", f)
		}
	}
}

var ggufFolder = flag.String("gguf", "", "folder of F32 GGUF files of the reference checkpoints (weights/testdata/make_gguf.py --reference)")

// TestGGUFReference: a reference checkpoint scores the same from an F32 GGUF file.
// The files are too large to keep, so it runs where -gguf names a folder of them.
func TestGGUFReference(t *testing.T) {
	if *ggufFolder == "" {
		t.Skip("no -gguf")
	}
	for _, c := range referenceCheckpoints(t) {
		t.Run(c.Name, func(t *testing.T) {
			ck, err := weights.Open(filepath.Join(*ggufFolder, c.Name+".gguf"))
			if errors.Is(err, fs.ErrNotExist) {
				t.Skip("not converted")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer ck.Close()
			m, err := Load(context.Background(), ck, Options{BatchTokens: 256})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			ws := readExpected(t, c.Name).windows()
			e := edit(t, c.Name)
			if lost, ok := ggufLoses()[c.Name]; ok {
				e.config[lost.key] = lost.value
			}
			want, err := Load(context.Background(), e, Options{BatchTokens: 256})
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			if m.spec.Head.None {
				compareStates(t, m, want, ws[:3])
				return
			}
			a, b := scoreAll(t, m, ws, ScoreOptions{}), scoreAll(t, want, ws, ScoreOptions{})
			worst := 0.0
			for i := range a {
				worst = max(worst, largestDifference(a[i].Logprob, b[i].Logprob), largestDifference(a[i].Entropy, b[i].Entropy), largestDifference(a[i].SD, b[i].SD))
			}
			if t.Logf("largest difference %.1e", worst); !(worst <= 1e-6) {
				t.Errorf("scores differ by %.2g", worst)
			}
		})
	}
}

// ggufLoses lists what the converter drops without a trace from a checkpoint, and
// what llama.cpp computes instead.
func ggufLoses() map[string]struct {
	key   string
	value any
} {
	return map[string]struct {
		key   string
		value any
	}{
		"llama-linear-bias": {"hidden_act", "silu"},          // architecture llama knows no other
		"mistral-sliding":   {"sliding_window", nil},         // written as architecture llama, without windows
		"starcoder2":        {"sliding_window", nil},         // the same
		"gemma2":            {"query_pre_attn_scalar", 16},   // the size of a head, but in the 27B model
		"olmoe":             {"rms_norm_eps", float64(1e-5)}, // the converter writes a constant
	}
}

// compareStates compares the last hidden states of two models.
func compareStates(t *testing.T, got, want *Model, ws []Window) {
	t.Helper()
	last := func(m *Model) (out [][]float32) {
		out = make([][]float32, len(ws))
		err := m.States(context.Background(), each(ws), []Tap{{Name: TapFinalNorm}}, func(w Window, _ Tap, _ int, x View) error {
			out[w.Doc] = slices.Clone(x.X)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for i := range ws {
		ws[i] = Window{Doc: i, IDs: ws[i].IDs}
	}
	a, b := last(got), last(want)
	for i := range a {
		if len(a[i]) == 0 || len(a[i]) != len(b[i]) {
			t.Fatalf("window %d: %d values, want %d", i, len(a[i]), len(b[i]))
		}
		if d := largestDifference(a[i], b[i]); d > 1e-6 {
			t.Errorf("window %d: states differ by %.2g", i, d)
		}
	}
}
