package canon

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCanonicalJSON(t *testing.T) {
	type inner struct {
		Z int    `json:"z"`
		A string `json:"a,omitempty"`
	}
	// Wanted bytes: Python 3.11 json.dumps(v, sort_keys=True, ensure_ascii=False,
	// separators=(",", ":")), whose key order (code points) is the order of UTF-8 bytes.
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"key order, nested", map[string]any{"b": 1, "a": map[string]any{"d": true, "c": nil}}, `{"a":{"c":null,"d":true},"b":1}`},
		{"struct fields sorted, empty out", inner{Z: 3}, `{"z":3}`},
		{"no html escaping", map[string]string{"k": "<&>"}, `{"k":"<&>"}`},
		{"line separators stay", "a\u2028b\u2029", "\"a\u2028b\u2029\""},
		{"control characters", "\x00\b\t\n\f\r\x1f\"\\/\x7f", "\"\\u0000\\b\\t\\n\\f\\r\\u001f\\\"\\\\/\x7f\""},
		{"astral after private use", map[string]int{"\U0001F642": 1, "\uE000": 2}, "{\"\uE000\":2,\"\U0001F642\":1}"},
		{"integers above 2^53", []uint64{1<<53 + 1, 1<<64 - 1}, `[9007199254740993,18446744073709551615]`},
		{"negative, empty", []any{-1, []int{}, map[string]int{}}, `[-1,[],{}]`},
		{"raw message is re-ordered", json.RawMessage(`{ "b" : 1 , "a" : [ 2 ] }`), `{"a":[2],"b":1}`},
		{"array of objects", []any{map[string]int{"y": 1, "x": 2}, "s"}, `[{"x":2,"y":1},"s"]`},
	}
	for _, tc := range tests {
		got, err := CanonicalJSON(tc.in)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: got %s, %v; want %s", tc.name, got, err, tc.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"float", map[string]any{"a": []any{0.5}}, "found float 0.5"},
		{"whole float", map[string]any{"a": 1e4}, "found float 10000"},
		{"float32 in a struct", struct{ F float32 }{2}, "found float 2"},
		{"fraction", json.RawMessage(`{"a":[1,0.5]}`), "/a/1: found number 0.5"},
		{"exponent", json.RawMessage(`1e3`), "found number 1e3"},
		{"minus zero", json.RawMessage(`-0`), "found number -0"},
		{"duplicate key", json.RawMessage(`{"a":1,"a":2}`), "duplicate"},
		{"invalid UTF-8", "a\xffb", "UTF-8"},
		{"no JSON form", func() {}, "canon:"},
	}
	for _, tc := range tests {
		got, err := CanonicalJSON(tc.in)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %s, %v; want an error with %q", tc.name, got, err, tc.want)
		}
	}
}

func TestDigest(t *testing.T) {
	// Run identity of the trace format's published vector (Python hashlib).
	b := func(s string) string { return "sha256:" + strings.Repeat(s, 32) }
	of := map[string]any{
		"checkpoint": map[string]any{"weights": b("22"), "config": b("11"), "vocab": 4},
		"policy":     map[string]any{"name": "full", "window": 8, "bos": "none", "prefix_ids": []int{}},
		"precision":  "f32",
		"text":       "sha256:97a03e4da763a9a552638a33b95093e61046eb180e6c649bbf7dd2b4ba913a99",
		"tokenizer":  map[string]any{"specials": "none", "digest": b("33")},
	}
	got, err := Digest(of)
	if want := "sha256:3831793ec74c2b4273290eee28bdd7cb0ece5f4ee1307523a60f232d67c44811"; err != nil || got != want {
		t.Fatalf("Digest = %s, %v; want %s", got, err, want)
	}
}
