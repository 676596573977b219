package palimpsest

import (
	"encoding/json"
	"iter"
	"strconv"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
)

// Scores is what one model said about the rows of a transcript.
type Scores struct {
	Name    string // for people: a path
	Digest  string // run identity of the trace
	Weights string // digest of the checkpoint; may be empty

	// What must agree between the models of one test. Tokenizer may differ when
	// rows are text: the scores are then per byte.
	Text, Tokenizer, Policy, Precision string

	Warnings []probes.Warning // of the run that made the trace
	Rows     iter.Seq2[Score, error]
}

// Score is one row's.
type Score struct {
	Seq    int64
	SHA256 [32]byte
	Sum    float64 // sum of log-probabilities over scored tokens, nats
	Scored int32   // tokens in the sum
	Bytes  int64   // of the text; negative for ids
	Device string  // that scored it, when a trace has several
}

// TraceScores reads the document table of a trace, or with tokens > 0 the token
// table, of which it sums the first so many scored tokens of each row. Document
// ids must be transcript keys in decimal.
func TraceScores(name string, r *trace.Reader, tokens int) (Scores, error) {
	h := r.Header()
	policy, err := json.Marshal(struct {
		Policy any
		Mask   bool
	}{h.Of.Policy, h.Of.MaskPaddingVocab})
	if err != nil {
		return Scores{}, err
	}
	s := Scores{Name: name, Digest: "sha256:" + h.Run, Weights: h.Of.Checkpoint.Weights, Text: h.Of.Text,
		Tokenizer: h.Of.Tokenizer.Digest, Policy: string(policy), Precision: h.Of.Precision}
	for _, w := range h.Made.Warnings {
		s.Warnings = append(s.Warnings, probes.Warning{Code: w.Code, Text: name + ": " + w.Text})
	}
	device := func(doc int32) string {
		for _, p := range h.Parts {
			if int64(doc) >= p.Docs[0] && int64(doc) < p.Docs[1] {
				return p.Device
			}
		}
		return ""
	}
	score := func(d trace.Doc) (Score, error) {
		seq, err := strconv.ParseInt(d.ID, 10, 64)
		if err != nil {
			return Score{}, fault.Inputf("mismatch", "palimpsest: %s: doc_id %q, want a transcript's seq in decimal", name, d.ID)
		}
		return Score{Seq: seq, SHA256: d.SHA256, Sum: d.SumLogprob, Scored: d.Scored, Bytes: d.Bytes, Device: device(d.Doc)}, nil
	}
	if tokens <= 0 {
		s.Rows = func(yield func(Score, error) bool) {
			for d, err := range r.Docs() {
				var v Score
				if err == nil {
					v, err = score(d)
				}
				if !yield(v, err) || err != nil {
					return
				}
			}
		}
		return s, nil
	}
	if err := r.Need("scored", "logprob"); err != nil {
		return Scores{}, err
	}
	s.Rows = func(yield func(Score, error) bool) {
		for d, err := range r.Columns("scored", "logprob") {
			var v Score
			if err == nil {
				v, err = score(d.Doc)
			}
			v.Sum, v.Scored = 0, 0
			for i, ok := range d.Tokens.Scored {
				if ok && v.Scored < int32(tokens) {
					v.Sum += float64(d.Tokens.Logprob[i])
					v.Scored++
				}
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
	return s, nil
}
