package chat_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"assay/tokenize"
	"assay/tokenize/chat"
)

// A rendered chat encodes to the ids of transformers 5.23.0, special tokens in
// messages included: apply_chat_template(tokenize=True) (testdata/make_ids.py).
func TestIDs(t *testing.T) {
	if !tokenize.Available {
		t.Skip("built without the tag tokenizers")
	}
	b, err := os.ReadFile("testdata/ids.json")
	if err != nil {
		t.Fatal(err)
	}
	var x struct {
		Template string
		Cases    []struct {
			Tokenizer        string
			Messages         []chat.Message
			GenerationPrompt bool `json:"generation_prompt"`
			IDs              []int32
		}
	}
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	tm, err := chat.New(x.Template)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range x.Cases {
		tok, err := tokenize.Open(filepath.Join("../../testdata/reference/tokenizers", c.Tokenizer), tokenize.Options{Specials: tokenize.SpecialsParse})
		if err != nil {
			t.Fatal(err)
		}
		out, err := tm.Render(c.Messages, chat.Options{Generation: c.GenerationPrompt, Tokens: tok.NamedTokens()})
		if err != nil {
			t.Fatal(err)
		}
		ids, _, err := tok.Encode(out)
		if err != nil || !slices.Equal(ids, c.IDs) {
			t.Errorf("case %d: %q gives %v, %v\nwant %v", i, out, ids, err, c.IDs)
		}
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	}
}
