package perplexity

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
)

type toolsFile struct {
	IDs   []int32                    `json:"ids"`
	Table map[string][][]float64     `json:"table"`
	Tools map[string]json.RawMessage `json:"tools"`
}

func readTools(t *testing.T) toolsFile {
	t.Helper()
	b, err := os.ReadFile("testdata/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var f toolsFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f toolsFile) number(t *testing.T, tool, field string) float64 {
	t.Helper()
	raw, ok := f.Tools[tool]
	if !ok {
		t.Fatalf("no tool %q", tool)
	}
	var x float64
	if field == "" {
		if err := json.Unmarshal(raw, &x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	var m map[string]float64
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m[field]
}

// sample scores the text of the file under a policy from its table of
// log-probabilities, the way the model would.
func (f toolsFile) sample(t *testing.T, p window.Policy, prefix int) Sample {
	t.Helper()
	ws, err := window.Plan(p, prefix, 0, len(f.IDs))
	if err != nil {
		t.Fatal(err)
	}
	n := len(f.IDs)
	nan := float32(math.NaN())
	d := trace.DocTokens{Doc: trace.Doc{ID: "x", Status: trace.StatusOK, Tokens: int32(n), Bytes: 130, Chars: 130, Words: 19, Pieces: 20, Windows: int32(len(ws))}}
	for i := range n {
		d.Tokens.Pos, d.Tokens.Scored = append(d.Tokens.Pos, int32(i)), append(d.Tokens.Scored, false)
		d.Tokens.Window, d.Tokens.Ctx, d.Tokens.Logprob = append(d.Tokens.Window, trace.Null), append(d.Tokens.Ctx, trace.Null), append(d.Tokens.Logprob, nan)
	}
	for k, w := range ws {
		for i := w.Lo; i < w.Hi; i++ {
			kind := "plain"
			switch {
			case w.ReplaceBOS:
				kind = "bos"
			case prefix > 0:
				kind = "prefix"
			}
			l := f.Table[kind][w.Begin][i-w.Begin-1]
			pos := i - prefix
			d.Tokens.Scored[pos], d.Tokens.Window[pos], d.Tokens.Ctx[pos], d.Tokens.Logprob[pos] = true, int32(k), int32(w.Ctx(i)), float32(l)
			d.Doc.Scored++
			d.Doc.SumLogprob += float64(float32(l))
			d.Doc.SumLogprob2 += float64(float32(l)) * float64(float32(l))
		}
	}
	return sampleOf(t, p, d)
}

// TestNamedTools: each rule gives the number of the tool it is named after, on a
// golden checkpoint (testdata/tools.py: torch 2.15, transformers 5.23, float64).
func TestNamedTools(t *testing.T) {
	f := readTools(t)
	run := func(p window.Policy, prefix int, name string) float64 {
		t.Helper()
		r, err := Run(f.sample(t, p, prefix), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return value(t, r, name)
	}
	close := func(what string, got, want float64) {
		t.Helper()
		if d := math.Abs(got/want - 1); !(d < 1e-5) {
			t.Errorf("%s: %.10g, tool %.10g, relative difference %.2g", what, got, want, d)
		} else {
			t.Logf("%s: relative difference %.1g", what, d)
		}
	}
	for stride, name := range map[int]string{4: "hf-stride-doc 4", 8: "hf-stride-doc 8", 16: "hf-stride-doc 16"} {
		close(name, run(window.Policy{Name: "hf-stride-doc", Window: 16, Stride: stride}, 0, "ppl_token"), f.number(t, name, ""))
	}
	for c, name := range map[int]string{1: "lmeval-rolling 1", 5: "lmeval-rolling 5"} {
		p := window.Policy{Name: "lmeval-rolling", Window: 16, Context: c}
		close(name+" word", run(p, 1, "ppl_word_lmeval"), f.number(t, name, "word_perplexity"))
		close(name+" byte", run(p, 1, "ppl_byte"), f.number(t, name, "byte_perplexity"))
		close(name+" bits", run(p, 1, "bpb"), f.number(t, name, "bits_per_byte"))
	}
	llama := window.Policy{Name: "llamacpp", Window: 16}
	close("llamacpp", run(llama, 0, "ppl_token"), f.number(t, "llamacpp 0", "ppl"))
	close("llamacpp +/-", run(llama, 0, "se_llamacpp"), f.number(t, "llamacpp 0", "error"))
	close("llamacpp with BOS", run(llama, 1, "ppl_token"), f.number(t, "llamacpp 1", "ppl"))
	close("llamacpp with BOS +/-", run(llama, 1, "se_llamacpp"), f.number(t, "llamacpp 1", "error"))
	close("llamacpp-stride", run(window.Policy{Name: "llamacpp-stride", Window: 12, Stride: 4}, 0, "ppl_token"), f.number(t, "llamacpp-stride 4", ""))
	close("gptq", run(window.Policy{Name: "gptq", Window: 16}, 0, "ppl_token"), f.number(t, "gptq", ""))
	close("mimir", run(window.Policy{Name: "mimir", Window: 16}, 0, "nll_token"), f.number(t, "mimir", ""))
	for stride, name := range map[int]string{8: "oren 8", 16: "oren 16"} {
		s := f.sample(t, window.Policy{Name: "oren", Window: 16, Stride: stride}, 0)
		close(name, -s.Units[0].Nats, f.number(t, name, ""))
	}
	f.IDs = f.IDs[:16]
	close("evaluate", run(window.Policy{Name: "full", Window: 64}, 1, "ppl_token"), f.number(t, "evaluate", ""))
}

// write stores one document under a name and opens it again.
func write(t *testing.T, name string, p window.Policy, tokenizer string, docs ...trace.DocTokens) *trace.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	of := trace.Identity{Checkpoint: trace.Checkpoint{Weights: "sha256:" + strings.Repeat("11", 32), Vocab: 50},
		Tokenizer: trace.Tokenizer{Digest: tokenizer}, Policy: p, Precision: "f32"}
	w, err := trace.Create(path, of, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range docs {
		doc := trace.TextDoc(int32(i), d.Doc.ID, []byte(strings.Repeat("ab ", int(d.Doc.Bytes)/3+1)[:d.Doc.Bytes]))
		doc.Group = d.Doc.Group
		if err := w.Append(doc, d.Tokens); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// lawful fills the columns that perplexity does not read.
func lawful(d trace.DocTokens, id string) trace.DocTokens {
	d.Doc.ID = id
	t := &d.Tokens
	for _, l := range t.Logprob {
		rank, top, arg, tok := int32(1), max(l, -.5), int32(2), int32(1)
		if l > -.7 {
			rank, top, arg = 0, l, tok
		}
		t.ID, t.Rank, t.ArgmaxID, t.ArgmaxLogprob = append(t.ID, tok), append(t.Rank, rank), append(t.ArgmaxID, arg), append(t.ArgmaxLogprob, top)
		t.Entropy, t.SD = append(t.Entropy, 2), append(t.SD, 1)
	}
	return d
}

// TestFromTrace: both tables, the document table alone, and the two orders of reading
// agree; explaining two policies of one text adds up.
func TestFromTrace(t *testing.T) {
	cost := func(i, ctx int) float64 { return 1 + 3/(1+float64(ctx)) + float64(i%7)/7 }
	long, short := window.Policy{Name: "full", Window: 512, BOS: "none"}, window.Policy{Name: "hf-stride", Window: 64, Stride: 32, BOS: "none"}
	docs := func(p window.Policy) (out []trace.DocTokens) {
		for k, n := range []int{120, 90, 200, 33} {
			out = append(out, lawful(scoredDoc(t, p, 0, n, func(i, c int) float64 { return cost(i+k, c) }), []string{"a", "b", "c", "d"}[k]))
		}
		return out
	}
	a := write(t, "a.parquet", long, "sha256:t", docs(long)...)
	b := write(t, "b.jsonl", short, "sha256:t", docs(short)...)
	for _, rows := range []bool{false, true} {
		s, err := FromTrace(a, Read{Rows: rows})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, n := 0.0, 0.0
		for _, d := range docs(long) {
			want -= d.Doc.SumLogprob
			n += float64(d.Doc.Scored)
		}
		near(t, "nll_token", value(t, r, "nll_token"), want/n, 1e-9)
		if r.N["documents"] != 4 || r.N["windows"] != 4 || (len(s.Bins) > 0) != rows {
			t.Errorf("rows %v: n %v, %d bins", rows, r.N, len(s.Bins))
		}
	}
	s, err := FromTrace(a, Read{Rows: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, Options{Cover: "scored"})
	if err != nil || slices.Contains(names(r), "ppl_word") {
		t.Errorf("scored bytes: %v, %v", names(r), err)
	}
	near(t, "covered bytes", s.Units[0].Covered, 2*119, 0)

	res, most, err := ExplainAll(a, b, 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(most) != 5 || len(res.Warnings) != 0 || value(t, res, "model") != 0 || !(value(t, res, "context") > 0) {
		t.Errorf("explain: %v, %d stretches, warnings %v", names(res), len(most), res.Warnings)
	}
	if math.Abs(most[0].Difference) < math.Abs(most[4].Difference) {
		t.Error("stretches are not sorted by difference")
	}
	few := write(t, "few.parquet", long, "sha256:t", docs(long)[:3]...)
	for _, pair := range [][2]*trace.Reader{{a, few}, {few, a}} {
		if _, _, err := ExplainAll(pair[0], pair[1], 5); fault.As(err) == nil || !strings.Contains(err.Error(), `"d"`) {
			t.Errorf("a document is missing: %v", err)
		}
	}
	// One changed byte, one changed rule: the comparison refuses or says so.
	sb, err := FromTrace(b, Read{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compare(s, sb, Options{})
	if err != nil || !slices.Contains(codes(c), "policy-differs") {
		t.Errorf("two rules: %v, %v", codes(c), err)
	}
	sb.Units[2].SHA256[5]++
	if _, err := Compare(s, sb, Options{}); fault.As(err) == nil || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("another text: %v", err)
	}
	loop := short
	loop.Name = "hf-stride-doc"
	l, err := FromTrace(write(t, "l.parquet", loop, "sha256:t", docs(loop)...), Read{})
	if err != nil || l.Units[0].Loop.Weight == 0 {
		t.Errorf("documented loop: %+v, %v", l.Units, err)
	}
}
