package model

import (
	"context"
	"math"
	"slices"

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

// Invariance scores ws in batches of the usual shape and once more in batches of the
// fewest rows with other mates, and reports the largest difference. It needs at
// least one window with a target.
func (m *Model) Invariance(ctx context.Context, ws []Window) (Report, error) {
	var r Report
	all := func(yield func(Window, error) bool) {
		for _, w := range ws {
			if !yield(w, nil) {
				return
			}
		}
		for _, w := range slices.Backward(ws) { // so that mates change
			if w.Small = true; !yield(w, nil) {
				return
			}
		}
	}
	var out [][]float32
	err := m.Score(ctx, all, ScoreOptions{LogprobOnly: true}, func(_ Window, s Scores) error {
		out = append(out, s.Logprob)
		return nil
	})
	if err != nil {
		return r, err
	}
	for i, w := range ws {
		small := out[2*len(ws)-1-i]
		for j, a := range out[i] {
			r.N++
			if d := math.Abs(float64(a) - float64(small[j])); d > r.MaxAbs {
				r.MaxAbs, r.Doc, r.Row = d, w.Doc, j
			}
		}
	}
	if r.N == 0 {
		return r, fault.Usagef("model: invariance: no targets in %d windows", len(ws))
	}
	r.WithinTol = r.MaxAbs <= InvarianceBound
	return r, nil
}
