package model

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/weights"
)

// variant is a setting that no reference checkpoint has, with the values that
// transformers 5.23 computes in float64 (testdata/make_variants.py).
type variant struct {
	Name    string                       `json:"name"`
	Config  json.RawMessage              `json:"config"`
	Tensors map[string][]json.RawMessage `json:"tensors"` // dims, center, scale
	IDs     []int32                      `json:"ids"`
	Logprob []float64                    `json:"logprob"`
	Entropy []float64                    `json:"entropy"`
	SD      []float64                    `json:"sd"`
}

func readVariants(t testing.TB) []variant {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "variants.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vs []variant
	if err := json.Unmarshal(b, &vs); err != nil {
		t.Fatal(err)
	}
	return vs
}

// window scores every token of v but the first.
func (v *variant) window() Window {
	n := len(v.IDs)
	return Window{IDs: v.IDs[:n-1], Targets: v.IDs[1:]}
}

// madeSource is a checkpoint whose numbers follow from their names.
type madeSource struct {
	config []byte
	infos  []weights.Info
	center map[string]float32
	scale  map[string]float32
}

func (v *variant) source(t testing.TB) *madeSource {
	t.Helper()
	s := &madeSource{config: v.Config, center: map[string]float32{}, scale: map[string]float32{}}
	for name, of := range v.Tensors {
		var dims []int
		var center, scale float64
		for i, to := range []any{&dims, &center, &scale} {
			if err := json.Unmarshal(of[i], to); err != nil {
				t.Fatal(err)
			}
		}
		s.infos = append(s.infos, weights.Info{Name: name, DType: weights.F32, Shape: dims, Bytes: 4 * int64(size(dims))})
		s.center[name], s.scale[name] = float32(center), float32(scale)
	}
	slices.SortFunc(s.infos, func(a, b weights.Info) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func (s *madeSource) Config() *weights.Config {
	c, err := weights.ParseConfig("config.json", s.config)
	if err != nil {
		panic(err)
	}
	return c
}

func (s *madeSource) Tensors() iter.Seq[weights.Info] { return slices.Values(s.infos) }

func (s *madeSource) F32(name string, dst []float32) error {
	h := fnv.New64a()
	h.Write([]byte(name))
	seed := h.Sum64()
	for i := range dst {
		z := seed + uint64(i+1)*0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		u := (float32(z>>40) - 1<<23) / (1 << 23)
		dst[i] = s.center[name] + float32(s.scale[name]*u)
	}
	return nil
}

// TestVariants compares every setting with transformers' float64 values.
func TestVariants(t *testing.T) {
	for _, v := range readVariants(t) {
		t.Run(v.Name, func(t *testing.T) {
			m, err := Load(context.Background(), v.source(t), Options{BatchTokens: 96})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			got := scoreAll(t, m, []Window{v.window()}, ScoreOptions{})[0]
			var worst [3]float64
			for i := range v.Logprob {
				for k, d := range []float64{float64(got.Logprob[i]) - v.Logprob[i], float64(got.Entropy[i]) - v.Entropy[i], float64(got.SD[i]) - v.SD[i]} {
					worst[k] = max(worst[k], math.Abs(d))
					if tol := []float64{tolLogprob, tolMoment, tolMoment}[k]; !(math.Abs(d) <= tol) {
						t.Fatalf("target %d: %s off by %g, want at most %g", i, []string{"logprob", "entropy", "sd"}[k], d, tol)
					}
				}
			}
			t.Logf("largest difference: logprob %.1e, entropy %.1e, sd %.1e", worst[0], worst[1], worst[2])
		})
	}
}

// TestDefaults: a config.json with the model_type alone means what transformers'
// configuration class makes of it (testdata/defaults.json).
func TestDefaults(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "defaults.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, f := range slices.Concat(denseFamilies(), expertFamilies(), encoderFamilies()) {
		full, ok := all[f.Name]
		if !ok {
			if f.Name != "gemma3" && f.Name != "cohere" { // the text part of another; rope_theta has no default
				t.Errorf("%s: no defaults", f.Name)
			}
			continue
		}
		digest := func(text []byte) string {
			c, err := weights.ParseConfig("config.json", text)
			if err != nil {
				t.Fatal(err)
			}
			_, s, err := resolve(c, nil)
			if err != nil {
				t.Fatalf("%s: %v %v", f.Name, err, fault.As(err).Hints)
			}
			d, err := s.Canonical()
			if err != nil {
				t.Fatal(err)
			}
			return string(d)
		}
		bare, want := digest([]byte(`{"model_type":"`+f.Name+`"}`)), digest(full)
		if bare != want {
			t.Errorf("%s: without keys\n%s\nwant as with all keys at their defaults\n%s", f.Name, bare, want)
		}
	}
}
