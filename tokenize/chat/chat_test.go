package chat_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/tokenize/chat"
	"assay/tokenize/text"
)

type expected struct {
	Now   time.Time
	Chats map[string]struct {
		Messages         []chat.Message
		GenerationPrompt bool `json:"generation_prompt"`
		Vars             map[string]any
	}
	Cases []struct {
		Template, Chat, Error string
		Text                  *string
	}
}

func load(t *testing.T) expected {
	b, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var x expected
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

func open(t *testing.T, name string) *chat.Template {
	t.Helper()
	tm, err := chat.Open(nil, filepath.Join("testdata/templates", name+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

var tokens = map[string]string{"bos_token": "<s>", "eos_token": "</s>"}

// expected.json is what transformers 5.23.0 renders (testdata/make_expected.py).
func TestTemplates(t *testing.T) {
	x := load(t)
	if len(x.Cases) != 80 {
		t.Fatalf("%d cases", len(x.Cases))
	}
	for _, c := range x.Cases {
		t.Run(c.Template+"/"+c.Chat, func(t *testing.T) {
			talk := x.Chats[c.Chat]
			got, err := open(t, c.Template).Render(talk.Messages, chat.Options{Generation: talk.GenerationPrompt, Tokens: tokens, Vars: talk.Vars, Date: x.Now})
			switch {
			case c.Text == nil && err == nil:
				t.Errorf("gave %q, want %s", got, c.Error)
			case c.Text == nil && fault.As(err) == nil:
				t.Errorf("%v: want a fault", err)
			case c.Text != nil && err != nil:
				t.Errorf("%v, want %q", err, *c.Text)
			case c.Text != nil && got != *c.Text:
				t.Errorf("gave\n%q\nwant\n%q", got, *c.Text)
			}
		})
	}
}

// The place of each message, told by the texts that transformers renders.
func TestLocate(t *testing.T) {
	x := load(t)
	found := 0
	for _, c := range x.Cases {
		talk := x.Chats[c.Chat]
		if c.Text == nil {
			continue
		}
		tm := open(t, c.Template)
		for i, m := range talk.Messages {
			out, start, end, err := tm.Locate(talk.Messages, i, chat.Options{Generation: talk.GenerationPrompt, Tokens: tokens, Vars: talk.Vars, Date: x.Now})
			if err != nil {
				if f := fault.As(err); f == nil || f.Code != "template-span" {
					t.Errorf("%s %s %d: %v", c.Template, c.Chat, i, err)
				}
				continue
			}
			found++
			if out != *c.Text || strings.TrimSpace(out[start:end]) != strings.TrimSpace(m.Content) {
				t.Errorf("%s %s %d: [%d, %d) of %q is %q", c.Template, c.Chat, i, start, end, out, out[start:end])
			}
			if i > 0 && !strings.Contains(out[:start], strings.TrimSpace(talk.Messages[i-1].Content)) && c.Chat == "turns" && m.Role != "user" {
				t.Errorf("%s %s %d: what was said before is not before it: %q", c.Template, c.Chat, i, out[:start])
			}
		}
	}
	if found < 150 {
		t.Errorf("%d messages found", found)
	}
}

func TestLocateRefuses(t *testing.T) {
	for name, source := range map[string]string{
		"twice":   "{{ messages[0].content }}{{ messages[0].content }}",
		"never":   "x",
		"changed": "{{ messages[0].content | upper }}",
		"cut":     "{{ messages[0].content[:2] }}",
		"depends": "{{ 'a' if 'b' in messages[0].content else 'c' }}{{ messages[0].content }}",
	} {
		tm, err := chat.New(source)
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = tm.Locate([]chat.Message{{Role: "user", Content: "bcd"}}, 0, chat.Options{})
		if f := fault.As(err); f == nil || f.Code != "template-span" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadTemplates(t *testing.T) {
	ms := []chat.Message{{Role: "user", Content: "x"}}
	for name, source := range map[string]string{
		"loops":     "{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
		"reads":     "{% include 'config.json' %}",
		"syntax":    "{% for %}",
		"date":      "{{ strftime_now('%d') }}",
		"undefined": "{{ tools.x.y }}",
	} {
		tm, err := chat.New(source)
		if err == nil {
			_, err = tm.Render(ms, chat.Options{})
		}
		if f := fault.As(err); f == nil || f.Class != fault.Input || f.Code != "template" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := chat.Open(nil, "testdata/none.jinja"); fault.As(err) == nil {
		t.Error(err)
	}
	if _, err := chat.Open(nil, "testdata"); fault.As(err) == nil {
		t.Error(err)
	}
}

func write(t *testing.T, lines string) string {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if err := os.WriteFile(path, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResponses(t *testing.T) {
	tm := open(t, "chatml")
	src, err := text.Open(write(t, `{"id":"a","messages":[{"role":"user","content":"Q"},{"role":"assistant","content":" A. "}],"x_n":1}`+"\n"), text.Options{Messages: "messages"})
	if err != nil {
		t.Fatal(err)
	}
	for d, err := range (chat.Responses{Source: src, Template: tm}).Docs() {
		if err != nil {
			t.Fatal(err)
		}
		if d.ID != "a" || d.Context != "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n" || d.Text != " A. " || string(d.Meta) != `{"x_n":1}` {
			t.Errorf("%+v", d)
		}
	}
	src, err = text.Open(write(t, `{"id":"a","prompt":"Q","response":"A."}`+"\n"), text.Options{Text: "response", Context: "prompt"})
	if err != nil {
		t.Fatal(err)
	}
	for d, err := range (chat.Responses{Source: src, Template: tm}).Docs() {
		if err != nil || d.Context != "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n" || d.Text != "A." {
			t.Errorf("a pair: %+v %v", d, err)
		}
	}
	src, err = text.Open(write(t, `{"id":"a","messages":[{"role":"user","content":"Q"}]}`+"\n"), text.Options{Messages: "messages"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range (chat.Responses{Source: src, Template: tm}).Docs() {
		if f := fault.As(err); f == nil || f.Code != "messages" || !strings.Contains(err.Error(), `document "a" (line 1)`) {
			t.Errorf("%v", err)
		}
	}
}

func TestPrompts(t *testing.T) {
	tm := open(t, "zephyr")
	src, err := text.Open(write(t, `{"id":"a","prompt":"Q","system":"S"}`+"\n"+`{"id":"b","prompt":"Q","item":"i"}`+"\n"), text.Options{Prompts: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"<|system|>\nS</s>\n<|user|>\nQ</s>\n<|assistant|>\n", "<|system|>\nT</s>\n<|user|>\nQ</s>\n<|assistant|>\n"}
	for d, err := range (chat.Prompts{Source: src, Template: tm, System: "T", Options: chat.Options{Tokens: tokens}}).Docs() {
		if err != nil || d.Text != want[0] {
			t.Fatalf("%q %v, want %q", d.Text, err, want[0])
		}
		want = want[1:]
	}
}

func Example() {
	t, err := chat.New("{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}")
	if err != nil {
		fmt.Println(err)
		return
	}
	out, start, end, err := t.Locate([]chat.Message{{Role: "user", Content: "What is 2+2?"}}, 0, chat.Options{Generation: true})
	fmt.Printf("%q %q %q %v\n", out[:start], out[start:end], out[end:], err)
	// Output: "<user>" "What is 2+2?" "\n<assistant>" <nil>
}
