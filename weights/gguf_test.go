package weights

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/weights/internal/gguf"
)

// ggufGolden is what the safetensors files held that llama.cpp's converter made
// the GGUF files from (testdata/make_gguf.py).
type ggufGolden map[string]struct {
	Config  json.RawMessage
	Tensors map[string][2]any // shape, first 16 hex digits of SHA-256 of the float32 values
}

func readGGUFGolden(t testing.TB) ggufGolden {
	t.Helper()
	text, err := os.ReadFile("testdata/gguf/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var g ggufGolden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g) < 30 {
		t.Fatalf("found %d GGUF files, want at least 30", len(g))
	}
	return g
}

func hashValues16(t testing.TB, values []float32) string {
	t.Helper()
	h := sha256.New()
	if err := binary.Write(h, binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Every tensor comes back with Hugging Face's name, shape and values.
func TestGGUFTensors(t *testing.T) {
	seen := map[string]bool{}
	for name, want := range readGGUFGolden(t) {
		c := mustOpen(t, filepath.Join("testdata/gguf", name+".gguf"))
		for info := range c.Tensors() {
			w, ok := want.Tensors[info.Name]
			if !ok {
				t.Errorf("%s: tensor %q: not in the original", name, info.Name)
				continue
			}
			values := make([]float32, info.Len())
			if err := c.F32(info.Name, values); err != nil {
				t.Error(err)
				continue
			}
			shape := []int{}
			for _, d := range w[0].([]any) {
				shape = append(shape, int(d.(float64)))
			}
			if got := hashValues16(t, values); got != w[1] || !slices.Equal(shape, info.Shape) {
				t.Errorf("%s: tensor %q: %s %v, digest %s; want %v, %s", name, info.Name, info.DType, info.Shape, got, shape, w[1])
			}
			if info.DType == F16 || info.DType == BF16 {
				checkBits16(t, c, info, values)
			}
		}
		for missing := range want.Tensors {
			if !c.Has(missing) {
				t.Errorf("%s: tensor %q: missing", name, missing)
			}
		}
		d, err := c.Scan(t.Context())
		if err != nil || d.Quant != d.DType || d.Vocab != 24 {
			t.Errorf("%s: Scan: %+v, %v", name, d, err)
		}
		seen[string(d.Quant)] = true
	}
	if !seen["F32"] || !seen["F16"] || !seen["BF16"] || !seen["Q8_0"] {
		t.Errorf("types seen: %v", seen)
	}
}

// checkBits16 asks that the 16-bit patterns widen to the values already read.
func checkBits16(t *testing.T, c *Checkpoint, info Info, values []float32) {
	t.Helper()
	bits := make([]uint16, info.Len())
	if err := c.Bits16(info.Name, bits); err != nil {
		t.Error(err)
		return
	}
	raw := make([]byte, 0, 2*len(bits))
	for _, b := range bits {
		raw = binary.LittleEndian.AppendUint16(raw, b)
	}
	got := make([]float32, len(bits))
	if info.DType == F16 {
		widenF16(got, raw)
	} else {
		widenBF16(got, raw)
	}
	if !slices.Equal(got, values) {
		t.Errorf("%s: tensor %q: Bits16 disagrees with F32", info.File, info.Name)
	}
}

// Every key of the configuration means what it means in the original.
func TestGGUFConfig(t *testing.T) {
	for name, want := range readGGUFGolden(t) {
		// Keys that transformers 5.23 leaves out of config.json or spells otherwise.
		extra := map[string]string{"num_experts": "3", "sliding_window_pattern": map[bool]string{true: "4", false: "6"}[name == "cohere2"]}
		c := mustOpen(t, filepath.Join("testdata/gguf", name+".gguf"))
		var original, ours map[string]any
		if err := json.Unmarshal(want.Config, &original); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(c.config.text, &ours); err != nil {
			t.Fatal(err)
		}
		delete(ours, "rope_parameters") // compared below
		for key, value := range ours {
			w, ok := original[key]
			switch {
			case strings.Contains(key, "."):
				t.Errorf("%s: key %q of the file was not understood", name, key)
			case !ok && fmt.Sprint(value) != extra[key]:
				t.Errorf("%s: key %q: found %v, the original has none", name, key, value)
			case ok && !reflect.DeepEqual(value, w):
				t.Errorf("%s: key %q: found %v, want %v", name, key, value, w)
			}
		}
		o, err := ParseConfig("config.json", want.Config)
		if err != nil {
			t.Fatal(err)
		}
		sameRope(t, name, c.Config(), o)
	}
}

// sameRope compares the tables that two configurations give.
func sameRope(t *testing.T, name string, got, want *Config) {
	t.Helper()
	if !want.Has("rope_parameters") {
		return
	}
	d := RoPEDefaults{PartialKeys: []string{"partial_rotary_factor"}, MaxPositions: want.IntOr("max_position_embeddings", 1)}
	quarter := d
	quarter.Partial = .25 // GPT-NeoX's default must not slip in
	head := want.IntOrNull("head_dim", 0, 0)
	if head == 0 {
		head = want.Int("hidden_size") / want.Int("num_attention_heads")
	}
	pairs := [][2]RoPE{}
	if nested(want.Sub("rope_parameters")) {
		g := got.RoPELayers(map[string]RoPEDefaults{"full_attention": quarter, "sliding_attention": quarter})
		w := want.RoPELayers(map[string]RoPEDefaults{"full_attention": d, "sliding_attention": d})
		pairs = append(pairs, [2]RoPE{g["full_attention"], w["full_attention"]}, [2]RoPE{g["sliding_attention"], w["sliding_attention"]})
	} else {
		pairs = append(pairs, [2]RoPE{got.RoPE(quarter), want.RoPE(d)})
	}
	if got.Err() != nil || want.Err() != nil {
		t.Errorf("%s: %v; %v", name, got.Err(), want.Err())
		return
	}
	for _, p := range pairs {
		for _, window := range []int{8, 100} {
			g, ga, err := p[0].InvFreq(head, window)
			w, wa, err2 := p[1].InvFreq(head, window)
			if err != nil || err2 != nil {
				t.Errorf("%s: %v; %v", name, err, err2)
				continue
			}
			near(t, name, append(g, ga), append(w, wa), 1e-7) // factors are float32 in GGUF
		}
	}
}

func TestMeta(t *testing.T) {
	c := mustOpen(t, "testdata/gguf/llama.gguf")
	for key, want := range map[string]any{
		"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.bos_token_id": int64(0),
		"llama.rope.freq_base": float64(500000),
	} {
		if got, ok := c.Meta(key); !ok || got != want {
			t.Errorf("%s: %#v, %t; want %#v", key, got, ok, want)
		}
	}
	tokens, _ := c.Meta("tokenizer.ggml.tokens")
	if list, ok := tokens.([]string); !ok || len(list) != 24 || list[0] != "<s>" || list[23] != "v" {
		t.Errorf("tokens %v", tokens)
	}
	types, _ := c.Meta("tokenizer.ggml.token_type")
	if list, ok := types.([]any); !ok || len(list) != 24 || list[0] != int64(3) {
		t.Errorf("token types %v", types)
	}
	if keys := c.MetaKeys(); !slices.Contains(keys, "tokenizer.ggml.pre") || !slices.IsSorted(keys) {
		t.Errorf("keys %q", keys)
	}
	if _, ok := c.Meta("none"); ok {
		t.Error("a key that is not there")
	}
	if _, ok := mustOpen(t, filepath.Join(reference, "gpt2")).Meta("x"); ok {
		t.Error("metadata of a safetensors checkpoint")
	}
}

// ggufFile builds a file for the cases that the converter does not make.
type ggufFile struct {
	keys    []string // encoded
	tensors []string
	data    []byte
}

func encode(parts ...any) string {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(binary.LittleEndian.AppendUint64(b, uint64(len(p))), p...)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, p)
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, p)
		}
	}
	return string(b)
}

func (f *ggufFile) uint(key string, n uint32) { f.keys = append(f.keys, encode(key, uint32(4), n)) }

func (f *ggufFile) text(key, s string) { f.keys = append(f.keys, encode(key, uint32(8), s)) }

func (f *ggufFile) tensor(name string, kind uint32, data []byte, dims ...uint64) {
	parts := []any{name, uint32(len(dims))}
	for _, d := range dims {
		parts = append(parts, d)
	}
	f.tensors = append(f.tensors, encode(append(parts, kind, uint64(len(f.data)))...))
	f.data = append(f.data, data...)
	f.data = append(f.data, make([]byte, (32-len(f.data)%32)%32)...)
}

func (f *ggufFile) bytes() string {
	head := "GGUF" + encode(uint32(3), uint64(len(f.tensors)), uint64(len(f.keys))) + strings.Join(f.keys, "") + strings.Join(f.tensors, "")
	return head + strings.Repeat("\x00", (32-len(head)%32)%32) + string(f.data)
}

// smallLlama is a llama header with two heads and the given extra keys.
func smallLlama() *ggufFile {
	f := &ggufFile{}
	f.text("general.architecture", "llama")
	for key, n := range map[string]uint32{"embedding_length": 256, "block_count": 1, "context_length": 8, "attention.head_count": 2, "feed_forward_length": 4} {
		f.uint("llama."+key, n)
	}
	f.keys = append(f.keys, encode("llama.attention.layer_norm_rms_epsilon", uint32(6), uint32(0x3727c5ac)))
	return f
}

// Q4_K rows of 256 values keep their blocks when the rows of q are put back.
func TestGGUFPermutedBlocks(t *testing.T) {
	f := smallLlama()
	block := func(i int) []byte {
		b := make([]byte, 144)
		for j := range b {
			b[j] = byte(7*j + 3 + i)
		}
		copy(b, []byte{0, 0x38, 0, 0x34})
		return b
	}
	var data []byte
	for i := range 8 { // two heads of four rows
		data = append(data, block(i)...)
	}
	f.tensor("blk.0.attn_q.weight", 12, data, 256, 8)
	f.tensor("token_embd.weight", 12, data, 256, 8)
	c := mustOpen(t, folder(t, map[string]string{"m.gguf": f.bytes()}))
	q, plain := make([]float32, 8*256), make([]float32, 8*256)
	if err := c.F32("model.layers.0.self_attn.q_proj.weight", q); err != nil {
		t.Fatal(err)
	}
	if err := c.F32("model.embed_tokens.weight", plain); err != nil {
		t.Fatal(err)
	}
	// ggml rotates rows (0,1) and (2,3) of a head, Hugging Face (0,2) and (1,3).
	for row, stored := range []int{0, 2, 1, 3, 4, 6, 5, 7} {
		if !slices.Equal(q[row*256:(row+1)*256], plain[stored*256:(stored+1)*256]) {
			t.Errorf("row %d is not stored row %d", row, stored)
		}
	}
	if plain[0] != 31.75 || plain[17] != 140.25 { // gguf-py, as in the block vectors
		t.Errorf("first values %v, %v; want 31.75, 140.25", plain[0], plain[17])
	}
	if _, _, err := c.Raw("model.layers.0.self_attn.q_proj.weight"); err == nil {
		t.Error("Raw of permuted rows was accepted")
	}
	if raw, info, err := c.Raw("model.embed_tokens.weight"); err != nil || len(raw) != 8*144 || info.DType != "Q4_K" {
		t.Errorf("Raw: %d bytes of %s, %v", len(raw), info.DType, err)
	}
	wantFault(t, "Bits16 of blocks", c.Bits16("model.embed_tokens.weight", make([]uint16, 8*256)), fault.Input, "unsupported", "found dtype Q4_K")
}

func TestGGUFRefuses(t *testing.T) {
	embed := make([]byte, 256*4)
	for i := range embed {
		embed[i] = 0x3f
	}
	tests := []struct {
		name, code, text string
		change           func(f *ggufFile)
	}{
		{"unknown architecture", "unsupported", `found "mamba", want one of llama, qwen2`, func(f *ggufFile) { f.keys[0] = encode("general.architecture", uint32(8), "mamba") }},
		{"no architecture", "malformed", "general.architecture: not found", func(f *ggufFile) { f.keys = f.keys[1:] }},
		{"architecture is a number", "malformed", "general.architecture: not found", func(f *ggufFile) { f.keys[0] = encode("general.architecture", uint32(4), uint32(1)) }},
		{"one of several files", "unsupported", "split.count: found 3", func(f *ggufFile) { f.uint("split.count", 3) }},
		{"adapter", "unsupported", `general.type: found "adapter"`, func(f *ggufFile) { f.text("general.type", "adapter") }},
		{"unknown tensor", "tensor", `tensor "blk.0.attn_sinks.weight": not a tensor of architecture llama`, func(f *ggufFile) { f.tensor("blk.0.attn_sinks.weight", 0, embed[:8], 2) }},
		{"fused q, k, v", "tensor", `tensor "blk.0.attn_qkv.weight"`, func(f *ggufFile) { f.tensor("blk.0.attn_qkv.weight", 0, embed, 256, 1) }},
		{"block number not decimal", "tensor", "blk.00.attn_q", func(f *ggufFile) { f.tensor("blk.00.attn_q.weight", 0, embed, 256, 1) }},
		{"tensor without suffix", "tensor", "ends in .weight or .bias", func(f *ggufFile) { f.tensor("token_embd", 0, embed, 256, 1) }},
		{"rows do not fill heads", "tensor", "found 3 rows, want 2 heads of an even size", func(f *ggufFile) { f.tensor("blk.0.attn_q.weight", 0, embed[:12], 1, 3) }},
		{"heads differ per layer", "unsupported", "found different values per layer", func(f *ggufFile) {
			f.keys = append(f.keys, encode("llama.attention.head_count_kv", uint32(9), uint32(4), uint64(2), uint32(1), uint32(2)))
			f.tensor("blk.0.attn_q.weight", 0, embed[:16], 1, 4)
		}},
		{"heads 0", "tensor", "found 0 heads", func(f *ggufFile) {
			f.keys = slices.DeleteFunc(f.keys, func(k string) bool { return strings.Contains(k, "head_count") })
			f.tensor("blk.0.attn_q.weight", 0, embed[:16], 1, 4)
		}},
		{"no layers", "malformed", "llama.block_count: not found", func(f *ggufFile) {
			f.keys = slices.DeleteFunc(f.keys, func(k string) bool { return strings.Contains(k, "block_count") })
		}},
		{"eps is text", "malformed", "llama.attention.layer_norm_rms_epsilon: found \"x\"", func(f *ggufFile) {
			f.keys[len(f.keys)-1] = encode("llama.attention.layer_norm_rms_epsilon", uint32(8), "x")
		}},
		{"eps is NaN", "malformed", "layer_norm_rms_epsilon: found a value without a JSON form", func(f *ggufFile) {
			f.keys[len(f.keys)-1] = encode("llama.attention.layer_norm_rms_epsilon", uint32(6), uint32(0x7fc00000))
		}},
		{"unknown rope scaling", "unsupported", `llama.rope.scaling.type: found "ntk"`, func(f *ggufFile) { f.text("llama.rope.scaling.type", "ntk") }},
		{"vocabulary of another size", "malformed", "llama.vocab_size: found 7, token_embd.weight has 1 rows", func(f *ggufFile) { f.uint("llama.vocab_size", 7) }},
		{"infinite rotary factor", "nonfinite", "index 1", func(f *ggufFile) { f.tensor("rope_freqs.weight", 0, []byte{0, 0, 128, 63, 0, 0, 128, 127}, 2) }},
		{"i-quant", "unsupported", "found type IQ4_NL", func(f *ggufFile) { f.tensor("output.weight", 20, embed[:18], 32) }},
		{"which layers slide is not said", "malformed", "sliding_window_pattern: found nothing, want 1 booleans", func(f *ggufFile) {
			for i, k := range f.keys {
				f.keys[i] = k[:8] + strings.Replace(k[8:], "llama", "olmo2", 2)
			}
			f.uint("olmo2.attention.sliding_window", 4)
		}},
		{"cut", "malformed", "the data section has", func(f *ggufFile) { f.data = f.data[:100] }},
	}
	for _, tc := range tests {
		f := smallLlama()
		f.tensor("token_embd.weight", 0, embed, 256, 1)
		tc.change(f)
		dir := folder(t, map[string]string{"m.gguf": f.bytes()})
		_, err := Open(dir)
		wantFault(t, tc.name, err, fault.Input, tc.code, tc.text)
		wantFault(t, tc.name, err, fault.Input, tc.code, "weights: m.gguf: ")
	}
}

// A key of the architecture that nothing reads is left for Config.Unknown.
func TestGGUFUnknownKey(t *testing.T) {
	f := smallLlama()
	f.uint("llama.attention.new_trick", 3)
	f.uint("general.whatever", 3)
	f.tensor("token_embd.weight", 0, make([]byte, 1024), 256, 1)
	c := mustOpen(t, folder(t, map[string]string{"m.gguf": f.bytes(), "config.json": `{"a":1,"a":2}`})).Config()
	for _, key := range c.Keys() {
		if key != "llama.attention.new_trick" {
			c.Has(key)
			c.used[key] = true
		}
	}
	if got := fmt.Sprint(c.Unknown()); got != "[{llama.attention.new_trick 3}]" {
		t.Errorf("Unknown = %s", got)
	}
	if c.Source() != "m.gguf" || c.Float("rms_norm_eps") != 1e-5 {
		t.Errorf("source %s, eps %v", c.Source(), c.Float("rms_norm_eps"))
	}
}

func TestGGUFScan(t *testing.T) {
	f := smallLlama()
	blocks := make([]byte, 8*34)
	copy(blocks[5*34:], []byte{0, 0x7c, 1})
	f.tensor("token_embd.weight", 8, blocks, 256, 1)
	c := mustOpen(t, folder(t, map[string]string{"m.gguf": f.bytes()}))
	_, err := c.Scan(t.Context())
	wantFault(t, "infinite scale", err, fault.Input, "nonfinite", `"model.embed_tokens.weight": found 32 non-finite values of 256, the first at index 160`)

	f = smallLlama()
	f.tensor("token_embd.weight", 8, make([]byte, 8*34), 256, 1)
	c = mustOpen(t, folder(t, map[string]string{"m.gguf": f.bytes()}))
	if d, err := c.Scan(t.Context()); err != nil || d.Quant != "Q8_0" || len(c.Warnings()) != 1 {
		t.Errorf("zero blocks: %+v, %v, %v", d, err, c.Warnings())
	}
}

// Rotary factors are not handed out as tensors, but they are weights.
func TestGGUFDigestCoversFactors(t *testing.T) {
	digest := func(second byte) string {
		f := smallLlama()
		f.tensor("token_embd.weight", 0, make([]byte, 1024), 256, 1)
		f.tensor("rope_freqs.weight", 0, []byte{0, 0, 128, 63, 0, 0, second, 64}, 2)
		c := mustOpen(t, folder(t, map[string]string{"m.gguf": f.bytes()}))
		if c.Len() != 1 {
			t.Errorf("found %d tensors, want 1", c.Len())
		}
		d, err := c.Scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d.Weights
	}
	if digest(0) == digest(1) {
		t.Error("another factor, the same digest")
	}
}

// A second chunk of blocks counts on from the first.
func TestBlockProbeChunks(t *testing.T) {
	format := gguf.Q8_0
	p := &probe{format: &format, finding: finding{float: true, zero: true}}
	data := make([]byte, p.chunk())
	p.look(data)
	copy(data[34*2:], []byte{0, 0x7c})
	p.look(data)
	p.look(data[:34*3])
	if p.count != 64 || p.first != 1<<20+64 || p.zero {
		t.Errorf("found %+v, want 64 from %d", p.finding, 1<<20+64)
	}
}

// FuzzGGUFOpen goes through names, layouts and configuration as well.
func FuzzGGUFOpen(f *testing.F) {
	for _, name := range []string{"llama", "falcon-gqa", "gemma3", "stablelm-parallel"} {
		text, err := os.ReadFile(filepath.Join("testdata/gguf", name+".gguf"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Open(path)
		if err != nil {
			checkErr(t, err)
			return
		}
		defer c.Close()
		for info := range c.Tensors() {
			if err := c.F32(info.Name, make([]float32, info.Len())); err != nil {
				checkErr(t, err)
			}
		}
		if _, err := c.Scan(t.Context()); err != nil {
			checkErr(t, err)
		}
	})
}

// Llama 3's bands are recognised among the factors of a file, and taken exactly;
// factors of other limits are taken as they stand.
func TestGGUFLlama3(t *testing.T) {
	c := mustOpen(t, "testdata/gguf/llama-llama3.gguf").Config()
	r := c.RoPE(RoPEDefaults{Theta: 10000, MaxPositions: 128})
	if r.Type != "llama3" || r.Factor != 8 || r.Original != 32 || r.LowFreq != 1 || r.HighFreq != 4 || c.Err() != nil {
		t.Errorf("%+v, %v; want llama3, factor 8, limits 1 and 4, of 32 positions", r, c.Err())
	}
	g := &ggufConfig{arch: "llama", keys: map[string]gguf.Value{}, used: map[string]bool{}}
	if f, o, ok := g.llama3([]float64{1, 3, 8}); ok {
		t.Errorf("factors of no head pass as factor %v of %d", f, o)
	}
}

// An encoder's file says that it sees both ways.
func TestGGUFEncoder(t *testing.T) {
	b, err := os.ReadFile("testdata/gguf/bert.gguf")
	if err != nil {
		t.Fatal(err)
	}
	const key = "bert.attention.causal"
	at := strings.Index(string(b), key) + len(key)
	for _, c := range []struct {
		name, text string
		change     func(b []byte)
	}{
		{"sees the past alone", "bert.attention.causal: found true, want false", func(b []byte) { b[at+4] = 1 }},
		{"says nothing of it", "bert.attention.causal: not found", func(b []byte) { b[at-1] = 'x' }},
		{"a number", "bert.attention.causal: found", func(b []byte) { b[at] = 0 }},
	} {
		bad := slices.Clone(b)
		c.change(bad)
		_, err := Open(folder(t, map[string]string{"m.gguf": string(bad)}))
		wantFault(t, c.name, err, fault.Input, "malformed", c.text)
	}
	if got := mustOpen(t, "testdata/gguf/distilbert.gguf").Config().String("model_type"); got != "distilbert" {
		t.Errorf("without token types: %q, want distilbert", got)
	}
}
