package model

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"github.com/gomlx/gomlx/core/tensors"
)

// headChunk is the number of rows of one head execution: [headChunk, V] logits
// are the largest tensor ever held. A matrix that is an argument is packed at
// every call, so it wants more rows; with a packed constant few rows are as fast,
// and their logits stay in the cache for the statistics.
const (
	headChunk      = 64
	headChunkArgs  = 256
	headConstBytes = 1 << 30 // largest output matrix that is held as a constant (and packed: twice)
)

// headRun scores rows for one Run.
type headRun struct {
	m    *Model
	o    ScoreOptions
	want scoreWants
	key  string
	mask *tensors.Tensor // [1, V/size, size], nil where nothing is masked
}

func (m *Model) newHead(o *ScoreOptions) (*headRun, error) {
	V := m.spec.Vocab
	if m.spec.Head.None {
		return nil, errHeadless()
	}
	if o.Vocab < 0 || o.Vocab > V {
		return nil, fault.Usagef("model: vocabulary of %d entries: the output head has %d", o.Vocab, V)
	}
	if o.TopK < 0 || o.TopK > V {
		return nil, fault.Usagef("model: top %d: the vocabulary has %d entries", o.TopK, V)
	}
	h := &headRun{m: m, o: *o, want: scoreWants{stats: !o.LogprobOnly, moments: o.Moments, logSum: o.TopK > 0, vocab: V}}
	if o.Vocab > 0 {
		h.want.vocab = o.Vocab
	}
	h.key = fmt.Sprintf("score %v", h.want)
	if h.want.vocab < V {
		var err error
		size := blockOf(V)
		h.mask, err = m.cached(tableKey{kind: -2, T: h.want.vocab}, []int{1, V / size, size}, func(x []float32) {
			for i := h.want.vocab; i < V; i++ {
				x[i] = maskedLogit
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return h, m.packHead()
}

// packHead runs the output matrix once, so that the stage holds its constant,
// and lets go of the argument. A model that never scores never gets here.
func (m *Model) packHead() error {
	if !m.headConst || m.headMatrix == nil {
		return nil
	}
	rows, err := m.eng.f32([]int{m.headChunk, m.spec.Width}, func([]float32) error { return nil })
	if err != nil {
		return err
	}
	defer free(rows)
	out, err := m.logits(rows)
	if err != nil {
		return err
	}
	free(out...)
	free(m.headMatrix)
	m.headMatrix = nil
	return nil
}

// logits runs the output matrix on rows [headChunk, d].
func (m *Model) logits(rows *tensors.Tensor) ([]*tensors.Tensor, error) {
	in := []any{rows}
	for _, t := range m.headSlots {
		in = append(in, t)
	}
	w := m.headMatrix
	if !m.headConst {
		in = append(in, w)
		w = nil
	}
	return m.eng.run("logits", logitsStage(m.spec, w), in...)
}

// place is where a scored row belongs.
type place struct {
	it  *item
	j   int // target
	row int // row of x, flattened over the batch
}

// score runs the head over the rows of x [B, T, d] that predict a target.
func (h *headRun) score(ctx context.Context, b batch, x *tensors.Tensor) error {
	var ps []place
	for i, it := range b.items {
		n := len(it.w.Targets)
		it.scores = h.empty(n)
		for j := range n {
			p := place{it, j, i*b.T + it.w.row(j)}
			if h.want.vocab < h.m.spec.Vocab && int(it.w.Targets[j]) >= h.want.vocab {
				return h.bad(p, "id", "masked out of the vocabulary")
			}
			ps = append(ps, p)
		}
	}
	d, chunk := h.m.spec.Width, h.m.headChunk
	for len(ps) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(chunk, len(ps))
		rows, err := h.m.eng.f32([]int{chunk, d}, func(dst []float32) error {
			return read(x, func(src []float32) {
				for i, p := range ps[:n] {
					copy(dst[i*d:(i+1)*d], src[p.row*d:(p.row+1)*d])
				}
			})
		})
		if err != nil {
			return err
		}
		ids, err := h.m.eng.i32([]int{chunk, 1}, func(dst []int32) error {
			for i, p := range ps[:n] {
				dst[i] = p.it.w.Targets[p.j]
			}
			return nil
		})
		if err == nil {
			err = h.chunk(ps[:n], rows, ids)
		}
		free(rows, ids)
		if err != nil {
			return err
		}
		ps = ps[n:]
	}
	return nil
}

func (h *headRun) empty(n int) Scores {
	s := Scores{Logprob: make([]float32, n)}
	if h.want.stats {
		s.Entropy, s.SD, s.ArgmaxLogprob = make([]float32, n), make([]float32, n), make([]float32, n)
		s.Rank, s.ArgmaxID = make([]int32, n), make([]int32, n)
	}
	if h.want.moments {
		s.UMean, s.USD = make([]float32, n), make([]float32, n)
	}
	if h.want.logSum {
		s.TopID, s.TopLogprob = make([][]int32, n), make([][]float32, n)
	}
	return s
}

// chunk scores up to headChunk rows and files the values.
func (h *headRun) chunk(ps []place, rows, ids *tensors.Tensor) error {
	logits, err := h.m.logits(rows)
	if err != nil {
		return err
	}
	defer free(logits...)
	in := []any{logits[0], logits[1], ids}
	if h.o.TopK == 0 { // nobody reads the logits afterwards: let the stage overwrite them
		if in[0], err = h.m.eng.donate(logits[0]); err != nil {
			return err
		}
	}
	if h.mask != nil {
		in = append(in, h.mask)
	}
	out, err := h.m.eng.run(h.key, scoreStage(h.want), in...)
	if err != nil {
		return err
	}
	defer free(out...)
	take := func() *tensors.Tensor {
		t := out[0]
		out = out[1:]
		return t
	}
	floats := func(field func(s *Scores) []float32) error {
		var bad error
		err := read(take(), func(x []float32) {
			for i, p := range ps {
				if x[i]-x[i] != 0 {
					bad = h.bad(p, "nonfinite", fmt.Sprintf("output %g", x[i]))
					return
				}
				field(&p.it.scores)[p.j] = x[i]
			}
		})
		return cmp.Or(bad, err)
	}
	if err := floats(func(s *Scores) []float32 { return s.Logprob }); err != nil {
		return err
	}
	if h.want.moments {
		if err := floats(func(s *Scores) []float32 { return s.UMean }); err != nil {
			return err
		}
		if err := floats(func(s *Scores) []float32 { return s.USD }); err != nil {
			return err
		}
	}
	if h.want.logSum {
		if err := h.top(ps, logits[0], take()); err != nil {
			return err
		}
	}
	if !h.want.stats {
		return nil
	}
	if err := floats(func(s *Scores) []float32 { return s.Entropy }); err != nil {
		return err
	}
	if err := floats(func(s *Scores) []float32 { return s.SD }); err != nil {
		return err
	}
	if err := read(take(), func(x []float32) { // counts below 2^24 are exact in float32
		for i, p := range ps {
			p.it.scores.Rank[p.j] = int32(x[i])
		}
	}); err != nil {
		return err
	}
	if err := read(take(), func(x []int32) {
		for i, p := range ps {
			p.it.scores.ArgmaxID[p.j] = x[i]
		}
	}); err != nil {
		return err
	}
	return floats(func(s *Scores) []float32 { return s.ArgmaxLogprob })
}

// top selects the largest logits of each row. The Go backend's TopK sorts the
// whole row, which takes seconds; a scan with a small heap does not.
func (h *headRun) top(ps []place, logits, logSum *tensors.Tensor) error {
	V := h.m.spec.Vocab
	return read(logSum, func(sum []float32) {
		_ = read(logits, func(x []float32) {
			for i, p := range ps {
				row := x[i*V : i*V+h.want.vocab]
				ids := largest(row, h.o.TopK)
				lp := make([]float32, len(ids))
				for k, id := range ids {
					lp[k] = (row[id] - row[ids[0]]) - sum[i]
				}
				p.it.scores.TopID[p.j], p.it.scores.TopLogprob[p.j] = ids, lp
			}
		})
	})
}

// largest returns the ids of the k largest values, descending, ties by id.
func largest(x []float32, k int) []int32 {
	k = min(k, len(x))
	ids := make([]int32, 0, k+1)
	low := float32(math.Inf(-1))
	for id, v := range x {
		if len(ids) == k && v <= low {
			continue
		}
		at, _ := slices.BinarySearchFunc(ids, v, func(e int32, v float32) int { return cmp.Compare(v, x[e]) })
		for at < len(ids) && x[ids[at]] == v { // a later id stands after its equals
			at++
		}
		ids = slices.Insert(ids, at, int32(id))
		if len(ids) > k {
			ids = ids[:k]
		}
		low = x[ids[len(ids)-1]]
	}
	return ids
}

func (h *headRun) bad(p place, code, what string) error {
	return &fault.Fault{Class: fault.Input, Code: code, Err: &RowError{
		Doc: p.it.w.Doc, Window: p.it.w.Index, Row: p.j, ID: p.it.w.Targets[p.j], What: what}}
}
