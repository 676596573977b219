package score

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/weights"
)

// pll is one model of testdata/pll.json (transformers 5.23, torch 2.15, float64;
// testdata/make_pll.py).
type pll struct {
	Prefix, Suffix []int32
	Mask           int32
	Docs           []struct {
		Text    string
		IDs     []int32
		Ends    []int64
		Logprob []float64
		Entropy []float64
		Rank    []int32
	}
}

func readPLL(t *testing.T) map[string]pll {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "pll.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]pll
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// scripted is a tokenizer that knows the documents of one model.
type scripted struct {
	words
	pll
}

func (s scripted) Encode(text string) ([]int32, []int64, error) {
	for i, d := range s.Docs {
		if text == name(i) {
			ends := make([]int64, len(d.IDs)) // the bytes are of no account
			for k := range ends {
				ends[k] = int64(len(text))
			}
			return d.IDs, ends, nil
		}
	}
	return nil, nil, fault.Inputf("text", "no document %q", text)
}
func (s scripted) Template() (prefix, suffix []int32) { return s.Prefix, s.Suffix }
func (s scripted) Mask() (int32, bool)                { return s.pll.Mask, true }

func name(i int) string { return "document " + string(rune('a'+i)) }

func loadEncoder(t *testing.T, name string) *model.Model {
	t.Helper()
	ck, err := weights.Open(filepath.Join("../../testdata/reference", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	m, err := model.Load(context.Background(), ck, model.Options{BatchTokens: 512})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// Every token of a text, masked in turn, has the score that transformers gives.
func TestPLLAgreesWithTransformers(t *testing.T) {
	for ref, want := range readPLL(t) {
		m := loadEncoder(t, ref)
		var in docs
		for i := range want.Docs {
			in = append(in, textDoc(name(i), name(i)))
		}
		o := Options{Policy: window.Policy{Name: window.Masked}, Positions: m.Info().Positions, TwoSided: m.Info().Encoder, Encoder: scripted{pll: want},
			Of: identity(m.Info().Vocab), Out: filepath.Join(t.TempDir(), "x.parquet")}
		survey, err := Plan(in, &o)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := Run(context.Background(), m, in, survey, o)
		if err != nil {
			t.Fatal(err)
		}
		if inv := rep.Header.Made.Invariance; inv == nil || inv.N == 0 || inv.MaxAbs > model.InvarianceBound {
			t.Errorf("%s: invariance %+v, want a sample within %g", ref, inv, model.InvarianceBound)
		}
		if p := rep.Header.Of.Policy; p.MaskID == nil || *p.MaskID != want.Mask || len(p.SuffixIDs) != 1 {
			t.Errorf("%s: policy %+v does not name mask and suffix", ref, p)
		}
		fed := int64(0)
		for i, d := range read(t, o.Out) {
			g := want.Docs[i]
			n := len(g.IDs)
			fed += int64(n * (n + 2))
			if int(d.Doc.Scored) != n || int(d.Doc.Windows) != n || d.Doc.Status != trace.StatusOK {
				t.Errorf("%s document %d: %d scored in %d windows (%s), want all %d", ref, i, d.Doc.Scored, d.Doc.Windows, d.Doc.Status, n)
			}
			for k := range g.IDs {
				if x := float64(d.Tokens.Logprob[k]) - g.Logprob[k]; !(math.Abs(x) <= 5e-5) {
					t.Fatalf("%s document %d token %d: ln p off by %g", ref, i, k, x)
				}
				if x := float64(d.Tokens.Entropy[k]) - g.Entropy[k]; !(math.Abs(x) <= 1e-4) {
					t.Fatalf("%s document %d token %d: entropy off by %g", ref, i, k, x)
				}
				if d.Tokens.Rank[k] != g.Rank[k] || d.Tokens.Ctx[k] != int32(n+1) || d.Tokens.ID[k] != g.IDs[k] {
					t.Fatalf("%s document %d token %d: rank %d, ctx %d, id %d; want %d, %d, %d", ref, i, k, d.Tokens.Rank[k], d.Tokens.Ctx[k], d.Tokens.ID[k], g.Rank[k], n+1, g.IDs[k])
				}
			}
		}
		if survey.Tokens != fed {
			t.Errorf("%s: %d inputs forecast, %d fed", ref, survey.Tokens, fed)
		}
		if rep, err := trace.Check(o.Out, 3); err != nil || rep.Failed > 0 {
			t.Errorf("%s: check: %v, %+v", ref, err, rep.Findings)
		}
	}
}

// What cannot be a pseudo-likelihood is refused before the model runs.
func TestPLLRefuse(t *testing.T) {
	in := docs{textDoc("a", "aa bbb c")}
	id := int32(7)
	far := int32(100)
	for _, c := range []struct {
		name  string
		o     Options
		class fault.Class
		says  string
	}{
		{"an encoder under full", Options{Policy: window.Policy{Name: "full"}, TwoSided: true}, fault.Input, "encoder"},
		{"an encoder under the default", Options{TwoSided: true}, fault.Input, "encoder"},
		{"a decoder under pll", Options{Policy: window.Policy{Name: "pll", MaskID: &id}}, fault.Usage, "predicts the next one"},
		{"no mask token", Options{Policy: window.Policy{Name: "pll"}, TwoSided: true}, fault.Usage, "mask token"},
		{"a mask outside the vocabulary", Options{Policy: window.Policy{Name: "pll", MaskID: &far}, TwoSided: true}, fault.Usage, "0 to 99"},
		{"a mask without pll", Options{Policy: window.Policy{Name: "full", MaskID: &id}}, fault.Usage, "nothing is masked"},
		{"max_tokens", Options{Policy: window.Policy{Name: "pll", MaskID: &id, MaxTokens: 2}, TwoSided: true}, fault.Usage, "max_tokens"},
	} {
		c.o.Of, c.o.Encoder, c.o.Positions = identity(100), words{}, 16
		_, err := Plan(in, &c.o)
		if f := fault.As(err); f == nil || f.Class != c.class || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want class %d and %q", c.name, err, c.class, c.says)
		}
	}
}

// A document longer than the model's positions is named, counted and not scored;
// ids are taken as they are, without ids around them.
func TestPLLLong(t *testing.T) {
	mask := int32(5)
	in := docs{{ID: "long", IDs: make([]int32, 17)}, {ID: "fits", IDs: make([]int32, 16)}}
	rep, ds := run(t, in, Options{Policy: window.Policy{Name: "pll", MaskID: &mask}, TwoSided: true, Positions: 16, Encoder: words{bos: true}})
	if ds[0].Doc.Status != trace.StatusOverContext || ds[0].Doc.Scored != 0 || ds[1].Doc.Scored != 16 {
		t.Errorf("status %s, scored %d and %d; want over_context, 0 and 16", ds[0].Doc.Status, ds[0].Doc.Scored, ds[1].Doc.Scored)
	}
	if p := rep.Header.Of.Policy; len(p.PrefixIDs)+len(p.SuffixIDs) > 0 {
		t.Errorf("policy %+v puts ids around ids", p)
	}
	if w := rep.Warnings; len(w) == 0 || !strings.Contains(w[len(w)-1].Text, "pll") {
		t.Errorf("warnings %v, want one that names the policy", w)
	}
}

var _ Encoder = scripted{}
