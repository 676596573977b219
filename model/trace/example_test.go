package trace_test

import (
	"fmt"
	"os"
	"path/filepath"

	"assay/model/trace"
	"assay/model/trace/window"
)

func Example() {
	dir, err := os.MkdirTemp("", "trace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "x.parquet")

	of := trace.Identity{
		Checkpoint: trace.Checkpoint{Weights: "sha256:...", Vocab: 4},
		Policy:     window.Policy{Name: "full", Window: 8},
	}
	w, err := trace.Create(path, of, trace.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The first token has nothing before it, so the policy does not score it.
	err = w.Append(trace.TextDoc(0, "greeting", []byte("aabb")), trace.Tokens{
		ID: []int32{0, 1}, ByteOff: []int64{0, 2}, ByteLen: []int32{2, 2},
		Logprob: []float32{0, -0.5}, Entropy: []float32{0, 1.2}, SD: []float32{0, 0.6},
		Rank: []int32{0, 0}, ArgmaxID: []int32{0, 1}, ArgmaxLogprob: []float32{0, -0.5},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}

	r, err := trace.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for d, err := range r.All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Doc.ID, d.Doc.Scored, d.Doc.SumLogprob, d.Tokens.Logprob)
	}
	rep, err := trace.Check(path, 3)
	fmt.Println(err, rep.Failed)
	// Output:
	// greeting 1 -0.5 [NaN -0.5]
	// <nil> 0
}

// Two documents of two labels at one layer: the cells hold what a test of
// separation needs, whatever the number of documents.
func ExampleOpenStates() {
	dir, err := os.MkdirTemp("", "states")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s.safetensors")

	docs := []trace.DocInfo{{ID: "a", Label: "safe", Tokens: 3, Span: 2}, {ID: "b", Label: "unsafe", Tokens: 3, Span: 2}}
	views := []trace.View{{Tap: "resid_post", Pool: "mean", Span: "text", Layers: []int{12}, Width: 2}}
	plan, err := trace.NewStatesPlan(docs, views, trace.PlanOptions{Sample: 512, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := trace.CreateStates(path, plan, trace.StatesHeader{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, x := range [][]float32{{1, 2}, {3, 4}} {
		if err := w.Add(i, 0, [][]float32{x}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	s, err := trace.OpenStates(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	c, err := s.Cells(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range c.Len() {
		fmt.Println(s.Header().Labels[c.Info[i].Label], c.N(i), c.Sum(i, 0))
	}
	// Output:
	// safe 1 [1 2]
	// unsafe 1 [3 4]
}
