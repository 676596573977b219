package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/membership"
	"assay/tokenize/text"
)

// companion is a trace that scores read beside the suspect's.
type companion struct {
	role, path string
	need       membership.Needs
	to         **trace.Reader
	seam       string
	// texts makes the documents to score for a checkpoint: from a file of texts at
	// path, or with path "" from the documents themselves. Nil inputs cannot be made.
	texts func(in score.Input, path string) (score.Input, error)
}

func (f *membershipFlags) companions(s *membership.Sources) []companion {
	shots := func(in score.Input, path string) (score.Input, error) { return newShots(in, path) }
	return []companion{
		{"lower-cased", f.lower, membership.NeedLower, &s.Lower, "", func(in score.Input, path string) (score.Input, error) {
			if path != "" {
				return text.Open(path, text.Options{})
			}
			return lowered{in}, nil
		}},
		{"after shots", f.shots, membership.NeedShots, &s.Shots, score.SeamSeparate, shots},
		{"after member shots", f.memberShots, membership.NeedMemberShots, &s.MemberShots, score.SeamSeparate, shots},
		{"after themselves", f.self, membership.NeedSelf, &s.Self, score.SeamSeparate, func(in score.Input, path string) (score.Input, error) {
			if path != "" {
				return nil, nil
			}
			return &withContext{Input: in, context: func(d text.Doc) string { return d.Text }}, nil
		}},
		{"neighbours", f.neighbours, membership.NeedNeighbours, &s.Neighbours, "", func(_ score.Input, path string) (score.Input, error) {
			if path == "" {
				return nil, nil
			}
			return text.Open(path, text.Options{})
		}},
		{"word-swapped copies", f.swaps, membership.NeedSwaps, &s.Swaps, "", func(in score.Input, path string) (score.Input, error) {
			if path != "" {
				return text.Open(path, text.Options{})
			}
			return swapped{in}, nil
		}},
	}
}

// open opens a companion: a trace as it is, a file of texts (or the documents
// themselves, when a score named by the user needs it) scored under the suspect.
func (f *membershipFlags) companion(ctx context.Context, c companion, suspect string, in score.Input, open opener) (err error) {
	given := c.path != ""
	wanted := f.scores != "" && needs(f.list, c.need)
	switch {
	case given && traceFile(c.path):
		*c.to, err = open(c.role, c.path, nil, "")
		return err
	case !given && !wanted, !given && isTrace(suspect), !given && f.score.text == "":
		return nil // Build names the flag
	case isTrace(suspect) || in == nil:
		return fault.Usagef("membership: %s: found texts in %s beside a trace, want a trace, or a checkpoint and --text", c.role, c.path)
	}
	made, err := c.texts(in, c.path)
	if err != nil || made == nil {
		return err
	}
	*c.to, err = open(c.role, suspect, made, c.seam)
	if s, ok := made.(*withContext); ok && s.dropped > 0 {
		f.extra = append(f.extra, probes.Warning{Code: "shots-dropped", Text: fmt.Sprintf("%s: the shots and %s do not fit the model together: whole shots were left out from the left", c.role, plural(s.dropped, "text"))})
	}
	return err
}

// opener opens a trace, or scores a checkpoint on documents with a seam.
type opener func(role, path string, in score.Input, seam string) (*trace.Reader, error)

// traceFile tells a trace from a file of texts: .jsonl may be either.
func traceFile(path string) bool {
	if !isTrace(path) {
		return false
	}
	if strings.HasSuffix(path, ".parquet") {
		return true
	}
	file, err := os.Open(path)
	if err != nil {
		return true // opening it names the fault
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			return true
		}
	}
	head, _ := bufio.NewReader(r).Peek(16)
	return bytes.HasPrefix(bytes.TrimLeft(head, " "), []byte(`{"assay"`))
}

// withContext puts a context before every text, cut from the left by whole shots
// where the model cannot hold both.
type withContext struct {
	score.Input
	context func(text.Doc) string
	shots   []string
	size    []int // tokens of each shot
	room    int   // ids that the model holds; 0 = no limit
	count   func(string) (int, error)
	dropped int // texts whose shots were cut
}

// newShots joins the shots of a file without a separator, as ReCaLL does.
func newShots(in score.Input, path string) (score.Input, error) {
	if path == "" {
		return nil, nil
	}
	c := &withContext{Input: in}
	for d, err := range text.Read(path, text.Options{}) {
		if err != nil {
			return nil, err
		}
		c.shots = append(c.shots, d.Text)
	}
	return c, nil
}

// prepare learns from the checkpoint how many ids fit.
func (c *withContext) prepare(s *session) error {
	c.room = s.info.Positions
	c.count = func(t string) (int, error) {
		ids, _, err := s.tok.Encode(t)
		return len(ids), err
	}
	c.size = make([]int, len(c.shots))
	for i, t := range c.shots {
		n, err := c.count(t)
		if err != nil {
			return err
		}
		c.size[i] = n
	}
	return nil
}

// fit returns the shots that fit before a text.
func (c *withContext) fit(t string) (string, bool, error) {
	from := 0
	if c.room > 0 && c.count != nil {
		n, err := c.count(t)
		if err != nil {
			return "", false, err
		}
		n++ // a prefix id
		for _, s := range c.size {
			n += s
		}
		for from < len(c.size) && n > c.room {
			n -= c.size[from]
			from++
		}
	}
	return strings.Join(c.shots[from:], ""), from > 0, nil
}

func (c *withContext) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		c.dropped = 0 // documents are read more than once
		for d, err := range c.Input.Docs() {
			if err == nil && c.context != nil {
				d.Context = c.context(d)
			} else if err == nil {
				var cut bool
				if d.Context, cut, err = c.fit(d.Text); cut {
					c.dropped++
				}
			}
			d.HasContext = d.Context != ""
			if !yield(d, err) {
				return
			}
		}
	}
}

// swapped are the ten word-swapped copies of every text.
type swapped struct{ score.Input }

const swappedCopies = 10

func (s swapped) Len() int { return swappedCopies * s.Input.Len() }

func (s swapped) Docs() iter.Seq2[text.Doc, error] {
	return copies(s.Input, swappedCopies, func(t string, n int) (string, bool, error) {
		return membership.Swap(t, .3, 1, uint64(n)), true, nil
	})
}

// edited are the six edits of every text; a copy that needs a synonym file is
// left out where there is none.
type edited struct {
	score.Input
	seed     uint64
	synonyms map[string][]string
}

func (e edited) Len() int {
	n := len(membership.Edits())
	if e.synonyms == nil {
		n--
	}
	return n * e.Input.Len()
}

func (e edited) Docs() iter.Seq2[text.Doc, error] {
	all := membership.Edits()
	return copies(e.Input, len(all), func(t string, n int) (string, bool, error) {
		if all[n].Name == "synonym" && e.synonyms == nil {
			return "", false, nil
		}
		out, err := membership.Perturb(t, all[n], e.seed, e.synonyms)
		return out, true, err
	})
}

// copies yields copy 0..n-1 of every text under the id <id>/<copy>.
func copies(in score.Input, n int, edit func(t string, n int) (string, bool, error)) iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		line := 0
		for d, err := range in.Docs() {
			if err != nil {
				yield(d, err)
				return
			}
			for k := range n {
				t, ok, err := edit(d.Text, k)
				if !ok && err == nil {
					continue
				}
				line++
				if !yield(text.Doc{ID: fmt.Sprintf("%s/%d", d.ID, k), Line: line, HasText: true, Text: t, Context: d.Context, HasContext: d.HasContext, Group: d.Group}, err) || err != nil {
					return
				}
			}
		}
	}
}
