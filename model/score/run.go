package score

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize/text"
)

// Model is what Run needs of *model.Model.
type Model interface {
	Score(ctx context.Context, ws iter.Seq2[model.Window, error], o model.ScoreOptions, emit func(model.Window, model.Scores) error) error
	Invariance(ctx context.Context, ws []model.Window) (model.Report, error)
}

// Options of a run. Policy, Seam and Of decide the numbers; the rest does not.
type Options struct {
	Policy      window.Policy // as asked; zero numbers take the policy's defaults
	Positions   int           // the model's; 0 = no limit
	TwoSided    bool          // the model is an encoder: model.Info.Encoder
	Of          trace.Identity
	Encoder     Encoder // nil when the input is ids
	Out         string  // .parquet, .jsonl or .jsonl.gz
	Resume      bool
	PerDocument bool
	Redact      bool
	Score       model.ScoreOptions
	// Scores are columns of the document table that ScoreOf computes while the rows
	// are at hand: what is left of them in compact mode.
	Scores  []string
	ScoreOf func(trace.Doc, trace.Tokens) map[string]float64
	Made    trace.Made
	// Start is called with the number of input tokens once it is known, before
	// the first forward pass; Progress with each batch's.
	Start    func(tokens int64)
	Progress func(tokens int64)
	Now      func() time.Time
}

// Report is what a run leaves.
type Report struct {
	Path     string          `json:"path"`
	Header   trace.Header    `json:"header"`
	Warnings []trace.Warning `json:"warnings"`
	Resumed  int             `json:"resumed_docs,omitempty"` // documents that an earlier run had finished
}

// Plan is the first pass: it tokenizes every document, settles the policy and
// takes the text digest, so that the identity of the run is known before
// anything is scored.
func Plan(in Input, o *Options) (*Survey, error) {
	s := &Survey{}
	ids := false
	for d, err := range in.Docs() {
		if err != nil {
			return nil, err
		}
		ids = !d.HasText
		break
	}
	if o.Policy.Name == "" {
		o.Policy.Name = "full"
	}
	if masked := o.Policy.Name == window.Masked; masked && !o.TwoSided {
		return nil, fault.Usagef("score: policy %s masks tokens, and the checkpoint predicts the next one: want another policy", o.Policy.Name)
	} else if !masked && o.TwoSided {
		return nil, model.ErrEncoder("the checkpoint")
	}
	p := o.Policy.WithDefaults(o.Positions)
	p, ws, err := Settle(p, o.Encoder, ids, o.Of.Checkpoint.Vocab)
	if err != nil {
		return nil, err
	}
	s.warnings, s.masked = append(s.warnings, ws...), p.Name == window.Masked
	if p.Window == 0 && o.Positions == 0 && p.Name == "full" {
		p.Window = 1 << 20 // a model without a limit: any text that fits in memory
	}
	if err := p.Validate(o.Positions); err != nil {
		return nil, err
	}
	var digest trace.Text
	seen := map[[32]byte]string{}
	seam := ""
	for d, err := range in.Docs() {
		if err != nil {
			return nil, err
		}
		if d.HasContext && seam == "" {
			if seam = o.Policy.Seam; seam == "" {
				seam = SeamJoint
			}
			p.Seam = seam
		}
		e, err := encode(o.Encoder, &d, seam)
		if err != nil {
			return nil, err
		}
		td := identify(&d)
		if err := checkIDs(&d, &e, o.Of.Checkpoint.Vocab); err != nil {
			return nil, err
		}
		digest.Add(td)
		if first, twice := seen[td.SHA256]; twice {
			s.duplicates++
			if s.duplicate == "" {
				s.duplicate = fmt.Sprintf("%q and %q", first, d.ID)
			}
		} else {
			seen[td.SHA256] = d.ID
		}
		s.note(&d, &e, o.Encoder)
		w, err := window.Plan(p, len(p.PrefixIDs), len(e.context), len(e.ids))
		if err != nil && !perDocument(err) {
			return nil, err
		}
		if errors.Is(err, window.ErrTooLong) && s.tooLong == "" {
			s.tooLong = fmt.Sprintf("%q has %d ids, the window %d", d.ID, len(e.context)+len(e.ids), p.Window)
		}
		for _, w := range w {
			s.Tokens += int64(w.Feed())
		}
		if p.MaxTokens > 0 {
			s.cut += max(0, len(e.ids)-p.MaxTokens)
		}
		s.Docs++
	}
	if s.Docs == 0 {
		return nil, fault.Inputf("rows", "score: the input holds no documents")
	}
	o.Policy = p
	o.Of.Text = digest.Digest()
	o.Of.Policy = p
	o.Of.Precision = "f32"
	if o.Encoder != nil && !ids {
		o.Of.Tokenizer = trace.Tokenizer{Digest: o.Encoder.Digest(), Specials: o.Encoder.Specials()}
	}
	s.Of = o.Of
	return s, nil
}

// perDocument tells a document that the policy cannot score from a policy that is wrong.
func perDocument(err error) bool {
	return errors.Is(err, window.ErrTooLong) || errors.Is(err, window.ErrTooShort)
}

// identify is the part of a document that the text digest covers.
func identify(d *text.Doc) trace.Doc {
	if !d.HasText {
		return withContext(trace.IDsDoc(0, d.ID, d.IDs), d, 0)
	}
	return withContext(trace.Doc{ID: d.ID, SHA256: sha256.Sum256([]byte(d.Text))}, d, 0)
}

func withContext(t trace.Doc, d *text.Doc, ids int) trace.Doc {
	if !d.HasContext {
		return t
	}
	b := []byte(d.Context)
	if !d.HasText {
		for _, id := range d.ContextIDs {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	return t.WithContext(b, int32(ids))
}

func checkIDs(d *text.Doc, e *encoded, vocab int) error {
	for part, ids := range map[string][]int32{"ids": e.ids, "context_ids": e.context} {
		for i, id := range ids {
			if id < 0 || int(id) >= vocab {
				return fault.Inputf("id", "score: document %q: %s[%d] is %d, want 0 to %d (the checkpoint's vocabulary)", d.ID, part, i, id, vocab-1).
					Hint("the ids were made with another tokenizer than this checkpoint's")
			}
		}
	}
	return nil
}

// Run scores every document of in and writes the trace. Plan must have filled
// o. On an interruption the finished documents stay in a part file and the
// error says how to go on.
func Run(ctx context.Context, m Model, in Input, survey *Survey, o Options) (*Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	start := o.Now()
	rep := &Report{Path: o.Out, Warnings: survey.Warnings()}
	inv, err := invariance(ctx, m, in, o)
	if err != nil {
		return nil, err
	}
	if inv.MaxAbs > model.InvarianceBound {
		rep.Warnings = append(rep.Warnings, trace.Warning{Code: "invariance", Text: fmt.Sprintf(
			"rows scored alone and in a batch differ by up to %.2g nats, more than %.0e", inv.MaxAbs, model.InvarianceBound)})
	}
	o.Made.Invariance, o.Made.Warnings = inv, rep.Warnings
	o.Made.Start = start.UTC().Format(time.RFC3339)
	create := trace.Create
	if o.Resume {
		create = trace.Resume
	}
	w, err := create(o.Out, o.Of, trace.Options{Made: o.Made, PerDocument: o.PerDocument, Moments: o.Score.Moments, TopK: o.Score.TopK, Redact: o.Redact, Scores: o.Scores, ScoreOf: o.ScoreOf})
	if err != nil {
		return nil, err
	}
	j := &job{w: w, o: &o, in: in, pending: map[int]*pending{}}
	o.Score.Progress = func(n int) {
		if o.Progress != nil {
			o.Progress(int64(n))
		}
	}
	if o.Start != nil {
		o.Start(survey.Tokens)
	}
	if err := m.Score(ctx, j.windows(), o.Score, j.emit); err != nil {
		return nil, j.stop(ctx, err)
	}
	rep.Resumed = j.resumed
	if rep.Header, err = w.Close(); err != nil {
		return nil, err
	}
	return rep, nil
}

// stop keeps what is finished and says how to go on.
func (j *job) stop(ctx context.Context, err error) error {
	flushErr := errors.Join(j.w.Flush(), j.w.Abort())
	if ctx.Err() != nil {
		err = fault.New(fault.Interrupted, "interrupted", "score: interrupted after %d documents", j.finished).
			Hint("the same command with --resume goes on from there")
	}
	var row *model.RowError
	if errors.As(err, &row) {
		err = j.locate(row, err)
	}
	if flushErr != nil {
		err = errors.Join(err, flushErr)
	}
	return err
}

// locate names the document, position and id of a row that failed.
func (j *job) locate(row *model.RowError, err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	id, pos := fmt.Sprint(row.Doc), -1
	if p := j.pending[row.Doc]; p != nil {
		id = p.doc.ID
		if row.Window < len(p.windows) && !row.Input {
			pos = p.windows[row.Window].Lo + row.Row - p.skip
		}
	}
	return fault.New(f.Class, f.Code, "score: document %q pos %d id %d: %w", id, pos, row.ID, err)
}
