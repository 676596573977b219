package model

import (
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// attention maps x [B, T, d] to [B, T, d]. Heads go to the batch axis once;
// grouped heads share k and v without repeating them: the queries of a group
// stand in one matrix [B*KV, G*T, hd].
func (g *blockGraph) attention(x *node) *node {
	a := &g.b.Attn
	B, T := x.Shape().Dim(0), x.Shape().Dim(1)
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	if g.piece == pieceAfter {
		return dense(g.attended, g.w["o.w"], g.w["o.b"])
	}
	q, k, v := g.project(x)
	n := a.QKNorm
	if n != nil && n.First {
		q, k = g.qkNorm(n, q, k, B, T)
	}
	if c := float64(a.Clip); c != 0 {
		q, k, v = graph.ClipScalar(q, -c, c), graph.ClipScalar(k, -c, c), graph.ClipScalar(v, -c, c)
	}
	if n != nil && !n.First {
		q, k = g.qkNorm(n, q, k, B, T)
	}
	heads := func(x *node, n int) *node { // [B, T, n*hd] -> [B, n, T, hd]
		return graph.TransposeAllAxes(graph.Reshape(x, B, T, n, hd), 0, 2, 1, 3)
	}
	q, k, v = heads(q, H), heads(k, K), heads(v, K)
	if g.piece == pieceBefore {
		q, k = g.rotateRows(q), g.rotateRows(k)
	} else {
		q, k = g.rotate(q, B*H, T), g.rotate(k, B*K, T)
	}
	if !g.b.scaleInWeights(g.fold) && !g.b.scaleInNorm(g.fold) {
		q = graph.MulScalar(q, float64(a.Scale))
	}
	g.q, g.k, g.v = q, k, v
	if g.piece == pieceBefore {
		return nil
	}
	o := g.attend(q, k, v, B, T)
	return dense(graph.Reshape(o, B, T, H*hd), g.w["o.w"], g.w["o.b"])
}

// project returns q [B, T, H*hd] and k, v [B, T, K*hd] of one product. Slicing
// it would walk element by element; the fused projection copies runs.
func (g *blockGraph) project(x *node) (q, k, v *node) {
	a := &g.b.Attn
	nq, nk := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	w := g.w["qkv.w"]
	var bq, bk, bv *node
	if b := g.w["qkv.b"]; b != nil {
		bq, bk, bv = cut(b, 0, nq), cut(b, nq, nq+nk), cut(b, nq+nk, nq+2*nk)
	}
	out, _ := graph.InternalFusedOpCallerMulti(
		func() []*node {
			q, k, v := graph.BackendFusedAttentionQKVProjection(x, w, bq, bk, bv, nq, nk)
			return []*node{q, k, v}
		},
		func() []*node {
			y := dense(x, w, g.w["qkv.b"])
			return []*node{cut(y, 0, nq), cut(y, nq, nq+nk), cut(y, nq+nk, nq+2*nk)}
		}, false)
	return out[0], out[1], out[2]
}

// qkNorm normalises q and k [B, T, heads*hd] over a head or over all of them.
func (g *blockGraph) qkNorm(n *QKNorm, q, k *node, B, T int) (*node, *node) {
	a := &g.b.Attn
	one := func(x *node, heads int, name string) *node {
		gain, bias := g.w[name+".g"], g.w[name+".b"]
		if n.Scope == ScopeWhole {
			return norm(&n.Norm, x, gain, bias)
		}
		x = graph.Reshape(x, B, T, heads, a.HeadDim)
		if n.Scope == ScopeHead {
			x = norm(&n.Norm, x, gain, bias)
		} else {
			x = norm(&n.Norm, x, nil, nil)
			if gain != nil {
				x = graph.Mul(x, graph.Reshape(gain, 1, 1, heads, a.HeadDim))
			}
			if bias != nil {
				x = graph.Add(x, graph.Reshape(bias, 1, 1, heads, a.HeadDim))
			}
		}
		return graph.Reshape(x, B, T, heads*a.HeadDim)
	}
	return one(q, a.Heads, "qn"), one(k, a.KVHeads, "kn")
}

// rotate applies RoPE to x [B, heads, T, hd], n = B*heads: x cos + y sin, where y
// is x with the halves of each head exchanged; the sign stands in the table.
// Rotated pairs are half a head apart (layout.go), the other channels have
// cos 1 and sin 0.
func (g *blockGraph) rotate(x *node, n, T int) *node {
	if g.b.Attn.Rope == nil {
		return x
	}
	dims := x.Shape().Dimensions
	x = graph.Reshape(x, n, T, 2, g.b.Attn.HeadDim/2)
	y := graph.Reverse(x, 2)
	return graph.Reshape(graph.Add(graph.Mul(x, g.t.cos), graph.Mul(y, g.t.sin)), dims...)
}

// Queries are taken in blocks where the bucket is long: a block of queries
// needs only the keys up to its end, and its scores stay in the cache.
const (
	longBucket = 256 // from here on
	queryBlock = 128
)

// attend returns softmax(q k^T + mask) v as [B, T, H, hd].
func (g *blockGraph) attend(q, k, v *node, B, T int) *node {
	a := &g.b.Attn
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	if a.Bidirectional {
		return g.attendBoth(q, k, v, B, T)
	}
	if T < longBucket {
		return g.window(q, k, v, B, 0, T, 0)
	}
	// [B*heads, T*hd], so that runs of rows can be gathered.
	q, k, v = graph.Reshape(q, B*H, T*hd), graph.Reshape(k, B*K, T*hd), graph.Reshape(v, B*K, T*hd)
	var rows []*node
	for b := range B {
		var cols []*node
		for t := 0; t < T; t += queryBlock {
			end := min(t+queryBlock, T)
			first := 0 // keys before it are outside the window of every query of the block
			if a.Window > 0 {
				first = max(0, (t-a.Window+1)/queryBlock*queryBlock)
			}
			cols = append(cols, g.window(span(q, b*H, H, t, end, hd), span(k, b*K, K, first, end, hd), span(v, b*K, K, first, end, hd), 1, t, end, first))
		}
		rows = append(rows, graph.Concatenate(cols, 1))
	}
	if B == 1 {
		return rows[0]
	}
	return graph.Concatenate(rows, 0)
}

// span copies positions [from, to) of n rows from row on of x [N, T*hd].
func span(x *node, row, n, from, to, hd int) *node {
	at := make([]int32, 0, 2*n)
	for i := range n {
		at = append(at, int32(row+i), int32(from*hd))
	}
	start := graph.ConstTensor(x.Graph(), tensors.FromFlatDataAndDimensions(at, n, 2))
	return graph.GatherSlices(x, []int{0, 1}, start, []int{1, (to - from) * hd}, true)
}

// window is attention of queries [t, end) over keys [first, end) for B windows;
// q, k, v hold B*H, B*K, B*K heads. It returns [B, end-t, H, hd].
func (g *blockGraph) window(q, k, v *node, B, t, end, first int) *node {
	a := &g.b.Attn
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	n, keys := end-t, end-first
	s := graph.DotGeneral(graph.Reshape(q, B*K, H/K*n, hd), []int{2}, []int{0}, graph.Reshape(k, B*K, keys, hd), []int{2}, []int{0})
	s = graph.Reshape(s, B, H, n, keys)
	if b := g.t.bias; b != nil {
		s = graph.Add(s, part4(b, 3, first, end))
	}
	s = softcap(a.Cap, s)
	// The mask is of the last queries of the bucket: these are its last rows and columns.
	rows, T := g.t.mask.Shape().Dim(2), g.t.mask.Shape().Dim(3)
	s = graph.Add(s, part4(part4(g.t.mask, 2, rows-n, rows), 3, T-keys, T))
	p := graph.Reshape(softmax(s), B*K, H/K*n, keys)
	o := graph.DotGeneral(p, []int{2}, []int{0}, graph.Reshape(v, B*K, keys, hd), []int{1}, []int{0})
	return graph.TransposeAllAxes(graph.Reshape(o, B, H, n, hd), 0, 2, 1, 3)
}

// part4 is x with an axis cut to [from, to), x itself where that is all of it.
func part4(x *node, axis, from, to int) *node {
	if from == 0 && to == x.Shape().Dim(axis) {
		return x
	}
	return graph.SliceAxis(x, axis, graph.AxisRange(from, to))
}
