package model

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/weights"
)

// synthetic is a checkpoint that is on no disk: random weights of the shapes
// that a configuration asks for. It serves benchmarks and forecasts.
type synthetic struct {
	config []byte
	infos  []weights.Info
	seed   uint64
}

// Synthetic returns a source of random weights for a config.json: matrices and
// embeddings uniform with standard deviation 0.02, norm gains near 1. Equal
// seeds give equal weights.
func Synthetic(config []byte, seed uint64) (Source, error) {
	s := &synthetic{config: config, seed: seed}
	cfg, err := weights.ParseConfig("synthetic config.json", config)
	if err != nil {
		return nil, err
	}
	f, spec, err := resolve(cfg, nil)
	if err != nil {
		return nil, err
	}
	for _, n := range f.needs(spec, f.Names.Base) {
		s.infos = append(s.infos, weights.Info{Name: n.name, DType: weights.F32, Shape: n.dims, Bytes: 4 * int64(size(n.dims))})
	}
	slices.SortFunc(s.infos, func(a, b weights.Info) int { return cmp.Compare(a.Name, b.Name) })
	return s, nil
}

func (s *synthetic) Config() *weights.Config {
	c, err := weights.ParseConfig("synthetic config.json", s.config)
	if err != nil { // parsed before, by Synthetic
		return &weights.Config{}
	}
	return c
}

func (s *synthetic) Tensors() iter.Seq[weights.Info] { return slices.Values(s.infos) }

func (s *synthetic) F32(name string, dst []float32) error {
	i := slices.IndexFunc(s.infos, func(t weights.Info) bool { return t.Name == name })
	if i < 0 || size(s.infos[i].Shape) != len(dst) {
		return fault.Inputf("tensor", "model: synthetic tensor %q: no such tensor of %d values", name, len(dst))
	}
	h := fnv.New64a()
	fmt.Fprint(h, name)
	r := rand.New(rand.NewPCG(s.seed, h.Sum64()))
	const width = 0.02 * 3.4641016 // a uniform density of sd 0.02
	mean := float32(0)
	if len(s.infos[i].Shape) == 1 && strings.HasSuffix(name, ".weight") {
		mean = 1
	}
	for j := 0; j+1 < len(dst); j += 2 {
		u := r.Uint64()
		dst[j] = mean + (float32(u>>40)*0x1p-24-.5)*width
		dst[j+1] = mean + (float32(u<<32>>40)*0x1p-24-.5)*width
	}
	if n := len(dst); n%2 == 1 {
		dst[n-1] = mean + (r.Float32()-.5)*width
	}
	return nil
}

// Shapes are configurations of well-known sizes, by name, for Synthetic.
func Shapes() map[string]string {
	neox := func(d, layers, heads, ff int) string {
		return fmt.Sprintf(`{"model_type":"gpt_neox","vocab_size":50304,"hidden_size":%d,"num_hidden_layers":%d,"num_attention_heads":%d,"intermediate_size":%d,`+
			`"hidden_act":"gelu","layer_norm_eps":1e-5,"max_position_embeddings":2048,"rotary_pct":0.25,"rotary_emb_base":10000,"use_parallel_residual":true,"tie_word_embeddings":false}`,
			d, layers, heads, ff)
	}
	llama := func(V, d, layers, heads, kv, ff int, tied bool) string {
		return fmt.Sprintf(`{"model_type":"llama","vocab_size":%d,"hidden_size":%d,"num_hidden_layers":%d,"num_attention_heads":%d,"num_key_value_heads":%d,"intermediate_size":%d,`+
			`"hidden_act":"silu","rms_norm_eps":1e-5,"max_position_embeddings":2048,"rope_theta":10000,"tie_word_embeddings":%t}`, V, d, layers, heads, kv, ff, tied)
	}
	return map[string]string{
		"gpt_neox-70m":  neox(512, 6, 8, 2048),
		"gpt_neox-160m": neox(768, 12, 12, 3072),
		"gpt_neox-410m": neox(1024, 24, 16, 4096),
		"llama-135m":    llama(49152, 576, 30, 9, 3, 1536, true),
		"llama-1.1b":    llama(32000, 2048, 22, 32, 4, 5632, false),
		"llama-3b":      llama(32000, 3072, 28, 24, 8, 8192, false),
		"llama-7b":      llama(32000, 4096, 32, 32, 32, 11008, false),
	}
}
