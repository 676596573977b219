package model

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
)

// step runs the last id of every continuation through the model and returns the
// last hidden states. Rows without a continuation, or with one that has ended, run
// along: their values are of no account.
func (g *generator) step(ctx context.Context, c *cache, cs []*continuation) (hidden [][]float32, err error) {
	m := g.m
	// Where the sequence outgrows the short rotary frequencies, all its keys change.
	outgrown := func(i int) bool { return m.long(len(cs[i].ids)) != m.long(c.lens[i]) }
	var again [][]float32
	for i, k := range cs {
		if k.stop == "" && outgrown(i) {
			c.end++
			again, err = g.fill(ctx, c, cs, outgrown)
			c.end--
			if err != nil {
				return nil, err
			}
			break
		}
	}
	ids, at := make([]int32, c.B), make([]int, c.B)
	for i, k := range cs {
		n := min(len(k.ids)-1, c.lens[i]) // a continuation that has ended stays where it was
		if again != nil && again[i] != nil {
			n = len(k.ids) - 1
		}
		ids[i], at[i] = k.ids[n], n
	}
	x, err := g.embed(ids, at)
	if err != nil {
		return nil, err
	}
	defer func() { free(x) }()
	t, err := g.tables(c, at, func(i int) bool { return i < len(cs) && m.long(len(cs[i].ids)) })
	if err != nil {
		return nil, err
	}
	defer t.free()
	var active []int // rows that experts compute
	for i, k := range cs {
		if k.stop == "" {
			active = append(active, i)
		}
	}
	for l := range m.spec.Layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if x, err = g.layer(c, l, x, t, active); err != nil {
			return nil, err
		}
	}
	d := m.spec.Width
	hidden = make([][]float32, len(cs))
	err = read(x, func(src []float32) {
		for i := range cs {
			hidden[i] = slices.Clone(src[i*d : (i+1)*d])
		}
	})
	for i, h := range again {
		if h != nil {
			hidden[i] = h
		}
	}
	c.end++
	for i, k := range cs {
		if k.stop == "" {
			c.lens[i] = len(k.ids)
		}
	}
	return hidden, err
}

// layer runs block l on x [B, 1, d], which it consumes.
func (g *generator) layer(c *cache, l int, x *tensors.Tensor, t *stepTables, active []int) (*tensors.Tensor, error) {
	m := g.m
	kind := m.spec.Layers[l]
	b := &m.spec.Kinds[kind]
	d := m.spec.Width
	key := func(p string) string { return fmt.Sprintf("%s %d [%d]", p, kind, c.B) }
	with := func(p piece, in ...any) []any {
		for _, s := range b.pieceSlots(d, m.fold, p) {
			i := slices.IndexFunc(b.slots(d, m.fold), func(o slot) bool { return o.name == s.name })
			in = append(in, m.layers[l][i])
		}
		return in
	}
	in := []any{x}
	if b.Attn.Rope != nil {
		in = append(in, t.cos[kind], t.sin[kind])
	}
	qkv, err := m.eng.run(key("before"), beforeStage(b, d, m.fold), with(pieceBefore, in...)...)
	if err != nil {
		return x, err
	}
	defer free(qkv...)
	in = []any{qkv[0], qkv[1], qkv[2], nil, nil, t.index, t.mask[kind]}
	if b.Attn.ALiBi != nil {
		in = append(in, t.bias[kind])
	}
	for i, own := range []**tensors.Tensor{&c.keys[l], &c.vals[l]} {
		if in[3+i], err = m.eng.donate(*own); err != nil {
			return x, err
		}
		*own = nil
	}
	out, err := m.eng.run(fmt.Sprintf("attend %d [%d, %d]", kind, c.B, c.C), attendStage(&b.Attn), in...)
	if err != nil {
		return x, err
	}
	c.keys[l], c.vals[l] = out[1], out[2]
	defer free(out[0])
	in = with(pieceAfter, nil, out[0])
	if in[0], err = m.eng.donate(x); err != nil {
		return x, err
	}
	next, err := m.eng.run(key("after"), afterStage(b, d, m.fold), in...)
	if err != nil {
		return nil, err
	}
	if b.MLP.Experts != nil {
		sum, err := m.mixture(active, b, m.layers[l][len(m.layers[l])-b.tailSlots():], next[0], next[1:])
		free(sum...)
		if err != nil {
			return next[0], err
		}
	}
	return next[0], nil
}

// stepTables are the inputs of one step that do not depend on the layer, by kind.
type stepTables struct {
	cos, sin, mask, bias []*tensors.Tensor // bias belongs to the cache
	index                *tensors.Tensor
}

func (t *stepTables) free() {
	free(t.cos...)
	free(t.sin...)
	free(t.mask...)
	free(t.index)
}

// tables makes the tables of a step that writes place c.end; at is the position of
// each row's id, long whether the row takes the long rotary frequencies.
func (g *generator) tables(c *cache, at []int, long func(i int) bool) (t *stepTables, err error) {
	m := g.m
	n := len(m.spec.Kinds)
	t = &stepTables{make([]*tensors.Tensor, n), make([]*tensors.Tensor, n), make([]*tensors.Tensor, n), c.bias, nil}
	defer func() {
		if err != nil {
			t.free()
			t = nil
		}
	}()
	if t.index, err = m.eng.i32([]int{}, func(x []int32) error { x[0] = int32(c.end); return nil }); err != nil {
		return t, err
	}
	for kind := range m.spec.Kinds {
		a := &m.spec.Kinds[kind].Attn
		t.mask[kind], err = m.eng.f32([]int{c.B, 1, 1, c.C}, func(x []float32) error {
			for i, pos := range at {
				row := x[i*c.C : (i+1)*c.C]
				first := c.end - pos
				if a.Window > 0 {
					first = max(first, c.end-a.Window+1)
				}
				for j := range row {
					if row[j] = masked; j >= first && j <= c.end {
						row[j] = 0
					}
				}
			}
			return nil
		})
		if err != nil {
			return t, err
		}
		if r := a.Rope; r != nil {
			dims := []int{c.B, 1, 1, 2, a.HeadDim / 2}
			fill := func(cos bool) func(x []float32) error {
				return func(x []float32) error {
					for i, pos := range at {
						part := x[i*a.HeadDim : (i+1)*a.HeadDim]
						if cos {
							r.rows(pos, 1, a.HeadDim, long(i) && r.Long != nil, part, nil)
						} else {
							r.rows(pos, 1, a.HeadDim, long(i) && r.Long != nil, nil, part)
						}
					}
					return nil
				}
			}
			if t.cos[kind], err = m.eng.f32(dims, fill(true)); err != nil {
				return t, err
			}
			if t.sin[kind], err = m.eng.f32(dims, fill(false)); err != nil {
				return t, err
			}
		}
		if b := a.ALiBi; b != nil && c.bias[kind] == nil {
			// Places keep their position in the row for the whole run.
			c.bias[kind], err = m.eng.f32([]int{c.B, a.Heads, 1, c.C}, func(x []float32) error {
				row := make([]float32, a.Heads*c.C)
				b.table(row, a.Heads, c.C)
				for i, pos := range at {
					first := c.end - pos
					for h := range a.Heads {
						for j := first; j < c.C; j++ {
							x[(i*a.Heads+h)*c.C+j] = row[h*c.C+j-first]
						}
						clear(x[(i*a.Heads+h)*c.C : (i*a.Heads+h)*c.C+first])
					}
				}
				return nil
			})
			if err != nil {
				return t, err
			}
		}
	}
	return t, nil
}

// embed makes the input of block 0 for one id of each row, [B, 1, d]; at are their
// positions.
func (g *generator) embed(ids []int32, at []int) (*tensors.Tensor, error) {
	m := g.m
	e := &m.spec.Embed
	width := m.spec.Width
	if e.Width != 0 {
		width = e.Width
	}
	scale := float32(one(e.Scale))
	position := func(i int, row []float32) {
		if e.Learned != nil {
			m.addPosition(row, at[i]+e.Learned.Offset)
		}
	}
	x, err := m.eng.f32([]int{len(ids), 1, width}, func(x []float32) error {
		for i, id := range ids {
			row := x[i*width : (i+1)*width]
			m.embed.widen(int(id)*width, row)
			if scale != 1 {
				for c := range row {
					row[c] *= scale
				}
			}
			if e.Width == 0 {
				position(i, row)
			}
		}
		return nil
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
		d := m.spec.Width
		p, err := m.eng.f32([]int{len(ids), 1, d}, func(x []float32) error {
			clear(x)
			for i := range ids {
				position(i, x[i*d:(i+1)*d])
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		defer free(p)
		in = append(in, p)
	}
	out, err := m.eng.run(fmt.Sprintf("embed one [%d]", len(ids)), embedStage(m.spec), in...)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// CutStop returns text up to the first place where one of stops begins, and whether
// one does.
func CutStop(text string, stops []string) (string, bool) {
	at := -1
	for _, s := range stops {
		if i := strings.Index(text, s); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return text, false
	}
	return text[:at], true
}
