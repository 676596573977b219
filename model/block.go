package model

import (
	"github.com/gomlx/gomlx/core/graph"
)

// Parts of a block that a tap can ask for.
const (
	partAttn = 1 << iota // what attention adds
	partMLP              // what the MLP adds
	partAct              // input of the down projection
)

// slot is one parameter of a stage: its name and shape, in the order in which
// the stage takes it.
type slot struct {
	name string
	dims []int
}

// slots lists the parameters of block b. With fold the gains of RMS norms that
// feed a matrix are multiplied into it at load.
func (b *Block) slots(d int, fold bool) []slot {
	a, m := &b.Attn, &b.MLP
	var s []slot
	add := func(ok bool, name string, dims ...int) {
		if ok {
			s = append(s, slot{name, dims})
		}
	}
	for i := range norms[b.Form] {
		n := string(rune('1' + i))
		add(b.Norm.Gain && !(fold && b.folds(i+1)), "n"+n+".g", d)
		add(b.Norm.Bias, "n"+n+".b", d)
	}
	qkv := (a.Heads + 2*a.KVHeads) * a.HeadDim
	add(true, "qkv.w", d, qkv)
	add(a.Bias, "qkv.b", qkv)
	if n := a.QKNorm; n != nil {
		for _, p := range []struct {
			name  string
			heads int
		}{{"qn", a.Heads}, {"kn", a.KVHeads}} {
			dims := map[string][]int{ScopeHead: {a.HeadDim}, ScopeHeads: {p.heads, a.HeadDim}, ScopeWhole: {p.heads * a.HeadDim}}[n.Scope]
			add(n.Gain, p.name+".g", dims...)
			add(n.Bias, p.name+".b", dims...)
		}
	}
	add(true, "o.w", a.Heads*a.HeadDim, d)
	add(a.BiasO, "o.b", d)
	up := m.Width
	if m.Gated {
		up *= 2
	}
	if x := m.Experts; x != nil {
		return append(s, x.slots(m.Width, d)...)
	}
	add(true, "up.w", d, up)
	add(m.Bias, "up.b", up)
	add(true, "down.w", m.Width, d)
	add(m.BiasDown, "down.b", d)
	return s
}

// folds reports whether the gain of norm i (from 1) can be multiplied into the
// matrices that read it: an RMS norm, without bias, read by nothing else.
func (b *Block) folds(i int) bool {
	if b.Norm.Kind != RMSNorm || b.Norm.Bias || b.FromNorm {
		return false
	}
	switch b.Form {
	case Seq, Par:
		return true
	case Par1:
		return true
	case Sandwich:
		return i == 1 || i == 3
	}
	return false
}

// tables are the inputs of a block that depend on the bucket and not on the layer.
// mask [1, 1, queries, T], cos and sin [1, T, 2, hd/2], bias [1, H, 1, T].
type tables struct{ cos, sin, mask, bias *node }

// blockStage builds block b of width d. Inputs: x [B, T, d], the tables that
// blockTables lists, then the slots. Outputs: the new x, then the parts asked for.
func blockStage(b *Block, d int, fold bool, parts int) func(in []*node) []*node {
	return func(in []*node) []*node {
		x, in := in[0], in[1:]
		var t tables
		take := func(ok bool) *node {
			if !ok {
				return nil
			}
			n := in[0]
			in = in[1:]
			return n
		}
		t.mask = take(true) // of a bidirectional block: [B, 1, 1, T]
		t.cos, t.sin = take(b.Attn.Rope != nil), take(b.Attn.Rope != nil)
		t.bias = take(b.Attn.ALiBi != nil)
		w := map[string]*node{}
		for _, s := range b.stageSlots(d, fold) {
			w[s.name] = widen(take(true))
		}
		g := &blockGraph{b: b, w: w, t: t, fold: fold}
		return g.build(x, parts)
	}
}

type blockGraph struct {
	b    *Block
	w    map[string]*node
	t    tables
	fold bool  // gains and the attention scale are in the weights
	act  *node // input of the down projection

	q, k, v  *node // of attention, by heads and rotated
	piece    piece // of the block that is built: generation cuts it at attention
	attended *node // pieceAfter: what attention gave
}

func (g *blockGraph) norm(i int, x *node) *node {
	n := "n" + string(rune('0'+i))
	return norm(&g.b.Norm, x, g.w[n+".g"], g.w[n+".b"])
}

// scaled applies the residual multiplier.
func (g *blockGraph) scaled(x *node) *node {
	if r := g.b.Residual; r != 0 && r != 1 {
		return graph.MulScalar(x, float64(r))
	}
	return x
}

func (g *blockGraph) build(x *node, parts int) []*node {
	var a, m *node
	switch g.b.Form {
	case Seq:
		n := g.norm(1, x)
		a = g.scaled(g.attention(n))
		x = graph.Add(g.base(x, n), a)
		n = g.norm(2, x)
		if g.b.MLP.Experts != nil {
			return g.sparse(x, n, a, parts)
		}
		m = g.scaled(g.mlp(n))
		x = graph.Add(g.base(x, n), m)
	case Par, Par1:
		n := g.norm(1, x)
		a = g.scaled(g.attention(n))
		if g.b.Form == Par {
			n = g.norm(2, x)
		}
		m = g.scaled(g.mlp(n))
		x = graph.Add(graph.Add(x, a), m)
	case Post:
		a = g.scaled(g.norm(1, g.attention(x)))
		x = graph.Add(x, a)
		m = g.scaled(g.norm(2, g.mlp(x)))
		x = graph.Add(x, m)
	case Sandwich:
		a = g.scaled(g.norm(2, g.attention(g.norm(1, x))))
		x = graph.Add(x, a)
		m = g.scaled(g.norm(4, g.mlp(g.norm(3, x))))
		x = graph.Add(x, m)
	case PostNorm:
		a = g.scaled(g.attention(x))
		x = g.norm(1, graph.Add(x, a))
		m = g.scaled(g.mlp(x))
		x = g.norm(2, graph.Add(x, m))
	}
	out := []*node{x}
	if parts&partAttn != 0 {
		out = append(out, a)
	}
	if parts&partMLP != 0 {
		out = append(out, m)
	}
	if parts&partAct != 0 {
		out = append(out, g.act)
	}
	if parts&partKV != 0 {
		out = append(out, g.k, g.v)
	}
	return out
}

// base is what a sub-block is added to.
func (g *blockGraph) base(x, n *node) *node {
	if g.b.FromNorm {
		return n
	}
	return x
}

func (g *blockGraph) mlp(x *node) *node {
	m := &g.b.MLP
	var h *node
	if m.Gated {
		h = gated(m.Act, dense(x, g.w["up.w"], g.w["up.b"]))
	} else {
		h = denseAct(x, g.w["up.w"], g.w["up.b"], m.Act)
	}
	g.act = h
	return dense(h, g.w["down.w"], g.w["down.b"])
}
