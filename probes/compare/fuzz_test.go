package compare

import "testing"

// Whatever the other party's tokenizer.json and config.json hold: an error or a
// difference, never a panic; and a file never differs from itself.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(tokenizerA), []byte(`{"a": {"b": [1, NaN]}}`))
	f.Add([]byte(`{"model": {"type": "Unigram", "vocab": [["a", -1.5], ["b", null]]}, "added_tokens": [{"id": 1e9, "content": "x"}, {}]}`), []byte(`{"a": -Infinity}`))
	f.Add([]byte(`{"model": {"vocab": {"a": -1}, "merges": [["a", 3], "b c"]}, "added_tokens": null}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, tok, conf []byte) {
		if v, err := parseTokenizer(tok); err == nil {
			if d := diffTokenizers(v, v); !d.Same || d.String() != "" {
				t.Errorf("a tokenizer differs from itself: %+v", d)
			}
			largest(v)
		}
		if m, err := flatten(conf); err == nil && len(mapDiff(m, m)) > 0 {
			t.Error("a configuration differs from itself")
		}
	})
}
