package ghost

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"assay/internal/fault"
)

// DocumentWrappers in Plan.Wrappers (as its only entry) stands for the text before
// each planted place: candidates of a secret are then scored after the beginnings
// that the planted copies really had. See UseDocuments.
const DocumentWrappers = "@document"

// contextBytes is how much text before a planted place is kept.
const contextBytes = 400

// wrappers returns the texts after which candidates of secret k are scored.
func (s *Set) wrappers(k int) []string {
	if s.contexts != nil {
		return s.contexts[k]
	}
	return s.Plan.Wrappers
}

// UseDocuments takes the contexts of a plan with DocumentWrappers from the planted
// corpus: the last 400 bytes before each place, from a word's beginning. Every
// secret must have the same number of copies.
func (s *Set) UseDocuments(docs []Doc, record []Planting) error {
	if len(s.Plan.Wrappers) != 1 || s.Plan.Wrappers[0] != DocumentWrappers {
		return fault.Usagef("ghost: document contexts: found wrappers %q in the plan, want only %q", s.Plan.Wrappers, DocumentWrappers)
	}
	return s.documentContexts(docs, record)
}

// OffPlan replaces the plan's wrappers: by texts, or with DocumentWrappers as the
// only entry by the beginnings of the planted copies. It returns the plan that is
// then run; Test counts the difference against the tier.
func (s *Set) OffPlan(wrappers []string, docs []Doc, record []Planting) (Plan, error) {
	run := s.Plan
	run.Wrappers = wrappers
	if len(wrappers) == 0 {
		return run, fault.Usagef("ghost: wrappers: found none, want at least one (an empty line is the empty wrapper)")
	}
	if len(wrappers) == 1 && wrappers[0] == DocumentWrappers {
		return run, s.documentContexts(docs, record)
	}
	s.contexts = make([][]string, s.Secrets)
	for k := range s.contexts {
		s.contexts[k] = wrappers
	}
	return run, nil
}

func (s *Set) documentContexts(docs []Doc, record []Planting) error {
	if err := CheckPlants(s, docs, record); err != nil {
		return err
	}
	byID := make(map[string]string, len(docs))
	for _, d := range docs {
		byID[d.ID] = d.Text
	}
	contexts := make([][]string, s.Secrets)
	for _, r := range record {
		contexts[r.Secret] = append(contexts[r.Secret], before(byID[r.DocID], r.ByteOff))
	}
	for k, c := range contexts {
		if len(c) == 0 || len(c) != len(contexts[0]) {
			return fault.Inputf("plants", "ghost: secret %d: found %d planted copies, want %d as of secret 0", k, len(c), len(contexts[0]))
		}
	}
	s.contexts = contexts
	return nil
}

// before returns the end of text[:at], at most contextBytes long, cut where a word
// begins.
func before(text string, at int) string {
	from := max(0, at-contextBytes)
	for from > 0 && from < at && !utf8.RuneStart(text[from]) {
		from++
	}
	c := text[from:at]
	if from > 0 {
		if i := strings.IndexAny(c, " \n\t"); i >= 0 {
			c = c[i+1:]
		}
	}
	return c
}

// WritePlants writes the record of planted copies, one JSON object a line.
func WritePlants(record []Planting) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, r := range record {
		if err := e.Encode(r); err != nil {
			return nil, fmt.Errorf("ghost: plants: %w", err)
		}
	}
	return b.Bytes(), nil
}

// ReadPlants reads a record of planted copies.
func ReadPlants(r io.Reader) ([]Planting, error) { return readLines[Planting](r, "plants", true) }

// genLine is a line of a file of generations: {secret, k, text}, or the id of a
// recall prompt (RecallPrompts) with its text and whatever else the generator wrote.
type genLine struct {
	Secret *int    `json:"secret"`
	K      int     `json:"k"`
	ID     string  `json:"id"`
	Text   *string `json:"text"`
	// First and last line of "assay generate".
	Assay json.RawMessage `json:"assay"`
	End   json.RawMessage `json:"end"`
}

// ReadGens reads generated continuations, one a line: {secret, k, text}, or {id,
// text} where id is that of a recall prompt. Several lines of one prompt are several
// attempts. Lines of other ids are counted in skipped: a file may hold other work too.
func ReadGens(r io.Reader) (gens []Gen, skipped int, err error) {
	lines, err := readLines[genLine](r, "generations", false)
	if err != nil {
		return nil, 0, err
	}
	open := false // a header was read, its end was not
	for i, l := range lines {
		if l.Assay != nil || l.End != nil {
			open = l.Assay != nil
			continue
		}
		if l.Text == nil {
			return nil, 0, fault.Inputf("malformed", "ghost: generations:%d: found no text, want id and text, or secret, k and text", i+1)
		}
		g := Gen{K: l.K, Text: *l.Text}
		if l.Secret != nil {
			g.Secret = *l.Secret
		} else if id, ok := parseID('r', l.ID); ok {
			g.Secret, g.K = id[0], id[1]
		} else {
			skipped++
			continue
		}
		if g.Secret < 0 || g.K < 1 {
			return nil, 0, fault.Inputf("malformed", "ghost: generations:%d: found secret %d, k %d, want secret >= 0, k >= 1", i+1, g.Secret, g.K)
		}
		gens = append(gens, g)
	}
	if open {
		return nil, 0, fault.Retryf("truncated", "ghost: generations: the last line is missing after line %d", len(lines)).Hint("\"assay generate --resume\" goes on")
	}
	return gens, skipped, nil
}

// readLines reads JSON Lines without a limit on the length of a line.
func readLines[T any](r io.Reader, what string, strict bool) ([]T, error) {
	br := bufio.NewReader(r)
	var out []T
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fault.Retryf("io", "ghost: %s: %w", what, err)
		}
		if len(line) == 0 {
			return out, nil
		}
		if !utf8.Valid(line) {
			return nil, fault.Inputf("malformed", "ghost: %s:%d: found invalid UTF-8", what, n)
		}
		var v T
		d := json.NewDecoder(bytes.NewReader(line))
		if strict {
			d.DisallowUnknownFields()
		}
		if err := d.Decode(&v); err != nil {
			return nil, fault.Inputf("malformed", "ghost: %s:%d: %w", what, n, err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, fault.Inputf("malformed", "ghost: %s:%d: found more than one JSON value", what, n)
		}
		out = append(out, v)
	}
}

// Loose reports whether other users may read a private file. It is false where
// the file system keeps no such modes.
func Loose(path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil {
		return false, fault.Retryf("io", "ghost: %w", err)
	}
	return st.Mode().Perm()&0o077 != 0 && st.Mode().Perm()&0o777 != 0o666, nil // 0666: Windows
}
