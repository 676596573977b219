package model

import (
	"context"
	"iter"
	"math"

	"assay/internal/fault"
)

// InvarianceBound is the largest difference, in nats, that batch mates and
// padding may make.
const InvarianceBound = 1e-5

// Report is the result of Invariance.
type Report struct {
	N         int     // targets compared
	MaxAbs    float64 // largest difference of a log-probability, nats
	Doc, Row  int     // where: document and target index of its window
	WithinTol bool    // MaxAbs <= InvarianceBound
}

// Invariance scores ws in batches of the usual shape and again in batches of
// two rows with other mates, and reports the largest difference. It needs at
// least one window with a target.
func (m *Model) Invariance(ctx context.Context, ws []Window) (Report, error) {
	var r Report
	usual, err := m.logprobs(ctx, ws, m.opts.BatchTokens)
	if err != nil {
		return r, err
	}
	// Two rows in each batch, longest windows first, so that mates change.
	back := make([]Window, len(ws))
	for i, w := range ws {
		back[len(ws)-1-i] = w
	}
	alone, err := m.logprobs(ctx, back, 2)
	if err != nil {
		return r, err
	}
	for i := range ws {
		a, b := usual[i], alone[len(ws)-1-i]
		for j := range a {
			r.N++
			if d := math.Abs(float64(a[j]) - float64(b[j])); d > r.MaxAbs {
				r.MaxAbs, r.Doc, r.Row = d, ws[i].Doc, j
			}
		}
	}
	if r.N == 0 {
		return r, fault.Usagef("model: invariance: no targets in %d windows", len(ws))
	}
	r.WithinTol = r.MaxAbs <= InvarianceBound
	return r, nil
}

// logprobs scores ws with batches of the given size.
func (m *Model) logprobs(ctx context.Context, ws []Window, batchTokens int) ([][]float32, error) {
	var out [][]float32
	seq := func(yield func(Window, error) bool) {
		for _, w := range ws {
			if !yield(w, nil) {
				return
			}
		}
	}
	err := m.Score(ctx, iter.Seq2[Window, error](seq), ScoreOptions{LogprobOnly: true, BatchTokens: batchTokens}, func(_ Window, s Scores) error {
		out = append(out, s.Logprob)
		return nil
	})
	return out, err
}
