package perplexity

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/stat"
)

// Parts splits the difference between two traces of one text, second minus first,
// in nats. Coverage, Context, Tokenizer and Model add up to the difference of the
// summed costs; Unit is what the other number of scored tokens does to a
// per-token figure, in nats at the second trace's size. All five add up to
// Total = A_b - A_a T_b/T_a, so Total/T_b is the difference of nll_token.
type Parts struct {
	Unit      float64 `json:"unit"`
	Coverage  float64 `json:"coverage"`  // scored by one only
	Context   float64 `json:"context"`   // the same tiles, with other ids to see
	Tokenizer float64 `json:"tokenizer"` // the text is cut differently
	Model     float64 `json:"model"`     // all else equal
	Total     float64 `json:"total"`
	NatsA     float64 `json:"nats_a"`
	NatsB     float64 `json:"nats_b"`
	TokensA   float64 `json:"tokens_a"`
	TokensB   float64 `json:"tokens_b"`
}

// Stretch is a piece of the text between two byte offsets at which both tokenizers
// have a boundary.
type Stretch struct {
	DocID      string  `json:"doc_id"`
	Begin      int64   `json:"byte_begin"`
	End        int64   `json:"byte_end"`
	NatsA      float64 `json:"nats_a"` // scored tokens only
	NatsB      float64 `json:"nats_b"`
	CtxA       int32   `json:"ctx_a"` // of the first scored token; -1 if none
	CtxB       int32   `json:"ctx_b"`
	ScoredA    bool    `json:"scored_a"` // every token
	ScoredB    bool    `json:"scored_b"`
	Why        string  `json:"why"` // coverage, context, tokenizer, model
	Difference float64 `json:"difference"`
	Cumulative float64 `json:"cumulative"`
}

// Reasons of a stretch.
const (
	WhyCoverage  = "coverage"
	WhyContext   = "context"
	WhyTokenizer = "tokenizer"
	WhyModel     = "model"
)

// Explain splits the difference between two traces of one document and returns its
// stretches in order. A stretch that one trace scored only in part counts as
// coverage; else one that the tokenizers cut differently as tokenizer; else one whose
// contexts differ as context; the rest is model. Both traces need byte offsets.
func Explain(a, b trace.DocTokens) (Parts, []Stretch, error) {
	var p Parts
	if a.Doc.ID != b.Doc.ID || a.Doc.SHA256 != b.Doc.SHA256 {
		return p, nil, fault.Inputf("texts", "perplexity: explain: found documents %q (sha256 %x) and %q (sha256 %x), want one text",
			a.Doc.ID, a.Doc.SHA256[:6], b.Doc.ID, b.Doc.SHA256[:6])
	}
	for _, d := range []trace.DocTokens{a, b} {
		if d.Tokens.Len() > 0 && (d.Tokens.ByteLen == nil || d.Tokens.Logprob == nil) {
			return p, nil, fault.Inputf("columns", "perplexity: explain: document %q has no byte offsets, want a trace of text with token rows", d.Doc.ID).
				Hint("score the text itself, not ids, and without --redact")
		}
	}
	var out []Stretch
	i, j := 0, 0
	at := int64(0)
	cum := 0.0
	parts := map[string]*float64{WhyCoverage: &p.Coverage, WhyContext: &p.Context, WhyTokenizer: &p.Tokenizer, WhyModel: &p.Model}
	for i < a.Tokens.Len() || j < b.Tokens.Len() {
		fromA, fromB := i, j
		endA, endB := at, at
		i, endA = tile(a.Tokens, i, endA)
		j, endB = tile(b.Tokens, j, endB)
		for endA != endB { // walk the one that is behind to a common boundary
			if (endA < endB && i < a.Tokens.Len()) || j >= b.Tokens.Len() {
				if i >= a.Tokens.Len() {
					break
				}
				i, endA = tile(a.Tokens, i, endA)
			} else {
				j, endB = tile(b.Tokens, j, endB)
			}
		}
		s, err := stretch(a, b, fromA, i, fromB, j)
		if err != nil {
			return p, nil, err
		}
		s.Begin, s.End = at, max(endA, endB)
		at = s.End
		p.NatsA, p.NatsB = p.NatsA+s.NatsA, p.NatsB+s.NatsB
		cum += s.Difference
		s.Cumulative = cum
		*parts[s.Why] += s.Difference
		out = append(out, s)
	}
	p.TokensA, p.TokensB = float64(a.Doc.Scored), float64(b.Doc.Scored)
	p.close()
	return p, out, nil
}

// close derives Unit and Total from the sums.
func (p *Parts) close() {
	p.Unit, p.Total = 0, p.NatsB-p.NatsA
	if p.TokensA > 0 && p.TokensB > 0 {
		p.Unit = p.NatsA * (1 - p.TokensB/p.TokensA)
		p.Total += p.Unit
	}
}

// add sums parts over documents.
func (p *Parts) add(q Parts) {
	p.Coverage, p.Context, p.Tokenizer, p.Model = p.Coverage+q.Coverage, p.Context+q.Context, p.Tokenizer+q.Tokenizer, p.Model+q.Model
	p.NatsA, p.NatsB, p.TokensA, p.TokensB = p.NatsA+q.NatsA, p.NatsB+q.NatsB, p.TokensA+q.TokensA, p.TokensB+q.TokensB
}

// tile takes one token and the zero-length ones behind it.
func tile(t trace.Tokens, i int, end int64) (next int, to int64) {
	if i >= t.Len() {
		return i, end
	}
	end += int64(t.ByteLen[i])
	i++
	for i < t.Len() && t.ByteLen[i] == 0 {
		i++
	}
	return i, end
}

func stretch(a, b trace.DocTokens, a0, a1, b0, b1 int) (Stretch, error) {
	s := Stretch{DocID: a.Doc.ID, Why: WhyModel}
	var anyA, anyB bool
	var err error
	if s.NatsA, s.CtxA, anyA, s.ScoredA, err = side(a, a0, a1); err != nil {
		return s, err
	}
	if s.NatsB, s.CtxB, anyB, s.ScoredB, err = side(b, b0, b1); err != nil {
		return s, err
	}
	s.Difference = s.NatsB - s.NatsA
	switch {
	case !anyA && !anyB:
	case s.ScoredA != s.ScoredB || !s.ScoredA:
		s.Why = WhyCoverage
	case !slices.Equal(a.Tokens.ByteLen[a0:a1], b.Tokens.ByteLen[b0:b1]):
		s.Why = WhyTokenizer
	case !slices.Equal(a.Tokens.Ctx[a0:a1], b.Tokens.Ctx[b0:b1]):
		s.Why = WhyContext
	}
	return s, nil
}

func side(d trace.DocTokens, lo, hi int) (nats float64, ctx int32, anyScored, all bool, err error) {
	ctx, all = -1, true
	for i := lo; i < hi; i++ {
		if !d.Tokens.Scored[i] {
			all = false
			continue
		}
		x := float64(d.Tokens.Logprob[i])
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return 0, 0, false, false, fault.Inputf("nonfinite", "perplexity: explain: document %q, pos %d: found log-probability %v, want a finite number", d.Doc.ID, i, x)
		}
		if !anyScored {
			ctx = d.Tokens.Ctx[i]
		}
		anyScored = true
		nats -= x
	}
	return nats, ctx, anyScored, all && hi > lo, nil
}

// ExplainAll splits the difference between two traces of the same documents in the same
// order and returns the stretches that differ most, largest first, at most top.
func ExplainAll(a, b *trace.Reader, top int) (probes.Result, []Stretch, error) {
	nextB, stop := iter.Pull2(b.All())
	defer stop()
	var sum Parts
	var most []Stretch
	docs := 0
	for da, err := range a.All() {
		if err != nil {
			return probes.Result{}, nil, err
		}
		db, err, ok := nextB()
		if err != nil {
			return probes.Result{}, nil, err
		}
		if !ok {
			return probes.Result{}, nil, fault.Inputf("texts", "perplexity: explain: document %q: found in the first trace only, want the same documents", da.Doc.ID)
		}
		p, ss, err := Explain(da, db)
		if err != nil {
			return probes.Result{}, nil, err
		}
		docs++
		sum.add(p)
		most = keep(append(most, ss...), top)
	}
	if db, _, ok := nextB(); ok {
		return probes.Result{}, nil, fault.Inputf("texts", "perplexity: explain: document %q: found in the second trace only, want the same documents", db.Doc.ID)
	}
	sum.close()
	sa, sb := samplePart(a), samplePart(b)
	return explained(sum, docs, sa, sb), most, nil
}

func keep(s []Stretch, top int) []Stretch {
	if len(s) <= 4*top+64 {
		sortStretches(s)
		return s[:min(len(s), top)]
	}
	sortStretches(s)
	return s[:top]
}

func sortStretches(s []Stretch) {
	slices.SortStableFunc(s, func(x, y Stretch) int {
		return cmp.Compare(math.Abs(y.Difference), math.Abs(x.Difference))
	})
}

func samplePart(r *trace.Reader) Sample {
	h := r.Header()
	return Sample{Policy: h.Of.Policy, Weights: h.Of.Checkpoint.Weights, Tokenizer: h.Of.Tokenizer.Digest, Text: h.Of.Text, Run: h.Run}
}

func explained(p Parts, docs int, a, b Sample) probes.Result {
	r := probes.Result{
		Schema: probes.Schema, Test: "perplexity.explain", Version: 1, Inputs: []probes.Input{},
		Settings: map[string]any{"a": settings(a, Options{}.withDefaults()), "b": settings(b, Options{}.withDefaults())},
		N:        map[string]int{"documents": docs, "tokens_a": int(p.TokensA), "tokens_b": int(p.TokensB)},
		P:        []probes.PValue{}, Warnings: []probes.Warning{},
		Verdict: probes.Verdict{
			Tier: probes.TierC, Finding: "explained",
			Says:       fmt.Sprintf("where the difference between %s and %s comes from", a.where(), b.where()),
			DoesNotSay: "which of the two numbers is right: they answer different questions",
		},
	}
	add := func(name, unit string, v float64, method string) {
		r.Estimates = append(r.Estimates, probes.Estimate{Name: name, Unit: unit, Value: probes.Value(v), Method: method})
	}
	add("total", "nats", p.Total, "sum of the five parts below; over tokens_b it is the difference of nll_token")
	add("unit", "nats", p.Unit, "other number of scored tokens in the denominator")
	add("coverage", "nats", p.Coverage, "text scored by one of the two only")
	add("context", "nats", p.Context, "same tokens, other number of ids to see")
	add("tokenizer", "nats", p.Tokenizer, "text cut into other tokens")
	add("model", "nats", p.Model, "same tokens, same context")
	add("nats_a", "nats", p.NatsA, a.where())
	add("nats_b", "nats", p.NatsB, b.where())
	if d := math.Abs(stat.Sum([]float64{p.Unit, p.Coverage, p.Context, p.Tokenizer, p.Model, -p.Total})); d > 1e-9*max(1, math.Abs(p.NatsA)) {
		r.Warnings = append(r.Warnings, probes.Warning{Code: "parts-do-not-add", Text: fmt.Sprintf("the parts miss the total by %.3g nats", d)})
	}
	return r
}
