package show

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"assay/probes"
)

// Result writes a test result for people: the verdict first with its tier in
// words and what it does not say, then every estimate with its unit, every
// p-value with its null, and the warnings.
func Result(w io.Writer, r *probes.Result) error {
	ew := &errWriter{w: w}
	head(ew, r)
	if len(r.Estimates) > 0 {
		rows := [][]string{{"estimate", "value", "unit", "interval, method"}}
		for _, e := range r.Estimates {
			rows = append(rows, []string{e.Name, value(e.Value), e.Unit, joined(interval(e.CI), e.Method)})
		}
		_ = Columns(ew, rows, Width)
	}
	tail(ew, r, r.P)
	return ew.err
}

// head writes the verdict, what was read and how much of it.
func head(ew *errWriter, r *probes.Result) {
	fmt.Fprintf(ew, "%s: %s  [tier %s: %s]\n", r.Test, strings.ReplaceAll(r.Verdict.Finding, "_", " "), r.Verdict.Tier, tierWords[r.Verdict.Tier])
	_ = Wrap(ew, "says: "+r.Verdict.Says, "  ", Width)
	_ = Wrap(ew, "does not say: "+r.Verdict.DoesNotSay, "  ", Width)
	for _, in := range r.Inputs {
		fmt.Fprintf(ew, "  %-11s %s  %s\n", in.Role, Text(in.Path), shortDigest(in.Digest))
	}
	_ = Wrap(ew, "n: "+counts(r.N), "  ", Width)
}

// tail writes p-values with the null hypotheses of all, and the warnings.
func tail(ew *errWriter, r *probes.Result, ps []probes.PValue) {
	if len(ps) > 0 {
		rows := [][]string{{"p-value", "log10 p", "method"}}
		for _, p := range ps {
			rows = append(rows, []string{p.Name, fmt.Sprintf("%.4f", p.Log10P), p.Method})
		}
		_ = Columns(ew, rows, Width)
	}
	for _, null := range nulls(r.P) {
		_ = Wrap(ew, "null hypothesis: "+null, "  ", Width)
	}
	for _, warn := range r.Warnings {
		_ = Wrap(ew, fmt.Sprintf("warning %s: %s", warn.Code, warn.Text), "  ", Width)
	}
}

var tierWords = map[probes.Tier]string{
	probes.TierA: "exact under the auditor's own randomisation",
	probes.TierB: "valid under a stated assumption that was checked",
	probes.TierC: "descriptive, no valid p-value",
}

func value(v *float64) string {
	if v == nil {
		return "undefined"
	}
	return Number(*v)
}

func interval(c *probes.CI) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("[%s, %s] %g%%", Number(c.Lo), Number(c.Hi), c.Level*100)
}

// joined puts two parts that may be empty into one cell.
func joined(a, b string) string {
	if a != "" && b != "" {
		return a + "; " + b
	}
	return a + b
}

func counts(n map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", strings.ReplaceAll(k, "_", " "), n[k]))
	}
	return strings.Join(parts, ", ")
}

func nulls(ps []probes.PValue) []string {
	var out []string
	for _, p := range ps {
		if p.Null != "" && !slices.Contains(out, p.Null) {
			out = append(out, p.Null)
		}
	}
	return out
}

// shortDigest keeps the first 16 hex digits, enough to compare by eye.
func shortDigest(d string) string {
	if i := strings.IndexByte(d, ':'); i >= 0 && len(d) > i+17 {
		return d[:i+17]
	}
	return d
}

// errWriter remembers the first error so that formatting code stays readable.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(p []byte) (int, error) {
	if e.err != nil {
		return len(p), nil
	}
	_, e.err = e.w.Write(p)
	return len(p), nil
}
