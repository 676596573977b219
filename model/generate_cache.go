package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"github.com/gomlx/gomlx/core/tensors"
)

// generator is one call of Generate.
type generator struct {
	m     *Model
	o     GenOptions
	law   law
	chunk int // rows of one execution of the output head
}

// cache holds the keys and values of B continuations, [B, KV, C, hd] for each
// layer. Row i's ids so far stand in the places [end-n, end): what is generated
// falls into the same place in all rows. Places before are of no account.
type cache struct {
	B, C, end  int
	keys, vals []*tensors.Tensor
	lens       []int // ids of each row that the cache holds
	bias       []*tensors.Tensor
}

func (c *cache) free() {
	free(c.keys...)
	free(c.vals...)
	free(c.bias...)
}

// run continues up to Batch prompts of bucket P.
func (g *generator) run(ctx context.Context, P int, cs []*continuation) error {
	m := g.m
	most := g.o.MaxTokens // the shape must not depend on what else is in the batch
	if p := m.spec.Positions; p > 0 {
		most = min(most, p)
	}
	c := &cache{B: g.o.Batch, C: bucket(P + most - 1), end: P, lens: make([]int, g.o.Batch)}
	defer c.free()
	if err := g.fits(c); err != nil {
		return err
	}
	if err := g.allocate(c); err != nil {
		return err
	}
	hidden, err := g.fill(ctx, c, cs, nil)
	if err != nil {
		return err
	}
	for {
		running, err := g.choose(cs, hidden)
		if err != nil || !running {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if hidden, err = g.step(ctx, c, cs); err != nil {
			return err
		}
	}
}

// fits refuses a cache that the memory does not hold.
func (g *generator) fits(c *cache) error {
	m := g.m
	need := int64(0)
	for l := range m.spec.Layers {
		a := &m.spec.Block(l).Attn
		need += 2 * 4 * int64(c.B) * int64(c.C) * int64(a.KVHeads*a.HeadDim)
	}
	if f := m.Forecast(min(c.C, m.usual())); m.limit > 0 && need+f.Total() > m.limit {
		return fault.Retryf("memory", "model: generate: %d MB needed for %d continuations of %d ids, %d MB allowed", (need+f.Total())>>20, c.B, c.C, m.limit>>20).
			Hint("lower the batch or the number of tokens, or allow more with --memory")
	}
	return nil
}

func (g *generator) allocate(c *cache) error {
	m := g.m
	for l := range m.spec.Layers {
		a := &m.spec.Block(l).Attn
		for _, to := range []*[]*tensors.Tensor{&c.keys, &c.vals} {
			t, err := m.eng.f32([]int{c.B, a.KVHeads, c.C, a.HeadDim}, func(x []float32) error { clear(x); return nil })
			if err != nil {
				return err
			}
			*to = append(*to, t)
		}
	}
	c.bias = make([]*tensors.Tensor, len(m.spec.Kinds))
	return nil
}

// fill computes the keys and values of whole continuations from scratch, with the
// graphs and the shapes of scoring, and puts them into the cache. It returns the
// last hidden state of each row, [B, d]; of rows that only leaves out, nil is all.
func (g *generator) fill(ctx context.Context, c *cache, cs []*continuation, only func(i int) bool) ([][]float32, error) {
	m := g.m
	hidden := make([][]float32, len(cs))
	// Samples of one prompt begin alike: one row of the batch serves them all.
	rows := map[string][]int{}
	var items []*item
	for i, k := range cs {
		if k.stop != "" || only != nil && !only(i) {
			continue
		}
		key := fmt.Sprint(k.ids)
		if rows[key] == nil {
			items = append(items, &item{w: Window{IDs: k.ids}, order: len(items), tokens: len(k.ids)})
		}
		rows[key] = append(rows[key], i)
	}
	for _, b := range m.pack(items, m.opts.BatchTokens) {
		slots := make([][]int, len(b.items))
		for j, it := range b.items {
			slots[j] = rows[fmt.Sprint(it.w.IDs)]
		}
		if err := g.fillBatch(ctx, c, b, slots, hidden); err != nil {
			return nil, err
		}
		for j, it := range b.items {
			for _, i := range slots[j] {
				c.lens[i] = len(it.w.IDs)
			}
		}
	}
	return hidden, nil
}

// fillBatch runs a batch of scoring and copies what the cache wants of it: item j
// goes to the rows slots[j].
func (g *generator) fillBatch(ctx context.Context, c *cache, b batch, slots [][]int, hidden [][]float32) (err error) {
	m := g.m
	x, err := m.embedBatch(b)
	if err != nil {
		return err
	}
	defer func() { free(x) }()
	for l := range m.spec.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		var kv []*tensors.Tensor
		if x, kv, err = m.layerKV(b, l, x); err != nil {
			return err
		}
		a := &m.spec.Block(l).Attn
		for i, to := range []*tensors.Tensor{c.keys[l], c.vals[l]} {
			if err = copyRows(to, kv[i], a, c, b, slots); err != nil {
				break
			}
		}
		free(kv...)
		if err != nil {
			return err
		}
	}
	d := m.spec.Width
	return read(x, func(src []float32) {
		for j, it := range b.items {
			at := (j*b.T + len(it.w.IDs) - 1) * d
			for _, i := range slots[j] {
				hidden[i] = slices.Clone(src[at : at+d])
			}
		}
	})
}

// layerKV runs block l on x, which it consumes, and returns k and v too.
func (m *Model) layerKV(b batch, l int, x *tensors.Tensor) (*tensors.Tensor, []*tensors.Tensor, error) {
	kind := m.spec.Layers[l]
	ts, err := m.blockTables(b.shape, kind)
	if err != nil {
		return x, nil, err
	}
	block := &m.spec.Kinds[kind]
	ws := m.layers[l]
	tail := len(ws) - block.tailSlots()
	in := []any{nil}
	for _, t := range slices.Concat(ts, ws[:tail]) {
		in = append(in, t)
	}
	if in[0], err = m.eng.donate(x); err != nil {
		return x, nil, err
	}
	key := fmt.Sprintf("block %d [%d, %d] %d", kind, b.B, b.T, partKV)
	out, err := m.eng.run(key, blockStage(block, m.spec.Width, m.fold, partKV), in...)
	if err != nil {
		return nil, nil, err
	}
	x, kv := out[0], out[1:]
	if block.MLP.Experts != nil { // the last of the parts is what they add
		if kv, err = m.mixture(b.rows(), block, ws[tail:], x, kv); err != nil {
			return x, nil, err
		}
	}
	return x, kv, nil
}

// copyRows copies k or v of a batch, [B', KV, T, hd], to the end of its rows of
// the cache.
func copyRows(to, from *tensors.Tensor, a *Attn, c *cache, b batch, slots [][]int) error {
	K, hd := a.KVHeads, a.HeadDim
	var werr error
	err := read(from, func(src []float32) {
		werr = to.MutableFlatData(func(flat any) {
			dst := flat.([]float32)
			for j, it := range b.items {
				n := len(it.w.IDs)
				for _, i := range slots[j] {
					for h := range K {
						s := ((j*K + h) * b.T) * hd
						d := ((i*K+h)*c.C + c.end - n) * hd
						copy(dst[d:d+n*hd], src[s:s+n*hd])
					}
				}
			}
		})
	})
	if err == nil && werr != nil {
		err = fmt.Errorf("model: cache: %w", werr)
	}
	return err
}

// choose draws the next id of every continuation that still runs from the last
// hidden states, and reports whether any goes on.
func (g *generator) choose(cs []*continuation, hidden [][]float32) (running bool, err error) {
	n := 0
	err = g.logits(hidden, func(i int, z []float32) error {
		c := cs[i]
		if c.stop != "" {
			return nil
		}
		if k, ok := finite(z); !ok {
			return fault.Inputf("nonfinite", "model: generate: prompt %q sample %d token %d: output %g", c.prompt.ID, c.sample, len(c.logs), z[k])
		}
		r := readRow(z)
		if g.o.Vocab > 0 && g.o.Vocab < len(z) { // the others are never chosen, and stay in the softmax
			logSum := r.logSum
			z = z[:g.o.Vocab]
			r = readRow(z)
			r.logSum = logSum
		}
		if r.gap < NearTieGap && c.nearTie < 0 {
			c.nearTie = len(c.logs)
		}
		id := r.best
		if !g.o.greedy() {
			id = g.law.pick(z, c.draws.at(len(c.logs)))
		}
		c.ids, c.logs = append(c.ids, id), append(c.logs, float32(math.Min(0, float64(z[id])-r.logSum)))
		n++
		stop, err := g.stop(c, id)
		if err != nil {
			return err
		}
		c.stop = stop
		running = running || stop == ""
		return nil
	})
	if err == nil && g.o.Progress != nil {
		g.o.Progress(n)
	}
	return running, err
}

// stop says why a continuation ends behind its last id; "" if it does not.
func (g *generator) stop(c *continuation, id int32) (string, error) {
	if slices.Contains(g.o.EOS, id) {
		return StopEOS, nil
	}
	if len(g.o.Stop) > 0 {
		text, err := g.o.Decode(c.generated())
		if err != nil {
			return "", err
		}
		if _, ok := CutStop(text, g.o.Stop); ok {
			return StopString, nil
		}
	}
	most := g.o.MaxTokens
	if c.prompt.MaxTokens > 0 {
		most = c.prompt.MaxTokens
	}
	switch p := g.m.spec.Positions; {
	case len(c.logs) >= most:
		return StopLength, nil
	case p > 0 && len(c.ids) > p: // the last one has no place to be read at
		return StopContext, nil
	}
	return "", nil
}
