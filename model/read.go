package model

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"assay/weights"
	"github.com/gomlx/gomlx/core/tensors"
)

// read fills the weights.
func (m *Model) read(r *reader) error {
	var err error
	if m.embed, err = r.matrix("embed.w"); err != nil {
		return err
	}
	if err := r.checkTie(m.embed); err != nil {
		return err
	}
	if m.positions, err = r.get("positions.w"); err != nil {
		return err
	}
	if m.types, err = r.get("types.w"); err != nil {
		return err
	}
	if !m.half { // matrices in 16 bits stay as they are; others go from the file to their place
		body := *r
		body.mapped = true
		r = &body
	}
	if !m.stream {
		m.layers = make([][]*tensors.Tensor, len(m.spec.Layers))
		err := parallel(len(m.layers), runtime.GOMAXPROCS(0), func(l int) (err error) {
			if m.layers[l], err = m.readLayer(r, l); err != nil {
				return err
			}
			return r.drop(r.inv.layer(l))
		})
		if err != nil {
			return err
		}
	}
	if err := m.readEmbed(r); err != nil {
		return err
	}
	if err := m.readHead(r); err != nil || m.stream {
		return err
	}
	return r.drop(slices.Collect(maps.Values(r.inv.names)))
}

// drop tells a mapped source that tensors were copied: their pages need not stay
// in memory beside the copies. It fails where the file has changed in the meantime.
func (r *reader) drop(names []string) error {
	src, ok := r.src.(interface {
		Drop(names ...string) error
		Changed(name string) error
	})
	if !ok {
		return nil
	}
	if err := src.Drop(names...); err != nil {
		return err
	}
	for _, n := range names {
		if err := src.Changed(n); err != nil {
			return err
		}
	}
	return nil
}

// readLayer reads the parameters of layer l, in the order of its slots.
func (m *Model) readLayer(r *reader, l int) (ts []*tensors.Tensor, err error) {
	vals, err := r.blockSlots(m.fam, m.spec, l, m.fold)
	if err != nil {
		return nil, err
	}
	for _, slot := range m.spec.Block(l).slots(m.spec.Width, m.fold) {
		t, err := m.tensor(slot.dims, vals[slot.name])
		if err != nil {
			free(ts...)
			return nil, fmt.Errorf("model: layer %d %s: %w", l, slot.name, err)
		}
		ts = append(ts, t)
		delete(vals, slot.name)
	}
	return ts, nil
}

// parallel calls f for 0..n-1 on some goroutines and returns the error of the
// smallest index that failed.
func parallel(n, workers int, f func(i int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	var failed atomic.Bool
	for range min(n, workers) {
		wg.Go(func() {
			for i := range next {
				func() {
					defer edge("load", &errs[i])
					errs[i] = f(i)
				}()
				if errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	for i := 0; i < n && !failed.Load(); i++ {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) readEmbed(r *reader) error {
	s := m.spec
	if s.Embed.Width != 0 {
		p, err := r.part("embedproj", s.Width)
		if err != nil {
			return err
		}
		x, _ := join([]part{p}, s.Embed.Width, m.fam.Names.Transposed, nil)
		t, err := m.tensor([]int{s.Embed.Width, s.Width}, x)
		if err != nil {
			return err
		}
		m.embedSlots = append(m.embedSlots, t)
	}
	ts, err := m.readNorm(r, "embednorm", s.Embed.Norm)
	m.embedSlots = append(m.embedSlots, ts...)
	return err
}

// readNorm reads the gain and bias of a norm outside the blocks.
func (m *Model) readNorm(r *reader, key string, n *Norm) ([]*tensors.Tensor, error) {
	var ts []*tensors.Tensor
	for _, x := range []string{".g", ".b"} {
		v, err := r.get(key + x)
		if err != nil {
			return ts, err
		}
		if v == nil {
			continue
		}
		if x == ".g" && n.PlusOne {
			plusOne(v)
		}
		t, err := m.tensor([]int{len(v)}, matrix{f: v})
		if err != nil {
			return ts, err
		}
		ts = append(ts, t)
	}
	return ts, nil
}

func (m *Model) readHead(r *reader) (err error) {
	s := m.spec
	if m.finalSlots, err = m.readNorm(r, "final", s.Final); err != nil {
		return err
	}
	if s.Head.None {
		return nil
	}
	if e := s.Embed.Width; e != 0 {
		p, err := r.part("headproj", e)
		if err != nil {
			return err
		}
		x, _ := join([]part{p}, s.Width, m.fam.Names.Transposed, nil)
		t, err := m.tensor([]int{s.Width, e}, x)
		if err != nil {
			return err
		}
		m.finalSlots = append(m.finalSlots, t)
	}
	m.headSlots = slices.Clone(m.finalSlots)
	if s.Head.Transform != nil {
		ts, err := m.readTransform(r)
		m.headSlots = append(m.headSlots, ts...)
		if err != nil {
			return err
		}
	}
	if s.Head.Bias {
		b, err := r.get("head.b")
		if err != nil {
			return err
		}
		t, err := m.tensor([]int{s.Vocab}, matrix{f: b})
		if err != nil {
			return err
		}
		m.headSlots = append(m.headSlots, t)
	}
	m.headConst, m.headChunk = true, headChunk
	if !m.eng.backend.HasSharedBuffers() || 4*int64(s.Vocab)*int64(s.headWidth()) > headConstBytes {
		m.headConst, m.headChunk = false, headChunkArgs
	}
	if m.stream { // read when it is needed
		return nil
	}
	return m.readHeadMatrix(r)
}

// readHeadMatrix reads the output matrix.
func (m *Model) readHeadMatrix(r *reader) error {
	s := m.spec
	key := "head.w"
	if s.Head.Tied {
		key = "embed.w"
	}
	w, err := r.matrix(key)
	if err != nil {
		return err
	}
	e := s.headWidth()
	m.headMatrix, err = m.eng.f32([]int{e, s.Vocab}, func(dst []float32) error {
		const run = 2048 // rows, the columns of dst
		return parallel((s.Vocab+run-1)/run, runtime.GOMAXPROCS(0), func(i int) error {
			from := i * run
			return weights.Guard(func() error {
				w.lay(dst, s.Vocab, from, seqRows(from, min(run, s.Vocab-from)), e, false)
				return nil
			})
		})
	})
	return err
}
