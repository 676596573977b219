package score

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"assay/model"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize/text"
)

// job turns documents into windows for the model and its scores into rows.
type job struct {
	w        *trace.Writer
	o        *Options
	in       Input
	pending  map[int]*pending
	counter  trace.Counter
	finished int
	resumed  int
	flushed  time.Time
}

// flushEvery bounds the work that a killed process loses.
const flushEvery = 10 * time.Second

// pending is a document whose windows are on their way through the model.
type pending struct {
	doc     trace.Doc
	tokens  trace.Tokens
	windows []window.Window
	skip    int // prefix and context ids before the document's first
	left    int // windows not yet scored
}

// windows plans every document that the writer does not have.
func (j *job) windows() iter.Seq2[model.Window, error] {
	return func(yield func(model.Window, error) bool) {
		ordinal := -1
		for d, err := range j.in.Docs() {
			if err != nil {
				yield(model.Window{}, err)
				return
			}
			ordinal++
			if j.w.Has(int32(ordinal)) {
				j.resumed++
				continue
			}
			e, err := encode(j.o.Encoder, &d, j.o.Policy.Seam)
			if err != nil {
				yield(model.Window{}, err)
				return
			}
			p := &pending{doc: j.describe(ordinal, &d, len(e.context)), tokens: newTokens(&e, &j.o.Score)}
			prefix := j.o.Policy.PrefixIDs
			p.skip = len(prefix) + len(e.context)
			if j.o.Policy.EachWindow {
				p.skip = len(e.context)
			}
			ws, err := window.Plan(j.o.Policy, len(prefix), len(e.context), len(e.ids))
			if err != nil && !perDocument(err) {
				yield(model.Window{}, err)
				return
			}
			p.doc.Status = status(&e, ws, err)
			p.windows, p.left = ws, len(ws)
			if len(ws) == 0 {
				if err := j.finish(p); err != nil {
					yield(model.Window{}, err)
					return
				}
				continue
			}
			j.pending[ordinal] = p
			s := sequence(&j.o.Policy, &e)
			for i, w := range ws {
				if !yield(feed(ordinal, i, w, s, &j.o.Policy), nil) {
					return
				}
			}
		}
	}
}

// describe fills what is known of a document before it is scored.
func (j *job) describe(ordinal int, d *text.Doc, context int) trace.Doc {
	var t trace.Doc
	if d.HasText {
		t = j.counter.TextDoc(int32(ordinal), d.ID, []byte(d.Text))
	} else {
		t = trace.IDsDoc(int32(ordinal), d.ID, d.IDs)
	}
	t = withContext(t, d, context)
	t.Label, t.Group, t.Date, t.Meta = d.Label, d.Group, d.Time(), d.Meta
	return t
}

func status(e *encoded, ws []window.Window, err error) string {
	switch {
	case errors.Is(err, window.ErrTooLong):
		return trace.StatusOverContext
	case len(e.ids) == 0:
		return trace.StatusNoTokens
	case len(ws) == 0:
		return trace.StatusNoTargets
	}
	return trace.StatusOK
}

// sequence is S of the planner: prefix ids (unless every window gets its own),
// context ids, document ids, suffix ids.
func sequence(p *window.Policy, e *encoded) []int32 {
	var s []int32
	if !p.EachWindow {
		s = append(s, p.PrefixIDs...)
	}
	return slices.Concat(s, e.context, e.ids, p.SuffixIDs)
}

// feed is the forward pass of window w: inputs S[Begin:Hi-1] after its own
// prefix, targets S[Lo:Hi]; or S with the target masked.
func feed(doc, index int, w window.Window, s []int32, p *window.Policy) model.Window {
	prefix := p.PrefixIDs
	if w.Masked {
		in := slices.Clone(s[w.Begin:w.End])
		at := w.Lo - w.Begin
		in[at] = *p.MaskID
		return model.Window{Doc: doc, Index: index, IDs: in, Targets: s[w.Lo:w.Hi], Rows: []int32{int32(at)}}
	}
	in := append([]int32{}, prefix[:w.Prefix]...)
	in = append(in, s[w.Begin:w.Hi-1]...)
	if w.ReplaceBOS && len(prefix) > 0 && len(in) > 0 {
		in[0] = prefix[0]
	}
	return model.Window{Doc: doc, Index: index, IDs: in, Targets: s[w.Lo:w.Hi]}
}

// emit stores the scores of one window and finishes the document with its last.
func (j *job) emit(w model.Window, s model.Scores) error {
	p := j.pending[w.Doc]
	if p == nil {
		return fmt.Errorf("score: the model returned a window of document %d, which is not under way", w.Doc)
	}
	win := p.windows[w.Index]
	if len(s.Logprob) != win.Hi-win.Lo {
		return fmt.Errorf("score: document %q window %d: %d scores, want %d", p.doc.ID, w.Index, len(s.Logprob), win.Hi-win.Lo)
	}
	t := &p.tokens
	for k := range s.Logprob {
		i := win.Lo + k - p.skip
		t.Scored[i] = true
		t.Window[i] = int32(w.Index)
		t.Ctx[i] = int32(win.Ctx(win.Lo + k))
		t.Logprob[i], t.Entropy[i], t.SD[i] = s.Logprob[k], s.Entropy[k], s.SD[k]
		t.Rank[i], t.ArgmaxID[i], t.ArgmaxLogprob[i] = s.Rank[k], s.ArgmaxID[k], s.ArgmaxLogprob[k]
		if t.UMean != nil {
			t.UMean[i], t.USD[i] = s.UMean[k], s.USD[k]
		}
		if t.TopID != nil {
			t.TopID[i], t.TopLogprob[i] = s.TopID[k], s.TopLogprob[k]
		}
	}
	if p.left--; p.left > 0 {
		return nil
	}
	delete(j.pending, w.Doc)
	return j.finish(p)
}

func (j *job) finish(p *pending) error {
	p.doc.Windows = int32(len(p.windows))
	if err := j.w.Append(p.doc, p.tokens); err != nil {
		return err
	}
	j.finished++
	if now := j.o.Now(); now.Sub(j.flushed) >= flushEvery {
		j.flushed = now
		return j.w.Flush()
	}
	return nil
}

// newTokens returns unscored rows for the document's ids.
func newTokens(e *encoded, o *model.ScoreOptions) trace.Tokens {
	n := len(e.ids)
	ints := func(fill int32) []int32 {
		x := make([]int32, n)
		for i := range x {
			x[i] = fill
		}
		return x
	}
	floats := func() []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(math.NaN())
		}
		return x
	}
	t := trace.Tokens{
		Pos: make([]int32, n), ID: e.ids, ByteOff: e.off, ByteLen: e.len, Scored: make([]bool, n),
		Window: ints(trace.Null), Ctx: ints(trace.Null), Rank: ints(trace.Null), ArgmaxID: ints(trace.Null),
		Logprob: floats(), Entropy: floats(), SD: floats(), ArgmaxLogprob: floats(),
	}
	for i := range t.Pos {
		t.Pos[i] = int32(i)
	}
	if o.Moments {
		t.UMean, t.USD = floats(), floats()
	}
	if o.TopK > 0 {
		t.TopID, t.TopLogprob = make([][]int32, n), make([][]float32, n)
	}
	return t
}
