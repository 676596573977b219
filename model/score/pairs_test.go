package score_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"testing"

	"assay/model"
	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize"
	"assay/tokenize/chat"
	"assay/tokenize/text"
	"assay/weights"
)

// fixed is an input of given documents.
type fixed []text.Doc

func (f fixed) Len() int { return len(f) }
func (f fixed) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for _, d := range f {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// The tokens of a response alone are scored, and their mean cost is the loss of
// transformers 5.23.0 with the labels of the prompt masked, for pairs and for chats
// (testdata/make_pairs.py).
func TestLossOnResponse(t *testing.T) {
	if !tokenize.Available {
		t.Skip("built without the tag tokenizers")
	}
	b, err := os.ReadFile("testdata/pairs.json")
	if err != nil {
		t.Fatal(err)
	}
	var x struct {
		Template string
		Cases    []struct {
			Prompt, Response string
			Chat             bool
			N                int
			Loss             float64
		}
	}
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	const dir = "../../testdata/demo/alice"
	ck, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	m, err := model.Load(context.Background(), ck, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tm, err := chat.New(x.Template)
	if err != nil {
		t.Fatal(err)
	}
	for _, chats := range []bool{false, true} {
		o := tokenize.Options{}
		if chats {
			o.Specials = tokenize.SpecialsParse
		}
		tok, err := tokenize.Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer tok.Close()
		var rows fixed
		for i, c := range x.Cases {
			if c.Chat == chats {
				rows = append(rows, text.Doc{ID: fmt.Sprint(i), HasText: true, Text: c.Response, Context: c.Prompt, HasContext: true})
			}
		}
		var in score.Input = rows
		if chats {
			in = chat.Responses{Source: rows, Template: tm, Options: chat.Options{Tokens: tok.NamedTokens()}}
		}
		so := score.Options{Policy: window.Policy{Name: "full", BOS: "never"}, Positions: m.Info().Positions, Encoder: tok,
			Of:  trace.Identity{Checkpoint: trace.Checkpoint{Weights: "sha256:00", Vocab: m.Info().Vocab}},
			Out: filepath.Join(t.TempDir(), "x.parquet")}
		survey, err := score.Plan(in, &so)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := score.Run(context.Background(), m, in, survey, so); err != nil {
			t.Fatal(err)
		}
		r, err := trace.Open(so.Out)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		seen := 0
		for d, err := range r.Docs() {
			if err != nil {
				t.Fatal(err)
			}
			var i int
			if _, err := fmt.Sscan(d.ID, &i); err != nil {
				t.Fatal(err)
			}
			seen++
			c := x.Cases[i]
			if int(d.Scored) != c.N || int(d.Tokens) != c.N || math.Abs(-d.SumLogprob/float64(c.N)-c.Loss) > 5e-5 {
				t.Errorf("case %d (chat %v): %d tokens, %d scored, loss %v; transformers %d, %v", i, c.Chat, d.Tokens, d.Scored, -d.SumLogprob/float64(d.Scored), c.N, c.Loss)
			}
		}
		if seen != 3 {
			t.Errorf("%d documents", seen)
		}
	}
}
