package palimpsest

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes"
)

// Pattern is something the run saw at a position and the suspect may write.
type Pattern struct {
	Text    string
	Pos     int64
	Stratum string
}

// ReadPatterns reads tab-separated patterns with a header line naming the columns
// pattern, pos and, if there are strata, stratum.
func ReadPatterns(name string, r io.Reader) ([]Pattern, error) {
	c := csv.NewReader(r)
	c.Comma, c.LazyQuotes, c.ReuseRecord = '\t', true, true
	head, err := c.Read()
	if err != nil {
		return nil, fault.Inputf("malformed", "palimpsest: %s: no header line: %w", name, err)
	}
	col := map[string]int{}
	for i, h := range head {
		if !slices.Contains([]string{"pattern", "pos", "stratum"}, h) {
			return nil, fault.Inputf("malformed", "palimpsest: %s:1: column %q, want pattern, pos and stratum", name, h)
		}
		col[h] = i
	}
	ip, okp := col["pattern"]
	it, okt := col["pos"]
	if !okp || !okt {
		return nil, fault.Inputf("malformed", "palimpsest: %s:1: columns %q, want pattern and pos", name, head)
	}
	var out []Pattern
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		line, _ := c.FieldPos(0)
		if err != nil {
			return nil, fault.Inputf("malformed", "palimpsest: %s: %w", name, err)
		}
		pos, err := strconv.ParseInt(rec[it], 10, 64)
		if err != nil || pos < 0 {
			return nil, fault.Inputf("malformed", "palimpsest: %s:%d: position %q, want a number from 0", name, line, rec[it])
		}
		if rec[ip] == "" {
			return nil, fault.Inputf("malformed", "palimpsest: %s:%d: empty pattern", name, line)
		}
		p := Pattern{Text: strings.Clone(rec[ip]), Pos: pos}
		if s, ok := col["stratum"]; ok {
			p.Stratum = strings.Clone(rec[s])
		}
		out = append(out, p)
	}
}

// Patterns is Partition with patterns as units: h is the number of
// non-overlapping matches of a pattern in the suspect's texts, at most Cap.
// Patterns are RE2 expressions, or literal strings. The test is valid only if they
// were picked without knowledge of positions, which the file cannot show: the
// result says so. O(patterns x text).
func Patterns(ctx context.Context, ps []Pattern, literal bool, texts iter.Seq2[Doc, error], o PartitionOptions) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	o = o.withDefaults()
	t := &Transcript{Meta: Meta{Schema: TranscriptSchema}}
	re := make([]*regexp.Regexp, len(ps))
	for i, p := range ps {
		if !literal {
			var err error
			if re[i], err = regexp.Compile(p.Text); err != nil {
				return probes.Result{}, fault.Inputf("malformed", "palimpsest: pattern %d (%q): %w", i+1, p.Text, err).
					Hint("patterns are RE2 expressions; use --literal for plain strings")
			}
		}
		t.Seq = append(t.Seq, int64(i))
		t.Positions = append(t.Positions, []int64{p.Pos})
		t.Text = append(t.Text, p.Text)
		t.Block = append(t.Block, p.Stratum)
		t.Unit = append(t.Unit, int64(i)) // patterns may share a position
	}
	if err := t.Derive(); err != nil {
		return probes.Result{}, err
	}
	h := make([]int32, len(ps))
	docs := 0
	for d, err := range texts {
		if err != nil {
			return probes.Result{}, fmt.Errorf("palimpsest: text: %w", err)
		}
		if ctx.Err() != nil {
			return probes.Result{}, fault.New(fault.Interrupted, "interrupted", "palimpsest: patterns: %w", context.Cause(ctx))
		}
		for i, p := range ps {
			if literal {
				h[i] += int32(strings.Count(d.Text, p.Text))
			} else {
				h[i] += int32(len(re[i].FindAllStringIndex(d.Text, -1)))
			}
		}
		docs++
	}
	return positional{test: "palimpsest.patterns", o: o, measure: "matches per pattern",
		settings: map[string]any{"literal": literal, "cap": o.Cap}, n: map[string]int{"texts": docs, "patterns": len(ps)},
		warnings: []probes.Warning{{Code: "patterns-unblinded", Text: "the p-value holds only if patterns were picked without knowledge of positions"}}}.run(t, h)
}
