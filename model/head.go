package model

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// maskedLogit is the logit of a masked vocabulary entry: its square and its
// square times p = 0 stay finite in float32, which -Inf and -1e30 do not.
const maskedLogit = -1e18

// headWants says what a head stage returns beside the log-probability.
type headWants struct {
	stats, moments, logits bool
	vocab                  int // entries that are not masked
}

// headStage scores rows. Inputs: h [R, d], target [R], the final norm's gain
// and bias where the family has them, w [d, V], the output bias, and the
// vocabulary mask [V] where padding entries are masked.
//
// ln p = x - lse with lse = max + ln sum exp(x - max). Softmax subtracts the
// row's maximum, so its largest entry is 1 / sum exp(x - max) and gives the
// sum without another exponential.
func headStage(s *Spec, gain, bias bool, want headWants) func(in []*node) []*node {
	return func(in []*node) []*node {
		take := func(ok bool) *node {
			if !ok {
				return nil
			}
			n := in[0]
			in = in[1:]
			return n
		}
		h, target := take(true), take(true)
		if s.Final != nil {
			h = norm(s.Final, h, take(gain), take(bias))
		}
		x := dense(h, take(true), take(s.Head.Bias))
		if c := s.Head.Scale; c != 0 && c != 1 {
			x = graph.MulScalar(x, float64(c))
		}
		x = softcap(s.Head.Cap, x)
		if want.vocab < s.Vocab {
			x = graph.Add(x, graph.ExpandLeftToRank(take(true), 2))
		}
		return scoreRows(x, target, want)
	}
}

// scoreRows returns logprob, and with want.stats: entropy, sd, rank, argmax id,
// argmax logprob; with want.moments: the plain mean and sd of ln p over the
// vocabulary; with want.logits: the logits and lse.
func scoreRows(x, target *node, want headWants) []*node {
	R, V := x.Shape().Dim(0), x.Shape().Dim(1)
	row := func(n *node) *node { return graph.Reshape(n, R, 1) }
	p := softmax(x)
	top := graph.ReduceMax(x, 1)
	lse := graph.Sub(top, graph.Log(graph.ReduceMax(p, 1)))
	// The target's logit comes from these very logits: a product with the
	// gathered row of w would differ in the last bit and give a wrong rank.
	at := graph.Concatenate([]*node{graph.Iota(x.Graph(), target.Shape(), 0), target}, 1)
	xt := graph.Gather(x, at)
	out := []*node{graph.Sub(xt, lse)}
	if want.stats {
		arg := graph.ArgMax(x, 1)
		rank := graph.ReduceSum(graph.Where(graph.GreaterThan(x, row(xt)), graph.Scalar(x.Graph(), dtypes.Float32, 1), graph.Scalar(x.Graph(), dtypes.Float32, 0)), 1)
		// -sum p (x - max) + ln sum: no cancellation of large logits.
		ent := graph.Sub(graph.Sub(lse, top), graph.ReduceSum(graph.Mul(p, graph.Sub(x, row(top))), 1))
		dev := graph.Sub(x, row(graph.Sub(lse, ent)))
		sd := graph.Sqrt(graph.ReduceSum(graph.Mul(p, graph.Mul(dev, dev)), 1))
		out = append(out, ent, sd, rank, arg, graph.Sub(top, lse))
	}
	if want.moments {
		n := float64(want.vocab)
		lp := graph.Sub(x, row(lse))
		if want.vocab < V {
			lp = cut(lp, 0, want.vocab)
		}
		mean := graph.MulScalar(graph.ReduceSum(lp, 1), 1/n)
		d := graph.Sub(lp, row(mean))
		usd := graph.Sqrt(graph.MulScalar(graph.ReduceSum(graph.Mul(d, d), 1), 1/math.Max(1, n-1)))
		out = append(out, mean, usd)
	}
	if want.logits {
		out = append(out, x, lse)
	}
	return out
}
