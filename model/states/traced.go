package states

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/tokenize/text"
)

// ScoringModel is what RunTraced needs of *model.Model.
type ScoringModel interface {
	Model
	Invariance(ctx context.Context, ws []model.Window) (model.Report, error)
}

// RunTraced is Run that writes a token trace of the same documents from the same
// forward passes: states need each window's last id as an input, which scores do not,
// and nothing else differs. so gives the trace's file, identity and columns; policy
// and tokenizer are the plan's. The response is the document of the trace, the
// prompt its context.
func RunTraced(ctx context.Context, m ScoringModel, in Input, p *Plan, o RunOptions, so score.Options) (*Report, *score.Report, error) {
	if p.from != 0 || p.to != p.docs {
		return nil, nil, fault.Usagef("states: a trace needs all documents, not a shard of them")
	}
	so.Policy, so.Encoder, so.Resume = p.asked, p.enc, o.Resume
	docs := texts{in}
	survey, err := score.Plan(docs, &so)
	if err != nil {
		return nil, nil, err
	}
	t := &traced{m: m, in: in, p: p, o: o}
	scored, err := score.Run(ctx, t, docs, survey, so)
	if err != nil {
		return nil, nil, err
	}
	return t.report, scored, nil
}

// texts are the items as documents to score.
type texts struct{ in Input }

func (x texts) Len() int { return x.in.Len() }

func (x texts) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for it, err := range x.in.Items() {
			d := text.Doc{ID: it.ID, Line: it.Line, IDs: it.IDs, Group: it.Topic}
			if it.IDs == nil {
				d.HasText, d.Text = true, it.Text
			}
			switch r := it.Rendered; {
			case r != nil && it.HasResponse:
				d.Context, d.Text, d.HasContext = r.Text[:r.Response[0]], r.Text[r.Response[0]:], true
			case r != nil:
				d.Text = r.Text
			case it.HasResponse:
				d.Context, d.Text, d.HasContext = it.Text[:it.Seam], it.Text[it.Seam:], true
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// traced is the model that scoring sees: its Score computes the states too.
type traced struct {
	m      ScoringModel
	in     Input
	p      *Plan
	o      RunOptions
	report *Report
}

func (t *traced) Invariance(ctx context.Context, ws []model.Window) (model.Report, error) {
	return t.m.Invariance(ctx, ws)
}

func (t *traced) Score(ctx context.Context, ws iter.Seq2[model.Window, error], o model.ScoreOptions, emit func(model.Window, model.Scores) error) (err error) {
	h := &tracing{o: o, emit: emit, windows: map[[2]int]model.Window{}}
	h.next, h.stop = iter.Pull2(ws)
	defer h.stop()
	t.report, err = run(ctx, t.m, t.in, t.p, t.o, h)
	return err
}

// tracing joins the windows of a trace to those of the states.
type tracing struct {
	o    model.ScoreOptions
	emit func(model.Window, model.Scores) error
	next func() (model.Window, error, bool)
	stop func()

	ahead   *model.Window // taken from next, not yet given out
	ended   bool
	mu      sync.Mutex
	windows map[[2]int]model.Window // by document and index as fed: the trace's own
}

// of returns the trace's windows of a document.
func (t *tracing) of(doc int) ([]model.Window, error) {
	if t == nil {
		return nil, nil
	}
	var out []model.Window
	for {
		if t.ahead == nil && !t.ended {
			w, err, ok := t.next()
			if err != nil {
				return nil, err
			}
			if t.ended = !ok; ok {
				t.ahead = &w
			}
		}
		if t.ahead == nil || t.ahead.Doc > doc {
			return out, nil
		}
		if t.ahead.Doc < doc {
			return nil, fmt.Errorf("states: a window of document %d came after document %d", t.ahead.Doc, doc)
		}
		out = append(out, *t.ahead)
		t.ahead = nil
	}
}

// attach gives the window that is fed the targets of the trace's window w.
func (t *tracing) attach(w model.Window, doc, index int, ids []int32) model.Window {
	t.mu.Lock()
	t.windows[[2]int{doc, index}] = w
	t.mu.Unlock()
	out := model.Window{Doc: doc, Index: index, IDs: ids, Targets: w.Targets}
	for j := range w.Targets {
		row := len(w.IDs) - len(w.Targets) + j
		if w.Rows != nil {
			row = int(w.Rows[j])
		}
		out.Rows = append(out.Rows, int32(row))
	}
	return out
}

// back hands the scores of a window to the trace.
func (t *tracing) back(w model.Window, s model.Scores) error {
	if len(w.Targets) == 0 {
		return nil
	}
	key := [2]int{w.Doc, w.Index}
	t.mu.Lock()
	own, ok := t.windows[key]
	delete(t.windows, key)
	t.mu.Unlock()
	if !ok {
		return fmt.Errorf("states: scores of document %d window %d, which the trace did not ask for", w.Doc, w.Index)
	}
	return t.emit(own, s)
}
