package model_test

import (
	"context"
	"fmt"

	"assay/model"
	"assay/weights"
)

// Score a few tokens with a small checkpoint.
func Example() {
	ck, err := weights.Open("../testdata/reference/llama-mha")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ck.Close()
	ctx := context.Background()
	m, err := model.Load(ctx, ck, model.Options{BatchTokens: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()

	s := []int32{5, 300, 17, 42} // a sequence: every id but the first is a target
	windows := func(yield func(model.Window, error) bool) {
		yield(model.Window{IDs: s[:len(s)-1], Targets: s[1:]}, nil)
	}
	err = m.Score(ctx, windows, model.ScoreOptions{}, func(w model.Window, x model.Scores) error {
		fmt.Println(m.Info().Family, "targets:", len(x.Logprob), "first below zero:", x.Logprob[0] < 0)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: llama targets: 3 first below zero: true
}
