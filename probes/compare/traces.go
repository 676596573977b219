package compare

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/stat"
)

// TraceOptions of Traces. The names in JSON are those of the long flags, with _ for -.
type TraceOptions struct {
	B       int     `json:"boot"`  // resamples of documents
	Level   float64 `json:"level"` // of the intervals
	Within  float64 `json:"-"`     // of the check same-scores: largest |lp_B - lp_A| allowed, nats
	Seed    uint64  `json:"seed"`
	Workers int     `json:"-"` // 0 = one per core; changes no number
}

// DefaultTraces returns the standard comparison of traces.
func DefaultTraces() TraceOptions { return TraceOptions{B: 9999, Level: .95, Seed: 1} }

// Validate reports the first option out of range.
func (o TraceOptions) Validate() error {
	switch {
	case o.B < 99:
		return fault.Usagef("compare: boot: %d, want at least 99", o.B)
	case !(o.Level > .5 && o.Level < 1):
		return fault.Usagef("compare: level: %v, want between .5 and 1", o.Level)
	case !(o.Within >= 0) || math.IsInf(o.Within, 0):
		return fault.Usagef("compare: same-scores: %v, want 0 or more", o.Within)
	}
	return nil
}

// Traces compares the scores of two checkpoints on the same documents:
// d = lp_B - lp_A for every token that both score, in nats. The interval of the
// mean resamples documents, each with all its tokens. Documents must be the same
// in id, order and text. With two tokenizers there are no common tokens, and the
// result is bits per byte of documents alone.
func Traces(ctx context.Context, a, b *trace.Reader, o TraceOptions) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	t := newTraces(ctx, a.Header(), b.Header(), o)
	tokens := t.sameTokens && a.HasTokens() && b.HasTokens()
	if err := t.read(documents(a, tokens), documents(b, tokens), tokens); err != nil {
		return probes.Result{}, err
	}
	t.ha, t.hb = a.Header(), b.Header() // JSONL has its digests at the end
	return t.result(tokens)
}

func newTraces(ctx context.Context, ha, hb trace.Header, o TraceOptions) *traces {
	t := &traces{ctx: ctx, o: o, ha: ha, hb: hb, exact: true}
	t.sameTokens = ha.Of.Tokenizer.Digest == hb.Of.Tokenizer.Digest
	t.res = probes.Result{Schema: probes.Schema, Test: "compare.traces", Version: Version, Seed: o.Seed,
		Inputs:    []probes.Input{{Role: "a", Digest: "sha256:" + ha.Run}, {Role: "b", Digest: "sha256:" + hb.Run}},
		Settings:  map[string]any{"boot": o.B, "level": o.Level, "policy": map[string]any{"a": ha.Of.Policy, "b": hb.Of.Policy}},
		N:         map[string]int{},
		Estimates: []probes.Estimate{}, P: []probes.PValue{}, Warnings: []probes.Warning{},
	}
	return t
}

// result is everything after the documents were read.
func (t *traces) result(tokens bool) (probes.Result, error) {
	switch {
	case !t.sameTokens:
		t.warn("tokenizer-differs", "the tokenizers differ: tokens are not comparable, only bits per byte of documents")
	case !tokens:
		t.warn("documents-only", "a trace holds no tokens: only sums per document are compared")
	}
	if t.ha.Incomplete || t.hb.Incomplete {
		t.warn("partial-trace", "a trace was merged from some of its parts")
	}
	if fmt.Sprint(t.ha.Of.Policy) != fmt.Sprint(t.hb.Of.Policy) && t.sameTokens {
		t.warn("policy-differs", "the traces were scored under different rules: %v and %v", t.ha.Of.Policy, t.hb.Of.Policy)
	}
	if len(t.docs) == 0 {
		return probes.Result{}, fault.Inputf("empty", "compare: no document is scored in both traces, want at least one")
	}
	if t.sameTokens {
		t.tokens(tokens)
	}
	t.bytes()
	t.finish(t.sameTokens, tokens)
	return t.res, nil
}

// documents yields documents with the columns that are compared, or without rows.
func documents(r *trace.Reader, tokens bool) iter.Seq2[trace.DocTokens, error] {
	if tokens {
		cols := []string{"scored", "logprob"}
		for _, c := range []string{"id", "argmax_id"} {
			if !r.Header().Redacted {
				cols = append(cols, c)
			}
		}
		return r.Columns(cols...)
	}
	return func(yield func(trace.DocTokens, error) bool) {
		for d, err := range r.Docs() {
			if !yield(trace.DocTokens{Doc: d}, err) {
				return
			}
		}
	}
}

// docSums is one document that both traces score.
type docSums struct {
	d, n           float64 // sum of differences, common tokens
	a, b           float64 // sums of log-probability over all scored tokens of each
	bytes          float64 // of the text; 0 = ids
	bitsA, bitsB   float64 // per byte
	hasBits        bool
	squares, agree float64
}

type traces struct {
	ctx          context.Context
	o            TraceOptions
	ha, hb       trace.Header
	res          probes.Result
	docs         []docSums
	most         float64 // largest |d|
	mostAt       string
	oneSided     int // tokens that only one side scores
	unscored     int // documents that only one side scores, or none
	agreed       bool
	exact        bool // every compared log-probability is bit-equal
	tokensScored int
	sameTokens   bool
}

func (t *traces) warn(code, format string, args ...any) {
	t.res.Warnings = append(t.res.Warnings, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}

func (t *traces) read(a, b iter.Seq2[trace.DocTokens, error], tokens bool) error {
	next, stop := iter.Pull2(b)
	defer stop()
	i := 0
	for x, err := range a {
		if err != nil {
			return err
		}
		if i++; i%64 == 0 && t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		y, err, ok := next()
		if err != nil {
			return err
		}
		if !ok {
			return fault.Inputf("texts", "compare: document %q: found in the first trace only, want the same documents", x.Doc.ID)
		}
		if x.Doc.ID != y.Doc.ID {
			return fault.Inputf("texts", "compare: document %d: found %q and %q, want the same", i, x.Doc.ID, y.Doc.ID)
		}
		if x.Doc.SHA256 != y.Doc.SHA256 {
			return fault.Inputf("texts", "compare: document %q: found sha256 %x and %x, want the same text", x.Doc.ID, x.Doc.SHA256[:6], y.Doc.SHA256[:6])
		}
		if err := t.add(x, y, tokens); err != nil {
			return err
		}
	}
	if y, err, ok := next(); ok {
		if err != nil {
			return err
		}
		return fault.Inputf("texts", "compare: document %q: found in the second trace only, want the same documents", y.Doc.ID)
	}
	return nil
}

// add takes one document of both.
func (t *traces) add(x, y trace.DocTokens, tokens bool) error {
	if x.Doc.Status != trace.StatusOK || y.Doc.Status != trace.StatusOK {
		t.unscored++
		return nil
	}
	s := docSums{a: x.Doc.SumLogprob, b: y.Doc.SumLogprob, bytes: float64(x.Doc.Bytes)}
	if s.hasBits = x.Doc.Bytes > 0; s.hasBits {
		s.bitsA, s.bitsB = -s.a/s.bytes/math.Ln2, -s.b/s.bytes/math.Ln2
	}
	if !tokens {
		s.d, s.n = s.b-s.a, float64(x.Doc.Scored)
		if x.Doc.Scored != y.Doc.Scored {
			t.oneSided += int(max(x.Doc.Scored, y.Doc.Scored) - min(x.Doc.Scored, y.Doc.Scored))
		}
		t.exact = t.exact && s.a == s.b
		t.docs = append(t.docs, s)
		return nil
	}
	u, v := x.Tokens, y.Tokens
	if len(u.Logprob) != len(v.Logprob) {
		return fault.Inputf("texts", "compare: document %q: found %d and %d tokens under one tokenizer, want the same", x.Doc.ID, len(u.Logprob), len(v.Logprob))
	}
	ids := u.ID != nil && v.ID != nil
	t.agreed = u.ArgmaxID != nil && v.ArgmaxID != nil
	for i, l := range u.Logprob {
		if ids && u.ID[i] != v.ID[i] {
			return fault.Inputf("texts", "compare: document %q: token %d: found ids %d and %d, want the same", x.Doc.ID, i, u.ID[i], v.ID[i])
		}
		if !u.Scored[i] || !v.Scored[i] {
			if u.Scored[i] != v.Scored[i] {
				t.oneSided++
			}
			continue
		}
		d := float64(v.Logprob[i]) - float64(l)
		s.n++
		s.d += d
		s.squares += d * d
		if m := math.Abs(d); m > t.most || t.mostAt == "" {
			t.most, t.mostAt = m, fmt.Sprintf("document %q, token %d", x.Doc.ID, i)
		}
		t.exact = t.exact && d == 0
		if t.agreed && u.ArgmaxID[i] == v.ArgmaxID[i] {
			s.agree++
		}
	}
	if s.n == 0 {
		t.unscored++
		return nil
	}
	t.docs = append(t.docs, s)
	return nil
}

func column(ds []docSums, f func(docSums) float64) []float64 {
	out := make([]float64, len(ds))
	for i, d := range ds {
		out[i] = f(d)
	}
	return out
}

// ratio is sum f / sum g over documents with its bootstrap interval.
func (t *traces) ratio(name, unit, how, stream string, ds []docSums, f, g func(docSums) float64, end func(float64) float64) float64 {
	a, u := column(ds, f), column(ds, g)
	v := stat.Sum(a) / stat.Sum(u)
	e := probes.Estimate{Name: name, Value: value(end(v)), Unit: unit, Method: how}
	lo, hi := stat.BootstrapRatio(a, u, stat.Boot{B: t.o.B, Seed: t.o.Seed, Stream: stream, Level: t.o.Level, Workers: t.o.Workers})
	if lo, hi := end(lo), end(hi); !math.IsNaN(lo) && !math.IsNaN(hi) && !math.IsInf(lo, 0) && !math.IsInf(hi, 0) {
		e.CI = &probes.CI{Lo: min(lo, hi), Hi: max(lo, hi), Level: t.o.Level}
		e.Method += fmt.Sprintf("; percentile bootstrap over %d documents", len(ds))
	}
	t.res.Estimates = append(t.res.Estimates, e)
	if e.Value == nil {
		t.warn("degenerate", "undefined, printed as null: %s", name)
	}
	return v
}

// tokens adds what needs one tokenizer.
func (t *traces) tokens(rows bool) {
	plain := func(x float64) float64 { return x }
	n := func(d docSums) float64 { return d.n }
	t.tokensScored = int(stat.Sum(column(t.docs, n)))
	t.res.N["tokens"] = t.tokensScored
	t.ratio("compare.logprob.mean", "nats/token", "mean of lp_B - lp_A", "compare-mean", t.docs, func(d docSums) float64 { return d.d }, n, plain)
	t.ratio("compare.perplexity.ratio", "ratio", "exp(-mean of lp_B - lp_A): above 1 = B predicts worse", "compare-mean", t.docs, func(d docSums) float64 { return d.d }, n,
		func(x float64) float64 { return math.Exp(-x) })
	if !rows {
		return
	}
	t.ratio("compare.logprob.rms", "nats/token", "root mean square of lp_B - lp_A", "compare-rms", t.docs, func(d docSums) float64 { return d.squares }, n, math.Sqrt)
	t.res.Estimates = append(t.res.Estimates, probes.Estimate{Name: "compare.logprob.max", Value: value(t.most), Unit: "nats", Method: "largest |lp_B - lp_A|, at " + t.mostAt})
	if t.agreed {
		t.ratio("compare.top1.agreement", "fraction", "share of tokens where both predict the same token first", "compare-top1", t.docs, func(d docSums) float64 { return d.agree }, n, plain)
	} else {
		t.warn("redacted", "a trace holds no ids: equal tokens and equal predictions were not checked")
	}
}

// bytes adds bits per byte where the documents are text.
func (t *traces) bytes() {
	var ds []docSums
	for _, d := range t.docs {
		if d.hasBits {
			ds = append(ds, d)
		}
	}
	if len(ds) == 0 {
		return
	}
	plain := func(x float64) float64 { return x }
	bytes := func(d docSums) float64 { return d.bytes }
	bits := func(x float64) float64 { return -x / math.Ln2 }
	t.ratio("compare.bpb.a", "bits/byte", "of A, scored tokens over bytes of text", "compare-bpb", ds, func(d docSums) float64 { return d.a }, bytes, bits)
	t.ratio("compare.bpb.b", "bits/byte", "of B", "compare-bpb", ds, func(d docSums) float64 { return d.b }, bytes, bits)
	t.ratio("compare.bpb.difference", "bits/byte", "B minus A over all bytes", "compare-bpb", ds, func(d docSums) float64 { return d.b - d.a }, bytes, bits)
	one := func(docSums) float64 { return 1 }
	t.ratio("compare.bpb.documents", "bits/byte", "mean over documents of B minus A", "compare-bpb", ds, func(d docSums) float64 { return d.bitsB - d.bitsA }, one, plain)
}

func (t *traces) finish(sameTokens, rows bool) {
	r := &t.res
	r.N["documents"] = len(t.docs)
	if t.unscored > 0 {
		r.N["documents_unscored"] = t.unscored
	}
	if t.oneSided > 0 {
		t.warn("scored-differs", "%d tokens are scored by one trace only and left out", t.oneSided)
	}
	tokenizer := 1.0
	if sameTokens {
		tokenizer = 0
	}
	r.Checks = append(r.Checks, probes.Check{Name: SameTokenizer, Value: tokenizer, Pass: sameTokens, Text: fmt.Sprintf("tokenizer digests %s and %s", orNone(t.ha.Of.Tokenizer.Digest), orNone(t.hb.Of.Tokenizer.Digest))})
	r.Checks = append(r.Checks, probes.Check{Name: SameWeights, Value: boolean(t.ha.Of.Checkpoint.Weights != t.hb.Of.Checkpoint.Weights), Pass: t.ha.Of.Checkpoint.Weights == t.hb.Of.Checkpoint.Weights,
		Text: fmt.Sprintf("digests of the weights %s and %s", t.ha.Of.Checkpoint.Weights, t.hb.Of.Checkpoint.Weights)})
	ca, cb := t.ha.Content, t.hb.Content
	bytes := ca.Docs != "" && ca.Docs == cb.Docs && ca.Tokens == cb.Tokens
	r.Checks = append(r.Checks, probes.Check{Name: SameBytes, Value: boolean(!bytes), Pass: bytes, Text: fmt.Sprintf("digests of the rows %s and %s", ca.Docs, cb.Docs)})
	if sameTokens && rows {
		all := t.oneSided == 0 && t.unscored == 0
		text := fmt.Sprintf("the largest difference is %.6g nats at %s, the limit %g", t.most, t.mostAt, t.o.Within)
		if !all {
			text += fmt.Sprintf("; %d tokens and %d documents are not scored by both", t.oneSided, t.unscored)
		}
		r.Checks = append(r.Checks, probes.Check{Name: SameScores, Value: t.most, Limit: t.o.Within, Pass: all && t.most <= t.o.Within, Text: text})
	} else {
		r.Checks = append(r.Checks, probes.Check{Name: SameScores, Limit: t.o.Within, Text: "tokens cannot be compared"})
	}
	r.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "differs", Says: t.says(sameTokens, rows),
		DoesNotSay: "Why the scores differ, or that one checkpoint was derived from the other; assay perplexity --vs gives p-values."}
	if t.exact && sameTokens && t.oneSided == 0 {
		r.Verdict.Finding = "same-scores"
	}
	slices.SortStableFunc(r.Warnings, func(a, b probes.Warning) int { return strings.Compare(a.Code, b.Code) })
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (t *traces) says(sameTokens, rows bool) string {
	find := func(name string) *probes.Estimate {
		for i := range t.res.Estimates {
			if t.res.Estimates[i].Name == name && t.res.Estimates[i].Value != nil {
				return &t.res.Estimates[i]
			}
		}
		return nil
	}
	docs := fmt.Sprintf("%d documents", len(t.docs))
	if !sameTokens {
		if e := find("compare.bpb.difference"); e != nil {
			return fmt.Sprintf("On %s B needs %+.4g bits per byte more than A%s; the tokenizers differ, so tokens were not compared.", docs, *e.Value, between(e))
		}
		return fmt.Sprintf("%s, and nothing that can be compared: the tokenizers differ and the documents are ids.", docs)
	}
	if t.exact && t.oneSided == 0 {
		return fmt.Sprintf("Every log-probability of %d tokens in %s is the same.", t.tokensScored, docs)
	}
	out := ""
	if e := find("compare.perplexity.ratio"); e != nil {
		out = fmt.Sprintf("The perplexity of B is %.6g times that of A%s over %d tokens in %s", *e.Value, between(e), t.tokensScored, docs)
	}
	if e := find("compare.logprob.max"); rows && e != nil {
		out += fmt.Sprintf("; the largest difference of one token is %.4g nats", *e.Value)
	}
	if e := find("compare.top1.agreement"); e != nil {
		out += fmt.Sprintf("; both predict the same token first at %.2f %% of them", 100**e.Value)
	}
	return out + "."
}

func between(e *probes.Estimate) string {
	if e.CI == nil {
		return ""
	}
	return fmt.Sprintf(" (%g %% interval %.6g to %.6g)", 100*e.CI.Level, e.CI.Lo, e.CI.Hi)
}
