package model

import (
	"context"
	"errors"
	"math"

	"assay/internal/fault"
)

// LensTop is how many of the largest log-probabilities a lens reading holds.
const LensTop = 5

// LensReading is what the output head makes of one hidden state.
type LensReading struct {
	Logprob    float32 // ln p(target), nats; NaN without a target
	Entropy    float32 // nats
	KL         float32 // KL(final layer, this layer), nats
	Rank       int32   // number of logits strictly above the target's; -1 without a target
	TopID      []int32 // LensTop ids (fewer in a smaller vocabulary), ties to the smaller
	TopLogprob []float32
}

// Lens reads hidden states with the checkpoint's own final norm and output head,
// the norm's statistics taken of that very state, then scale and soft-cap as the
// family has them. x holds, for each target, the states of resid_post at K layers,
// the last of them the final one: [len(targets), K, width]. A target of -1 is
// none. The readings come in the same order. The cost is one head row per state.
//
// It may be called from the Reduce function of a Run under way.
func (m *Model) Lens(ctx context.Context, x []float32, K int, targets []int32) (out []LensReading, err error) {
	defer edge("lens", &err)
	d, V := m.spec.Width, m.spec.Vocab
	if m.spec.Head.None {
		return nil, errHeadless()
	}
	if K < 1 || len(x) != len(targets)*K*d {
		return nil, fault.Usagef("model: lens: %d values for %d targets at %d layers of width %d", len(x), len(targets), K, d)
	}
	for i, t := range targets {
		if t < -1 || int(t) >= V {
			return nil, fault.Inputf("id", "model: lens: target %d is %d, want 0 to %d, or -1", i, t, V-1)
		}
	}
	if err := errors.Join(m.packHead(), m.needHead(ctx)); err != nil {
		return nil, err
	}
	out = make([]LensReading, len(targets)*K)
	// The final layer goes first, since the others are compared with it.
	place := func(i int) int { return i/K*K + (i+K-1)%K }
	final, logp := make([]float64, V), make([]float64, V)
	for from := 0; from < len(out); from += m.headChunk {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(m.headChunk, len(out)-from)
		rows, err := m.eng.f32([]int{m.headChunk, d}, func(dst []float32) error {
			for i := range n {
				at := place(from + i)
				copy(dst[i*d:(i+1)*d], x[at*d:(at+1)*d])
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		logits, err := m.logits(rows)
		free(rows)
		if err != nil {
			return nil, err
		}
		var bad error
		err = read(logits[0], func(z []float32) {
			for i := range n {
				at := place(from + i)
				row := z[i*V : (i+1)*V]
				if k, ok := finite(row); !ok {
					bad = fault.Inputf("nonfinite", "model: lens: target %d layer index %d: output %g", at/K, at%K, row[k])
					return
				}
				logSoftmax(row, logp)
				if at%K == K-1 {
					copy(final, logp)
				}
				out[at] = reading(row, logp, final, targets[at/K])
			}
		})
		free(logits...)
		if err == nil {
			err = bad
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// logSoftmax writes ln p of the logits z to dst, in float64.
func logSoftmax(z []float32, dst []float64) {
	top := float64(z[0])
	for _, v := range z {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(float64(v) - top)
	}
	norm := top + math.Log(sum)
	for i, v := range z {
		dst[i] = float64(v) - norm
	}
}

func reading(z []float32, logp, final []float64, target int32) LensReading {
	r := LensReading{Logprob: float32(math.NaN()), Rank: -1, TopID: largest(z, LensTop)}
	var entropy, kl float64
	for i, lp := range logp {
		entropy -= math.Exp(lp) * lp
		kl += math.Exp(final[i]) * (final[i] - lp)
	}
	r.Entropy, r.KL = float32(entropy), float32(max(0, kl))
	for _, id := range r.TopID {
		r.TopLogprob = append(r.TopLogprob, float32(logp[id]))
	}
	if target >= 0 {
		r.Logprob, r.Rank = float32(logp[target]), 0
		for _, v := range z {
			if v > z[target] {
				r.Rank++
			}
		}
	}
	return r
}
