package chat

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"assay/internal/fault"
	"assay/tokenize"
	"assay/tokenize/chat/internal/jinja"
	"assay/tokenize/text"
)

// Message is one turn.
type Message = text.Turn

// Template is a compiled chat template. It may be used by many goroutines at once.
type Template struct {
	t      *jinja.Template
	source string
}

// Options of a rendering. The zero value works.
type Options struct {
	// Generation adds the opening of the assistant's turn behind the messages
	// (add_generation_prompt).
	Generation bool
	// Tokens are the strings of special tokens by role: bos_token, eos_token, ...
	// (tokenize.File.NamedTokens). The template sees them as variables.
	Tokens map[string]string
	// Vars are further variables, such as enable_thinking: nil, bool, int,
	// float64, string or a list of such.
	Vars map[string]any
	// Date is what strftime_now formats.
	Date time.Time
}

// Auto opens the template that comes with the checkpoint of a tokenizer.
const Auto = "auto"

// maxFile is the most bytes of a template file.
const maxFile = 1 << 20

// Open compiles a template: Auto is the one of f (its default), any other name the
// path of a file.
func Open(f *tokenize.File, name string) (*Template, error) {
	if name == Auto {
		source, ok := f.ChatTemplate("")
		if !ok {
			return nil, fault.Inputf("no-template", "chat: %s: no chat template beside it", f.Path()).
				Hint("name a template file, or use plain text")
		}
		return New(source)
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fault.Inputf("no-file", "chat: %w", err).Hint("want %q or the path of a Jinja file", Auto)
	case err != nil:
		return nil, fault.Retryf("io", "chat: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, fault.Inputf("malformed", "chat: %s: found a %s of %d bytes, want a file of at most %d", name, info.Mode().Type(), info.Size(), maxFile)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fault.Retryf("io", "chat: %w", err)
	}
	return New(string(b))
}

// New compiles the source of a template.
func New(source string) (*Template, error) {
	if err := tokenize.Check(source); err != nil {
		return nil, fault.Inputf("template", "chat: template: %w", err)
	}
	t, err := jinja.Compile(source)
	if err != nil {
		return nil, fault.Inputf("template", "chat: template: %w", err)
	}
	return &Template{t, source}, nil
}

// Source is the text that the template was compiled from.
func (t *Template) Source() string { return t.source }

// Render returns the text of a conversation.
func (t *Template) Render(ms []Message, o Options) (string, error) {
	if len(ms) == 0 {
		return "", fault.Inputf("messages", "chat: found no messages, want at least one")
	}
	turns := make([]any, len(ms))
	for i, m := range ms {
		turns[i] = jinja.Pairs{{Key: "role", Value: m.Role}, {Key: "content", Value: m.Content}}
	}
	vars := map[string]any{"messages": turns, "add_generation_prompt": o.Generation, "tools": nil, "documents": nil}
	for k, v := range o.Tokens {
		if v != "" {
			vars[k] = v
		}
	}
	maps.Copy(vars, o.Vars)
	out, err := t.t.Render(jinja.Env{Vars: vars, Now: o.Date})
	if err == nil {
		return out, nil
	}
	var raised *jinja.Raised
	var limit *jinja.LimitError
	switch {
	case errors.Is(err, jinja.ErrNoDate):
		return "", fault.Inputf("template", "chat: template: %w", err).Hint("give the date that it shall show (--template-date 2025-01-31)")
	case errors.As(err, &raised):
		return "", fault.Inputf("messages", "chat: the template refuses these messages: %w", err)
	case errors.As(err, &limit):
		return "", fault.Inputf("template", "chat: template: %w", err).Hint("the template does not end, or makes far more text than it is given")
	}
	return "", fault.Inputf("template", "chat: template: %w", err)
}

// sentinel stands for a message's content while its place is looked for. Nothing
// in it is white space, so that no template trims it.
const sentinel = "\uE000assay\uE001"

// Locate renders a conversation and returns the bytes [start, end) of the text
// that are the content of message i; templates may have trimmed it. Everything
// before is what the model sees ahead of it, everything behind is the template's.
// It is an error if the template prints the message not once, or changed.
func (t *Template) Locate(ms []Message, i int, o Options) (out string, start, end int, err error) {
	if i < 0 || i >= len(ms) {
		return "", 0, 0, fault.Usagef("chat: message %d: found %d messages", i, len(ms))
	}
	if out, err = t.Render(ms, o); err != nil {
		return "", 0, 0, err
	}
	marked := slices.Clone(ms)
	marked[i].Content = sentinel
	m, err := t.Render(marked, o)
	if err != nil {
		return "", 0, 0, err
	}
	before, after, ok := strings.Cut(m, sentinel)
	if ok && !strings.Contains(after, sentinel) && len(out) >= len(before)+len(after) && strings.HasPrefix(out, before) && strings.HasSuffix(out, after) {
		start, end = len(before), len(out)-len(after)
		if got := out[start:end]; got == ms[i].Content || strings.TrimSpace(got) == strings.TrimSpace(ms[i].Content) {
			return out, start, end, nil
		}
	}
	return "", 0, 0, fault.Inputf("template-span", "chat: message %d (%s): the template does not print its content once and unchanged, so its place in the text is not known", i, ms[i].Role)
}
