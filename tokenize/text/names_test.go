package text_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/tokenize/text"
)

// one reads a file of one row.
func one(t *testing.T, row string, o text.Options) (text.Doc, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if err := os.WriteFile(path, []byte(row+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for d, err := range text.Read(path, o) {
		return d, err
	}
	t.Fatal("no document")
	return text.Doc{}, nil
}

func TestNamedFields(t *testing.T) {
	pair := text.Options{Text: "response", Context: "prompt"}
	d, err := one(t, `{"id":"a","prompt":"2+2=","response":"4"}`, pair)
	if err != nil || d.Text != "4" || d.Context != "2+2=" || !d.HasContext {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := one(t, `{"id":"a","text":"4"}`, pair); err == nil || !strings.Contains(err.Error(), "x.jsonl:1:11: text: found unknown field") {
		t.Errorf("text under another name: %v", err)
	}
	d, err = one(t, `{"id":"a","messages":[{"role":"user","content":"q"},{"content":"","role":"assistant","name":null}]}`, text.Options{Messages: "messages"})
	if want := []text.Turn{{Role: "user", Content: "q"}, {Role: "assistant"}}; err != nil || !reflect.DeepEqual(d.Turns, want) {
		t.Errorf("%+v %v", d, err)
	}
	d, err = one(t, `{"id":"a","prompt":"q","system":"s","item":"i","refs":["r"],"max_tokens":3}`, text.Options{Prompts: true})
	if err != nil || d.MaxTokens != 3 || d.Text != "q" || d.System != "s" || string(d.Meta) != `{"item":"i","refs":["r"]}` {
		t.Errorf("%+v %v", d, err)
	}
}

func TestNamedFieldsRefused(t *testing.T) {
	for row, o := range map[string]text.Options{
		`{"id":"a","m":[]}`:                                           {Messages: "m"},
		`{"id":"a","m":[{"role":"user"}]}`:                            {Messages: "m"},
		`{"id":"a","m":[{"role":1,"content":"x"}]}`:                   {Messages: "m"},
		`{"id":"a","m":"x"}`:                                          {Messages: "m"},
		`{"id":"a"}`:                                                  {Messages: "m"},
		`{"id":"a","text":"x"}`:                                       {Messages: "m"},
		`{"id":"a","p":"x"}`:                                          {Text: "r", Context: "p"},
		`{"id":"a","prompt":"x","context":1}`:                         {Prompts: true},
		`{"id":"a","prompt":"x","tool":1}`:                            {Prompts: true},
		`{"id":"a","prompt":"x","max_tokens":0}`:                      {Prompts: true},
		`{"id":"a","x":"x"} `:                                         {Text: "id"},
		`{"id":"a","x":"x"}  `:                                        {Text: "x_a"},
		`{"id":"a","x":"x"}   `:                                       {Text: "a", Context: "a"},
		`{"id":"a","x":"x"}    `:                                      {Text: "a", Messages: "b"},
		`{"id":"a","ids":[1]}`:                                        {IDs: true, Messages: "b"},
		`{"id":"a","m":[{"role":"u","content":"x","tool_calls":[]}]}`: {Messages: "m"},
		`{"id":"a","m":[{"role":"u","content":"x","content":"y"}]}`:   {Messages: "m"},
		`{"id":"a","m":[{"role":"u","content":"x\u0000y"}]}`:          {Messages: "m"},
	} {
		if d, err := one(t, row, o); fault.As(err) == nil {
			t.Errorf("%s %+v gave %+v, %v", row, o, d, err)
		}
	}
}
