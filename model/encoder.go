package model

import (
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"assay/internal/fault"
)

// ErrEncoder refuses to score an encoder as if it predicted the next token.
func ErrEncoder(family string) error {
	return fault.Inputf("encoder", "model: %s is an encoder: it sees what follows a token, so it gives no probability of the next one", family).
		Hint("masked-LM pseudo-perplexity masks one token at a time: --policy pll")
}

func errHeadless() error {
	return fault.Inputf("no-head", "model: the checkpoint has no output matrix: it gives hidden states, no probabilities").
		Hint("use assay states, or the checkpoint's version with its language-model head")
}

// positions returns the row of the position table that input t of ids reads. A
// row past the end of ids holds id 0 and is seen by none that counts.
func (p *Learned) positions(ids []int32) func(t int) int {
	if p == nil {
		return nil
	}
	if p.Pad == nil {
		return func(t int) int { return t + p.Offset }
	}
	rows := make([]int, len(ids))
	n := 0
	for t, id := range ids {
		if rows[t] = *p.Pad; int(id) != *p.Pad {
			rows[t] = n + p.Offset
			n++
		}
	}
	return func(t int) int {
		if t < len(rows) {
			return rows[t]
		}
		return *p.Pad
	}
}

// addType adds the vector of the type of input t.
func (m *Model) addType(row []float32, types []int32, t int) {
	at := 0
	if t < len(types) {
		at = int(types[t]) * len(row)
	}
	for c, v := range m.types[at : at+len(row)] {
		row[c] += v
	}
}

// readTransform reads the parameters of Head.Transform, in the order that
// logitsStage takes.
func (m *Model) readTransform(r *reader) ([]*tensors.Tensor, error) {
	d := m.spec.Width
	p, err := r.part("transform", d)
	if err != nil {
		return nil, err
	}
	w, bias := join([]part{p}, d, m.fam.Names.Transposed, nil)
	var ts []*tensors.Tensor
	for _, x := range []struct {
		dims []int
		v    matrix
	}{{[]int{d, d}, w.wide()}, {[]int{d}, matrix{f: bias}}} {
		t, err := m.tensor(x.dims, x.v)
		if err != nil {
			return ts, err
		}
		ts = append(ts, t)
	}
	n, err := m.readNorm(r, "transform.n", &m.spec.Head.Transform.Norm)
	return append(ts, n...), err
}

// keyMask is the mask of a bidirectional block, [B, 1, 1, T]: padding is hidden
// from all. Dummy rows see themselves, so that their values stay finite.
func (m *Model) keyMask(b batch) (*tensors.Tensor, error) {
	return m.eng.f32([]int{b.B, 1, 1, b.T}, func(x []float32) error {
		for i, it := range b.items {
			row := x[i*b.T : (i+1)*b.T]
			for t := len(it.w.IDs); t < b.T; t++ {
				row[t] = masked
			}
		}
		return nil
	})
}

// attendBoth is attend where every query sees every key that is no padding.
func (g *blockGraph) attendBoth(q, k, v *node, B, T int) *node {
	a := &g.b.Attn
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	if T < longBucket {
		return g.windowBoth(q, k, v, g.t.mask, B, T, T)
	}
	q = graph.Reshape(q, B*H, T*hd)
	k, v = graph.Reshape(k, B*K, T*hd), graph.Reshape(v, B*K, T*hd)
	var rows []*node
	for b := range B {
		mask := part4(g.t.mask, 0, b, b+1)
		kb, vb := span(k, b*K, K, 0, T, hd), span(v, b*K, K, 0, T, hd)
		var cols []*node
		for t := 0; t < T; t += queryBlock {
			end := min(t+queryBlock, T)
			cols = append(cols, g.windowBoth(span(q, b*H, H, t, end, hd), kb, vb, mask, 1, end-t, T))
		}
		rows = append(rows, graph.Concatenate(cols, 1))
	}
	if B == 1 {
		return rows[0]
	}
	return graph.Concatenate(rows, 0)
}

// windowBoth is attention of n queries over T keys for B windows: [B, n, H, hd].
func (g *blockGraph) windowBoth(q, k, v, mask *node, B, n, T int) *node {
	a := &g.b.Attn
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	s := graph.DotGeneral(graph.Reshape(q, B*K, H/K*n, hd), []int{2}, []int{0}, graph.Reshape(k, B*K, T, hd), []int{2}, []int{0})
	s = graph.Add(softcap(a.Cap, graph.Reshape(s, B, H, n, T)), mask)
	p := graph.Reshape(softmax(s), B*K, H/K*n, T)
	o := graph.DotGeneral(p, []int{2}, []int{0}, graph.Reshape(v, B*K, T, hd), []int{1}, []int{0})
	return graph.TransposeAllAxes(graph.Reshape(o, B, H, n, hd), 0, 2, 1, 3)
}
