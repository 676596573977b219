package weights

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

// Every reference checkpoint has the digest and the widened values that
// hashlib and torch give (testdata/make_golden.py).
func TestReference(t *testing.T) {
	g := readGolden(t)
	if len(g.Checkpoints) < 40 {
		t.Fatalf("found %d golden checkpoints, want at least 40", len(g.Checkpoints))
	}
	for name, want := range g.Checkpoints {
		c := mustOpen(t, filepath.Join(reference, name))
		d, err := c.Scan(t.Context())
		if err != nil || d.Weights != want.Weights || c.Len() != want.Tensors {
			t.Errorf("%s: weights %s, %d tensors, %v; want %s, %d", name, d.Weights, c.Len(), err, want.Weights, want.Tensors)
		}
		if got := hashF32(t, c); got != want.F32 {
			t.Errorf("%s: values differ from torch's: digest %s, want %s", name, got, want.F32)
		}
		if got := c.Config().Int("vocab_size"); got != d.Vocab || got == 0 {
			t.Errorf("%s: vocab %d, configuration says %d", name, d.Vocab, got)
		}
		if !slices.Equal(c.Ignored(), []string{"expected.safetensors"}) {
			t.Errorf("%s: ignored %q, want expected.safetensors", name, c.Ignored())
		}
	}
}

// hashF32 hashes all floating-point tensors, widened.
func hashF32(t testing.TB, c *Checkpoint) string {
	t.Helper()
	h := sha256.New()
	for info := range c.Tensors() {
		if !slices.Contains([]DType{F32, F16, BF16}, info.DType) {
			continue
		}
		values := make([]float32, info.Len())
		if err := c.F32(info.Name, values); err != nil {
			t.Error(err)
		}
		if err := binary.Write(h, binary.LittleEndian, values); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestAccess(t *testing.T) {
	dir := folder(t, map[string]string{"model.safetensors": string(pack(vectorA, vectorB)), "tokenizer.json": "{}"})
	c := mustOpen(t, dir)
	info, ok := c.Info("b.bias")
	if !ok || info.DType != BF16 || !slices.Equal(info.Shape, []int{3}) || info.Bytes != 6 || info.File != singleName || info.Len() != 3 {
		t.Errorf("Info = %+v, %t", info, ok)
	}
	if c.Has("c") || !c.Has("a.weight") {
		t.Error("Has is wrong")
	}
	got := make([]float32, 3)
	if err := c.F32("b.bias", got); err != nil || !slices.Equal(got, []float32{.5, -1, 2}) {
		t.Errorf("F32 = %v, %v; want .5 -1 2", got, err)
	}
	bits := make([]uint16, 3)
	if err := c.Bits16("b.bias", bits); err != nil || !slices.Equal(bits, []uint16{0x3f00, 0xbf80, 0x4000}) {
		t.Errorf("Bits16 = %x, %v", bits, err)
	}
	wantFault(t, "Bits16 of F32", c.Bits16("a.weight", make([]uint16, 4)), fault.Input, "unsupported", "found dtype F32")
	raw, _, err := c.Raw("a.weight")
	if err != nil || string(raw) != string(vectorA.data) || cap(raw) != len(raw) {
		t.Errorf("Raw = %x, %v", raw, err)
	}
	wantFault(t, "length", c.F32("a.weight", make([]float32, 3)), fault.Input, "tensor", "found 4 values of shape [2 2], want 3")
	wantFault(t, "absent", c.F32("nope", nil), fault.Input, "tensor", `"nope": not found`)
	if c.Tokenizer() != filepath.Join(c.place.root.Name(), "tokenizer.json") {
		t.Errorf("Tokenizer = %q", c.Tokenizer())
	}
	if text, err := c.ReadFile("tokenizer.json", 10); err != nil || string(text) != "{}" {
		t.Errorf("ReadFile = %q, %v", text, err)
	}
	_, err = c.ReadFile("tokenizer.json", 1)
	wantFault(t, "limit", err, fault.Input, "malformed", "found 2 bytes, want at most 1")
	_, err = c.ReadFile("../x", 1)
	wantFault(t, "path", err, fault.Usage, "usage", "bare name")
	if err := c.Prefetch("a.weight", "b.bias"); err != nil {
		t.Error(err)
	}
	if err := c.Drop("a.weight", "b.bias"); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	wantFault(t, "closed", c.F32("b.bias", got), fault.Usage, "usage", "closed")
	_, err = c.Scan(t.Context())
	wantFault(t, "closed", err, fault.Usage, "usage", "closed")
}

func TestDTypes(t *testing.T) {
	f64 := binary.LittleEndian.AppendUint64(nil, math.Float64bits(.1))
	huge := binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e300))
	c := mustOpen(t, folder(t, map[string]string{"model.safetensors": string(pack(
		part{"d", F64, []int{1}, f64}, part{"e", F64, nil, huge}, part{"i", I64, []int{1}, f64}, part{"f8", F8E4M3, []int{8}, f64},
		part{"empty", F32, []int{0, 7}, nil}))}))
	got := make([]float32, 1)
	if err := c.F32("d", got); err != nil || got[0] != .1 {
		t.Errorf("F64 .1 = %v, %v; want the float32 nearest to .1", got, err)
	}
	if ws := c.Warnings(); len(ws) != 1 || ws[0].Code != "f64-rounded" || !strings.HasSuffix(ws[0].Text, ": d") {
		t.Errorf("warnings %v, want f64-rounded for d", ws)
	}
	wantFault(t, "F64 beyond float32", c.F32("e", got), fault.Input, "nonfinite", "index 0")
	wantFault(t, "I64", c.F32("i", got), fault.Input, "unsupported", "found dtype I64")
	wantFault(t, "F8", c.F32("f8", make([]float32, 8)), fault.Input, "unsupported", "found dtype F8_E4M3")
	if err := c.F32("empty", nil); err != nil {
		t.Error(err)
	}
}

// A file cut or touched while it is mapped is a reason to try again, whatever
// reads it.
func TestChangedWhileOpen(t *testing.T) {
	big := part{"w", F32, []int{1 << 18}, make([]byte, 1<<20)}
	for name, change := range map[string]func(string) error{
		"cut":     func(p string) error { return os.Truncate(p, 200) },
		"grown":   func(p string) error { return os.Truncate(p, 2<<20) },
		"touched": func(p string) error { return os.WriteFile(p, pack(big), 0o600) },
	} {
		dir := folder(t, map[string]string{"model.safetensors": string(pack(big))})
		c := mustOpen(t, dir)
		raw, _, err := c.Raw("w")
		if err != nil {
			t.Fatal(err)
		}
		if err := change(filepath.Join(dir, singleName)); err != nil {
			t.Fatal(err)
		}
		wantFault(t, name, c.F32("w", make([]float32, 1<<18)), fault.Retry, "changed", singleName)
		_, err = c.Scan(t.Context())
		wantFault(t, name, err, fault.Retry, "changed", "changed while it was in use")
		if name == "cut" {
			wantFault(t, name, Guard(func() error { _ = sha256.Sum256(raw); return nil }), fault.Retry, "changed", "memory fault")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for name, path := range map[string]string{
		"one file":     filepath.Join(reference, "gpt2"),
		"two shards":   filepath.Join(reference, "llama-mha"),
		"gguf":         "testdata/gguf/llama.gguf",
		"10^4 tensors": folder(b, map[string]string{singleName: string(manyTensors(10_000, "}"))}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := Open(path)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
