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
