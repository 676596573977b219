package model

import (
	"context"
	"fmt"
	"sync"

	"assay/model/internal/peak"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Products is the cost per token of a model's matrix products by themselves.
type Products struct {
	FLOP       float64
	CPUSeconds float64 // 0 where processor time is unknown
}

// product is [n, rows, in] x [n, in, cols], times times per batch; n = 0 is a
// product with a matrix of weights. Where packed, the right side is a constant.
type product struct {
	n, rows, in, cols int
	times             float64
	packed            bool
}

func (p product) flop() float64 {
	return 2 * float64(max(1, p.n)) * float64(p.rows*p.in) * float64(p.cols)
}

// products lists those of a batch of windows in bucket T.
func (m *Model) products(T int) (ps []product, tokens int) {
	B := m.spec.batchRows(m.opts.BatchTokens, T)
	tokens = B * T
	count := make([]float64, len(m.spec.Kinds))
	for _, k := range m.spec.Layers {
		count[k]++
	}
	d := m.spec.Width
	for k := range m.spec.Kinds {
		a, mlp := &m.spec.Kinds[k].Attn, &m.spec.Kinds[k].MLP
		H, K, hd, n := a.Heads, a.KVHeads, a.HeadDim, count[k]
		up := mlp.Width
		if mlp.Gated {
			up *= 2
		}
		for _, w := range [][2]int{{d, (H + 2*K) * hd}, {H * hd, d}, {d, up}, {mlp.Width, d}} {
			ps = append(ps, product{rows: tokens, in: w[0], cols: w[1], times: n})
		}
		pair := func(heads, queries, keys int, times float64) {
			ps = append(ps, product{n: heads, rows: H / K * queries, in: hd, cols: keys, times: times},
				product{n: heads, rows: H / K * queries, in: keys, cols: hd, times: times})
		}
		if T < longBucket {
			pair(B*K, T, T, n)
			continue
		}
		for t := 0; t < T; t += queryBlock {
			end := min(t+queryBlock, T)
			pair(K, end-t, end, n*float64(B))
		}
	}
	// The output matrix in parts: it would cost as much memory again.
	cols := min(m.spec.Vocab, 8192)
	chunks := float64(tokens) / float64(m.headChunk)
	ps = append(ps, product{rows: m.headChunk, in: m.spec.headWidth(), cols: cols, times: chunks * float64(m.spec.Vocab) / float64(cols), packed: m.headConst})
	return ps, tokens
}

// Products times every matrix product of scoring windows of length inputs,
// alone, with random numbers and as many at once as scoring runs: what is left
// of the cost of a token is everything else. It is zero for mixtures of experts. Each is repeated until the
// processor time is well above the clock's grain.
func (m *Model) Products(ctx context.Context, length int) (out Products, err error) {
	defer edge("products", &err)
	for i := range m.spec.Kinds {
		if m.spec.Kinds[i].MLP.Experts != nil { // which rows meet which expert is not known beforehand
			return out, nil
		}
	}
	ps, tokens := m.products(bucket(max(1, length)))
	for i, p := range ps {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		cpu, err := m.timeProduct(fmt.Sprintf("product %d %v", i, p), p)
		if err != nil {
			return out, err
		}
		out.FLOP += p.flop() * p.times / float64(tokens)
		out.CPUSeconds += cpu * p.times / float64(tokens)
	}
	return out, nil
}

// timeProduct returns the processor time of one execution of p.
func (m *Model) timeProduct(key string, p product) (float64, error) {
	fill := func(x []float32) error {
		for i := range x {
			x[i] = float32(i%251)*0x1p-8 - .5
		}
		return nil
	}
	ld, rd := []int{p.rows, p.in}, []int{p.in, p.cols}
	if p.n > 0 {
		ld, rd = []int{p.n, p.rows, p.in}, []int{p.n, p.in, p.cols}
	}
	l, err := m.eng.f32(ld, fill)
	if err != nil {
		return 0, err
	}
	defer free(l)
	r, err := m.eng.f32(rd, fill)
	if err != nil {
		return 0, err
	}
	defer free(r)
	build := func(in []*node) []*node {
		if p.n > 0 {
			return []*node{graph.DotGeneral(in[0], []int{2}, []int{0}, in[1], []int{1}, []int{0})}
		}
		if p.packed {
			in = append(in, graph.ConstTensor(in[0].Graph(), r))
		}
		return []*node{dense(in[0], in[1], nil)}
	}
	in := []any{l, r}
	if p.packed {
		in = in[:1]
	}
	run := func(n int) error { // n executions on each of the workers
		errs := make([]error, m.inflight)
		var wg sync.WaitGroup
		for w := range errs {
			wg.Go(func() {
				defer edge("products", &errs[w])
				for range n {
					var ts []*tensors.Tensor
					if ts, errs[w] = m.eng.run(key, build, in...); errs[w] != nil {
						return
					}
					free(ts...)
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(1); err != nil {
		return 0, err
	}
	const least = 2e9 // operations of one worker: about 20 ms; of tiny products not all that
	n := max(1, min(50, int(least/p.flop())))
	cpu := peak.CPUSeconds()
	err = run(n)
	return (peak.CPUSeconds() - cpu) / float64(n*m.inflight), err
}
