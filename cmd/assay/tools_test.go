package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/perplexity"
	"assay/tokenize"
	"assay/tokenize/text"
)

// oneText is a text given as ids.
type oneText []int32

func (o oneText) Len() int { return 1 }

func (o oneText) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) { yield(text.Doc{ID: "x", Line: 1, IDs: o}, nil) }
}

// toolOf is one figure of a tool and how it is reproduced.
type toolOf struct {
	tool, field string
	policy      window.Policy
	first       int // ids used; 0 = all
	// figure reads our number from the result and the summed cost in nats.
	figure func(r map[string]float64, nats float64) float64
}

func namedTools() []toolOf {
	ppl := func(r map[string]float64, _ float64) float64 { return r["ppl_token"] }
	out := []toolOf{
		{"llamacpp 0", "ppl", window.Policy{Name: "llamacpp", Window: 16, BOS: "never"}, 0, ppl},
		{"llamacpp 0", "error", window.Policy{Name: "llamacpp", Window: 16, BOS: "never"}, 0, func(r map[string]float64, _ float64) float64 { return r["se_llamacpp"] }},
		{"llamacpp 1", "ppl", window.Policy{Name: "llamacpp", Window: 16, BOS: "id:1"}, 0, ppl},
		{"llamacpp 1", "error", window.Policy{Name: "llamacpp", Window: 16, BOS: "id:1"}, 0, func(r map[string]float64, _ float64) float64 { return r["se_llamacpp"] }},
		{"llamacpp-stride 4", "", window.Policy{Name: "llamacpp-stride", Window: 12, Stride: 4, BOS: "never"}, 0, ppl},
		{"gptq", "", window.Policy{Name: "gptq", Window: 16, BOS: "never"}, 0, ppl},
		{"mimir", "", window.Policy{Name: "mimir", Window: 16, BOS: "never"}, 0, func(r map[string]float64, _ float64) float64 { return r["nll_token"] }},
		{"evaluate", "", window.Policy{Name: "full", Window: 64, BOS: "id:1"}, 16, ppl},
	}
	for _, s := range []int{4, 8, 16} {
		out = append(out, toolOf{fmt.Sprintf("hf-stride-doc %d", s), "", window.Policy{Name: "hf-stride-doc", Window: 16, Stride: s, BOS: "never"}, 0, ppl})
	}
	for _, c := range []int{1, 5} {
		p := window.Policy{Name: "lmeval-rolling", Window: 16, Context: c, BOS: "id:1"}
		name := fmt.Sprintf("lmeval-rolling %d", c)
		// The ids stand for a text of 20 words and 130 bytes.
		out = append(out, toolOf{name, "word_perplexity", p, 0, func(_ map[string]float64, nats float64) float64 { return math.Exp(nats / 20) }},
			toolOf{name, "byte_perplexity", p, 0, func(_ map[string]float64, nats float64) float64 { return math.Exp(nats / 130) }},
			toolOf{name, "bits_per_byte", p, 0, func(_ map[string]float64, nats float64) float64 { return nats / 130 / math.Ln2 }})
	}
	for _, s := range []int{8, 16} {
		out = append(out, toolOf{fmt.Sprintf("oren %d", s), "", window.Policy{Name: "oren", Window: 16, Stride: s, BOS: "never"}, 0, func(_ map[string]float64, nats float64) float64 { return -nats }})
	}
	return out
}

// TestNamedToolsOfCheckpoints runs the whole path, weights to result, under every
// window policy, against the loops of the named tools with torch 2.15 and
// transformers 5.23 in float64 (probes/perplexity/testdata/tools.py): relative
// difference below 1e-5. ASSAY_ALL=1 takes every causal reference checkpoint.
func TestNamedToolsOfCheckpoints(t *testing.T) {
	b, err := os.ReadFile("../../probes/perplexity/testdata/named.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]struct {
		IDs   []int32                    `json:"ids"`
		Tools map[string]json.RawMessage `json:"tools"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	worst, checked := 0.0, 0
	for name, x := range file {
		if os.Getenv("ASSAY_ALL") == "" && !slices.Contains([]string{"gpt2", "mistral-sliding"}, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := modelFlags{backend: "go", weights: "auto", batch: 512, specials: "none"}
			s, err := m.open(context.Background(), filepath.Join("../../testdata/reference", name), false)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if err := m.load(context.Background(), &app{stdout: io.Discard, stderr: io.Discard, quiet: true}, s); err != nil {
				t.Fatal(err)
			}
			done := make(map[string]scoredTool)
			for _, c := range namedTools() {
				ids := x.IDs
				if c.first > 0 {
					ids = ids[:c.first]
				}
				key := fmt.Sprint(c.policy, c.first)
				got, ok := done[key]
				if !ok {
					got = scoreTool(t, s, ids, c.policy)
					done[key] = got
				}
				want := toolNumber(t, x.Tools[c.tool], c.field)
				d := math.Abs(c.figure(got.r, got.nats)/want - 1)
				worst, checked = max(worst, d), checked+1
				if !(d < 1e-5) {
					t.Errorf("%s %s: %.9g, tool %.9g, relative difference %.2g", c.tool, c.field, c.figure(got.r, got.nats), want, d)
				}
			}
		})
	}
	t.Logf("%d figures, largest relative difference %.2g", checked, worst)
}

type scoredTool struct {
	r    map[string]float64
	nats float64
}

func scoreTool(t *testing.T, s *session, ids []int32, p window.Policy) scoredTool {
	t.Helper()
	a := &app{stdout: io.Discard, stderr: io.Discard, quiet: true}
	o := score.Options{Policy: p, Positions: s.info.Positions, Of: s.identity(), Out: filepath.Join(t.TempDir(), "x.parquet"), Made: s.made()}
	in := oneText(ids)
	survey, err := score.Plan(in, &o)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := a.run(context.Background(), s, in, survey, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := trace.Open(rep.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sample, err := perplexity.FromTrace(r, perplexity.Read{Rows: true})
	if err != nil {
		t.Fatal(err)
	}
	var res probes.Result
	if res, err = perplexity.Run(sample, perplexity.Options{}); err != nil {
		t.Fatal(err)
	}
	out := scoredTool{r: make(map[string]float64), nats: sample.Units[0].Nats}
	for _, e := range res.Estimates {
		if e.Value != nil {
			out.r[e.Name] = *e.Value
		}
	}
	return out
}

func toolNumber(t *testing.T, raw json.RawMessage, field string) float64 {
	t.Helper()
	var x float64
	m := map[string]float64{}
	if field == "" {
		if err := json.Unmarshal(raw, &x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if _, ok := m[field]; !ok {
		t.Fatalf("no figure %q in %s", field, strings.TrimSpace(string(raw)))
	}
	return m[field]
}

// TestLlamaPerplexity: text to figure against the program itself, built from source, on
// an F32 file of the same weights (probes/perplexity/testdata/llama_gguf.py: versions and
// commands). It keeps keys and values in 16 bits; the tolerance is 1e-3, and 1e-2 for
// its error.
func TestLlamaPerplexity(t *testing.T) {
	if !tokenize.Available {
		t.Skip("built without the tokenizer library")
	}
	b, err := os.ReadFile("../../testdata/demo/texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts struct{ Kjv []string }
	if err := json.Unmarshal(b, &texts); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "t.txt")
	if err := os.WriteFile(file, []byte(strings.Join(texts.Kjv[:6], "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags    string
		ppl, err float64
	}{
		{"--policy llamacpp --window 64 --bos never", 29.3506, 1.34737},
		{"--policy llamacpp --window 64 --bos always", 29.3146, 1.34497},
		{"--policy llamacpp --window 128 --bos always", 34.7100, 1.59862},
		{"--policy llamacpp --window 256 --bos never", 41.0304, 1.92060},
		{"--policy llamacpp-stride --window 240 --stride 32 --bos never", 44.9555, math.NaN()},
	} {
		var out, notes strings.Builder
		args := append([]string{"perplexity", "../../testdata/demo/alice", "--text", file, "--json", "--cache", t.TempDir()}, strings.Fields(c.flags)...)
		if code := run(context.Background(), args, strings.NewReader(""), &out, &notes); code != 0 {
			t.Fatalf("%s: exit %d: %s", c.flags, code, notes.String())
		}
		got := estimatesOf(t, out.String())
		if d := math.Abs(got["ppl_token"]/c.ppl - 1); !(d < 1e-3) {
			t.Errorf("%s: %.6g, llama-perplexity %.6g", c.flags, got["ppl_token"], c.ppl)
		} else {
			t.Logf("%s: relative difference %.1g", c.flags, d)
		}
		if d := math.Abs(got["se_llamacpp"]/c.err - 1); !math.IsNaN(c.err) && !(d < 1e-2) {
			t.Errorf("%s: +/- %.6g, llama-perplexity %.6g", c.flags, got["se_llamacpp"], c.err)
		}
	}
}

// estimatesOf reads the estimates of the first result of a JSON output.
func estimatesOf(t *testing.T, s string) map[string]float64 {
	t.Helper()
	var doc struct {
		probes.Result
		Results []probes.Result `json:"results"`
	}
	if err := json.Unmarshal([]byte(s), &doc); err != nil {
		t.Fatal(err)
	}
	r := doc.Result
	if len(doc.Results) > 0 {
		r = doc.Results[0]
	}
	out := make(map[string]float64)
	for _, e := range r.Estimates {
		if e.Value != nil {
			out[e.Name] = *e.Value
		}
	}
	return out
}
