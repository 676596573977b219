package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Experts are the MLPs of one layer, of which each token takes the Top with the
// largest router probability: p = softmax(router x) over all experts, and the
// output is the sum of p times the expert's output.
type Experts struct {
	N         int  `json:"n"`
	Top       int  `json:"top"`
	Normalise bool `json:"normalise,omitempty"` // the p of the chosen are divided by their sum
	// Shared is the width of an expert that every token takes, whose output is
	// multiplied by sigmoid(g x); 0 = none.
	Shared int `json:"shared,omitempty"`
}

// A block of experts runs in three steps. A stage computes attention, the
// residual stream and what the router and the experts read. The router is a loop
// in float64, so that a token's choice hangs on its own numbers alone, not on the
// kernel that its batch met. Then the tokens of each expert are gathered and go
// through one product of as many rows as a bucket holds: experts that no token
// chose cost nothing, and neither does padding.

func expertKey(key string, e int, slot string) string {
	return key + "e" + strconv.Itoa(e) + "." + slot
}

// slots are the parameters of a layer of experts: those of the stage, then the tail.
func (x *Experts) slots(width, d int) []slot {
	var s []slot
	if x.Shared > 0 {
		s = append(s, slot{"sup.w", []int{d, 2 * x.Shared}}, slot{"sdown.w", []int{x.Shared, d}}, slot{"sg.w", []int{d}})
	}
	s = append(s, slot{"router.w", []int{x.N, d}})
	for e := range x.N {
		s = append(s, slot{expertKey("", e, "up.w"), []int{d, 2 * width}}, slot{expertKey("", e, "down.w"), []int{width, d}})
	}
	return s
}

// tailSlots is the number of slots at the end that the block's stage does not take:
// the router, then up and down of each expert.
func (b *Block) tailSlots() int {
	if x := b.MLP.Experts; x != nil {
		return 1 + 2*x.N
	}
	return 0
}

func (b *Block) stageSlots(d int, fold bool) []slot {
	s := b.slots(d, fold)
	return s[:len(s)-b.tailSlots()]
}

// expertSlots reads the parameters of a layer of experts; gain is folded into
// what reads the norm.
func (r *reader) expertSlots(m *MLP, key string, d int, gain []float32, out map[string]matrix, put func(slot string, in int, g []float32, ps ...part)) error {
	x := m.Experts
	router, err := r.part(key+"router", x.N)
	if err != nil {
		return err
	}
	w := make([]float32, router.w.len())
	if err := router.w.all(w); err != nil {
		return err
	}
	for i := range w {
		if gain != nil {
			w[i] *= gain[i%d]
		}
	}
	out["router.w"] = matrix{f: w}
	gated := func(from, to string, width int) error {
		gate, err := r.part(from+"gate", width)
		if err != nil {
			return err
		}
		up, err := r.part(from+"up", width)
		if err != nil {
			return err
		}
		put(to+"up", d, gain, gate, up)
		down, err := r.part(from+"down", d)
		if err != nil {
			return err
		}
		put(to+"down", width, nil, down)
		return nil
	}
	for e := range x.N {
		if err := gated(expertKey(key, e, ""), expertKey("", e, ""), m.Width); err != nil {
			return err
		}
	}
	if x.Shared == 0 {
		return nil
	}
	g, err := r.part(key+"sg", 1)
	if err != nil {
		return err
	}
	put("sg", d, gain, g)
	return gated(key+"s", "s", x.Shared)
}

// sparse ends the stage of a block of experts: the residual stream, what the
// experts read, the shared expert's output, and what attention adds if asked for.
func (g *blockGraph) sparse(x, n, a *node, parts int) []*node {
	out := []*node{x, n}
	if m := &g.b.MLP; m.Experts.Shared > 0 {
		y := dense(gated(m.Act, dense(n, g.w["sup.w"], nil)), g.w["sdown.w"], nil)
		// A product with one column would take another kernel.
		gate := graph.ReduceAndKeep(graph.Mul(n, graph.ExpandLeftToRank(g.w["sg.w"], 3)), graph.ReduceSum, 2)
		out = append(out, graph.Mul(y, graph.Sigmoid(gate)))
	}
	if parts&partAttn != 0 {
		out = append(out, a)
	}
	if parts&partKV != 0 {
		out = append(out, g.k, g.v)
	}
	return out
}

// mixture adds the experts' output to the given rows of x [B, T, d]. ws are the router and the
// experts' matrices; out is what the stage gave after x: the experts' input, the
// shared expert's output, and the parts that were asked for. It returns the parts
// in the order that layer expects, what the MLP adds among them.
func (m *Model) mixture(rows []int, block *Block, ws []*tensors.Tensor, x *tensors.Tensor, out []*tensors.Tensor) (parts []*tensors.Tensor, err error) {
	n, rest := out[0], out[1:]
	var shared *tensors.Tensor
	if block.MLP.Experts.Shared > 0 {
		shared, rest = rest[0], rest[1:]
	}
	defer free(n, shared)
	defer func() {
		if err != nil {
			free(rest...)
		}
	}()
	var routes []route
	err = read(ws[0], func(router []float32) {
		_ = read(n, func(n []float32) { routes = block.MLP.Experts.choose(rows, n, router) })
	})
	if err != nil {
		return nil, err
	}
	sum, err := m.eng.f32(x.Shape().Dimensions, func(sum []float32) error {
		clear(sum)
		for e, r := range routes {
			if len(r.rows) == 0 {
				continue
			}
			if err := m.expert(block, r, n, ws[1+2*e:3+2*e], sum); err != nil {
				return err
			}
		}
		if shared == nil {
			return nil
		}
		return read(shared, func(s []float32) {
			for i, v := range s {
				sum[i] += v
			}
		})
	})
	if err != nil {
		return nil, err
	}
	var addErr error
	err = x.MutableFlatData(func(flat any) {
		dst := flat.([]float32)
		addErr = read(sum, func(s []float32) {
			for i, v := range s {
				dst[i] += v
			}
		})
	})
	if err = cmp.Or(err, addErr); err != nil {
		free(sum)
		return nil, err
	}
	return append(rest, sum), nil
}

// rows are the rows of [B, T] that hold an input of a window.
func (b batch) rows() []int {
	var r []int
	for i, it := range b.items {
		r = append(r, seqRows(i*b.T, len(it.w.IDs))...)
	}
	return r
}

// route is the work of one expert: rows and their weights.
type route struct {
	rows   []int
	weight []float32
}

// choose routes the given rows of n [rows, d]; router is [N, d]. Equal
// probabilities go to the smaller expert.
func (x *Experts) choose(rows []int, n, router []float32) []route {
	routes := make([]route, x.N)
	d := len(router) / x.N
	wide := widened(router)
	var in, p [4][]float64 // four rows share a pass over the router
	for k := range in {
		in[k], p[k] = make([]float64, d), make([]float64, x.N)
	}
	taken := make([]int, 0, x.Top+1)
	for len(rows) > 0 {
		block := rows[:min(len(in), len(rows))]
		rows = rows[len(block):]
		for k, row := range block {
			for i, v := range n[row*d : (row+1)*d] {
				in[k][i] = float64(v)
			}
		}
		for e := range x.N {
			p[0][e], p[1][e], p[2][e], p[3][e] = dots(wide[e*d:(e+1)*d], in[0], in[1], in[2], in[3])
		}
		for k, row := range block {
			taken = x.pick(p[k], taken[:0])
			sum := 0.0
			for _, e := range taken {
				sum += p[k][e]
			}
			if !x.Normalise {
				sum = 1
			}
			for _, e := range taken {
				routes[e].rows = append(routes[e].rows, row)
				routes[e].weight = append(routes[e].weight, float32(p[k][e]/sum))
			}
		}
	}
	return routes
}

// pick turns scores into probabilities and appends the experts of the largest.
func (x *Experts) pick(p []float64, taken []int) []int {
	top, sum := slices.Max(p), 0.0
	for e := range p {
		p[e] = math.Exp(p[e] - top)
		sum += p[e]
	}
	for e := range p {
		p[e] /= sum
		at := len(taken)
		for at > 0 && p[e] > p[taken[at-1]] {
			at--
		}
		if at < x.Top {
			if taken = slices.Insert(taken, at, e); len(taken) > x.Top {
				taken = taken[:x.Top]
			}
		}
	}
	return taken
}

func widened(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// dots is the products of w with four vectors; each sum has one order.
func dots(w, a, b, c, d []float64) (s, t, u, v float64) {
	a, b, c, d = a[:len(w)], b[:len(w)], c[:len(w)], d[:len(w)]
	for i, x := range w {
		s += x * a[i]
		t += x * b[i]
		u += x * c[i]
		v += x * d[i]
	}
	return s, t, u, v
}

// expert adds the weighted output of one expert to the rows of sum.
func (m *Model) expert(block *Block, r route, n *tensors.Tensor, ws []*tensors.Tensor, sum []float32) error {
	d := m.spec.Width
	R := expertRows(len(r.rows), d*block.MLP.Width)
	in, err := m.eng.f32([]int{R, d}, func(dst []float32) error {
		clear(dst[len(r.rows)*d:])
		return read(n, func(n []float32) {
			for i, row := range r.rows {
				copy(dst[i*d:(i+1)*d], n[row*d:(row+1)*d])
			}
		})
	})
	if err != nil {
		return err
	}
	rows, err := m.eng.donate(in)
	if err != nil {
		free(in)
		return err
	}
	act := block.MLP.Act
	out, err := m.eng.run(fmt.Sprintf("expert %s %d [%d]", act, block.MLP.Width, R), func(in []*node) []*node {
		return []*node{dense(gated(act, dense(in[0], widen(in[1]), nil)), widen(in[2]), nil)}
	}, rows, ws[0], ws[1])
	if err != nil {
		return err
	}
	defer free(out...)
	return read(out[0], func(y []float32) {
		for i, row := range r.rows {
			w, dst := r.weight[i], sum[row*d:(row+1)*d]
			for c, v := range y[i*d : (i+1)*d] {
				dst[c] += w * v
			}
		}
	})
}

// expertRows is the number of rows of the product that takes n: a bucket, and
// enough that every product takes the kernels for large ones, each with at least
// so many multiplications a row.
func expertRows(n, multiplications int) int {
	n = max(n, (largePath+multiplications-1)/multiplications)
	for R := 16; ; R *= 2 {
		if n <= R {
			return R
		}
		if n <= R+R/2 {
			return R + R/2
		}
	}
}

// idle is the number of weights of the experts that one token does not take.
func (s *Spec) idle() (n int64) {
	for l := range s.Layers {
		m := &s.Block(l).MLP
		if x := m.Experts; x != nil {
			n += int64(x.N-x.Top) * 3 * int64(m.Width) * int64(s.Width)
		}
	}
	return n
}
