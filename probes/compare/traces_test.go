package compare

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
)

// scored is a document with rows from log-probabilities and first guesses.
func scored(id string, lp []float32, top []int32, bytes int64) trace.DocTokens {
	d := trace.DocTokens{Doc: trace.Doc{ID: id, Status: trace.StatusOK, Bytes: bytes, Scored: int32(len(lp))}}
	d.Tokens.Logprob, d.Tokens.ArgmaxID = lp, top
	for i := range lp {
		d.Tokens.Scored = append(d.Tokens.Scored, true)
		d.Tokens.ID = append(d.Tokens.ID, int32(i))
		d.Doc.SumLogprob += float64(lp[i])
	}
	return d
}

func seq(ds []trace.DocTokens) iter.Seq2[trace.DocTokens, error] {
	return func(yield func(trace.DocTokens, error) bool) {
		for _, d := range ds {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func header(weights, tokenizer string) trace.Header {
	return trace.Header{Of: trace.Identity{Checkpoint: trace.Checkpoint{Weights: weights}, Tokenizer: trace.Tokenizer{Digest: tokenizer}}}
}

func sides(t *testing.T) (a, b []trace.DocTokens, want expected) {
	want = readExpected(t)
	for i, d := range want.Traces.Docs {
		id := fmt.Sprintf("d%d", i)
		a, b = append(a, scored(id, d.A, d.TopA, d.Bytes)), append(b, scored(id, d.B, d.TopB, d.Bytes))
	}
	return a, b, want
}

func traced(t *testing.T, ha, hb trace.Header, a, b []trace.DocTokens, tokens bool, o TraceOptions) probes.Result {
	t.Helper()
	x := newTraces(context.Background(), ha, hb, o)
	if err := x.read(seq(a), seq(b), tokens); err != nil {
		t.Fatal(err)
	}
	r, err := x.result(tokens)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func estimate(t *testing.T, r probes.Result, name string) probes.Estimate {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no estimate %s", name)
	return probes.Estimate{}
}

func TestTracesAgainstNumPy(t *testing.T) {
	a, b, want := sides(t)
	r := traced(t, header("w1", "t"), header("w2", "t"), a, b, true, DefaultTraces())
	w := want.Traces
	for name, v := range map[string]float64{
		"compare.logprob.mean": w.Mean, "compare.logprob.rms": w.RMS, "compare.logprob.max": w.Max, "compare.perplexity.ratio": w.Ratio,
		"compare.top1.agreement": w.Top1, "compare.bpb.a": w.BPBA, "compare.bpb.b": w.BPBB, "compare.bpb.difference": w.BPBB - w.BPBA, "compare.bpb.documents": w.BPBDocuments,
	} {
		e := estimate(t, r, name)
		near(t, name, e.Value, v, 1e-12)
		if name != "compare.logprob.max" && (e.CI == nil || !(e.CI.Lo <= v && v <= e.CI.Hi)) {
			t.Errorf("%s: interval %+v without its value %v", name, e.CI, v)
		}
	}
	m, p := estimate(t, r, "compare.logprob.mean").CI, estimate(t, r, "compare.perplexity.ratio").CI
	if math.Abs(p.Lo-math.Exp(-m.Hi)) > 1e-12 || math.Abs(p.Hi-math.Exp(-m.Lo)) > 1e-12 {
		t.Errorf("interval of the ratio %+v, want exp of that of the mean %+v turned round", p, m)
	}
	if r.Verdict.Tier != probes.TierC || len(r.P) > 0 {
		t.Error("a comparison has no p-value")
	}
}

func TestTracesRequire(t *testing.T) {
	a, b, want := sides(t)
	for _, c := range []struct {
		within float64
		ok     bool
	}{{want.Traces.Max * 1.001, true}, {want.Traces.Max * .999, false}} {
		o := DefaultTraces()
		o.Within = c.within
		r := traced(t, header("w1", "t"), header("w2", "t"), a, b, true, o)
		if err := Require(SameScores, r); (err == nil) != c.ok {
			t.Errorf("within %v: %v", c.within, err)
		}
	}
	r := traced(t, header("w", "t"), header("w", "t"), a, a, true, DefaultTraces())
	if r.Verdict.Finding != "same-scores" || Require(SameScores, r) != nil || Require(SameWeights, r) != nil {
		t.Errorf("a trace against itself: %+v", r.Checks)
	}
	// A token that only one side scores: not the same scores.
	c := slices.Clone(a)
	c[0].Tokens.Scored = append([]bool{false}, c[0].Tokens.Scored[1:]...)
	r = traced(t, header("w", "t"), header("w", "t"), a, c, true, DefaultTraces())
	if err := Require(SameScores, r); fault.As(err) == nil || r.Verdict.Finding == "same-scores" {
		t.Errorf("a token scored by one side: %v, %s", err, r.Verdict.Finding)
	}
}

func TestTracesOtherTokenizer(t *testing.T) {
	a, b, want := sides(t)
	b[0].Tokens = trace.Tokens{} // cut otherwise
	r := traced(t, header("w1", "t1"), header("w2", "t2"), a, b, false, DefaultTraces())
	near(t, "bpb", estimate(t, r, "compare.bpb.b").Value, want.Traces.BPBB, 1e-12)
	for _, e := range r.Estimates {
		if e.Unit == "nats/token" {
			t.Errorf("%s with two tokenizers", e.Name)
		}
	}
	if len(r.Warnings) == 0 || r.Warnings[0].Code != "tokenizer-differs" {
		t.Errorf("warnings %v, want tokenizer-differs", r.Warnings)
	}
	if Require(SameTokenizer, r) == nil || Require(SameScores, r) == nil {
		t.Error("same-tokenizer or same-scores holds")
	}
}

func TestTracesRefuses(t *testing.T) {
	a, b, _ := sides(t)
	for name, edit := range map[string]func(b []trace.DocTokens) []trace.DocTokens{
		"fewer": func(b []trace.DocTokens) []trace.DocTokens { return b[:5] },
		"more":  func(b []trace.DocTokens) []trace.DocTokens { return append(b, b[0]) },
		"id":    func(b []trace.DocTokens) []trace.DocTokens { b[1].Doc.ID = "z"; return b },
		"text":  func(b []trace.DocTokens) []trace.DocTokens { b[1].Doc.SHA256[0] = 1; return b },
		"short": func(b []trace.DocTokens) []trace.DocTokens {
			b[1].Tokens.Logprob = b[1].Tokens.Logprob[1:]
			return b
		},
		"ids": func(b []trace.DocTokens) []trace.DocTokens {
			b[1].Tokens.ID = slices.Clone(b[1].Tokens.ID)
			b[1].Tokens.ID[0] = 99
			return b
		},
	} {
		x := newTraces(context.Background(), header("w", "t"), header("w", "t"), DefaultTraces())
		if err := x.read(seq(a), seq(edit(slices.Clone(b))), true); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input error", name, err)
		}
	}
	x := newTraces(context.Background(), header("w", "t"), header("w", "t"), DefaultTraces())
	if _, err := x.result(true); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("no documents: %v, want an input error", err)
	}
	for name, o := range map[string]TraceOptions{"boot": {B: 1, Level: .95}, "level": {B: 99, Level: 1}, "within": {B: 99, Level: .9, Within: math.NaN()}} {
		if err := o.Validate(); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
	}
}
