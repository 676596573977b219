package lens

import (
	"assay/internal/fault"
	"assay/latent"
	"assay/model/trace"
)

// fromTrace holds the log-probabilities of the documents that are read.
type fromTrace struct {
	prefix  int // special ids in front of the document
	logprob map[string][]float32
	scored  map[string][]bool
}

// FromTrace takes from a trace what the readings of a states file are compared
// with: only the documents that the lens reads are loaded. Trace and states must
// name the same weights and texts.
func FromTrace(r *trace.Reader, s latent.States) (Scores, error) {
	h, in := r.Header(), s.Info()
	for _, f := range []struct{ name, trace, states string }{
		{"weights", h.Of.Checkpoint.Weights, in.Checkpoint}, {"text", h.Of.Text, in.Text},
	} {
		if f.trace != f.states {
			return nil, fault.Inputf("lens-mismatch", "lens: %s of the trace %q and of %s %q, want the same", f.name, f.trace, in.Path, f.states)
		}
	}
	if err := r.Need("logprob"); err != nil {
		return nil, err
	}
	docs, err := s.Docs()
	if err != nil {
		return nil, err
	}
	l, err := s.Lens()
	if err != nil {
		return nil, err
	}
	out := &fromTrace{prefix: len(h.Of.Policy.PrefixIDs), logprob: map[string][]float32{}, scored: map[string][]bool{}}
	if l == nil {
		return out, nil
	}
	want := map[string]bool{}
	for _, d := range l.Doc {
		if d < 0 || int(d) >= docs.Len() {
			return nil, fault.Inputf("bad-states-file", "lens: %s: document %d, want below %d", in.Path, d, docs.Len())
		}
		want[docs.ID[d]] = true
	}
	for d, err := range r.Columns("logprob", "scored") {
		if err != nil {
			return nil, err
		}
		if !want[d.Doc.ID] {
			continue
		}
		out.logprob[d.Doc.ID], out.scored[d.Doc.ID] = d.Tokens.Logprob, d.Tokens.Scored
	}
	return out, nil
}

// LogProb implements Scores: position pos counts the special ids in front, the
// trace's positions do not.
func (f *fromTrace) LogProb(doc string, pos int) (float64, bool) {
	at := pos + 1 - f.prefix
	s := f.scored[doc]
	if at < 0 || at >= len(s) || !s[at] {
		return 0, false
	}
	return float64(f.logprob[doc][at]), true
}
