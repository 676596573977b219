package model

import (
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"
)

// prepareHead chooses the rows of the output head. Scoring's graph has more than a
// batch of continuations and would waste most of them, so generation has a graph of
// its own where the memory holds the output matrix once more.
func (g *generator) prepareHead() error {
	m := g.m
	g.chunk = g.o.Batch
	if !m.headConst {
		return nil
	}
	more := 8 * int64(m.spec.Vocab) * int64(m.spec.headWidth()) // given, and packed
	if g.chunk >= m.headChunk || m.limit > 0 && m.Forecast(m.usual()).Total()+more > m.limit {
		g.chunk = m.headChunk
		return m.packHead()
	}
	if m.eng.has(g.headKey()) {
		return nil
	}
	own := m.headMatrix == nil // scoring holds it as a constant already
	if own {
		if err := m.readHeadMatrix(m.source); err != nil {
			return err
		}
		defer func() {
			free(m.headMatrix)
			m.headMatrix = nil
		}()
	}
	x, err := m.eng.f32([]int{g.chunk, m.spec.Width}, func([]float32) error { return nil })
	if err != nil {
		return err
	}
	defer free(x)
	out, err := g.runHead(x)
	free(out...)
	return err
}

func (g *generator) headKey() string { return fmt.Sprintf("logits [%d]", g.chunk) }

// runHead runs the output head on x [chunk, d].
func (g *generator) runHead(x *tensors.Tensor) ([]*tensors.Tensor, error) {
	m := g.m
	if m.headConst && g.chunk == m.headChunk {
		return m.logits(x)
	}
	in := []any{x}
	for _, t := range m.headSlots {
		in = append(in, t)
	}
	w := m.headMatrix
	if !m.headConst {
		in = append(in, w)
		w = nil
	}
	return m.eng.run(g.headKey(), logitsStage(m.spec, w), in...)
}

// logits runs the output head on the hidden states of rows and shows each row's
// logits; rows that are nil are left out.
func (g *generator) logits(hidden [][]float32, use func(i int, z []float32) error) error {
	d, V := g.m.spec.Width, g.m.spec.Vocab
	for from := 0; from < len(hidden); from += g.chunk {
		rows := hidden[from:min(from+g.chunk, len(hidden))]
		x, err := g.m.eng.f32([]int{g.chunk, d}, func(dst []float32) error {
			clear(dst)
			for i, h := range rows {
				copy(dst[i*d:(i+1)*d], h)
			}
			return nil
		})
		if err != nil {
			return err
		}
		out, err := g.runHead(x)
		free(x)
		if err != nil {
			return err
		}
		var uerr error
		err = read(out[0], func(z []float32) {
			for i, h := range rows {
				if h == nil {
					continue
				}
				if uerr = use(from+i, z[i*V:(i+1)*V]); uerr != nil {
					return
				}
			}
		})
		free(out...)
		if err == nil {
			err = uerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
