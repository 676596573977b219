// Package text reads the documents that a checkpoint is to score: plain text
// files, JSON Lines of texts, JSON Lines of token ids.
//
// It answers: which documents does this file hold, in order, byte for byte, and
// is every row of it well formed? A file is read twice. [Open] checks every row
// and collects every fault as file:line:column, so that nothing is scored from
// a file that is half right; [Source.Docs] then streams the documents, one in
// memory at a time.
//
// It refuses, and never repairs: bad UTF-8, NUL, a byte order mark, unknown or
// repeated or misspelt fields, numbers written as strings, blank rows between
// rows, lines over 16 MiB. The reason for a reader of its own is that
// encoding/json turns bad UTF-8 into U+FFFD, keeps the last of two equal keys
// and matches keys without regard to case, and that bufio.Scanner stops at long
// lines.
//
//	.txt             the whole file; Split "line" or "blank" for more documents
//	.jsonl .jsonl.gz {id, text, context?, label?, group?, date?, ...}; the label is 0
//	                 or 1, or a word or truth value that is carried in Meta
//	.jsonl with IDs  {id, ids, context_ids?, label?, group?, date?, ...}
//
// Text and context may have other names (prompt and response), or be the messages
// of a chat: [Options].
//
// [Tiles] turns the byte offsets that tokenizers report into tiles that cover
// a text without overlap.
package text

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"assay/internal/fault"
)

// MaxLine is the most bytes of one line, or of one document of a .txt file. It
// is what the tokenizer takes in one call.
const MaxLine = 16 << 20

// How a .txt file is cut into documents.
const (
	// SplitFile: the whole file is one document, every byte kept.
	SplitFile = "file"
	// SplitLine: each line is one, without its line feed and a carriage return
	// before it. An empty line is an empty document.
	SplitLine = "line"
	// SplitBlank: documents are separated by one or more empty lines, and lose
	// the line ending of their last line. Lines of spaces are not empty.
	SplitBlank = "blank"
)

// Options says how to read a file. The zero value reads texts.
type Options struct {
	// Split applies to .txt only; "" is SplitFile.
	Split string
	// IDs: rows hold token ids instead of text.
	IDs bool
	// Text and Context name the fields of the document and of what stands before
	// it in .jsonl: text and context where they are "".
	Text, Context string
	// Messages names a field with the turns of a chat that rows have in place of
	// Text and Context; "" is none. A reader of chats makes text of Doc.Turns.
	Messages string
	// Prompts adds the fields of prompts: system, max_tokens, and item, tags, refs,
	// which go to Meta. The text is named prompt unless Text says otherwise.
	Prompts bool
}

func (o Options) textField() string {
	switch {
	case o.Text != "":
		return o.Text
	case o.Prompts:
		return "prompt"
	}
	return "text"
}

func (o Options) contextField() string {
	if o.Context != "" {
		return o.Context
	}
	return "context"
}

// Validate reports an option that has no meaning.
func (o Options) Validate() error {
	switch o.Split {
	case "", SplitFile, SplitLine, SplitBlank:
		return o.names()
	}
	return fault.Usagef("text: split: found %q, want %s, %s or %s", o.Split, SplitFile, SplitLine, SplitBlank)
}

// names refuses names of fields that mean something else.
func (o Options) names() error {
	if o.IDs && (o.Text != "" || o.Context != "" || o.Messages != "" || o.Prompts) {
		return fault.Usagef("text: rows of ids have no text, prompt or messages")
	}
	if o.Messages != "" && (o.Text != "" || o.Context != "") {
		return fault.Usagef("text: messages %q: found a field for the text too, want one of them", o.Messages)
	}
	own := []string{o.textField(), o.contextField(), o.Messages}
	for i, name := range own {
		if name == "id" || slices.Contains(sharedFields, name) || strings.HasPrefix(name, "x_") || name != "" && slices.Contains(own[:i], name) {
			return fault.Usagef("text: field name %q: it has a meaning already", name)
		}
	}
	return nil
}

// Turn is one message of a chat.
type Turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Doc is one document.
type Doc struct {
	ID   string // the row's id, or "line:N" in a .txt file
	Line int    // where it begins, from 1

	HasText bool // texts; false: IDs hold the document
	Text    string
	Context string
	// HasContext tells an empty context from none, for text and ids alike.
	HasContext bool
	IDs        []int32
	ContextIDs []int32
	// Turns are the messages of a row of chats. System is the system prompt of a
	// row of prompts, MaxTokens how much to generate for it; 0 is not said.
	Turns     []Turn
	System    string
	MaxTokens int

	Label *int32 // 0 or 1
	Group string
	Date  string // YYYY-MM-DD or ""
	// Meta holds the other fields of the row (set, planted, dose, value, covar,
	// step, meta, x_..., those of labelled items, a label that is a word) as canonical JSON (RFC 8785); nil if there are none.
	Meta json.RawMessage

	idColumn int
}

// Time returns Date as a time in UTC, the zero time if there is none.
func (d Doc) Time() time.Time {
	t, _ := time.Parse(time.DateOnly, d.Date) // checked when it was read
	return t
}

// Source is a file whose every row has been checked.
type Source struct {
	path string
	kind kind
	opt  Options
	n    int
	file File
}

type kind int

const (
	kindTxt kind = iota
	kindJSONL
	kindGzip
)

// Open checks every row of a file. Its error is a *fault.Fault; the faults of
// rows are a *Problems in its chain.
func Open(path string, o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Source{path: path, opt: o}
	if err := s.classify(); err != nil {
		return nil, err
	}
	s.file = File{Path: path, Gzip: s.kind == kindGzip, Pkg: "text"}
	if err := s.file.Stat(); err != nil {
		return nil, err
	}
	problems := &Problems{}
	first := map[string]int{}
	err := s.each(problems, func(d Doc) bool {
		s.n++
		if s.kind != kindTxt && d.ID != "" {
			if line, twice := first[d.ID]; twice {
				problems.add(Problem{path, d.Line, d.idColumn, "id", fmt.Sprintf("%q again", d.ID), fmt.Sprintf("an id that line %d does not have", line)})
			} else {
				first[d.ID] = d.Line
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if problems.Total > 0 {
		return nil, fault.Inputf("rows", "text: %w", problems)
	}
	if s.n == 0 {
		return nil, fault.Inputf("rows", "text: %s: found no documents, want at least one", path)
	}
	return s, nil
}

func (s *Source) classify() error {
	switch name := s.path; {
	case strings.HasSuffix(name, ".txt"):
		s.kind = kindTxt
		if s.opt.IDs {
			return fault.Usagef("text: %s: found a .txt file, want .jsonl for token ids", name)
		}
	case strings.HasSuffix(name, ".jsonl"):
		s.kind = kindJSONL
	case strings.HasSuffix(name, ".jsonl.gz"):
		s.kind = kindGzip
	default:
		return fault.Usagef("text: %s: found an unknown extension, want .txt, .jsonl or .jsonl.gz", name)
	}
	if s.kind == kindTxt && (s.opt.Text != "" || s.opt.Context != "" || s.opt.Messages != "" || s.opt.Prompts) {
		return fault.Usagef("text: %s: found a .txt file, want .jsonl for named fields", s.path)
	}
	if s.kind != kindTxt && s.opt.Split != "" {
		return fault.Usagef("text: %s: split %s is for .txt files; a .jsonl file has one document per line", s.path, s.opt.Split)
	}
	return nil
}

// Path is the path the source was opened by.
func (s *Source) Path() string { return s.path }

// Len is the number of documents.
func (s *Source) Len() int { return s.n }

// Docs streams the documents in file order. After an error there is no more.
// A file that changed since Open is an error that a second try may cure.
func (s *Source) Docs() iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		problems := &Problems{}
		stopped := false
		err := s.file.Unchanged()
		if err == nil {
			err = s.each(problems, func(d Doc) bool {
				if problems.Total > 0 {
					return false
				}
				stopped = !yield(d, nil)
				return !stopped
			})
		}
		if stopped {
			return
		}
		if err == nil {
			err = s.file.Unchanged()
		}
		if err == nil && problems.Total > 0 {
			err = fault.Retryf("changed", "text: changed while it was read: %w", problems)
		}
		if err != nil {
			yield(Doc{}, err)
		}
	}
}

// Read is Open and Docs in one: a file that is not well formed gives one error
// and no document.
func Read(path string, o Options) iter.Seq2[Doc, error] {
	s, err := Open(path, o)
	if err != nil {
		return func(yield func(Doc, error) bool) { yield(Doc{}, err) }
	}
	return s.Docs()
}
