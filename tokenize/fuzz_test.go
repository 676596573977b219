//go:build tokenizers

package tokenize

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/tokenize/text"
)

// Text is refused or gives ids of the vocabulary whose tiles cover it, and a
// byte-level tokenizer gives it back.
func FuzzEncode(f *testing.F) {
	var toks []*Tokenizer
	for _, name := range []string{"byte_bpe", "sentencepiece_bpe", "wordpiece"} {
		toks = append(toks, open(f, filepath.Join(reference, "tokenizers", name), Options{}))
	}
	for _, s := range []string{"", " ", "héllo 世界 🙂 a", "e\u0301\u0000", "x<|endoftext|>y", "\xff", "<s>[CLS]▁ a\n\n  "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, tok := range toks {
			ids, ends, err := tok.Encode(s)
			if err != nil {
				if strings.ToValidUTF8(s, "") == s && !strings.Contains(s, "\x00") {
					t.Fatalf("%q: %v", s, err)
				}
				continue
			}
			if len(ids) != len(ends) {
				t.Fatalf("%q: %d ids, %d ends", s, len(ids), len(ends))
			}
			off, length, dropped := text.Tiles(ends, s)
			at := int64(0)
			for i := range off {
				if off[i] != at || tok.Special(ids[i]) && tok.vocab.tokens[ids[i]] != "<unk>" && tok.vocab.tokens[ids[i]] != "[UNK]" {
					t.Fatalf("%q: token %d (id %d): tile at %d, want %d", s, i, ids[i], off[i], at)
				}
				at += int64(length[i])
			}
			if at+int64(dropped) != int64(len(s)) {
				t.Fatalf("%q: tiles end at %d, %d dropped, want %d", s, at, dropped, len(s))
			}
			trip, err := tok.RoundTrip(s)
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			if tok.ByteLevel() && (!trip.Exact || dropped > 0) {
				t.Fatalf("%q: came back as %q, %d bytes dropped", s, trip.Got, dropped)
			}
		}
	})
}

// A tokenizer.json is refused as input or works.
func FuzzDefinition(f *testing.F) {
	paths, err := filepath.Glob("testdata/tiny/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		tok, err := Open(dir, Options{})
		if err != nil {
			if f := fault.As(err); f == nil || f.Class != fault.Input {
				t.Fatalf("%v, want an input fault", err)
			}
			return
		}
		defer tok.Close()
		for _, s := range []string{"", "abc", " é🙂"} {
			if ids, _, err := tok.Encode(s); err == nil {
				if _, err := tok.Decode(ids); err != nil {
					t.Logf("%q: %v", s, err)
				}
			}
		}
	})
}
