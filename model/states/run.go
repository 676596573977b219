package states

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"time"

	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
)

// Model is what Run needs of *model.Model.
type Model interface {
	Run(ctx context.Context, ws iter.Seq2[model.Window, error], job model.Job) error
	Lens(ctx context.Context, x []float32, layers int, targets []int32) ([]model.LensReading, error)
}

// RunOptions of a run; none changes a number.
type RunOptions struct {
	Out    string
	Resume bool
	Made   trace.StatesMade
	// Start is called with the number of input tokens before the first forward
	// pass; Progress with those that were computed since the last call.
	Start    func(tokens int64)
	Progress func(tokens int64)
	// SaveEvery bounds the work that a killed process loses; 0 = 10 minutes.
	SaveEvery time.Duration
	Now       func() time.Time
}

// Report is what a run leaves.
type Report struct {
	Path       string                  `json:"path"`
	Run        string                  `json:"run"`
	Docs       int                     `json:"docs"`
	Resumed    int                     `json:"resumed_docs,omitempty"` // documents that an earlier run had finished
	Bytes      int64                   `json:"bytes"`
	Views      []trace.View            `json:"views"`
	Invariance *trace.StatesInvariance `json:"invariance,omitempty"`
	Warnings   []trace.Warning         `json:"warnings"`
}

// invarianceBound is the largest relative difference that batch mates may make.
const invarianceBound = 1e-5

// Run is the second pass: it feeds the model and writes the file. On an
// interruption what is stored stays in FILE.partial, and the error says how to go on.
func Run(ctx context.Context, m Model, in Input, p *Plan, o RunOptions) (*Report, error) {
	return run(ctx, m, in, p, o, nil)
}

func run(ctx context.Context, m Model, in Input, p *Plan, o RunOptions, t *tracing) (*Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SaveEvery == 0 {
		o.SaveEvery = 10 * time.Minute
	}
	start := o.Now()
	rep := &Report{Path: o.Out, Docs: p.to - p.from, Views: p.views, Warnings: append([]trace.Warning{}, p.Warnings...)}
	inv, err := p.invariance(ctx, m, in)
	if err != nil {
		return nil, err
	}
	if inv.MaxRel > invarianceBound {
		rep.Warnings = append(rep.Warnings, trace.Warning{Code: "invariance", Text: fmt.Sprintf(
			"vectors computed alone and in a batch differ by up to %.2g of their size, more than %.0e", inv.MaxRel, invarianceBound)})
	}
	rep.Invariance = inv
	h := trace.StatesHeader{Of: p.Of, Made: o.Made}
	h.Made.Invariance, h.Made.Start = inv, start.UTC().Format(time.RFC3339)
	h.Made.Warnings = append(slices.Clone(o.Made.Warnings), rep.Warnings...)
	create := trace.CreateStates
	if o.Resume {
		create = trace.ResumeStates
	}
	w, err := create(o.Out, p.States, h)
	if err != nil {
		return nil, err
	}
	rep.Bytes, _ = p.States.Bytes()
	if o.Start != nil {
		o.Start(p.Tokens)
	}
	s := &store{w: w, o: &o, saved: start, stats: p.stats, project: p.project, views: p.views}
	e := &extraction{ctx: ctx, m: m, p: p, sink: s, have: func(doc int) bool { return w.Has(doc, 0) }, pending: map[int]*pending{}, trace: t}
	if o.Progress != nil {
		e.progress = func(tokens int) { o.Progress(int64(tokens)) }
	}
	if err := e.run(ctx, in.Items()); err != nil {
		return nil, s.stop(ctx, err)
	}
	rep.Resumed = e.skipped
	if err := w.Close(); err != nil {
		return nil, err
	}
	if h, err = p.States.Describe(h); err != nil {
		return nil, err
	}
	rep.Run = h.Run
	return rep, nil
}

// result is everything about one document.
type result struct {
	doc, tokens int
	views       [][][]float32 // by view and layer
	stats       []trace.TokenStats
	lens        []trace.LensReading
}

// sink takes documents as they become complete, from several goroutines.
type sink interface{ put(r *result) error }

// store writes documents to a file, each whole: a save never falls between the
// parts of a document.
type store struct {
	w     *trace.StatesWriter
	o     *RunOptions
	gate  sync.RWMutex
	mu    sync.Mutex
	saved time.Time
	n     int
	stats []string

	project *Directions
	views   []trace.View
}

func (s *store) put(r *result) error {
	if err := s.add(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if now := s.o.Now(); now.Sub(s.saved) >= s.o.SaveEvery {
		s.saved = now
		return s.save()
	}
	return nil
}

func (s *store) save() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.w.Save()
}

func (s *store) add(r *result) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	for v, x := range r.views {
		if err := s.w.Add(r.doc, v, x); err != nil {
			return err
		}
	}
	for i, t := range r.stats {
		if err := s.w.AddStats(r.doc, s.stats[i], t); err != nil {
			return err
		}
	}
	for v, x := range s.project.projections(s.views, r.views) {
		if x == nil {
			continue
		}
		if err := s.w.AddProjections(r.doc, v, x); err != nil {
			return err
		}
	}
	if len(r.lens) > 0 {
		return s.w.AddLens(r.doc, r.lens)
	}
	return nil
}

// stop keeps what is finished and says how to go on.
func (s *store) stop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = fault.New(fault.Interrupted, "interrupted", "states: interrupted after %d documents", s.n).
			Hint("the same command with --resume goes on from there")
	}
	if saveErr := s.w.Abort(); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	return err
}

// invarianceDocs and invarianceTokens bound the sample of the invariance check.
const (
	invarianceDocs   = 8
	invarianceTokens = 4096
)

// memory keeps vectors.
type memory struct {
	mu   sync.Mutex
	docs map[int]*result
}

func (s *memory) put(r *result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[r.doc] = r
	return nil
}

// invariance computes the first documents in batches of the usual shape and again in
// the smallest ones with other mates, and returns the largest difference of a
// vector, relative to its size (root mean square). It is part of every run, so that
// no file has to be trusted about batching and padding.
func (p *Plan) invariance(ctx context.Context, m Model, in Input) (*trace.StatesInvariance, error) {
	bare := *p
	bare.stats, bare.lens = nil, nil
	some := &memory{docs: map[int]*result{}}
	e := &extraction{ctx: ctx, m: m, p: &bare, sink: some, pending: map[int]*pending{}, again: true}
	tokens := 0
	e.limit = func(n int) bool {
		tokens += n
		return len(e.order) > 0 && (len(e.order) >= invarianceDocs || tokens > invarianceTokens)
	}
	if err := e.run(ctx, in.Items()); err != nil {
		return nil, err
	}
	inv := &trace.StatesInvariance{}
	for _, doc := range e.order {
		a, b := some.docs[doc], some.docs[again(doc)]
		if a == nil || b == nil {
			return nil, fmt.Errorf("states: document %d of the invariance sample was not computed", doc)
		}
		for v := range a.views {
			for k := range a.views[v] {
				inv.N++
				inv.MaxRel = max(inv.MaxRel, difference(a.views[v][k], b.views[v][k]))
			}
		}
	}
	return inv, nil
}

// difference is the largest |a - b| in units of the root mean square of a.
func difference(a, b []float32) float64 {
	var ss, d float64
	for i, x := range a {
		ss += float64(x) * float64(x)
		d = max(d, math.Abs(float64(x)-float64(b[i])))
	}
	if d == 0 {
		return 0
	}
	return d / math.Sqrt(ss/float64(len(a)))
}
