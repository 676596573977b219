package model

import (
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// embedStage projects narrow embeddings, adds learned positions to them and
// normalises. Inputs: x [B, T, e], then what embedSlots lists, then [T, d]
// positions where the embedding is narrow.
func embedStage(s *Spec) func(in []*node) []*node {
	return func(in []*node) []*node {
		x, in := in[0], in[1:]
		e := &s.Embed
		if e.Width != 0 {
			x, in = dense(x, in[0], nil), in[1:]
		}
		var gain, bias *node
		if n := e.Norm; n != nil {
			if n.Gain {
				gain, in = in[0], in[1:]
			}
			if n.Bias {
				bias, in = in[0], in[1:]
			}
		}
		if e.Width != 0 && e.Learned != nil {
			x = graph.Add(x, graph.ExpandLeftToRank(in[0], 3))
		}
		if e.Norm != nil {
			x = norm(e.Norm, x, gain, bias)
		}
		return []*node{x}
	}
}

// positionTable is the learned vectors of positions 0..T-1.
func (m *Model) positionTable(T int) (*tensors.Tensor, error) {
	return m.cached(tableKey{kind: -1, T: T}, []int{T, m.spec.Width}, func(x []float32) {
		d := m.spec.Width
		for t := range T {
			m.addPosition(x[t*d:(t+1)*d], t+m.spec.Embed.Learned.Offset)
		}
	})
}
