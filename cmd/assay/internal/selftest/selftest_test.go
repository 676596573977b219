package selftest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// One flipped bit in one weight is found.
func TestFlippedWeight(t *testing.T) {
	dir, done, err := unpack("gpt_neox-parallel")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	o := &Options{Backend: "go"}
	if c := checkDir(context.Background(), o, "golden", dir)[0]; c.Status != OK {
		t.Fatalf("untouched: %+v", c)
	}
	path := filepath.Join(dir, "model.safetensors")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(b)
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	at := 8 + int(n) + header["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"].Offsets[0]
	b[at+1] ^= 0x20 // the exponent of the first float16
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := checkDir(context.Background(), o, "golden", dir)[0]; c.Status != Fail {
		t.Fatalf("with a flipped bit: %+v, want fail", c)
	}
}

func TestBrokenBackend(t *testing.T) {
	if c := checkBackend(context.Background(), &Options{Backend: "abacus"})[0]; c.Status != Fail || c.Hint == "" {
		t.Fatalf("%+v, want fail with a hint", c)
	}
}
