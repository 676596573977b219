package model

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// tableKey names a table that depends on the bucket: masks, rotary tables,
// biases. They are inputs of the stages; as constants every shape would copy them.
type tableKey struct {
	kind int // index into Spec.Kinds, or negative for the model's own
	what byte
	T    int
	long bool
}

// cached returns the table of key, filling it at the first call.
func (m *Model) cached(key tableKey, dims []int, fill func(x []float32)) (*tensors.Tensor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tables[key]; t != nil {
		return t, nil
	}
	t, err := m.eng.f32(dims, func(x []float32) error { fill(x); return nil })
	if err != nil {
		return nil, err
	}
	m.tables[key] = t
	return t, nil
}

// blockTables are the inputs of a block of this kind beside x and the weights,
// in the order that blockStage takes.
func (m *Model) blockTables(s shape, kind int) ([]*tensors.Tensor, error) {
	a := &m.spec.Kinds[kind].Attn
	T := s.T
	queries := min(T, queryBlock)
	if T < longBucket {
		queries = T
	}
	var out []*tensors.Tensor
	if !a.Bidirectional { // whose mask depends on the batch: keyMask
		mask, err := m.cached(tableKey{kind: kind, what: 'm', T: T}, []int{1, 1, queries, T}, func(x []float32) { fillMask(x, queries, T, a.Window) })
		if err != nil {
			return nil, err
		}
		out = append(out, mask)
	}
	if r := a.Rope; r != nil {
		key := tableKey{kind: kind, T: T, long: s.long && r.Long != nil}
		for _, t := range []struct {
			what byte
			fill func(x []float32)
		}{
			{'c', func(x []float32) { r.table(T, a.HeadDim, key.long, x, nil) }},
			{'s', func(x []float32) { r.table(T, a.HeadDim, key.long, nil, x) }},
		} {
			key.what = t.what
			x, err := m.cached(key, []int{1, T, 2, a.HeadDim / 2}, t.fill)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
	}
	if b := a.ALiBi; b != nil {
		x, err := m.cached(tableKey{kind: kind, what: 'a', T: T}, []int{1, a.Heads, 1, T}, func(x []float32) { b.table(x, a.Heads, T) })
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// fillMask writes the mask of the last n queries of a window of T, [n, T]: 0
// where query i sees key j and a large negative number elsewhere. It serves
// every block of n queries, whose keys are the last columns: what a query sees
// depends on the distance alone.
func fillMask(x []float32, n, T, window int) {
	for q := range n {
		i := T - n + q
		for j := range T {
			x[q*T+j] = masked
			if j <= i && (window == 0 || j > i-window) {
				x[q*T+j] = 0
			}
		}
	}
}

// table fills the ALiBi term of head h and key j.
func (b *ALiBi) table(x []float32, heads, T int) {
	for h, s := range slopes(heads) {
		for j := range T {
			v := s * float64(j)
			if b.Rounded {
				v = float64(roundBF16(roundBF16(float32(s)) * roundBF16(float32(j))))
			}
			x[h*T+j] = float32(v * float64(b.Scale))
		}
	}
}

// finalNorm applies finish to a whole batch, for the final_norm tap.
func (m *Model) finalNorm(b batch, x *tensors.Tensor) (*tensors.Tensor, error) {
	in := []any{x}
	for _, t := range m.finalSlots {
		in = append(in, t)
	}
	out, err := m.eng.run(fmt.Sprintf("final [%d, %d]", b.B, b.T), func(in []*node) []*node {
		take := taker(in)
		x := take(true)
		if y := finish(m.spec, x, take); y != x {
			return []*node{y}
		}
		return []*node{graph.Identity(x)}
	}, in...)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}
