package states

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"

	"assay/internal/fault"
	"assay/model"
	"assay/model/states/items"
	"assay/model/trace"
)

// extraction is one pass over documents: windows to the model, taps to vectors.
type extraction struct {
	ctx  context.Context
	m    Model
	p    *Plan
	sink sink

	have  func(doc int) bool // stored already; nil = none is
	limit func(tokens int) bool
	again bool // feed all that limit lets in once more, in small batches, as documents again(i)
	trace *tracing
	// progress is called with the input tokens that were computed.
	progress func(tokens int)

	wants   map[string][]int // layers by tap
	pending map[int]*pending
	order   []int // documents in the order of the input
	skipped int

	work chan *result
	wg   sync.WaitGroup
	mu   sync.Mutex
	err  error
}

// pending is a document whose windows are on their way through the model.
type pending struct {
	ordinal int
	id      string
	seq     sequence
	left    int         // taps and layers still to come, over all windows
	views   []*pooling  // by view
	stats   []*tokenSum // by tap of Plan.stats
	lens    []float32   // positions x layers x width
	at      []int32     // positions that the lens reads
}

// taps are what the model is asked for: the union of the views' layers.
func (e *extraction) taps() []model.Tap {
	e.wants = map[string][]int{}
	var out []model.Tap
	add := func(tap string, layers []int) {
		for _, l := range layers {
			if !slices.Contains(e.wants[tap], l) {
				e.wants[tap] = append(e.wants[tap], l)
			}
		}
	}
	var names []string
	for _, v := range e.p.views {
		if e.wants[v.Tap] == nil {
			names = append(names, v.Tap)
		}
		add(v.Tap, v.Layers)
	}
	if len(e.p.lens) > 0 {
		if e.wants[model.TapResidPost] == nil {
			names = append(names, model.TapResidPost)
		}
		for l := range e.p.layers {
			add(model.TapResidPost, []int{l})
		}
	}
	for _, n := range names {
		out = append(out, model.Tap{Name: n, Layers: e.wants[n]})
	}
	return out
}

// run feeds the documents and waits until all are stored. Finished documents are
// stored by goroutines of their own: the model shows one tap at a time.
func (e *extraction) run(ctx context.Context, docs iter.Seq2[items.Item, error]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	taps := e.taps()
	n := max(1, runtime.GOMAXPROCS(0))
	e.work = make(chan *result, n)
	for range n {
		e.wg.Go(func() {
			for r := range e.work {
				if e.failed() != nil {
					continue
				}
				if err := e.sink.put(r); err != nil {
					e.mu.Lock()
					if e.err == nil {
						e.err = err
					}
					e.mu.Unlock()
					cancel()
				}
			}
		})
	}
	job, ws := model.Job{Taps: taps, Reduce: e.reduce, Windows: e.underWay(), Progress: e.progress}, e.windows(docs)
	if e.trace != nil {
		job.Score, job.Emit = &e.trace.o, e.trace.back
		defer e.trace.stop()
	}
	err := e.m.Run(ctx, ws, job)
	close(e.work)
	e.wg.Wait()
	if failed := e.failed(); failed != nil {
		return failed
	}
	if err != nil {
		return e.locate(err)
	}
	if len(e.pending) > 0 {
		return fmt.Errorf("states: %d documents came back incomplete from the model", len(e.pending))
	}
	return nil
}

// pendingBytes bounds the vectors and sums of documents that are under way where
// layers run one after the other.
const pendingBytes = 1 << 30

// underWay is how many documents that bound allows.
func (e *extraction) underWay() int {
	n := 0
	for _, v := range e.p.views {
		n += 4 * len(v.Layers) * v.Width
	}
	for _, tap := range e.p.stats {
		for _, v := range e.p.views {
			if v.Tap == tap {
				n += tokenSumBytes * len(v.Layers) * v.Width
				break
			}
		}
	}
	return max(1, pendingBytes/max(1, n))
}

func (e *extraction) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *extraction) windows(docs iter.Seq2[items.Item, error]) iter.Seq2[model.Window, error] {
	parts := 0
	for _, layers := range e.wants {
		parts += len(layers)
	}
	return func(yield func(model.Window, error) bool) {
		ordinal := -1
		var fed []*pending
		for it, err := range docs {
			if err != nil {
				yield(model.Window{}, err)
				return
			}
			ordinal++
			if ordinal < e.p.from {
				continue
			}
			if ordinal >= e.p.to {
				break
			}
			scored, err := e.trace.of(ordinal)
			if err != nil {
				yield(model.Window{}, err)
				return
			}
			if e.have != nil && e.have(ordinal) {
				e.skipped++
				for i, w := range scored { // an earlier run stored the states, not the scores
					if !yield(e.trace.attach(w, ordinal, i, w.IDs), nil) {
						return
					}
				}
				continue
			}
			q, err := e.p.sequence(&it)
			if err == nil {
				_, err = q.split(e.p.policy)
			}
			if err != nil {
				yield(model.Window{}, err)
				return
			}
			if e.limit != nil && e.limit(len(q.ids)) {
				break
			}
			e.order = append(e.order, ordinal)
			d := e.start(ordinal, it.ID, q, parts*len(q.pieces))
			if e.pending[ordinal] = d; e.again {
				fed = append(fed, d)
			}
			for i, w := range q.pieces {
				out := model.Window{Doc: ordinal, Index: i, IDs: q.ids[w.begin:w.end]}
				if len(scored) > 0 && slices.Equal(scored[0].IDs, out.IDs[:len(out.IDs)-1]) {
					out, scored = e.trace.attach(scored[0], ordinal, i, out.IDs), scored[1:]
				}
				if !yield(out, nil) {
					return
				}
			}
			if len(scored) > 0 {
				yield(model.Window{}, fmt.Errorf("states: document %q: %d windows of the trace are none of the states", it.ID, len(scored)))
				return
			}
		}
		for _, d := range slices.Backward(fed) { // so that mates change
			doc := again(d.ordinal)
			e.pending[doc] = e.start(doc, d.id, d.seq, parts*len(d.seq.pieces))
			for i, w := range d.seq.pieces {
				if !yield(model.Window{Doc: doc, Index: i, IDs: d.seq.ids[w.begin:w.end], Small: true}, nil) {
					return
				}
			}
		}
	}
}

// again numbers the second computation of a document.
func again(ordinal int) int { return -1 - ordinal }

func (e *extraction) start(ordinal int, id string, q sequence, left int) *pending {
	d := &pending{ordinal: ordinal, id: id, seq: q, left: left, at: e.p.lens[ordinal]}
	for v, view := range e.p.views {
		d.views = append(d.views, &pooling{view: view, pool: e.p.pools[v], id: id, lo: q.lo, hi: q.hi, pieces: len(q.pieces)})
	}
	for range e.p.stats {
		d.stats = append(d.stats, nil)
	}
	return d
}

// reduce takes one window at one tap and layer. The model calls it one at a time.
func (e *extraction) reduce(w model.Window, t model.Tap, layer int, x model.View) error {
	d := e.pending[w.Doc]
	if d == nil && e.trace != nil {
		return nil // scored only
	}
	if d == nil {
		return fmt.Errorf("states: the model returned a window of document %d, which is not under way", w.Doc)
	}
	own := d.seq.pieces[w.Index]
	for _, p := range d.views {
		if p.view.Tap == t.Name {
			p.add(layer, w.Index, own, x)
		}
	}
	for i, name := range e.p.stats {
		if name != t.Name {
			continue
		}
		if d.stats[i] == nil {
			d.stats[i] = newTokenSum(e.statLayers(name))
			if e.p.sameness {
				d.stats[i].sameness(d.seq.lo, d.seq.hi)
			}
		}
		d.stats[i].add(layer, w.Index, own, x)
	}
	if t.Name == model.TapResidPost && len(d.at) > 0 {
		if d.lens == nil {
			d.lens = make([]float32, len(d.at)*e.p.layers*x.Width)
		}
		for i, at := range d.at {
			if int(at) >= own.lo && int(at) < own.hi {
				copy(d.lens[(i*e.p.layers+layer)*x.Width:], x.Row(int(at)-own.begin))
			}
		}
	}
	if d.left--; d.left > 0 {
		return nil
	}
	delete(e.pending, w.Doc)
	return e.finish(d)
}

// statLayers are the layers of the tap's first view.
func (e *extraction) statLayers(tap string) []int {
	for _, v := range e.p.views {
		if v.Tap == tap {
			return v.Layers
		}
	}
	return nil
}

// finish hands a complete document on.
func (e *extraction) finish(d *pending) error {
	r := &result{doc: d.ordinal, tokens: len(d.seq.ids)}
	for _, p := range d.views {
		x, err := p.vectors()
		if err != nil {
			return err
		}
		r.views = append(r.views, x)
	}
	for _, s := range d.stats {
		r.stats = append(r.stats, s.done())
	}
	if len(d.at) > 0 {
		var err error
		if r.lens, err = e.lens(d); err != nil {
			return err
		}
	}
	e.work <- r
	return nil
}

// lens reads the states at the document's lens positions with the output head.
func (e *extraction) lens(d *pending) ([]trace.LensReading, error) {
	targets := make([]int32, len(d.at))
	for i, at := range d.at {
		targets[i] = d.seq.target(at)
	}
	K := e.p.layers
	rs, err := e.m.Lens(e.ctx, d.lens, K, targets)
	if err != nil {
		return nil, fmt.Errorf("states: document %q: %w", d.id, err)
	}
	out := make([]trace.LensReading, len(d.at))
	for i := range out {
		r := &out[i]
		for _, l := range rs[i*K : (i+1)*K] {
			r.LogProb, r.Entropy, r.KL = append(r.LogProb, l.Logprob), append(r.Entropy, l.Entropy), append(r.KL, l.KL)
			r.Rank = append(r.Rank, l.Rank)
			for k := range model.LensTop {
				id, lp := int32(-1), nan32()
				if k < len(l.TopID) {
					id, lp = l.TopID[k], l.TopLogprob[k]
				}
				r.TopID, r.TopLogProb = append(r.TopID, id), append(r.TopLogProb, lp)
			}
		}
	}
	return out, nil
}

// locate names the document and position of a state that failed.
func (e *extraction) locate(err error) error {
	var s *model.StateError
	f := fault.As(err)
	if f == nil || !errors.As(err, &s) {
		return err
	}
	d := e.pending[s.Doc]
	if d == nil || s.Window >= len(d.seq.pieces) {
		return err
	}
	return fault.New(f.Class, f.Code, "states: document %q: %s layer %d position %d (id %d): %v, want a finite value: %w",
		d.id, s.Tap, s.Layer, d.seq.pieces[s.Window].begin+s.Row, s.ID, s.Value, err)
}
