package model

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// maskedLogit is the logit of a masked vocabulary entry: its square and its
// square times p = 0 stay finite in float32, which -Inf and -1e30 do not.
const maskedLogit = -1e18

// logitsStage maps rows h [R, d] to logits in blocks, [R, V/size, size], and the
// maximum of each block, [R, V/size]. Inputs: h, the final norm's gain and bias,
// the projection to a narrow embedding and the output bias where the family has
// them, and the matrix [d, V] unless it is given as a constant: the backend
// packs a constant once, an argument at every call.
func logitsStage(s *Spec, w *tensors.Tensor) func(in []*node) []*node {
	return func(in []*node) []*node {
		take := taker(in)
		x := finish(s, take(true), take)
		if t := s.Head.Transform; t != nil {
			w, b := take(true), take(true)
			x = denseAct(x, w, b, t.Act)
			gain := take(t.Norm.Gain)
			x = norm(&t.Norm, x, gain, take(t.Norm.Bias))
		}
		bias := take(s.Head.Bias)
		var m *node
		if w != nil {
			m = graph.ConstTensor(x.Graph(), w)
		} else {
			m = take(true)
		}
		x = dense(x, m, bias)
		if c := s.Head.Scale; c != 0 && c != 1 {
			x = graph.MulScalar(x, float64(c))
		}
		x = softcap(s.Head.Cap, x)
		R, V := x.Shape().Dim(0), x.Shape().Dim(1)
		size := blockOf(V)
		x = graph.Reshape(x, R, V/size, size)
		return []*node{x, graph.ReduceMax(x, 2)}
	}
}

// taker hands out the inputs of a stage one by one, nil where there is none.
func taker(in []*node) func(ok bool) *node {
	return func(ok bool) *node {
		if !ok {
			return nil
		}
		n := in[0]
		in = in[1:]
		return n
	}
}

// finish turns the last hidden state into what the output matrix multiplies.
func finish(s *Spec, x *node, take func(ok bool) *node) *node {
	if n := s.Final; n != nil {
		gain := take(n.Gain)
		x = norm(n, x, gain, take(n.Bias))
	}
	if s.Embed.Width != 0 {
		x = dense(x, take(true), nil)
	}
	return x
}

// scoreWants says what scoreStage returns beside the log-probability.
type scoreWants struct {
	stats, moments, logSum bool
	vocab                  int // entries that are not masked, at the front
}

// scoreStage turns the outputs of logitsStage, targets [R, 1] and, where part of
// the vocabulary is masked, a mask [1, V/size, size] into logprob,
// and with moments: the plain mean and sd of ln p over the vocabulary; with logSum:
// ln sum exp(x - max); with stats: entropy, sd, rank, argmax id, argmax logprob. All [R].
//
// ln p = x - max - ln sum exp(x - max). Softmax subtracts the row's maximum, so
// its largest entry is 1 / sum exp(x - max) and gives the sum without another
// exponential.
func scoreStage(want scoreWants) func(in []*node) []*node {
	return func(in []*node) []*node {
		x, blocks, target := in[0], in[1], in[2]
		R := x.Shape().Dim(0)
		V := x.Shape().Size() / R
		if want.vocab < V {
			x = graph.Add(x, in[3])
			blocks = graph.ReduceMax(x, 2)
		}
		row := func(n *node) *node { return graph.Reshape(n, R, 1) }
		top := graph.ReduceMax(blocks, 1)
		var arg *node
		if want.stats {
			arg = argmax(x, blocks)
		}
		x = graph.Reshape(x, R, V)
		p := softmax(x)
		logSum := graph.Neg(graph.Log(graph.ReduceMax(p, 1)))
		// The target's logit comes from these very logits: a product with the
		// gathered row of the matrix would differ in the last bit and give a
		// wrong rank.
		xt := graph.Gather(x, graph.Concatenate([]*node{rows(target), target}, 1))
		out := []*node{graph.Sub(graph.Sub(xt, top), logSum)}
		if want.moments {
			out = append(out, moments(x, top, logSum, want.vocab)...)
		}
		if want.logSum {
			out = append(out, logSum)
		}
		if !want.stats {
			return out
		}
		f := func(v float64) *node { return graph.Scalar(x.Graph(), dtypes.Float32, v) }
		rank := graph.ReduceSum(graph.Where(graph.GreaterThan(x, row(xt)), f(1), f(0)), 1)
		// From here on relative to the maximum: an offset common to all logits
		// costs no digits. Entropy and variance are taken about m, an estimate of
		// the mean of z under p: with d = z - m and e = E[d], a rounding error,
		// H = ln sum - m - e and the variance is E[d^2] - e^2. Each array is
		// overwritten by the next.
		z := graph.Sub(x, row(top))
		m := graph.ReduceSum(graph.Mul(p, z), 1)
		d := graph.Sub(z, row(m))
		pd := graph.Mul(p, d)
		e := graph.ReduceSum(pd, 1)
		second := graph.ReduceSum(graph.Mul(pd, d), 1)
		entropy := graph.Sub(graph.Sub(logSum, m), e)
		sd := graph.Sqrt(graph.MaxScalar(graph.Sub(second, graph.Mul(e, e)), 0))
		return append(out, entropy, sd, rank, arg, graph.Neg(logSum))
	}
}

// rows is 0, 1, ... in the shape of x, [R, 1].
func rows(x *node) *node { return graph.Iota(x.Graph(), x.Shape(), 0) }

// moments returns the mean and the ddof-1 sd of ln p over the first n entries.
func moments(x, top, logSum *node, n int) []*node {
	R := x.Shape().Dim(0)
	z := graph.Sub(x, graph.Reshape(top, R, 1))
	if n < x.Shape().Dim(1) {
		z = cut(z, 0, n)
	}
	mean := graph.MulScalar(graph.ReduceSum(z, 1), 1/float64(n))
	d := graph.Sub(z, graph.Reshape(mean, R, 1))
	usd := graph.Sqrt(graph.MulScalar(graph.ReduceSum(graph.Mul(d, d), 1), 1/math.Max(1, float64(n-1))))
	return []*node{graph.Sub(mean, logSum), usd}
}

// argmax returns the smallest id of the largest logit of each row, x [R, n, size]
// with the maxima of its blocks [R, n]: the first block that holds the maximum,
// then the first place in it. ArgMax alone would walk the row element by element.
func argmax(x, blocks *node) *node {
	R, size := x.Shape().Dim(0), x.Shape().Dim(2)
	b := graph.ArgMax(blocks, 1)
	if size == 1 {
		return b
	}
	at := graph.Reshape(b, R, 1)
	block := graph.Gather(x, graph.Concatenate([]*node{rows(at), at}, 1))
	return graph.Add(graph.MulScalar(b, size), graph.ArgMax(block, 1))
}

// blockOf is the length of a block: the smallest divisor of V from 128 on that
// leaves at least eight blocks (shorter runs make the maxima slow, longer ones
// ArgMax), else the largest below, else 1: no blocks.
func blockOf(V int) int {
	for d := 128; d <= V/8; d++ {
		if V%d == 0 {
			return d
		}
	}
	for d := min(127, V/2); d >= 16; d-- {
		if V%d == 0 {
			return d
		}
	}
	return 1
}
