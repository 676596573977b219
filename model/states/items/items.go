// Package items reads the labelled documents that hidden states are taken of:
// JSON Lines (plain or gzip) or CSV with a header.
//
//	id, text or (prompt?, response), label?, topic?, source?, family?, pair?,
//	weights?, positions?, meta?, and free columns x_...
//
// Files of texts to score (tokenize/text) are read too: their context is the prompt,
// and their other columns are let by.
//
// It answers: which documents does this file hold, in order, byte for byte, and
// is every row well formed? [Open] reads the whole file and collects every fault
// as file:line:column, so that no state is computed from a file that is half
// right; [Source.Items] then streams it, one document in memory at a time.
//
// It refuses, and never repairs: bad UTF-8, NUL, a byte order mark, unknown or
// repeated or misspelt columns, a repeated id, an empty label, a label that is a
// list or an object, blank rows between rows, rows over 16 MiB. An unknown label
// is a label of its own; a row without one has none. How families and pairs go
// together with labels is checked where the plan is made (model/trace).
package items

import (
	"fmt"
	"iter"
	"strings"

	"assay/internal/fault"
	"assay/tokenize/text"
)

// MaxRow is the most bytes of one row.
const MaxRow = text.MaxLine

// Columns names the columns that play a part. The zero value takes the default
// names: id, label, topic, source, family, pair. Another name is a column
// x_..., or a key of meta.
type Columns struct {
	ID, Label, Topic, Source, Family, Pair string
	// Extra are further columns whose values are wanted, by name.
	Extra []string
	// Labels: the file describes vectors, not documents; it has no text.
	Labels bool
	// IDs: a column ids holds the document as token ids, in place of text.
	IDs bool
}

func (c Columns) withDefaults() Columns {
	for _, f := range []struct {
		p    *string
		name string
	}{{&c.ID, "id"}, {&c.Label, "label"}, {&c.Topic, "topic"}, {&c.Source, "source"}, {&c.Family, "family"}, {&c.Pair, "pair"}} {
		if *f.p == "" {
			*f.p = f.name
		}
	}
	return c
}

// Item is one document.
type Item struct {
	ID          string
	Line        int    // where it begins, from 1
	Text        string // prompt and response in one, where the row has these
	Seam        int    // byte at which the response begins
	HasResponse bool
	IDs         []int32 // instead of Text
	// Rendered is the document in a chat template; nil = none (states.Templated).
	Rendered *Rendered

	Label    string
	HasLabel bool

	Topic, Source, Family, Pair string // "" = none
	Extra                       []string

	Weights   []float64
	Positions []int32
}

// Rendered is a document in a chat template: Text is what is fed; User and Response
// are the bytes of it that hold the user's turn and the response. Without a response
// that is empty, at the end of Text.
type Rendered struct {
	Text           string
	User, Response [2]int
}

// Source is a file whose every row has been checked.
type Source struct {
	path string
	kind kind
	cols Columns
	n    int
	file text.File

	// Has tells which columns occur: topic, source, family, pair, label, response.
	Has map[string]bool
}

type kind int

const (
	kindJSONL kind = iota
	kindGzip
	kindCSV
)

// Open checks every row of a file. Its error is a *fault.Fault with the code of
// the first fault; the faults of rows are a *text.Problems in its chain.
func Open(path string, cols Columns) (*Source, error) {
	s := &Source{path: path, cols: cols.withDefaults(), Has: map[string]bool{}}
	switch {
	case strings.HasSuffix(path, ".jsonl"):
	case strings.HasSuffix(path, ".jsonl.gz"):
		s.kind = kindGzip
	case strings.HasSuffix(path, ".csv"):
		s.kind = kindCSV
	default:
		return nil, fault.Usagef("items: %s: found an unknown extension, want .jsonl, .jsonl.gz or .csv", path)
	}
	s.file = text.File{Path: path, Gzip: s.kind == kindGzip, Pkg: "items"}
	if err := s.file.Stat(); err != nil {
		return nil, err
	}
	p := &problems{path: path}
	first := map[string]int{}
	err := s.each(p, func(it Item) bool {
		s.n++
		if it.ID == "" {
			return true
		}
		if line, twice := first[it.ID]; twice {
			p.add("duplicate-id", it.Line, 1, "id", fmt.Sprintf("%q again", it.ID), fmt.Sprintf("an id that line %d does not have", line))
		} else {
			first[it.ID] = it.Line
		}
		for name, has := range map[string]bool{"topic": it.Topic != "", "source": it.Source != "", "family": it.Family != "",
			"pair": it.Pair != "", "label": it.HasLabel, "response": it.HasResponse} {
			s.Has[name] = s.Has[name] || has
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if err := p.fault(); err != nil {
		return nil, err
	}
	if s.n == 0 {
		return nil, fault.Inputf("rows", "items: %s: found no documents, want at least one", path)
	}
	return s, nil
}

// Path is the path the source was opened by.
func (s *Source) Path() string { return s.path }

// Len is the number of documents.
func (s *Source) Len() int { return s.n }

// Items streams the documents in file order. After an error there is no more.
// A file that changed since Open is an error that a second try may cure.
func (s *Source) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		p := &problems{path: s.path}
		stopped := false
		err := s.file.Unchanged()
		if err == nil {
			err = s.each(p, func(it Item) bool {
				if p.Total > 0 {
					return false
				}
				stopped = !yield(it, nil)
				return !stopped
			})
		}
		if stopped {
			return
		}
		if err == nil {
			err = s.file.Unchanged()
		}
		if err == nil && p.Total > 0 {
			err = fault.Retryf("changed", "items: changed while it was read: %w", &p.Problems)
		}
		if err != nil {
			yield(Item{}, err)
		}
	}
}

// kept bounds the list of faults: a file of nothing else must not fill the memory.
const kept = 100_000

// problems collects the faults of a file; the first one's code is the fault's.
type problems struct {
	text.Problems
	path, code string
}

func (p *problems) add(code string, line, column int, field, found, want string) {
	if p.code == "" {
		p.code = code
	}
	if p.Total++; len(p.List) < kept {
		p.List = append(p.List, text.Problem{File: p.path, Line: line, Column: column, Field: field, Found: found, Want: want})
	}
}

func (p *problems) fault() error {
	if p.Total == 0 {
		return nil
	}
	return fault.Inputf(p.code, "items: %w", &p.Problems)
}
