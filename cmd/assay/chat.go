package main

import (
	"encoding/json/v2"
	"strings"
	"time"

	"assay/internal/fault"
	"assay/model/score"
	"assay/tokenize"
	"assay/tokenize/chat"
	"assay/tokenize/text"
	"assay/weights"

	"github.com/spf13/pflag"
)

// pairFlags name the fields of .jsonl input that is more than a text: a prompt
// and its response, or the messages of a chat.
type pairFlags struct {
	prompt, response, messages string
	chat                       chatFlags
}

func (p *pairFlags) register(f *pflag.FlagSet) {
	f.StringVar(&p.prompt, "prompt-field", "", "field of .jsonl rows that stands before the text and is never scored (default context)")
	f.StringVar(&p.response, "response-field", "", "field of .jsonl rows that is scored (default text)")
	f.StringVar(&p.messages, "messages", "", "field of .jsonl rows with the messages of a chat: the last one, the assistant's, is scored")
	p.chat.register(f)
}

// chatFlags say how messages become text.
type chatFlags struct {
	template, date string
	vars           []string
}

func (c *chatFlags) register(f *pflag.FlagSet) {
	f.StringVar(&c.template, "template", "", "chat template: auto (the checkpoint's) or a Jinja file")
	f.StringVar(&c.date, "template-date", "", "date for templates that show today's, as 2025-01-31")
	f.StringArrayVar(&c.vars, "template-var", nil, "variable for the template, name=JSON, such as enable_thinking=false (repeatable)")
}

// open compiles the template for the checkpoint's tokenizer.
func (c *chatFlags) open(f *tokenize.File) (*chat.Template, chat.Options, error) {
	o := chat.Options{Tokens: f.NamedTokens(), Vars: map[string]any{}}
	if c.date != "" {
		var err error
		if o.Date, err = time.Parse(time.DateOnly, c.date); err != nil {
			return nil, o, fault.Usagef("--template-date: found %q, want a date like 2025-01-31", c.date)
		}
	}
	for _, v := range c.vars {
		name, value, ok := strings.Cut(v, "=")
		var x any
		if !ok || json.Unmarshal([]byte(value), &x) != nil {
			return nil, o, fault.Usagef("--template-var: found %q, want name=JSON", v)
		}
		switch x.(type) {
		case map[string]any:
			return nil, o, fault.Usagef("--template-var %s: found an object, want a string, a number, a boolean, null or a list of such", name)
		}
		o.Vars[name] = x
	}
	t, err := chat.Open(f, c.template)
	return t, o, err
}

// tokenizerFile reads the tokenizer's files of a checkpoint; it needs no library.
func (m *modelFlags) tokenizerFile(ckpt string) (*tokenize.File, error) {
	if m.tokenizer != "" {
		return tokenize.Read(m.tokenizer)
	}
	ck, err := weights.Open(ckpt)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	return tokenize.Read(tokenizerPath(ck))
}

func tokenizerPath(ck *weights.Checkpoint) string {
	if p := ck.Tokenizer(); p != "" {
		return p
	}
	return ck.Path()
}

// check refuses flags that ask for half of something.
func (p *pairFlags) check() error {
	switch {
	case p.messages != "" && (p.prompt != "" || p.response != ""):
		return fault.Usagef("--messages: found --prompt-field or --response-field too, want one of them")
	case p.messages == "" && p.prompt == "" && p.response == "" && p.chat.template != "":
		return fault.Usagef("--template: want --messages too, the field that holds the chat, or --prompt-field and --response-field")
	case p.messages != "" && p.chat.template == "":
		return fault.Usagef("--messages: want --template auto, or the file of a chat template")
	}
	return nil
}

// fields are the options of a reader of such rows.
func (p *pairFlags) fields(o text.Options) text.Options {
	o.Text, o.Context, o.Messages = p.response, p.prompt, p.messages
	return o
}

// wrap makes documents of chats where the rows are such. Special tokens are then
// read in the rendered text, which holds its own BOS: bos "auto" adds none.
func (p *pairFlags) wrap(in *text.Source, ckpt string, m *modelFlags, bos *string) (score.Input, error) {
	if p.chat.template == "" {
		return in, nil
	}
	file, err := m.tokenizerFile(ckpt)
	if err != nil {
		return nil, err
	}
	t, o, err := p.chat.open(file)
	if err != nil {
		return nil, err
	}
	m.specials = tokenize.SpecialsParse
	if *bos == "auto" {
		*bos = "never"
	}
	return chat.Responses{Source: in, Template: t, Options: o}, nil
}
