package tokenize

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

const reference = "../testdata/reference"

func checkClass(t *testing.T, err error, class fault.Class, part string) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Class != class || !strings.Contains(err.Error(), part) {
		t.Errorf("%v; want class %d and %q", err, class, part)
	}
}

// folder writes files into a fresh folder; "@path" copies one.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		data := []byte(content)
		if path, ok := strings.CutPrefix(content, "@"); ok {
			var err error
			if data, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What the files of the three small tokenizers say, read off them.
func TestRead(t *testing.T) {
	type id struct {
		id int32
		ok bool
	}
	tests := []struct {
		name     string
		size     int
		bos, eos id
		pad      id
		specials []int32
		byteLvl  bool
		digest   string // sha256sum
	}{
		{"byte_bpe", 512, id{511, true}, id{511, true}, id{}, []int32{511}, true, "sha256:1f7c983e0163d2390d3423f4829e75797c7bdc1b50c121114efeb9eefda4677e"},
		{"sentencepiece_bpe", 600, id{1, true}, id{2, true}, id{}, []int32{0, 1, 2}, false, ""},
		{"wordpiece", 500, id{}, id{}, id{0, true}, []int32{0, 1, 2, 3, 4}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Read(filepath.Join(reference, "tokenizers", tt.name))
			if err != nil {
				t.Fatal(err)
			}
			if f.VocabSize() != tt.size || f.ByteLevel() != tt.byteLvl || !slices.Equal(f.SpecialIDs(), tt.specials) {
				t.Errorf("size %d, byte-level %v, specials %v; want %d, %v, %v", f.VocabSize(), f.ByteLevel(), f.SpecialIDs(), tt.size, tt.byteLvl, tt.specials)
			}
			for role, x := range map[string]struct {
				get  func() (int32, bool)
				want id
			}{"bos": {f.BOS, tt.bos}, "eos": {f.EOS, tt.eos}, "pad": {f.Pad, tt.pad}} {
				if got, ok := x.get(); (id{got, ok}) != x.want {
					t.Errorf("%s = %d, %v; want %v", role, got, ok, x.want)
				}
			}
			for i := range int32(tt.size) {
				token, ok := f.Token(i)
				if back, found := f.ID(token); !ok || !found || back != i {
					t.Errorf("id %d is %q is id %d", i, token, back)
				}
				if f.Special(i) != slices.Contains(tt.specials, i) {
					t.Errorf("Special(%d) = %v", i, f.Special(i))
				}
			}
			for _, i := range []int32{-1, int32(tt.size)} {
				if token, ok := f.Token(i); ok {
					t.Errorf("Token(%d) = %q", i, token)
				}
			}
			if tt.digest != "" && f.Digest() != tt.digest {
				t.Errorf("Digest = %s, want %s", f.Digest(), tt.digest)
			}
		})
	}
}

const unigram = `{"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":2,"content":"<s>","special":true}],"model":{"vocab":[["<unk>",0],["a",-1.5]]}}`

// Names of special tokens and templates, as old and new transformers write them.
func TestConfigStyles(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		bos   int32
		bosOK bool
		add   string // of AddBOS
		chat  map[string]string
	}{
		{"nothing", nil, 0, false, "unsaid", nil},
		{"string", map[string]string{"tokenizer_config.json": `{"bos_token":"<s>","add_bos_token":true,"chat_template":"T"}`}, 2, true, "true", map[string]string{"": "T"}},
		{"object", map[string]string{"tokenizer_config.json": `{"bos_token":{"__type":"AddedToken","content":"<s>","lstrip":false},"add_bos_token":false}`}, 2, true, "false", nil},
		{"null", map[string]string{"tokenizer_config.json": `{"bos_token":null,"add_bos_token":null,"chat_template":null}`}, 0, false, "unsaid", nil},
		{"map only", map[string]string{"special_tokens_map.json": `{"bos_token":"<s>"}`}, 2, true, "unsaid", nil},
		{"map of objects", map[string]string{"special_tokens_map.json": `{"bos_token":{"content":"<s>"}}`}, 2, true, "unsaid", nil},
		{"configuration first", map[string]string{"tokenizer_config.json": `{"bos_token":"a"}`, "special_tokens_map.json": `{"bos_token":"<s>"}`}, 1, true, "unsaid", nil},
		{"list of templates", map[string]string{"tokenizer_config.json": `{"chat_template":[{"name":"default","template":"D"},{"name":"rag","template":"R"}]}`}, 0, false, "unsaid", map[string]string{"": "D", "rag": "R"}},
		{"file beats configuration", map[string]string{"tokenizer_config.json": `{"chat_template":"T"}`, "chat_template.jinja": "F\n"}, 0, false, "unsaid", map[string]string{"": "F\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"tokenizer.json": unigram}
			for k, v := range tt.files {
				files[k] = v
			}
			f, err := Read(folder(t, files))
			if err != nil {
				t.Fatal(err)
			}
			if id, ok := f.BOS(); id != tt.bos || ok != tt.bosOK {
				t.Errorf("BOS = %d, %v; want %d, %v", id, ok, tt.bos, tt.bosOK)
			}
			add := "unsaid"
			if v, said := f.AddBOS(); said {
				add = map[bool]string{true: "true", false: "false"}[v]
			}
			if add != tt.add {
				t.Errorf("AddBOS %s, want %s", add, tt.add)
			}
			for _, name := range []string{"", "rag"} {
				if s, ok := f.ChatTemplate(name); s != tt.chat[name] || ok != (s != "") {
					t.Errorf("ChatTemplate(%q) = %q, %v; want %q", name, s, ok, tt.chat[name])
				}
			}
		})
	}
}

func TestReadRefused(t *testing.T) {
	tests := []struct{ name, json, part string }{
		{"no JSON", `{"model":`, "tokenizer.json"},
		{"a list", `[]`, "want an object"},
		{"empty", ``, "tokenizer.json"},
		{"bad UTF-8", "{\"model\":{\"vocab\":{\"\xff\":0}}}", "UTF-8"},
		{"byte order mark", "\ufeff" + unigram, "tokenizer.json"},
		{"two objects", unigram + "{}", "more follows"},
		{"key twice", `{"model":{"vocab":{"a":0}},"model":{"vocab":{"a":0}}}`, "duplicate"},
		{"token twice", `{"model":{"vocab":{"a":0,"a":1}}}`, "duplicate"},
		{"no model", `{"version":"1.0"}`, `no "model"`},
		{"no vocabulary", `{"model":{"type":"BPE"}}`, `no "vocab"`},
		{"empty vocabulary", `{"model":{"vocab":{}}}`, "empty"},
		{"vocabulary a number", `{"model":{"vocab":7}}`, "want an object or a list"},
		{"id a string", `{"model":{"vocab":{"a":"0"}}}`, `model.vocab["a"]: found "0"`},
		{"id negative", `{"model":{"vocab":{"a":-1}}}`, "found -1"},
		{"id a fraction", `{"model":{"vocab":{"a":1.0}}}`, "found 1.0"},
		{"id too large", `{"model":{"vocab":{"a":2147483647}}}`, "found 2147483647"},
		{"entry of three", `{"model":{"vocab":[["a",0,1]]}}`, "model.vocab[0]"},
		{"entry without a string", `{"model":{"vocab":[[1,0]]}}`, "model.vocab[0]"},
		{"added token without id", `{"model":{"vocab":{"a":0}},"added_tokens":[{"content":"b"}]}`, "added_tokens[0]: no id"},
		{"added token elsewhere", `{"model":{"vocab":{"a":0}},"added_tokens":[{"id":5,"content":"b"}]}`, `"b": declares id 5, but the tokenizer library assigns 1`},
		{"added token moved", `{"model":{"vocab":{"a":0}},"added_tokens":[{"id":1,"content":"a"}]}`, `"a": declares id 1, but the tokenizer library assigns 0`},
		{"map longer than it is", `{"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="},"model":{"vocab":{"a":0}}}`, "precompiled_charsmap"},
		{"map inside a sequence", `{"normalizer":{"normalizers":[{"precompiled_charsmap":"/////w=="}]},"model":{"vocab":{"a":0}}}`, "precompiled_charsmap"},
		{"deep nesting", `{"post_processor":` + strings.Repeat(`{"processors":[`, 4000) + strings.Repeat(`]}`, 4000) + `,"model":{"vocab":{"a":0}}}`, "deeper than 64"},
		{"two texts in the template", `{"post_processor":{"processors":[{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"Sequence":{"id":"A"}}]}]},"model":{"vocab":{"a":0}}}`, "found 2 texts"},
		{"map with an escaped name", `{"normalizer":{"precompiled_\u0063harsmap":"/////w=="},"model":{"vocab":{"a":0}}}`, "precompiled_charsmap"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(folder(t, map[string]string{"tokenizer.json": tt.json}))
			checkClass(t, err, fault.Input, tt.part)
		})
	}
	for name, config := range map[string]string{"list": `[]`, "number": `{"bos_token":5}`, "no content": `{"bos_token":{}}`, "add_bos_token": `{"add_bos_token":"yes"}`, "template": `{"chat_template":5}`, "twice": `{"bos_token":"a","bos_token":"a"}`} {
		t.Run("configuration "+name, func(t *testing.T) {
			_, err := Read(folder(t, map[string]string{"tokenizer.json": unigram, "tokenizer_config.json": config}))
			checkClass(t, err, fault.Input, "tokenizer_config.json")
		})
	}
}

func TestNoTokenizer(t *testing.T) {
	_, err := Read(t.TempDir())
	checkClass(t, err, fault.Input, "no tokenizer.json")
	if f := fault.As(err); len(f.Hints) == 0 || !strings.Contains(f.Hints[0], "save_pretrained") {
		t.Errorf("hints %q, want the command that makes one", f.Hints)
	}
	_, err = Read(filepath.Join(t.TempDir(), "nowhere"))
	checkClass(t, err, fault.Input, "nowhere")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokenizer.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Read(dir)
	checkClass(t, err, fault.Input, "found a folder")
}

func TestSpecialIn(t *testing.T) {
	f, err := Read(filepath.Join(reference, "tokenizers/byte_bpe/tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := f.SpecialIn("a <|endoftext|> b"); !ok || s != "<|endoftext|>" {
		t.Errorf("SpecialIn = %q, %v", s, ok)
	}
	if s, ok := f.SpecialIn("a <|endoftext| > b"); ok {
		t.Errorf("SpecialIn = %q, %v; want none", s, ok)
	}
}

func TestUnknownSpecial(t *testing.T) {
	f, err := Read(folder(t, map[string]string{"tokenizer.json": unigram, "tokenizer_config.json": `{"bos_token":"<bos>"}`}))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.BOS(); ok || len(f.warnings) != 1 || f.warnings[0].Code != "special-unknown" {
		t.Errorf("BOS %v, warnings %v; want special-unknown", ok, f.warnings)
	}
}

func TestCheck(t *testing.T) {
	if err := Check("héllo 世界 🙂 \ufffd"); err != nil {
		t.Error(err)
	}
	for part, s := range map[string]string{"NUL at byte 1": "a\x00", "0xff at byte 2": "é\xff", "0xed at byte 0": "\xed\xa0\x80", "16777217 bytes": strings.Repeat("a", MaxText+1)} {
		checkClass(t, Check(s), fault.Input, part)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Specials: "all"}, {Vocab: -1}} {
		_, err := Open(filepath.Join(reference, "tokenizers/byte_bpe"), o)
		checkClass(t, err, fault.Usage, "want")
	}
}

// Without the library the error names the build tag and does not look at files.
func TestNoLibrary(t *testing.T) {
	if Available {
		t.Skip("built with the tag tokenizers")
	}
	_, err := Open("nowhere", Options{})
	checkClass(t, err, fault.Usage, "tokenizers")
	if f := fault.As(err); f == nil || f.Code != "tag" {
		t.Errorf("%v, want code tag", err)
	}
}
