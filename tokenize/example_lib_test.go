//go:build tokenizers

package tokenize_test

import (
	"fmt"

	"assay/tokenize"
	"assay/tokenize/text"
)

func Example() {
	tok, err := tokenize.Open("../testdata/demo/alice", tokenize.Options{Vocab: 2048})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tok.Close()
	const s = "And God said"
	ids, ends, err := tok.Encode(s)
	if err != nil {
		fmt.Println(err)
		return
	}
	off, length, _ := text.Tiles(ends, s)
	for i := range ids {
		fmt.Printf("%q ", s[off[i]:off[i]+int64(length[i])])
	}
	back, err := tok.Decode(ids)
	fmt.Println(back == s, err)
	// Output: "And" " God" " said" true <nil>
}
