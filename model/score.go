package model

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// Scores are the values of one window's targets, in target order; equal lengths.
type Scores struct {
	Logprob       []float32 // ln p(target), nats
	Entropy       []float32 // -sum p ln p, nats
	SD            []float32 // sqrt(sum p (ln p + H)^2), nats
	Rank          []int32   // number of strictly greater logits
	ArgmaxID      []int32   // smallest id of the largest logit
	ArgmaxLogprob []float32
	UMean, USD    []float32   // mean and ddof-1 sd of ln p over the vocabulary; nil unless asked
	TopID         [][]int32   // TopK ids of the largest logits, descending, ties by id; nil unless asked
	TopLogprob    [][]float32 // their ln p
}

// ScoreOptions say what is computed beside the default statistics.
type ScoreOptions struct {
	Moments bool // UMean and USD
	TopK    int  // TopID and TopLogprob
	// Vocab masks the output entries from this id on (padding of the
	// vocabulary) out of the softmax; 0 masks none.
	Vocab int
	// LogprobOnly leaves everything but Logprob nil. It is the baseline that the
	// cost of the statistics is measured against.
	LogprobOnly bool
	// BatchTokens overrides Options.BatchTokens.
	BatchTokens int
	// Progress is called after each batch with its tokens, or, where layers run one
	// after the other, with a part of them after each layer.
	Progress func(tokens int)
}

// Score runs every window of ws and calls emit with each, in input order and
// never concurrently. It stops at the first error, of ws and emit too; windows
// emitted before it are good. A window may have no targets.
func (m *Model) Score(ctx context.Context, ws iter.Seq2[Window, error], o ScoreOptions, emit func(Window, Scores) error) error {
	return m.Run(ctx, ws, Job{Score: &o, Emit: emit})
}

// States runs every window and calls reduce with the tapped hidden states, one
// window and layer at a time, never concurrently; windows come in batch order,
// the layers of a window in ascending order.
func (m *Model) States(ctx context.Context, ws iter.Seq2[Window, error], taps []Tap, reduce func(w Window, t Tap, layer int, x View) error) error {
	return m.Run(ctx, ws, Job{Taps: taps, Reduce: reduce})
}

// Job is what one pass over the windows produces: scores, hidden states or both.
type Job struct {
	Score  *ScoreOptions // nil: the output head does not run
	Emit   func(Window, Scores) error
	Taps   []Tap
	Reduce func(w Window, t Tap, layer int, x View) error
	// Windows bounds the windows that are under way at once where layers run one
	// after the other, which keeps every window's state until the last layer; 0
	// leaves it to the model.
	Windows int
	// Progress is called with the tokens that were computed since the last call.
	// A window counts in parts where layers run one after the other.
	Progress func(tokens int)
}

// groupBatches is the number of batches whose windows are sorted by length together.
const groupBatches = 64

// Run is Score and States in one forward pass.
func (m *Model) Run(ctx context.Context, ws iter.Seq2[Window, error], job Job) (err error) {
	defer edge("score", &err)
	r, err := m.newRun(job)
	if err != nil {
		return err
	}
	var group []*item
	tokens, order, longest := 0, 0, m.usual()
	flush := func() error {
		err := r.group(ctx, group)
		group, tokens = nil, 0
		return err
	}
	for w, err := range ws {
		if err != nil {
			return err
		}
		if err := m.check(&w); err != nil {
			return err
		}
		if T := bucket(len(w.IDs)); T > longest {
			if err := m.fits(T); err != nil {
				return err
			}
			longest = T
		}
		group = append(group, &item{w: w, order: order, tokens: len(w.IDs)})
		order++
		if tokens += bucket(len(w.IDs)); tokens >= m.groupSize(r.batchTokens) || m.stream && job.Windows > 0 && len(group) >= job.Windows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// run is one call of Run.
type run struct {
	m           *Model
	job         Job
	batchTokens int
	plan        tapPlan
	head        *headRun

	mu   sync.Mutex // guards emission and reduction
	next int        // order of the next window to emit
	told sync.Mutex // guards progress
}

func (m *Model) newRun(job Job) (*run, error) {
	r := &run{m: m, job: job, batchTokens: m.opts.BatchTokens}
	if job.Score != nil && job.Score.BatchTokens > 0 {
		r.batchTokens = job.Score.BatchTokens
	}
	var err error
	if r.plan, err = m.planTaps(job.Taps); err != nil {
		return nil, err
	}
	if job.Score != nil {
		if r.head, err = m.newHead(job.Score); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// group packs items into batches and runs several at a time: many operations
// of the Go backend use one thread, so disjoint batches fill the cores.
func (r *run) group(ctx context.Context, items []*item) error {
	batches := r.m.pack(items, r.batchTokens)
	if r.m.stream {
		return r.layered(ctx, batches, items)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return r.each(ctx, cancel, len(batches), func(i int) error {
		err := r.batch(ctx, batches[i], items)
		if err == nil {
			r.part(batches[i], 0, 1)
		}
		return err
	})
}

// each calls f for 0..n-1, several at a time, until one fails or ctx ends.
func (r *run) each(ctx context.Context, cancel context.CancelCauseFunc, n int, f func(i int) error) error {
	var wg sync.WaitGroup
	next := make(chan int)
	one := func(i int) (err error) {
		defer edge("batch", &err)
		if ctx.Err() != nil {
			return nil
		}
		if err = f(i); errors.Is(err, context.Canceled) {
			return nil // the cause is kept by the context
		}
		return err
	}
	for range min(r.m.inflight, n) {
		wg.Go(func() {
			for i := range next {
				if err := one(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// part reports step i of n of a batch.
func (r *run) part(b batch, i, n int) {
	tokens := 0
	for _, it := range b.items {
		tokens += it.tokens
	}
	tokens = tokens*(i+1)/n - tokens*i/n
	r.told.Lock()
	defer r.told.Unlock()
	if r.job.Score != nil && r.job.Score.Progress != nil {
		r.job.Score.Progress(tokens)
	}
	if r.job.Progress != nil {
		r.job.Progress(tokens)
	}
}

// batch runs one batch through the layers and the head, then emits what is complete.
func (r *run) batch(ctx context.Context, b batch, group []*item) error {
	x, err := r.m.forward(ctx, b, r)
	if err != nil {
		return err
	}
	defer free(x)
	if r.head != nil {
		if err := r.head.score(ctx, b, x); err != nil {
			return err
		}
	}
	return r.finish(b, group)
}

// finish marks the batch done and emits the windows that are next in order.
func (r *run) finish(b batch, group []*item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, it := range b.items {
		it.done = true
	}
	first := group[0].order
	for i := r.next - first; i < len(group) && group[i].done; i++ {
		it := group[i]
		r.next++
		if r.job.Emit != nil {
			if err := r.job.Emit(it.w, it.scores); err != nil {
				return err
			}
		}
		it.w, it.scores = Window{}, Scores{} // let the collector have them
	}
	return nil
}
