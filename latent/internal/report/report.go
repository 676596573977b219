// Package report builds the results of the latent tests: numbers that do not
// exist become null with a warning that names them, infinite ones too, and a
// warning of one code stands once. It adds no number of its own.
package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/latent"
	"assay/probes"
)

// Builder collects a result.
type Builder struct {
	probes.Result
	infinite  []string
	undefined map[string][]string // reason -> estimate names
}

// New starts the result of a test.
func New(test string, version int, seed uint64) *Builder {
	return &Builder{Result: probes.Result{
		Schema: probes.Schema, Test: test, Version: version, Seed: seed,
		Inputs: []probes.Input{}, Settings: map[string]any{}, N: map[string]int{},
		Estimates: []probes.Estimate{}, P: []probes.PValue{}, Warnings: []probes.Warning{},
	}, undefined: map[string][]string{}}
}

// Input adds states that were read, with their own warnings.
func (b *Builder) Input(role string, in latent.Info) {
	b.Inputs = append(b.Inputs, probes.Input{Role: role, Path: in.Path, Digest: in.Run})
	if in.Quantised {
		b.Warn("quantised", "%s: weights are stored with fewer than 16 bits; states differ from those of the full checkpoint", in.Path)
	}
	if in.Unverified {
		b.Warn("not-verified", "%s: the content digest was not checked", in.Path)
	}
}

// Add adds an estimate. NaN becomes null with the reason why ("" = degenerate).
func (b *Builder) Add(name string, v float64, unit, method, why string) {
	b.CI(name, v, unit, method, why, nil)
}

// CI adds an estimate with an interval (nil or with NaN ends = none).
func (b *Builder) CI(name string, v float64, unit, method, why string, ci *probes.CI) {
	e := probes.Estimate{Name: name, Unit: unit, Method: method}
	switch {
	case math.IsNaN(v):
		if why == "" {
			why = "degenerate"
		}
		b.undefined[why] = append(b.undefined[why], name)
	case math.IsInf(v, 0):
		b.infinite = append(b.infinite, name)
	default:
		e.Value = probes.Value(v)
		if ci != nil && finite(ci.Lo) && finite(ci.Hi) {
			e.CI = ci
		}
	}
	b.Estimates = append(b.Estimates, e)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Warn adds a warning; a code that is there already gets the new text added
// unless it has it.
func (b *Builder) Warn(code, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for i := range b.Warnings {
		w := &b.Warnings[i]
		if w.Code == code {
			if !strings.Contains(w.Text, text) {
				w.Text += "; " + text
			}
			return
		}
	}
	b.Warnings = append(b.Warnings, probes.Warning{Code: code, Text: text})
}

// PValue adds a p-value by its logarithm to base 10.
func (b *Builder) PValue(name string, log10p float64, method, null string) {
	p := probes.PValue{Name: name, Log10P: log10p, Method: method, Null: null}
	if v := math.Pow(10, log10p); v > 0 {
		p.P = probes.Value(v)
	}
	b.P = append(b.P, p)
}

// Done returns the result, warnings in order of code.
func (b *Builder) Done() probes.Result {
	if len(b.infinite) > 0 {
		b.Warn("infinite", "no bound, printed as null: %s", list(b.infinite))
	}
	for why, names := range b.undefined {
		b.Warn(why, "undefined, printed as null: %s", list(names))
	}
	b.infinite, b.undefined = nil, map[string][]string{}
	slices.SortStableFunc(b.Warnings, func(x, y probes.Warning) int { return strings.Compare(x.Code, y.Code) })
	return b.Result
}

func list(names []string) string {
	if len(names) > 8 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:8], ", "), len(names)-8)
	}
	return strings.Join(names, ", ")
}
