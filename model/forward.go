package model

import (
	"context"
	"fmt"

	"assay/weights"
	"github.com/gomlx/gomlx/core/tensors"
)

// forward runs a batch through the embedding and all layers, showing tapped
// states to r on the way, and returns the last hidden state [B, T, d].
func (m *Model) forward(ctx context.Context, b batch, r *run) (x *tensors.Tensor, err error) {
	if x, err = m.first(b, r); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			free(x)
		}
	}()
	for l := range m.spec.Layers {
		if err := ctx.Err(); err != nil {
			return x, err
		}
		if x, err = m.step(b, l, m.layers[l], x, r); err != nil {
			return x, err
		}
	}
	return x, m.last(b, x, r)
}

// first embeds a batch.
func (m *Model) first(b batch, r *run) (*tensors.Tensor, error) {
	x, err := m.embedBatch(b)
	if err != nil {
		return nil, err
	}
	if err := r.reduce(b, r.plan.post[0], x); err != nil {
		free(x)
		return nil, err
	}
	return x, nil
}

// step runs block l, whose parameters are ws, on x, which it consumes.
func (m *Model) step(b batch, l int, ws []*tensors.Tensor, x *tensors.Tensor, r *run) (*tensors.Tensor, error) {
	if err := r.reduce(b, r.plan.pre[l+1], x); err != nil {
		return x, err
	}
	x, err := m.layer(b, l, ws, x, r)
	if err != nil {
		return x, err
	}
	return x, r.reduce(b, r.plan.post[l+1], x)
}

// last shows the output of the final norm where it is tapped.
func (m *Model) last(b batch, x *tensors.Tensor, r *run) error {
	if len(r.plan.final) == 0 {
		return nil
	}
	n, err := m.finalNorm(b, x)
	if err != nil {
		return err
	}
	defer free(n)
	return r.reduce(b, r.plan.final, n)
}

// layer runs the graph of block l.
func (m *Model) layer(b batch, l int, ws []*tensors.Tensor, x *tensors.Tensor, r *run) (*tensors.Tensor, error) {
	kind := m.spec.Layers[l]
	parts := r.plan.parts(l + 1)
	in := []any{nil}
	ts, err := m.blockTables(b.shape, kind)
	if err != nil {
		return x, err
	}
	if m.spec.Kinds[kind].Attn.Bidirectional {
		mask, err := m.keyMask(b)
		if err != nil {
			return x, err
		}
		defer free(mask)
		in = append(in, mask)
	}
	for _, t := range ts {
		in = append(in, t)
	}
	block := &m.spec.Kinds[kind]
	tail := len(ws) - block.tailSlots()
	for _, t := range ws[:tail] {
		in = append(in, t)
	}
	if in[0], err = m.eng.donate(x); err != nil {
		return x, err
	}
	key := fmt.Sprintf("block %d [%d, %d] %d", kind, b.B, b.T, parts)
	out, err := m.eng.run(key, blockStage(&m.spec.Kinds[kind], m.spec.Width, m.fold, parts), in...)
	if err != nil {
		return nil, err
	}
	x, out = out[0], out[1:]
	if block.MLP.Experts != nil {
		if out, err = m.mixture(b.rows(), block, ws[tail:], x, out); err != nil {
			return x, err
		}
	}
	defer free(out...)
	for i, w := range [][][]want{r.plan.attn, r.plan.mlp, r.plan.act} {
		if parts&(1<<i) == 0 {
			continue
		}
		if err := r.reduce(b, w[l+1], out[0]); err != nil {
			return x, err
		}
		out = out[1:]
	}
	return x, nil
}

// embedBatch makes the input of block 0. Rows past a window's end and dummy
// rows hold id 0: finite, and seen by no row that counts.
func (m *Model) embedBatch(b batch) (*tensors.Tensor, error) {
	e := &m.spec.Embed
	width := m.spec.Width
	if e.Width != 0 {
		width = e.Width
	}
	x, err := m.eng.f32([]int{b.B, b.T, width}, func(x []float32) error {
		return weights.Guard(func() error {
			m.embedRows(b, x, width)
			return nil
		})
	})
	if err != nil || (e.Width == 0 && e.Norm == nil) {
		return x, err
	}
	defer free(x)
	in := []any{x}
	for _, t := range m.embedSlots {
		in = append(in, t)
	}
	if e.Width != 0 && e.Learned != nil {
		p, err := m.positionTable(b.T)
		if err != nil {
			return nil, err
		}
		in = append(in, p)
	}
	out, err := m.eng.run(fmt.Sprintf("embed [%d, %d]", b.B, b.T), embedStage(m.spec), in...)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// embedRows writes the embeddings of a batch to x, [B, T, width].
func (m *Model) embedRows(b batch, x []float32, width int) {
	e := &m.spec.Embed
	scale := float32(one(e.Scale))
	for i := range b.B {
		var ids, types []int32
		if i < len(b.items) {
			ids, types = b.items[i].w.IDs, b.items[i].w.Types
		}
		at := e.Learned.positions(ids)
		for t := range b.T {
			id := 0
			if t < len(ids) {
				id = int(ids[t])
			}
			row := x[(i*b.T+t)*width : (i*b.T+t+1)*width]
			m.embed.widen(id*width, row)
			if scale != 1 {
				for c := range row {
					row[c] *= scale
				}
			}
			if e.Types > 0 {
				m.addType(row, types, t)
			}
			if e.Learned != nil && e.Width == 0 {
				m.addPosition(row, at(t))
			}
		}
	}
}

// addPosition adds the learned vector of row at. A padded row may lie
// beyond the table; its value is of no account.
func (m *Model) addPosition(row []float32, at int) {
	at = min(at, m.spec.Embed.Learned.Rows-1) * len(row)
	for c, v := range m.positions[at : at+len(row)] {
		row[c] += v
	}
}
