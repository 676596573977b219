package text_test

import (
	"fmt"
	"os"
	"path/filepath"

	"assay/tokenize/text"
)

func ExampleRead() {
	dir, err := os.MkdirTemp("", "text")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "t.jsonl")
	rows := `{"id": "a7", "text": "two roads", "label": 1}
{"id": "a8", "text": "a wood", "label": 0}
`
	if err := os.WriteFile(path, []byte(rows), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	for doc, err := range text.Read(path, text.Options{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q %d\n", doc.ID, doc.Text, *doc.Label)
	}
	// Output:
	// a7 "two roads" 1
	// a8 "a wood" 0
}

func ExampleTiles() {
	// A byte-level tokenizer splits the two-byte é over two tokens and reports
	// the same span for both; the second token gets an empty tile.
	off, length, dropped := text.Tiles([]int64{1, 3, 3, 5}, "hé w")
	fmt.Println(off, length, dropped)
	// Output: [0 1 3 3] [1 2 0 2] 0
}
