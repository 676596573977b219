package items_test

import (
	"fmt"
	"os"
	"path/filepath"

	"assay/model/states/items"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "items")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "items.jsonl")
	rows := `{"id": "a7", "prompt": "Who are you? ", "response": "A caterpillar.", "label": true, "topic": "alice"}
{"id": "a8", "text": "two roads", "topic": "frost"}
`
	if err := os.WriteFile(path, []byte(rows), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	s, err := items.Open(path, items.Columns{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for it, err := range s.Items() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q label %q (%v)\n", it.ID, it.Text[it.Seam:], it.Label, it.HasLabel)
	}
	// Output:
	// a7 "A caterpillar." label "true" (true)
	// a8 "" label "" (false)
}
