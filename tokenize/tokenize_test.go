//go:build tokenizers

package tokenize

import (
	"encoding/binary"
	"encoding/json/v2"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"assay/internal/fault"
)

// Published vector of daulet/tokenizers 1.27.0, ids also tokenizers 0.23.3.
func TestLlama3(t *testing.T) {
	path := filepath.Join(moduleData(t), "Meta-Llama-3-8B-Instruct.json")
	tok := open(t, path, Options{})
	ids, ends, err := tok.Encode("héllo 世界 🙂 a")
	if err != nil {
		t.Fatal(err)
	}
	if want := []int32{71, 19010, 385, 127365, 28584, 264}; !slices.Equal(ids, want) {
		t.Errorf("ids %v, want %v", ids, want)
	}
	if want := []int64{1, 4, 6, 13, 18, 20}; !slices.Equal(ends, want) {
		t.Errorf("ends %v, want %v", ends, want)
	}
	// A special token's string is plain text by default.
	const end = 128001
	plain, _, err := tok.Encode("x<|end_of_text|>y")
	if err != nil || slices.Contains(plain, end) {
		t.Errorf("plain ids %v, %v; want none to be %d", plain, err, end)
	}
	if s, err := tok.Decode(plain); err != nil || s != "x<|end_of_text|>y" {
		t.Errorf("Decode = %q, %v", s, err)
	}
	parsed, _, err := open(t, path, Options{Specials: SpecialsParse}).Encode("x<|end_of_text|>y")
	if err != nil || !slices.Contains(parsed, end) {
		t.Errorf("parsed ids %v, %v; want %d among them", parsed, err, end)
	}
	// Id 188 is the byte 0, which the library cannot hand over.
	if s, err := tok.Decode([]int32{264, 188, 188, 264}); err != nil || s != " a\x00\x00 a" {
		t.Errorf("Decode of NULs = %q, %v", s, err)
	}
	for _, id := range []int32{-1, 128256} {
		_, err := tok.Decode([]int32{264, id})
		checkClass(t, err, fault.Input, fmt.Sprintf("ids[1]: found %d", id))
	}
	if !tok.ByteLevel() || tok.VocabSize() != 128256 {
		t.Errorf("byte-level %v, size %d", tok.ByteLevel(), tok.VocabSize())
	}
}

// Templates as the files' TemplateProcessing sections say.
func TestTemplate(t *testing.T) {
	real := moduleData(t)
	for _, tt := range []struct {
		path           string
		prefix, suffix []int32
	}{
		{filepath.Join(real, "Meta-Llama-3-8B-Instruct.json"), []int32{128000}, nil},
		{filepath.Join(real, "bert-base-uncased.json"), []int32{101}, []int32{102}},
		{filepath.Join(real, "cohere-tokenizer.json"), []int32{5}, []int32{7}},
		{filepath.Join(reference, "tokenizers/byte_bpe"), nil, nil},
		{filepath.Join(reference, "tokenizers/sentencepiece_bpe"), []int32{1}, nil},
		{filepath.Join(reference, "tokenizers/wordpiece"), []int32{2}, []int32{3}},
	} {
		prefix, suffix := open(t, tt.path, Options{}).Template()
		if !slices.Equal(prefix, tt.prefix) || !slices.Equal(suffix, tt.suffix) {
			t.Errorf("%s: template %v, %v; want %v, %v", tt.path, prefix, suffix, tt.prefix, tt.suffix)
		}
	}
}

// all-minilm's file asks for truncation to 256 and padding to multiples of 8.
func TestNoTruncation(t *testing.T) {
	tok := open(t, filepath.Join(moduleData(t), "all-minilm-l6-v2.json"), Options{})
	for _, n := range []int{4, 600} {
		ids, _, err := tok.Encode(strings.Repeat("word ", n))
		if err != nil || len(ids) != n {
			t.Errorf("%d words: %d ids, %v", n, len(ids), err)
		}
	}
	e, err := tok.EncodeAll(strings.Repeat("word ", 600), true)
	if err != nil || len(e.IDs) != 602 {
		t.Errorf("600 words with the template: %d ids, %v; want 602", len(e.IDs), err)
	}
}

// The text sequence of the reference checkpoints, tokenized by transformers
// 5.23.0 with special tokens, is prefix, ids and suffix.
func TestReferenceCheckpoints(t *testing.T) {
	for _, name := range []string{"bert", "gpt2", "gpt_neox-parallel", "llama-mha", "qwen2"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(reference, name)
			config := readJSON[struct {
				Vocab int `json:"vocab_size"`
			}](t, dir+"/config.json")
			said := readJSON[struct {
				Sequences []struct {
					Index int    `json:"index"`
					Text  string `json:"text"`
				} `json:"sequences"`
			}](t, dir+"/expected.json")
			tok := open(t, dir, Options{Vocab: config.Vocab})
			last := said.Sequences[len(said.Sequences)-1]
			if last.Text == "" {
				t.Fatal("no text in expected.json")
			}
			prefix, suffix := tok.Template()
			ids, _, err := tok.Encode(last.Text)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Concat(prefix, ids, suffix)
			if want := storedIDs(t, dir+"/expected.safetensors", fmt.Sprintf("ids.%d", last.Index)); !slices.Equal(got, want) {
				t.Errorf("ids %v, want %v", got, want)
			}
			if w := tok.Warnings(); len(w) != 1 || w[0].Code != "padding-vocab" {
				t.Errorf("warnings %v, want padding-vocab", w)
			}
		})
	}
}

// storedIDs reads an I32 or I64 tensor of a safetensors file.
func storedIDs(t *testing.T, path, name string) (ids []int32) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		DType   string `json:"dtype"`
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	h := header[name]
	body := data[8+int(n):][h.Offsets[0]:h.Offsets[1]]
	size := map[string]int{"I32": 4, "I64": 8}[h.DType]
	if size == 0 {
		t.Fatalf("%s: dtype %q", name, h.DType)
	}
	for i := 0; i < len(body); i += size {
		ids = append(ids, int32(binary.LittleEndian.Uint32(body[i:])))
	}
	return ids
}

func TestVocab(t *testing.T) {
	path := filepath.Join(reference, "tokenizers/byte_bpe")
	_, err := Open(path, Options{Vocab: 511})
	checkClass(t, err, fault.Input, `found id 511 ("<|endoftext|>"), want every id below the 511 rows`)
	if w := open(t, path, Options{Vocab: 512}).Warnings(); len(w) != 0 {
		t.Errorf("warnings %v, want none", w)
	}
	w := open(t, path, Options{Vocab: 520}).Warnings()
	if len(w) != 1 || w[0].Code != "padding-vocab" || !strings.Contains(w[0].Text, "8 rows") {
		t.Errorf("warnings %v, want padding-vocab with 8 rows", w)
	}
}

func TestRefusedText(t *testing.T) {
	tok := open(t, filepath.Join(reference, "tokenizers/byte_bpe"), Options{})
	for part, s := range map[string]string{"NUL at byte 1": "a\x00b", "0xff at byte 1": "a\xff", "at most": strings.Repeat("a", MaxText+1)} {
		_, _, err := tok.Encode(s)
		checkClass(t, err, fault.Input, part)
	}
}

func TestRoundTrip(t *testing.T) {
	texts := readJSON[map[string][]string](t, "../testdata/demo/texts.json")
	tok := open(t, "../testdata/demo/alice", Options{Vocab: 2048})
	for name, list := range texts {
		s := strings.Join(list, "\n")
		trip, err := tok.RoundTrip(s)
		if err != nil || !trip.Exact || !trip.ByteLevel {
			t.Errorf("%s: exact %v at %d, %v", name, trip.Exact, trip.At, err)
		}
	}
	// Cohere normalises to NFC although its decoder is byte-level.
	trip, err := open(t, filepath.Join(moduleData(t), "cohere-tokenizer.json"), Options{}).RoundTrip("cafe\u0301")
	if w, ok := trip.Warning(); err != nil || trip.Exact || trip.At != 3 || !ok || w.Code != "round-trip" {
		t.Errorf("%+v %v, %v; want the warning at byte 3", trip, w, err)
	}
	trip, err = open(t, filepath.Join(reference, "tokenizers/wordpiece"), Options{}).RoundTrip("The Scales")
	if _, ok := trip.Warning(); err != nil || trip.Exact || ok {
		t.Errorf("%+v, %v; want a difference without a warning", trip, err)
	}
}

// edited is a small tokenizer with one substring of its file replaced.
func edited(t *testing.T, name, old, new string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/tiny/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(data), old) != 1 {
		t.Fatalf("%s: found %q %d times, want once", name, old, strings.Count(string(data), old))
	}
	return folder(t, map[string]string{"tokenizer.json": strings.Replace(string(data), old, new, 1)})
}

// A definition that the library rejects or panics on is an error; without the
// guards of scripts/tokenizers-lib.sh the last four end the process.
func TestHostileDefinitions(t *testing.T) {
	for _, tt := range []struct{ name, base, old, new, part string }{
		{"version", "bpe", `"version":"1.0"`, `"version":"2.0"`, "version"},
		{"unknown component", "wordlevel", `"type":"Whitespace"`, `"type":"Black\u0000space"`, "tokenizer.json"},
		{"merge of nothing", "bpe", `[["a","b"]]`, `[["a","x"]]`, "out of vocabulary"},
		{"bad expression", "bpe", `"\\s+"`, `"(((["`, "tokenizer.json"},
		{"template twice", "bpe", `{"Sequence":{"id":"A","type_id":0}}],"pair"`, `{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair"`, "found 2 texts in its template"},
		{"template without text", "bpe", `,{"Sequence":{"id":"A","type_id":0}}],"pair"`, `],"pair"`, "found 0 texts in its template"},
		{"NUL in the reason", "bpe", `"version":"1.0"`, `"version":"\u0000"`, "version"},
		{"prefix longer than a piece", "bpe", `"continuing_subword_prefix":null`, `"continuing_subword_prefix":"##"`, "panicked"},
		{"trie of nothing", "unigram", `"version"`, `"version"`, "panicked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tok, err := Open(edited(t, tt.base, tt.old, tt.new), Options{})
			if err == nil {
				tok.Close()
			}
			checkClass(t, err, fault.Input, tt.part)
		})
	}
	t.Run("strip past the start", func(t *testing.T) {
		tok := open(t, edited(t, "bpe", `"content":" ","start":1,"stop":0`, `"content":"B","start":0,"stop":9`), Options{})
		if s, err := tok.Decode([]int32{1}); err == nil {
			t.Errorf("Decode = %q, want an error", s)
		}
	})
}

func TestBOSDiffers(t *testing.T) {
	dir := folder(t, map[string]string{
		"tokenizer.json":        "@" + reference + "/tokenizers/sentencepiece_bpe/tokenizer.json",
		"tokenizer_config.json": `{"bos_token":"<s>","add_bos_token":false}`,
	})
	if w := open(t, dir, Options{}).Warnings(); len(w) != 1 || w[0].Code != "bos-differs" {
		t.Errorf("warnings %v, want bos-differs", w)
	}
}

// Encodes agree with each other, and closing while they run neither crashes nor
// waits forever: what comes later is an error.
func TestConcurrent(t *testing.T) {
	tok, err := Open("../testdata/demo/alice", Options{})
	if err != nil {
		t.Fatal(err)
	}
	const s = "In the beginning God created the heaven and the earth."
	want, _, err := tok.Encode(s)
	if err != nil || len(want) < 8 {
		t.Fatalf("%v, %v", want, err)
	}
	var wg sync.WaitGroup
	var started sync.WaitGroup
	for range 8 {
		started.Add(1)
		wg.Go(func() {
			for i := range 400 {
				ids, _, err := tok.Encode(s)
				if i == 50 {
					started.Done()
				}
				if err != nil {
					if i <= 50 || err != errClosed {
						t.Error(err)
					}
					return
				}
				if !slices.Equal(ids, want) {
					t.Errorf("ids %v, want %v", ids, want)
				}
				if text, err := tok.Decode(ids); err != errClosed && (err != nil || text != s) {
					t.Errorf("Decode = %q, %v", text, err)
				}
			}
		})
	}
	started.Wait()
	if err := tok.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, _, err := tok.Encode(s); err != errClosed {
		t.Errorf("Encode after Close: %v", err)
	}
	if err := tok.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := open(b, filepath.Join(moduleData(b), "Meta-Llama-3-8B-Instruct.json"), Options{})
	text := strings.Join(readJSON[map[string][]string](b, "../testdata/demo/texts.json")["kjv"], "\n")
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := strings.ToValidUTF8(text[:n], "")
			b.SetBytes(int64(len(s)))
			for b.Loop() {
				if _, _, err := tok.Encode(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(moduleData(b), "Meta-Llama-3-8B-Instruct.json")
	for b.Loop() {
		tok, err := Open(path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		tok.Close()
	}
}
