package membership

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"assay/internal/fault"
	"assay/model/trace"
)

// CoverText is one text whose continuation a model was asked for.
type CoverText struct {
	ID, Group, Text string
	Label           *int32
}

// Halve cuts a text after the first half of its white-space separated words (at
// least one): the prompt that a model continues, and the true rest, white space before
// it included.
func Halve(text string) (prompt, rest string) {
	n := len(strings.Fields(text))
	if n < 2 {
		return text, ""
	}
	seen, in := 0, false
	for i, r := range text {
		switch space := unicode.IsSpace(r); {
		case space && in:
			if in = false; seen == n/2 {
				return text[:i], text[i:]
			}
		case !space && !in:
			in = true
			seen++
		}
	}
	return text, ""
}

// CoverNames are the scores of Cover: the index (sum of coverages over runs of 2 to 12
// words) as maximum and mean over samples, the balanced coverage of runs of 3, and
// the longest common run in words and in characters.
func CoverNames() []string {
	return []string{"cover", "cover:mean", "cover:balanced", "cover:words", "cover:chars"}
}

// Cover scores how far generated continuations copy the true rest of each text.
// An empty generation counts 0 and is counted in Warnings; a text without a rest or without a
// generation has undefined scores.
func Cover(texts []CoverText, gens map[string][]string) (Table, error) {
	t := Table{Names: CoverNames(), Direction: []int{1, 1, 1, 1, 1}}
	empty, asked := 0, 0
	seen := make(map[string]bool, len(texts))
	for _, x := range texts {
		if seen[x.ID] {
			return t, fault.Inputf("duplicate", "membership: cover: id %q appears twice", x.ID)
		}
		seen[x.ID] = true
		doc := trace.TextDoc(0, x.ID, []byte(x.Text))
		r := Row{ID: x.ID, Group: x.Group, Label: x.Label, SHA256: doc.SHA256, Bytes: doc.Bytes, Words: doc.Words, Status: "ok",
			Score: make([]float64, len(t.Names)), Why: make([]string, len(t.Names))}
		_, rest := Halve(x.Text)
		r.Tokens = len(words(rest))
		why := ""
		switch {
		case r.Tokens == 0:
			why = "no rest after the first half"
		case len(gens[x.ID]) == 0:
			why = "no generation"
		}
		for i := range r.Score {
			r.Why[i] = why
			if why != "" {
				r.Score[i], r.Status = math.NaN(), why
			}
		}
		for _, g := range gens[x.ID] {
			if why != "" {
				break
			}
			asked++
			if strings.TrimSpace(g) == "" {
				empty++
				continue
			}
			o, err := NGrams(g, rest)
			if err != nil {
				return t, fmt.Errorf("text %q: %w", x.ID, err)
			}
			n := float64(len(gens[x.ID]))
			r.Score[0] = max(r.Score[0], o.Index)
			r.Score[1] += o.Index / n
			r.Score[2] = max(r.Score[2], o.CoverMean(3))
			r.Score[3] = max(r.Score[3], float64(o.LongestWords))
			r.Score[4] = max(r.Score[4], float64(o.LongestChars))
		}
		r.Raw = r.Score
		t.Rows = append(t.Rows, r)
	}
	if asked == 0 {
		return t, fault.Inputf("generations", "membership: cover: found no generation of any of %d texts", len(texts))
	}
	if empty > 0 {
		t.Warnings = append(t.Warnings, warn("empty-generations", "%d of %d generations are empty and count 0", empty, asked))
	}
	for id := range gens {
		if !seen[id] {
			t.Warnings = append(t.Warnings, warn("generations-unmatched", "some generations name no text"))
			break
		}
	}
	return t, nil
}

// ReadGenerations reads generated texts by request id: one JSON object a line with id
// and text; further fields are the generator's own. Several lines of one id are samples.
// The first and last lines of "assay generate" are read too: without the last one the
// file was cut off.
func ReadGenerations(r io.Reader) (map[string][]string, error) {
	br := bufio.NewReader(r)
	out := make(map[string][]string)
	open := false // a header was read, its end was not
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fault.Retryf("io", "membership: generations: %w", err)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			if err != nil && open {
				return nil, fault.Retryf("truncated", "membership: generations: the last line is missing after line %d", n-1).Hint("\"assay generate --resume\" goes on")
			}
			if err != nil {
				return out, nil
			}
			return nil, fault.Inputf("malformed", "membership: generations:%d: found an empty line", n)
		}
		var g struct {
			ID    string          `json:"id"`
			Text  *string         `json:"text"`
			Assay json.RawMessage `json:"assay"`
			End   json.RawMessage `json:"end"`
		}
		if !utf8.Valid(line) {
			return nil, fault.Inputf("malformed", "membership: generations:%d: found invalid UTF-8", n)
		}
		if e := json.Unmarshal(line, &g); e != nil {
			return nil, fault.Inputf("malformed", "membership: generations:%d: %w", n, e)
		}
		if g.Assay != nil || g.End != nil {
			open = g.Assay != nil
			continue
		}
		if g.ID == "" || g.Text == nil {
			return nil, fault.Inputf("malformed", "membership: generations:%d: want the fields id and text", n)
		}
		out[g.ID] = append(out[g.ID], *g.Text)
	}
}
