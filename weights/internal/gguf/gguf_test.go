package gguf

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// writer builds headers, honest and other.
type writer []byte

func (w *writer) u32(n uint32) { *w = binary.LittleEndian.AppendUint32(*w, n) }
func (w *writer) u64(n uint64) { *w = binary.LittleEndian.AppendUint64(*w, n) }
func (w *writer) str(s string) { w.u64(uint64(len(s))); *w = append(*w, s...) }

// head starts a version 3 file with the given counts.
func head(tensors, keys uint64) *writer {
	w := &writer{}
	*w = append(*w, magic...)
	w.u32(3)
	w.u64(tensors)
	w.u64(keys)
	return w
}

func (w *writer) key(name string, kind Kind, value any) *writer {
	w.str(name)
	w.u32(uint32(kind))
	w.value(value)
	return w
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case string:
		w.str(v)
	case []byte:
		*w = append(*w, v...)
	case uint32:
		w.u32(v)
	case uint64:
		w.u64(v)
	}
}

func (w *writer) tensor(name string, kind Type, offset uint64, dims ...uint64) *writer {
	w.str(name)
	w.u32(uint32(len(dims)))
	for _, d := range dims {
		w.u64(d)
	}
	w.u32(uint32(kind))
	w.u64(offset)
	return w
}

// data pads to 32 bytes and adds n bytes.
func (w *writer) data(n int) []byte {
	return append(append([]byte(nil), *w...), make([]byte, (32-len(*w)%32)%32+n)...)
}

func array(elem Kind, n uint64, data ...byte) []byte {
	w := &writer{}
	w.u32(uint32(elem))
	w.u64(n)
	return append(*w, data...)
}

func TestParse(t *testing.T) {
	w := head(2, 5).
		key("general.alignment", Uint32, uint32(32)).
		key("a.eps", Float32, math.Float32bits(1e-5)).
		key("a.list", Array, array(Int16, 2, 1, 0, 0xff, 0xff)).
		key("a.names", Array, array(String, 2, append(binary.LittleEndian.AppendUint64(nil, 1), 'x', 0, 0, 0, 0, 0, 0, 0, 0)...)).
		key("a.flag", Bool, []byte{1}).
		tensor("b", F16, 64, 4, 3).
		tensor("a", Q8_0, 0, 32)
	f, err := Parse(w.data(64 + 24))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tensors) != 2 || f.Tensors[0].Name != "a" || f.Tensors[0].Bytes != 34 || f.Tensors[1].At-f.Tensors[0].At != 64 || !slices.Equal(f.Tensors[1].Shape, []int{3, 4}) {
		t.Errorf("tensors %+v", f.Tensors)
	}
	for key, want := range map[string]string{"a.eps": "1e-05", "a.list": "[1,-1]", "a.flag": "true", "general.alignment": "32"} {
		if got, ok := f.Keys[key].JSON(); !ok || got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	if names, ok := f.Keys["a.names"].Texts(); !ok || !slices.Equal(names, []string{"x", ""}) {
		t.Errorf("names %q", names)
	}
	if v := f.Keys["none"]; v.String() != "nothing" {
		t.Errorf("a key that is not there: %s", v)
	}
	if _, ok := f.Keys["none"].JSON(); ok {
		t.Error("a key that is not there has a JSON form")
	}
	if _, ok := f.Keys["a.names"].JSON(); ok {
		t.Error("strings have no short JSON form")
	}
}

// Each file is refused without a panic and without allocating by what it
// claims.
func TestHostile(t *testing.T) {
	good := func() *writer { return head(1, 0).tensor("a", F32, 0, 2) }
	cut := good().data(8)
	swapped := slices.Clone(cut)
	swapped[4], swapped[7] = 0, 3
	version1 := slices.Clone(cut)
	version1[4] = 1
	tests := []struct {
		name, want  string
		unsupported bool
		file        []byte
	}{
		{"empty", "found 0 bytes", false, nil},
		{"magic", `found "GGML"`, false, []byte("GGML\x03\x00\x00\x00")},
		{"version 1", "found 1, want 2 or 3", true, version1},
		{"version 4", "found 4", true, []byte("GGUF\x04\x00\x00\x00")},
		{"big endian", "big-endian", true, swapped},
		{"cut in the counts", "found 3 bytes, want 8 more", false, cut[:11]},
		{"cut after a count", "tensors: found 1, want at most 0", false, cut[:20]},
		// Counts that no file of this size can hold.
		{"2^60 tensors", "tensors: found 1152921504606846976, want at most 0", false, *head(1<<60, 0)},
		{"2^64-1 keys", "keys: found 18446744073709551615", false, *head(0, 1<<64-1)},
		{"a million keys", "keys: found 1000000", false, append(*head(0, 1_000_000), make([]byte, 1000)...)},
		// Lengths past the end of the file, or that wrap around it.
		{"key of 2^63 bytes", "key: found a length of 9223372036854775808", false, append(binary.LittleEndian.AppendUint64(*head(0, 1), 1<<63), make([]byte, 20)...)},
		{"key of 100 bytes", "key: found a length of 100", false, append(binary.LittleEndian.AppendUint64(*head(0, 1), 100), make([]byte, 20)...)},
		{"string value of 2^64-1 bytes", `key "k": found a string of 18446744073709551615 bytes`, false, append(*head(0, 1).key("k", String, uint64(1<<64-1)), 1, 2)},
		{"array of 2^61 numbers", `key "k": elements: found 2305843009213693952`, false, append(*head(0, 1).key("k", Array, array(Uint64, 1<<61)), make([]byte, 30)...)},
		{"array of 2^60 strings", "elements: found", false, append(*head(0, 1).key("k", Array, array(String, 1<<60)), make([]byte, 30)...)},
		{"string in an array too long", "found a string of 99 bytes", false, append(*head(0, 1).key("k", Array, array(String, 2, append(binary.LittleEndian.AppendUint64(nil, 99), 1, 2, 3, 4, 5, 6, 7, 8)...)), 0)},
		{"array of arrays", "found an array of type 9", false, append(*head(0, 1).key("k", Array, array(Array, 1)), make([]byte, 30)...)},
		{"value type 13", "found value type 13", false, append(*head(0, 1).key("k", 13, uint64(0)), make([]byte, 30)...)},
		{"key not UTF-8", "want UTF-8", false, append(*head(0, 1).key("\xff", Uint8, []byte{1}), make([]byte, 30)...)},
		// Two values of one key: readers differ in which one they take.
		{"key twice", `key "k": found twice`, false, append(*head(0, 2).key("k", Uint8, []byte{1}).key("k", Uint8, []byte{2}), make([]byte, 30)...)},
		{"alignment 0", "general.alignment: found 0", false, head(0, 1).key("general.alignment", Uint32, uint32(0)).data(64)},
		{"alignment 24", "general.alignment: found 24", false, head(0, 1).key("general.alignment", Uint32, uint32(24)).data(64)},
		{"alignment is a string", "general.alignment: found \"x\"", false, head(0, 1).key("general.alignment", String, "x").data(64)},
		{"alignment 2^31", "general.alignment", false, head(0, 1).key("general.alignment", Uint32, uint32(1<<31)).data(64)},
		{"tensor twice", `tensor "a": found twice`, false, head(2, 0).tensor("a", F32, 0, 2).tensor("a", F32, 32, 2).data(64)},
		{"rank 5", "found rank 5", false, head(1, 0).tensor("a", F32, 0, 1, 1, 1, 1, 1).data(64)},
		{"rank 2^32-1", "found rank 4294967295", false, append(binary.LittleEndian.AppendUint32(func() []byte { w := head(1, 0); w.str("a"); return *w }(), math.MaxUint32), make([]byte, 60)...)},
		{"dimension above 2^63", "overflows", false, head(1, 0).tensor("a", F32, 0, 1<<63).data(64)},
		{"product wraps", "a size that fits", false, head(1, 0).tensor("a", F32, 0, 1<<33, 1<<31).data(64)},
		{"row not of whole blocks", "multiple of 32", false, head(1, 0).tensor("a", Q4_0, 0, 48).data(64)},
		{"blocks without a row", "multiple of 32", false, head(1, 0).tensor("a", Q4_0, 0).data(64)},
		{"type of i-quants", "found type IQ4_NL, want one of F32 F16", true, head(1, 0).tensor("a", 20, 0, 32).data(64)},
		{"type unknown", "found type number 4000000000", true, head(1, 0).tensor("a", 4_000_000_000, 0, 32).data(64)},
		{"type removed", "found type number 4", true, head(1, 0).tensor("a", 4, 0, 32).data(64)},
		{"offset not aligned", "found offset 8, want a multiple of 32", false, head(1, 0).tensor("a", F32, 8, 2).data(64)},
		{"offset past the end", "the data section has 64", false, head(1, 0).tensor("a", F32, 96, 2).data(64)},
		{"offset wraps", "the data section has 64", false, head(1, 0).tensor("a", F32, 1<<64-32, 16).data(64)},
		{"data cut short", "8 bytes at offset 0, the data section has 7", false, cut[:len(cut)-1]},
		{"no data at all", "the data section has 0", false, *good()},
		{"overlap", `tensor "b": data begins at 0, want at least 8`, false, head(2, 0).tensor("a", F32, 0, 2).tensor("b", F32, 0, 4).data(64)},
	}
	for _, tc := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse(tc.file)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrUnsupported) != tc.unsupported {
			t.Errorf("%s: got %v, want %q (unsupported: %t)", tc.name, err, tc.want, tc.unsupported)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: allocated %d bytes", tc.name, n)
		}
	}
}

// Every prefix of a real file is refused.
func TestTruncated(t *testing.T) {
	file, err := os.ReadFile("../../testdata/gguf/llama.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(file); err != nil {
		t.Fatal(err)
	}
	for n := range len(file) {
		// The last tensor's padding may be missing, its values may not.
		if _, err := Parse(file[:n]); err == nil && n < len(file)-32 {
			t.Fatalf("accepted the first %d of %d bytes", n, len(file))
		}
	}
}

func FuzzGGUF(f *testing.F) {
	files, err := filepath.Glob("../../testdata/gguf/*.gguf")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, name := range files[:4] {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add(head(1, 1).key("general.alignment", Uint32, uint32(64)).tensor("a", Q6_K, 0, 256, 2).data(500))
	f.Fuzz(func(t *testing.T, file []byte) {
		g, err := Parse(file)
		if err != nil {
			return
		}
		for _, v := range g.Keys {
			v.Uint()
			v.Bool()
			v.Text()
			v.Texts()
			v.JSON()
			_ = v.String()
		}
		for _, x := range g.Tensors {
			raw := file[x.At : x.At+x.Bytes]
			n := 1
			for _, d := range x.Shape {
				n *= d
			}
			if !x.Type.Plain() {
				x.Type.Unpack(make([]float32, n), raw)
				x.Type.NonFinite(raw)
			}
		}
	})
}
