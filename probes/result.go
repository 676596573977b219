// Package probes defines what every test of assay returns: one Result type,
// the same in Go, JSON and HTML. The tests themselves live in one package each
// below this one (palimpsest, perplexity, ghost, membership) and in latent;
// their shared statistics live in probes/stat.
//
// A result refuses to be a bare number: each estimate carries its unit, each
// p-value its null hypothesis in words and its base-10 logarithm (p itself may
// underflow), and the verdict carries its evidence tier, which is computed from
// the design and the checks that ran and is never chosen by the caller.
package probes

import (
	"bytes"
	"encoding/json"
)

// Schema identifies the JSON form of Result.
const Schema = "assay.result/1"

// Tier grades what a result may be used for.
type Tier string

const (
	// TierA: a randomisation that the auditor controls makes the p-value exact.
	TierA Tier = "A"
	// TierB: the p-value rests on a stated assumption that the data passed a check of.
	TierB Tier = "B"
	// TierC: descriptive; no p-value is valid.
	TierC Tier = "C"
)

// Result is the outcome of one test.
type Result struct {
	Schema    string         `json:"schema"`
	Test      string         `json:"test"`
	Version   int            `json:"version"` // of the test: raised whenever any number can change
	Inputs    []Input        `json:"inputs"`
	Settings  map[string]any `json:"settings"` // every effective option, defaults included
	N         map[string]int `json:"n"`        // counts, by what is counted (units, tokens, documents)
	Estimates []Estimate     `json:"estimates"`
	P         []PValue       `json:"p"`
	Checks    []Check        `json:"checks,omitempty"` // of the assumptions behind the tier
	Series    []Series       `json:"series,omitempty"` // the numbers behind the figures
	Verdict   Verdict        `json:"verdict"`
	Warnings  []Warning      `json:"warnings"`
	Seconds   float64        `json:"seconds,omitempty"` // wall time; left out of canonical files
	Seed      uint64         `json:"seed"`
}

// Input is one thing the test read.
type Input struct {
	Role   string `json:"role"` // suspect, reference, transcript, ...
	Path   string `json:"path,omitempty"`
	Digest string `json:"digest"` // "sha256:<hex>" of the content or, for traces, its run identity
}

// Estimate is one number with its unit and, where there is one, its interval.
type Estimate struct {
	Name   string   `json:"name"`
	Value  *float64 `json:"value"` // null when undefined; a warning then says why
	Unit   string   `json:"unit"`  // nats/token, rank correlation, 1, ...
	CI     *CI      `json:"ci,omitempty"`
	Method string   `json:"method,omitempty"`
}

// CI is a confidence interval.
type CI struct {
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	Level float64 `json:"level"`
}

// PValue is one p-value. Log10P is authoritative: P underflows to 0 in float64
// below 1e-308 and is then null in JSON, never 0.
type PValue struct {
	Name   string   `json:"name"`
	Log10P float64  `json:"log10_p"`
	P      *float64 `json:"p"`
	Method string   `json:"method"`
	Null   string   `json:"null"` // the null hypothesis in words
}

// Check is one assumption held against the data.
type Check struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	Pass  bool    `json:"pass"`
	Text  string  `json:"text,omitempty"` // what value and limit are, and what was found
}

// Series is a small table of numbers, drawn by a figure and written as CSV with
// the same digits.
type Series struct {
	Name    string      `json:"name"`
	Columns []string    `json:"columns"`
	Units   []string    `json:"units"`            // of the columns
	Labels  []string    `json:"labels,omitempty"` // of the rows
	Rows    [][]float64 `json:"rows"`
}

// Verdict says in words what the numbers support and what they do not.
type Verdict struct {
	Tier       Tier   `json:"tier"`
	Finding    string `json:"finding"` // one machine-readable word, documented by the test
	Says       string `json:"says"`
	DoesNotSay string `json:"does_not_say"`
}

// Warning is a caveat that travels with a result in every output form.
// Codes are kebab-case and documented by the package that emits them.
type Warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Value returns a pointer to x, for Estimate.Value and PValue.P.
func Value(x float64) *float64 { return &x }

// JSON returns the canonical form: two-space indent, no HTML escaping, a final
// newline, Seconds left out, so that two runs of one test give equal bytes.
func (r Result) JSON() ([]byte, error) {
	r.Seconds = 0
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
