package model

import (
	"context"
	"errors"
	"runtime"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
)

// With WeightsStream a group of windows goes through one layer before any goes
// through the next. The matrices stay in the mapped file; a layer is widened to
// float32 when its turn comes, while the layer before it runs, and let go
// afterwards. Resident are two layers, the hidden states of the group (in a
// scratch file where memory is short) and, at the end, the output matrix.
//
// The layers' parameters, the batches and the graphs are those of WeightsArgs, so
// the values are too, bit for bit.

// A group is a compromise: each costs one pass over the file, and an interruption
// loses what is under way. In the time that a core takes for 8192 tokens a disk of
// 1 GB/s gives the weights many times, whatever the size of the model.
const (
	streamTokensPerCore = 8 << 10
	minStreamTokens     = 16 << 10
	maxStreamTokens     = 256 << 10
)

func streamTokens() int {
	return min(max(streamTokensPerCore*runtime.GOMAXPROCS(0), minStreamTokens), maxStreamTokens)
}

// groupSize is the number of tokens that are batched together.
func (m *Model) groupSize(batchTokens int) int {
	if !m.stream {
		return groupBatches * batchTokens
	}
	if m.streamGroup > 0 {
		return m.streamGroup
	}
	return streamTokens()
}

// Weights is how the weights are held: WeightsArgs, WeightsWide16 or WeightsStream.
func (m *Model) Weights() string {
	switch {
	case m.stream:
		return WeightsStream
	case m.half:
		return WeightsWide16
	}
	return WeightsArgs
}

// Limit is the memory in bytes that the model keeps to; 0 = unknown.
func (m *Model) Limit() int64 { return m.limit }

// layered runs the batches of a group layer by layer.
func (r *run) layered(ctx context.Context, batches []batch, items []*item) (err error) {
	m := r.m
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := newLayerStates(m, batches)
	defer m.dropHead()
	defer func() { err = errors.Join(err, s.close()) }()
	each := func(step int, f func(i int, x *tensors.Tensor) (*tensors.Tensor, error)) error {
		return r.each(ctx, cancel, len(batches), func(i int) error {
			x, err := s.take(i)
			if err != nil {
				return err
			}
			if x, err = f(i, x); err != nil {
				free(x)
				return err
			}
			if x != nil {
				err = s.put(i, x)
			}
			r.part(batches[i], step, len(m.spec.Layers)+1)
			return err
		})
	}
	layers := m.loader(ctx)
	defer layers.stop()
	if err := r.each(ctx, cancel, len(batches), func(i int) error {
		x, err := m.first(batches[i], r)
		if err != nil {
			return err
		}
		return s.put(i, x)
	}); err != nil {
		return err
	}
	for l := range m.spec.Layers {
		ws, err := layers.next()
		if err != nil {
			return err
		}
		err = each(l, func(i int, x *tensors.Tensor) (*tensors.Tensor, error) {
			return m.step(batches[i], l, ws, x, r)
		})
		free(ws...)
		if err != nil {
			return err
		}
	}
	layers.stop()
	if r.head != nil {
		if err := m.needHead(ctx); err != nil {
			return err
		}
	}
	return each(len(m.spec.Layers), func(i int, x *tensors.Tensor) (*tensors.Tensor, error) {
		defer free(x)
		if err := m.last(batches[i], x, r); err != nil {
			return nil, err
		}
		if r.head != nil {
			if err := r.head.score(ctx, batches[i], x); err != nil {
				return nil, err
			}
		}
		return nil, r.finish(batches[i], items)
	})
}

// needHead makes sure that the output matrix is in memory.
func (m *Model) needHead(ctx context.Context) error {
	if !m.stream || m.headReady {
		return nil
	}
	if err := m.readHeadMatrix(m.mapped(ctx)); err != nil {
		return err
	}
	m.headReady = true
	return m.packHead()
}

// dropHead lets go of the output matrix, as an argument or as a stage's constant.
func (m *Model) dropHead() {
	if !m.stream {
		return
	}
	free(m.headMatrix)
	m.headMatrix, m.headReady = nil, false
	if m.headConst {
		m.eng.forget("logits")
	}
}

// mapped reads matrices where they lie in the file.
func (m *Model) mapped(ctx context.Context) *reader {
	return &reader{ctx: ctx, src: m.source.src, inv: m.source.inv, mapped: true}
}

// loader hands out the parameters of one layer after the other. Where memory allows
// it reads a layer while the one before it runs.
type loader struct {
	m      *Model
	r      *reader
	l      int
	ahead  chan loaded // nil: layers are read when they are asked for
	cancel context.CancelFunc
	done   chan struct{}
}

type loaded struct {
	ws  []*tensors.Tensor
	err error
}

func (m *Model) loader(ctx context.Context) *loader {
	x := &loader{m: m, done: make(chan struct{})}
	ctx, x.cancel = context.WithCancel(ctx)
	x.r = m.mapped(ctx)
	if !m.streamAhead {
		close(x.done)
		return x
	}
	x.ahead = make(chan loaded)
	go func() {
		defer close(x.done)
		for l := range m.spec.Layers {
			ws, err := x.read(l)
			select {
			case x.ahead <- loaded{ws, err}:
			case <-ctx.Done():
				free(ws...)
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return x
}

// next returns the parameters of the next layer, which the caller frees before it
// asks again.
func (x *loader) next() ([]*tensors.Tensor, error) {
	if x.ahead == nil {
		x.l++
		return x.read(x.l - 1)
	}
	select {
	case n := <-x.ahead:
		return n.ws, n.err
	case <-x.r.ctx.Done():
		return nil, context.Cause(x.r.ctx)
	}
}

// read widens the parameters of layer l and asks the system for the pages of the next.
func (x *loader) read(l int) (ws []*tensors.Tensor, err error) {
	defer edge("layer", &err)
	advice, _ := x.r.src.(interface {
		Prefetch(names ...string) error
		Drop(names ...string) error
		Changed(name string) error
	})
	names := x.r.inv.layer(l)
	if advice != nil && l+1 < len(x.m.spec.Layers) {
		if err := advice.Prefetch(x.r.inv.layer(l + 1)...); err != nil {
			return nil, err
		}
	}
	if ws, err = x.m.readLayer(x.r, l); err != nil || advice == nil {
		return ws, err
	}
	for _, n := range names {
		if err := errors.Join(advice.Drop(n), advice.Changed(n)); err != nil {
			free(ws...)
			return nil, err
		}
	}
	return ws, nil
}

// stop ends the reading and frees what nobody took. It may be called twice.
func (x *loader) stop() {
	x.cancel()
	<-x.done
}

// layer lists the stored tensors of layer l.
func (inv *inventory) layer(l int) (names []string) {
	prefix := layerKey(l)
	for _, k := range inv.keys {
		if strings.HasPrefix(k, prefix) {
			names = append(names, inv.names[k])
		}
	}
	return names
}
