package model_test

import (
	"context"
	"fmt"
	"log"

	"assay/model"
	"assay/weights"
)

// A checkpoint continues two prompts. The continuations come in the order of the
// prompts, and none depends on the other.
func ExampleModel_Generate() {
	ck, err := weights.Open("../testdata/demo/alice")
	if err != nil {
		log.Fatal(err)
	}
	defer ck.Close()
	m, err := model.Load(context.Background(), ck, model.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompts := []model.Prompt{{ID: "a", IDs: []int32{1478, 259, 1904}}, {ID: "b", IDs: []int32{397}}}
	err = m.Generate(context.Background(), prompts, model.GenOptions{MaxTokens: 4}, func(g model.Generation) error {
		fmt.Println(g.ID, len(g.IDs), "tokens, ended by", g.Stop)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// a 4 tokens, ended by length
	// b 4 tokens, ended by length
}
