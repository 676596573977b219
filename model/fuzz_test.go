package model

import (
	"os"
	"path/filepath"
	"testing"

	"assay/weights"
)

// FuzzConfig: whatever a config.json says, resolving it ends with a Spec or an
// error, soon and without a panic, and a Spec has the same digest twice.
func FuzzConfig(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(referenceDir, "*", "config.json"))
	if err != nil || len(names) == 0 {
		f.Fatal(err, len(names))
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"model_type":"llama","vocab_size":1e18,"hidden_size":1099511627776,"num_attention_heads":1099511627776,"num_hidden_layers":1099511627776,"head_dim":1099511627776,"intermediate_size":9007199254740992}`))
	f.Add([]byte(`{"model_type":"qwen3","vocab_size":5,"hidden_size":-4,"num_attention_heads":-2,"num_key_value_heads":0,"num_hidden_layers":3,"intermediate_size":4}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := weights.ParseConfig("config.json", text)
		if err != nil {
			return
		}
		fam, s, err := resolve(cfg, nil)
		if err != nil {
			return
		}
		a, err := s.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.Digest(); err != nil || a != b {
			t.Fatalf("digests %s and %s, %v", a, b, err)
		}
		if n := fam.needs(s, fam.Names.Base); len(n) < len(s.Layers) {
			t.Fatalf("%d tensors for %d layers", len(n), len(s.Layers))
		}
	})
}
