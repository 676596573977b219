package compare

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes"
)

func malformedTokenizer(where string, err error) error {
	return fault.Inputf("malformed", "compare: %s: tokenizer.json: %w", where, err)
}

// statuses in the order in which they are counted and shown.
func statuses() []string { return []string{Identical, Cast, Differs, Shape, OnlyA, OnlyB} }

func (c *comparison) report() *Report {
	rep := &c.rep
	r := &rep.Result
	da, db := c.a.Digests(), c.b.Digests()
	*r = probes.Result{Schema: probes.Schema, Test: "compare.weights", Version: Version,
		Inputs:    []probes.Input{{Role: "a", Path: c.a.Path(), Digest: da.Weights}, {Role: "b", Path: c.b.Path(), Digest: db.Weights}},
		Settings:  map[string]any{"ignore": append([]string{}, c.o.Ignore...)},
		Estimates: []probes.Estimate{}, P: []probes.PValue{}, Warnings: []probes.Warning{},
		N: map[string]int{"tensors": len(rep.Tensors)},
	}
	renamed, lossy := 0, 0
	for _, t := range rep.Tensors {
		r.N[strings.ReplaceAll(t.Status, "-", "_")]++
		if t.Other != "" {
			renamed++
		}
		if t.Status == Cast && t.How != "widened" {
			lossy++
		}
	}
	r.N["renamed"] = renamed
	c.totals()
	unequal := r.N[Differs] + r.N[Shape] + r.N["only_a"] + r.N["only_b"] + lossy
	c.checks(unequal, da, db)
	c.warnings(renamed)
	r.Verdict = probes.Verdict{Tier: probes.TierC, Finding: c.finding(unequal, lossy), Says: c.says(renamed),
		DoesNotSay: "That one checkpoint was derived from the other or that they come from different runs, or how far their behaviour differs."}
	return rep
}

func (c *comparison) finding(unequal, lossy int) string {
	n := c.rep.N
	switch {
	case unequal == 0:
		return "same-weights"
	case unequal == lossy:
		return "cast"
	case n[Shape] > 0 && n[Identical]+n[Cast]+n[Differs] == 0:
		return "other-shape"
	}
	return "differs"
}

func (c *comparison) says(renamed int) string {
	var parts []string
	for _, s := range statuses() {
		if n := c.rep.N[strings.ReplaceAll(s, "-", "_")]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	out := fmt.Sprintf("Of %d tensors: %s.", len(c.rep.Tensors), strings.Join(parts, ", "))
	if renamed > 0 {
		out += fmt.Sprintf(" %d were recognised by content under another name.", renamed)
	}
	if e := c.rep.Estimates; len(e) > 0 && e[0].Value != nil && c.rep.N[Identical] < len(c.rep.Tensors) {
		out += fmt.Sprintf(" Over tensors of equal shape |A-B|/|A| is %.6g.", *e[0].Value)
	}
	return out
}

// totals adds the distance over all tensors of equal shape, by kind and by block.
func (c *comparison) totals() {
	r := &c.rep.Result
	type group struct {
		name string
		sums
	}
	all := sums{}
	var kinds, blocks []*group
	into := func(gs *[]*group, name string, s sums) {
		i := slices.IndexFunc(*gs, func(g *group) bool { return g.name == name })
		if i < 0 {
			i = len(*gs)
			*gs = append(*gs, &group{name: name})
		}
		(*gs)[i].add(s)
	}
	series := probes.Series{Name: "tensors that differ", Columns: []string{"r", "cosine", "max_abs"}, Units: []string{"ratio", "cosine", "weight"}, Rows: [][]float64{}}
	for _, t := range c.rep.Tensors {
		if t.Status != Identical && t.Status != Cast && t.Status != Differs {
			continue
		}
		all.add(t.sums)
		into(&kinds, t.Kind, t.sums)
		if t.Block != "" {
			into(&blocks, t.Block, t.sums)
		}
		if t.Status == Differs && t.R != nil && t.Cosine != nil && t.MaxAbs != nil {
			series.Labels = append(series.Labels, t.Name)
			series.Rows = append(series.Rows, []float64{*t.R, *t.Cosine, *t.MaxAbs})
		}
	}
	if len(series.Rows) > 0 {
		r.Series = append(r.Series, series)
	}
	var undefined []string
	add := func(suffix, what string, s sums) {
		d := s.distance()
		for _, e := range []probes.Estimate{
			{Name: "compare.r" + suffix, Value: d.R, Unit: "ratio", Method: "|A-B|_F/|A|_F over " + what},
			{Name: "compare.cosine" + suffix, Value: d.Cosine, Unit: "cosine", Method: "of " + what + " as one vector"},
			{Name: "compare.max" + suffix, Value: d.MaxAbs, Unit: "weight", Method: "largest |a-b| in " + what},
		} {
			r.Estimates = append(r.Estimates, e)
			if e.Value == nil {
				undefined = append(undefined, e.Name)
			}
		}
	}
	add("", "all tensors of equal shape", all)
	slices.SortFunc(kinds, func(a, b *group) int { return strings.Compare(a.name, b.name) })
	for _, g := range kinds {
		add("."+g.name, "kind "+g.name, g.sums)
	}
	slices.SortFunc(blocks, func(a, b *group) int { return number(a.name) - number(b.name) })
	for _, g := range blocks {
		add("@block."+g.name, "block "+g.name, g.sums)
	}
	for _, t := range c.rep.Tensors {
		if t.Rows != nil {
			r.Estimates = append(r.Estimates, probes.Estimate{Name: "compare.rows." + t.Name, Value: t.Rows.R, Unit: "ratio",
				Method: fmt.Sprintf("|A-B|_F/|A|_F over %d rows matched by token, %d of them identical", t.Rows.Matched, t.Rows.Identical)})
			if t.Rows.R == nil {
				undefined = append(undefined, "compare.rows."+t.Name)
			}
		}
	}
	if len(undefined) > 0 {
		c.warn("degenerate", "undefined, printed as null: %s", list(undefined))
	}
	if all.nonfinite > 0 {
		c.warn("nonfinite", "%d pairs of values hold a NaN or an infinity and are left out of distances", all.nonfinite)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return math.MaxInt
	}
	return n
}

func (c *comparison) checks(unequal int, da, db Digests) {
	r := &c.rep.Result
	check := func(name string, v int, text string) {
		r.Checks = append(r.Checks, probes.Check{Name: name, Value: float64(v), Limit: 0, Pass: v == 0, Text: text})
	}
	check(SameBytes, len(c.rep.Files), plural(len(c.rep.Files), "file", "of the two folders is on one side only or has other bytes", "of the two folders are on one side only or have other bytes"))
	check(SameWeights, unequal, plural(unequal, "tensor", "is not the same after widening", "are not the same after widening"))
	switch t := c.rep.Tokenizer; {
	case t == nil:
		check(SameTokenizer, 1, "a tokenizer.json is missing")
	case t.Same:
		check(SameTokenizer, 0, "vocabulary, merges, special tokens and all other parts are the same")
	default:
		check(SameTokenizer, max(1, t.OnlyA+t.OnlyB+t.Moved), t.String())
	}
}

func plural(n int, noun, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s %s", noun, one)
	}
	return fmt.Sprintf("%d %ss %s", n, noun, many)
}

// String says in words what differs.
func (t *TokenizerDiff) String() string {
	var parts []string
	if t.OnlyA+t.OnlyB+t.Moved > 0 {
		parts = append(parts, fmt.Sprintf("%d tokens only in A, %d only in B, %d under other ids, %d in both", t.OnlyA, t.OnlyB, t.Moved, t.Common))
	}
	if t.Merges != "same" {
		parts = append(parts, "merges: "+t.Merges)
	}
	for what, ds := range map[string][]Difference{"special tokens": t.Special} {
		if len(ds) > 0 {
			parts = append(parts, what+": "+keys(ds))
		}
	}
	if len(t.Parts) > 0 {
		parts = append(parts, "parts: "+keys(t.Parts))
	}
	return strings.Join(parts, "; ")
}

func keys(ds []Difference) string {
	var out []string
	for _, d := range ds {
		out = append(out, d.Key)
	}
	return list(out)
}

// list names at most eight.
func list(names []string) string {
	if len(names) > 8 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:8], ", "), len(names)-8)
	}
	return strings.Join(names, ", ")
}

func (c *comparison) warn(code, format string, args ...any) {
	c.rep.Warnings = append(c.rep.Warnings, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}

func (c *comparison) warnings(renamed int) {
	if n := len(c.rep.Config); n > 0 {
		var parts []string
		for _, d := range c.rep.Config {
			parts = append(parts, fmt.Sprintf("%s: %s and %s", d.Key, orNone(d.A), orNone(d.B)))
		}
		c.warn("config-differs", "%d keys of config.json differ: %s", n, list(parts))
	}
	switch t := c.rep.Tokenizer; {
	case t == nil:
		c.warn("tokenizer-missing", "a tokenizer.json is missing: tokenizers were not compared")
	case !t.Same:
		c.warn("tokenizer-differs", "%s", t)
	}
	if renamed > 0 {
		c.warn("renamed", "%d tensors have another name in B and were recognised by content", renamed)
	}
	if c.n > 0 {
		c.warn("ambiguous", "%d tensors have several candidates of equal content: paired in order of name", c.n)
	}
	slices.SortStableFunc(c.rep.Warnings, func(a, b probes.Warning) int { return strings.Compare(a.Code, b.Code) })
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
