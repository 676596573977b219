package model

import (
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// One token more for B continuations goes through three stages in every block:
//
//	before: x -> q, k, v of the new tokens
//	attend: q, k, v and the cache -> attention, and the cache with k, v
//	after:  x and the attention -> the new x
//
// The weights are in the first and the last, whose shapes do not depend on the
// length of the cache: one compiled graph serves every length.

// parts of a block that generation asks for beside the taps'.
const partKV = 1 << 3 // k and v of all inputs, [B, KV, T, hd], rotated

// piece is the part of a block that a graph holds.
type piece int

const (
	pieceAll    piece = iota
	pieceBefore       // up to q, k, v
	pieceAfter        // from the output projection of attention on
)

// pieceSlots are the parameters that a piece needs.
func (b *Block) pieceSlots(d int, fold bool, p piece) []slot {
	var out []slot
	for _, s := range b.stageSlots(d, fold) {
		mine := strings.HasPrefix(s.name, "qkv.") || strings.HasPrefix(s.name, "qn.") || strings.HasPrefix(s.name, "kn.")
		if first := strings.HasPrefix(s.name, "n1."); p == pieceBefore && (mine || first) || p == pieceAfter && !mine {
			out = append(out, s)
		}
	}
	return out
}

// beforeStage maps x [B, 1, d] to q [B, H, 1, hd], k and v [B, KV, 1, hd]. Inputs:
// x, cos and sin [B, 1, 1, 2, hd/2] where positions are rotary, and the slots.
func beforeStage(b *Block, d int, fold bool) func(in []*node) []*node {
	return func(in []*node) []*node {
		take := taker(in)
		x := take(true)
		g := &blockGraph{b: b, fold: fold, piece: pieceBefore}
		g.t.cos, g.t.sin = take(b.Attn.Rope != nil), take(b.Attn.Rope != nil)
		g.w = slotNodes(b.pieceSlots(d, fold, pieceBefore), take)
		switch b.Form {
		case Post, PostNorm:
		default:
			x = g.norm(1, x)
		}
		g.attention(x)
		return []*node{g.q, g.k, g.v}
	}
}

// afterStage maps x [B, 1, d] and the attention [B, 1, H*hd] to the new x, and with
// experts to what mixture takes beside it.
func afterStage(b *Block, d int, fold bool) func(in []*node) []*node {
	return func(in []*node) []*node {
		take := taker(in)
		x := take(true)
		g := &blockGraph{b: b, fold: fold, piece: pieceAfter, attended: take(true)}
		g.w = slotNodes(b.pieceSlots(d, fold, pieceAfter), take)
		return g.build(x, 0)
	}
}

func slotNodes(slots []slot, take func(ok bool) *node) map[string]*node {
	w := map[string]*node{}
	for _, s := range slots {
		w[s.name] = widen(take(true))
	}
	return w
}

// attendStage writes k and v [B, KV, 1, hd] at place i of the caches [B, KV, C, hd]
// and returns the attention of q [B, H, 1, hd] over the first C places, [B, 1,
// H*hd], and the caches. mask is [B, 1, 1, C], bias [B, H, 1, C] where there is
// ALiBi.
func attendStage(a *Attn) func(in []*node) []*node {
	return func(in []*node) []*node {
		take := taker(in)
		q, k, v, keys, vals, i, mask := take(true), take(true), take(true), take(true), take(true), take(true), take(true)
		bias := take(a.ALiBi != nil)
		zero := graph.Scalar(q.Graph(), dtypes.Int32, 0)
		at := []*node{zero, zero, i, zero}
		keys, vals = graph.DynamicUpdateSlice(keys, k, at), graph.DynamicUpdateSlice(vals, v, at)
		H, K, hd := a.Heads, a.KVHeads, a.HeadDim
		B, C := q.Shape().Dim(0), keys.Shape().Dim(2)
		s := graph.DotGeneral(graph.Reshape(q, B*K, H/K, hd), []int{2}, []int{0}, graph.Reshape(keys, B*K, C, hd), []int{2}, []int{0})
		s = graph.Reshape(s, B, H, 1, C)
		if bias != nil {
			s = graph.Add(s, bias)
		}
		s = graph.Add(softcap(a.Cap, s), mask)
		p := graph.Reshape(softmax(s), B*K, H/K, C)
		o := graph.DotGeneral(p, []int{2}, []int{0}, graph.Reshape(vals, B*K, C, hd), []int{1}, []int{0})
		return []*node{graph.Reshape(o, B, 1, H*hd), keys, vals}
	}
}

// rotateRows is rotate for one token of each row, at a position of its own: cos
// and sin [B, 1, 1, 2, hd/2], x [B, heads, 1, hd].
func (g *blockGraph) rotateRows(x *node) *node {
	if g.b.Attn.Rope == nil {
		return x
	}
	dims := x.Shape().Dimensions
	x = graph.Reshape(x, dims[0], dims[1], 1, 2, g.b.Attn.HeadDim/2)
	y := graph.Reverse(x, 3)
	return graph.Reshape(graph.Add(graph.Mul(x, g.t.cos), graph.Mul(y, g.t.sin)), dims...)
}
