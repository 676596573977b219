package states_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"assay/model"
	"assay/model/states"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/weights"
)

// two is an input in memory; items.Open reads one from a file.
type two []items.Item

func (x two) Len() int { return len(x) }
func (x two) Items() iter.Seq2[items.Item, error] {
	return func(yield func(items.Item, error) bool) {
		for _, it := range x {
			if !yield(it, nil) {
				return
			}
		}
	}
}

func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// resid_post.mean layers [0 3] of width 48: 2 documents
}

func example() error {
	ctx := context.Background()
	ck, err := weights.Open("../../testdata/reference/gpt_neox-parallel")
	if err != nil {
		return err
	}
	defer ck.Close()
	m, err := model.Load(ctx, ck, model.Options{})
	if err != nil {
		return err
	}
	defer m.Close()
	in := two{{ID: "a", IDs: []int32{5, 6, 7}, Label: "x"}, {ID: "b", IDs: []int32{9, 2}, Label: "y"}}
	p, err := states.Prepare(in, m.Spec(), &states.Options{Layers: "0,last", Positions: m.Info().Positions,
		Of: trace.Identity{Checkpoint: trace.Checkpoint{Vocab: m.Info().Vocab}}})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "states")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rep, err := states.Run(ctx, m, in, p, states.RunOptions{Out: filepath.Join(dir, "s.safetensors")})
	if err != nil {
		return err
	}
	v := rep.Views[0]
	fmt.Printf("%s layers %v of width %d: %d documents\n", v.Name(), v.Layers, v.Width, rep.Docs)
	return nil
}
