package iat

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes/assoc"
)

//go:embed data/iat_stimuli.csv
var stimuli []byte

//go:embed data/iat_stimuli_synonym.csv
var synonyms []byte

//go:embed data/prompts.json
var promptsJSON []byte

// Set is two groups and the words to assign to them.
type Set struct {
	Category, Name string
	A, B           []string // group words: default, stigmatised
	Words          []string
	IsB            []bool // the word goes with B in the stereotype
}

// Validate refuses sets that cannot be tested.
func (s Set) Validate() error {
	bad := func(format string, args ...any) error {
		return fault.Inputf("bad-wordsets", "iat: set %q: "+format, append([]any{s.Name}, args...)...)
	}
	if len(s.A) == 0 || len(s.B) == 0 {
		return bad("found %d and %d group words, want 1 or more each", len(s.A), len(s.B))
	}
	b := 0
	for i, w := range s.Words {
		if strings.TrimSpace(w) == "" || slices.Contains(s.Words[:i], w) {
			return bad("word %d: found %q, empty or again", i+1, w)
		}
		if i < len(s.IsB) && s.IsB[i] {
			b++
		}
	}
	if len(s.IsB) != len(s.Words) || b < 2 || len(s.Words)-b < 2 {
		return bad("found %d words, %d of them B words, want 2 or more of each", len(s.Words), b)
	}
	for _, w := range s.A {
		if slices.Contains(s.B, w) {
			return bad("found %q in both groups", w)
		}
	}
	return nil
}

// FromLists makes a set from lists of words: x and y the groups, a and b the
// words that go with them.
func FromLists(name string, x, y, a, b []string) (Set, error) {
	s := Set{Category: "user", Name: name, A: x, B: y, Words: slices.Concat(a, b), IsB: make([]bool, len(a)+len(b))}
	for i := len(a); i < len(s.IsB); i++ {
		s.IsB[i] = true
	}
	return s, s.Validate()
}

// Builtin returns the 21 published sets; with alternative words for the second
// list of stimuli, whose words are synonyms.
func Builtin(alternative bool) ([]Set, error) {
	if alternative {
		return ReadCSV(bytes.NewReader(synonyms), "iat_stimuli_synonym.csv")
	}
	return ReadCSV(bytes.NewReader(stimuli), "iat_stimuli.csv")
}

// ReadCSV reads stimuli: columns category, dataset, A, B, C, and D if the words
// of C have synonyms, which are then used. Empty cells are skipped. The first
// half of the words goes with A, the second with B.
func ReadCSV(r io.Reader, file string) ([]Set, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	head, err := c.Read()
	if err != nil {
		return nil, fault.Inputf("bad-wordsets", "iat: %s: header: %w", file, err)
	}
	col := map[string]int{"category": -1, "dataset": -1, "A": -1, "B": -1, "C": -1, "D": -1}
	for i, h := range head {
		if _, known := col[h]; !known && h != "" {
			return nil, fault.Inputf("bad-wordsets", "iat: %s:1: found column %q, want category, dataset, A, B, C, D", file, h)
		}
		if h != "" {
			col[h] = i
		}
	}
	words := "C"
	if col["D"] >= 0 {
		words = "D"
	}
	for _, k := range []string{"category", "dataset", "A", "B", words} {
		if col[k] < 0 {
			return nil, fault.Inputf("bad-wordsets", "iat: %s:1: found columns %s, want %q among them", file, strings.Join(head, ", "), k)
		}
	}
	var out []Set
	for {
		row, err := c.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fault.Inputf("bad-wordsets", "iat: %s: %w", file, err)
		}
		if len(row) != len(head) {
			line, _ := c.FieldPos(0)
			return nil, fault.Inputf("bad-wordsets", "iat: %s:%d: found %d fields, want %d", file, line, len(row), len(head))
		}
		name := row[col["dataset"]]
		if name == "arab/muslim" {
			name = "arab" // as in the authors' scripts and prompts
		}
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, Set{Category: row[col["category"]], Name: name})
		}
		s := &out[len(out)-1]
		for k, dst := range map[string]*[]string{"A": &s.A, "B": &s.B, words: &s.Words} {
			if v := strings.TrimSpace(row[col[k]]); v != "" {
				*dst = append(*dst, v)
			}
		}
	}
	for i := range out {
		s := &out[i]
		if len(s.Words)%2 != 0 {
			return nil, fault.Inputf("bad-wordsets", "iat: %s: set %q: found %d words, want an even number: the first half goes with A", file, s.Name, len(s.Words))
		}
		s.IsB = make([]bool, len(s.Words))
		for k := len(s.Words) / 2; k < len(s.Words); k++ {
			s.IsB[k] = true
		}
		if err := s.Validate(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Template is a wording of the question. Fields: {group0} {group1} {attributes}.
type Template struct {
	Name, Prompt string
	assoc.Voice
}

// Templates returns the three published wordings and one that only asks.
func Templates() ([]Template, error) {
	p, err := prompts()
	if err != nil {
		return nil, err
	}
	var out []Template
	for _, n := range []string{"replication", "instruction1", "instruction2"} {
		out = append(out, Template{Name: n, Prompt: p.Implicit["gpt4"][n].Prompt})
	}
	return append(out, Template{Name: "answer-only", Prompt: "{group0} or {group1}?"}), nil
}

type promptFile struct {
	Implicit map[string]map[string]struct{ Prompt string }
	Decision map[string]map[string]struct{ Prompt string }
}

func prompts() (promptFile, error) {
	var p promptFile
	if err := json.Unmarshal(promptsJSON, &p); err != nil {
		return p, fmt.Errorf("iat: built-in prompts: %w", err)
	}
	return p, nil
}
