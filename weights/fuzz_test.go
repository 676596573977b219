package weights

import (
	"os"
	"path/filepath"
	"testing"

	"assay/internal/fault"
)

// checkErr asks that a reader's error be one of input, never of the program.
func checkErr(t *testing.T, err error) {
	t.Helper()
	if f := fault.As(malformed("f", err)); f == nil || f.Class != fault.Input {
		t.Fatalf("error %v is not of class Input", err)
	}
}

func FuzzSafetensorsHeader(f *testing.F) {
	for _, tc := range hostile {
		if len(tc.file) < 4096 {
			f.Add(tc.file)
		}
	}
	f.Add(pack(vectorA, vectorB))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, err := parseSafetensors(file)
		if err != nil {
			checkErr(t, err)
			return
		}
		// What is accepted tiles the data section exactly.
		at := uint64(h.dataAt)
		for _, s := range h.tensors {
			if n, ok := byteCount(s.shape, uint64(s.dtype.Size())); !ok || s.end-s.begin != n || uint64(h.dataAt)+s.begin != at {
				t.Fatalf("tensor %+v at %d", s, at)
			}
			at += s.end - s.begin
			newProbe(s.dtype).look(file[uint64(h.dataAt)+s.begin : uint64(h.dataAt)+s.end])
		}
		if at != uint64(len(file)) {
			t.Fatalf("tensors end at %d of %d", at, len(file))
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":22},"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x.safetensors"}}`))
	f.Add([]byte(`{"metadata":{"total_size":1e30},"weight_map":{}}`))
	f.Add([]byte(`{"a":[[{"b":null}]],"metadata":[],"weight_map":{"":"x.safetensors"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := parseIndex(text)
		if err != nil {
			checkErr(t, err)
			return
		}
		for tensor, file := range x.shard {
			if filepath.Base(file) != file || !filepath.IsLocal(file) {
				t.Fatalf("%q: accepted file %q", tensor, file)
			}
		}
		x.missing(nil)
	})
}

func FuzzConfig(f *testing.F) {
	for _, name := range []string{"gemma3", "phi3", "olmo3", "llama-yarn"} {
		text, err := os.ReadFile(filepath.Join(reference, name, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"rope_scaling":{"type":"longrope","short_factor":[1,NaN],"long_factor":[1]},"a":[{"b":-Infinity}],"s":"\"NaN"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig("config.json", text)
		if err != nil {
			checkErr(t, err)
			return
		}
		for _, k := range c.Keys() {
			c.Has(k)
			c.Null(k)
			c.FloatOrNull(k, 0, 0)
			c.IntOr(k, 0)
			c.StringOr(k, "")
			c.BoolOr(k, false)
			c.Floats(k)
			c.Strings(k)
			c.Sub(k)
		}
		r := c.RoPE(RoPEDefaults{Theta: 1e4, PartialKeys: []string{"partial_rotary_factor"}, MaxPositions: 160})
		c.RoPELayers(map[string]RoPEDefaults{"full_attention": {Theta: 1e6}, "sliding_attention": {Theta: 1e4, NoScaling: true}})
		if r.Check(16) == nil && len(c.Used()) > len(text) {
			t.Fatal("more keys than bytes")
		}
		c.Unknown("a*")
		c.Defaulted()
		if err := c.Err(); err != nil {
			checkErr(t, err)
		}
	})
}
