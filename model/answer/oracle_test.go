package answer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"assay/model"
	"assay/model/answer"
	"assay/probes/assoc"
	"assay/probes/assoc/pairs"
	"assay/weights"
)

// scored is a sentence of testdata/pairs.json.
type scored struct {
	Text    string
	IDs     []int32
	Ends    []int64
	LogProb []float64
}

// table is a tokenizer of the sentences of the golden.
type table map[string]scored

func (t table) Encode(text string) ([]int32, []int64, error) {
	s, ok := t[text]
	if !ok {
		return nil, nil, fmt.Errorf("no sentence %q", text)
	}
	return s.IDs, s.Ends, nil
}

// TestPairsAgreeWithTransformers: log-probabilities of a decoder and masked ones of
// an encoder, token by token, and the differences of pairs, are those of torch 2.15
// and transformers 5.23 in float64 (testdata/make_pairs.py).
func TestPairsAgreeWithTransformers(t *testing.T) {
	raw, err := os.ReadFile("testdata/pairs.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Models map[string]struct {
			Prefix, Suffix []int32
			Mask           int32
			Pairs          []struct {
				More, Less scored
				Sum        float64  `json:"d_sum"`
				PLL        *float64 `json:"d_pll"`
			}
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for ref, g := range doc.Models {
		ck, err := weights.Open("../../testdata/reference/" + ref)
		if err != nil {
			t.Fatal(err)
		}
		defer ck.Close()
		m, err := model.Load(context.Background(), ck, model.Options{BatchTokens: 512})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		o := answer.Options{Prefix: g.Prefix, Limit: m.Info().Positions, Encoder: m.Info().Encoder, Suffix: g.Suffix, Mask: g.Mask}
		tok := table{}
		var rs []assoc.Request
		ask := func(s scored) assoc.Request {
			tok[s.Text] = s
			return assoc.Request{Targets: []string{s.Text}, Masked: o.Encoder}
		}
		for _, p := range g.Pairs {
			rs = append(rs, ask(p.More), ask(p.Less))
		}
		got, err := answer.Score(context.Background(), m, tok, rs, o)
		if err != nil {
			t.Fatal(err)
		}
		windows, tokens, err := answer.Tokens(tok, rs, o)
		if err != nil || o.Encoder && (windows < 80 || tokens < 80*15) {
			t.Errorf("%s: %d passes over %d tokens, %v; want one a token", ref, windows, tokens, err)
		}
		for i, p := range g.Pairs {
			var as [2][]assoc.Token
			for k, want := range []scored{p.More, p.Less} {
				a, err := assoc.Ask(got, rs[2*i+k])
				if err != nil {
					t.Fatal(err)
				}
				as[k] = a[0].Tokens
				if len(as[k]) != len(want.LogProb) {
					t.Fatalf("%s: %q: %d tokens scored, want %d", ref, want.Text, len(as[k]), len(want.LogProb))
				}
				for j, lp := range want.LogProb {
					if d := as[k][j].LogProb - lp; !(math.Abs(d) <= 5e-5) {
						t.Errorf("%s: %q token %d: off by %g", ref, want.Text, j, d)
					}
				}
			}
			d, err := pairs.Diff(p.More.Text, p.Less.Text, as[0], as[1])
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(d.Sum-p.Sum) > 1e-3 || p.PLL != nil && math.Abs(d.SharedAll-*p.PLL) > 1e-3 {
				t.Errorf("%s pair %d: d_sum %v, d_pll %v; want %v, %v", ref, i, d.Sum, d.SharedAll, p.Sum, p.PLL)
			}
		}
		o.Encoder = !o.Encoder
		if _, err := answer.Score(context.Background(), m, tok, rs, o); err == nil {
			t.Errorf("%s: the other kind of request passed", ref)
		}
	}
}
