package score_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"os"
	"path/filepath"

	"assay/model"
	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize/text"
	"assay/weights"
)

// rows is an input of two documents that are ids already.
type rows struct{}

func (rows) Len() int { return 2 }
func (rows) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		_ = yield(text.Doc{ID: "a", IDs: []int32{1478, 259, 1904, 1295}}, nil) &&
			yield(text.Doc{ID: "b", IDs: []int32{397, 259}}, nil)
	}
}

// A checkpoint is scored on two documents; the trace says how many tokens.
func Example() {
	ctx := context.Background()
	ck, err := weights.Open("../../testdata/demo/alice")
	if err != nil {
		log.Fatal(err)
	}
	defer ck.Close()
	m, err := model.Load(ctx, ck, model.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	digests, err := ck.Scan(ctx)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "score")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	o := score.Options{
		Policy:    window.Policy{Name: "full"},
		Positions: m.Info().Positions,
		Of:        trace.Identity{Checkpoint: trace.Checkpoint{Weights: digests.Weights, Config: m.Info().Config, Vocab: m.Info().Vocab}},
		Out:       filepath.Join(dir, "x.parquet"),
	}
	survey, err := score.Plan(rows{}, &o)
	if err != nil {
		log.Fatal(err)
	}
	report, err := score.Run(ctx, m, rows{}, survey, o)
	if err != nil {
		log.Fatal(err)
	}
	c := report.Header.Counts
	fmt.Printf("%d documents, %d tokens, %d scored\n", c.Docs, c.Rows, c.Scored)
	// Output: 2 documents, 6 tokens, 4 scored
}
