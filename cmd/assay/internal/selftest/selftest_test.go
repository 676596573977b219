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

// A wrong expected value is found: the comparison is not with itself.
func TestWrongGolden(t *testing.T) {
	dir, done, err := unpack("llama-llama3")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	g, err := readGolden(dir)
	if err != nil {
		t.Fatal(err)
	}
	lp, _, err := score(context.Background(), dir, "go", 1, 2, g)
	if err != nil {
		t.Fatal(err)
	}
	if d := against(lp, g.logprob); d > tolLogprob {
		t.Fatalf("untouched: off by %g", d)
	}
	g.logprob[1][3] += 1e-4
	if d := against(lp, g.logprob); d <= tolLogprob {
		t.Errorf("a value changed by 1e-4 is off by %g, want more than %g", d, tolLogprob)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if c := checkFolder(context.Background(), &Options{Temp: dir})[0]; c.Status != OK {
		t.Fatalf("%+v, want ok", c)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(dir, "nowhere")} {
		if c := checkFolder(context.Background(), &Options{Temp: bad})[0]; c.Status != Fail || c.Hint == "" {
			t.Errorf("%s: %+v, want fail with a hint", bad, c)
		}
	}
}

// Every family of the program has an embedded checkpoint, and all of them are tried.
func TestFamilies(t *testing.T) {
	names, err := families()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 25 {
		t.Errorf("%d families: %v", len(names), names)
	}
	lp, hidden, causal, err := checkFamily(context.Background(), &Options{Backend: "go"}, "gpt2")
	if err != nil || !causal || !(lp <= tolLogprob && hidden <= tolHidden) {
		t.Errorf("gpt2: off by %g and %g, causal %v, %v", lp, hidden, causal, err)
	}
	if _, _, causal, err := checkFamily(context.Background(), &Options{Backend: "go"}, "bert"); err != nil || causal {
		t.Errorf("bert: causal %v, %v", causal, err)
	}
}

func TestGPU(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{{Options{Backend: "go"}, Warn}, {Options{Backend: "go", Tags: []string{"xla"}}, Warn}, {Options{Backend: "xla:/p.so", Tags: []string{"xla"}}, OK}} {
		if got := checkGPU(context.Background(), &c.o)[0]; got.Status != c.want {
			t.Errorf("%+v: %+v, want %s", c.o, got, c.want)
		}
	}
}
