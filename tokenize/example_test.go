package tokenize_test

import (
	"fmt"

	"assay/tokenize"
)

// What a checkpoint's tokenizer files say can be read without the library.
func ExampleRead() {
	f, err := tokenize.Read("../testdata/reference/tokenizers/sentencepiece_bpe")
	if err != nil {
		fmt.Println(err)
		return
	}
	bos, ok := f.BOS()
	fmt.Println(f.VocabSize(), bos, ok)
	token, _ := f.Token(bos)
	fmt.Println(token, f.Special(bos))
	// Output:
	// 600 1 true
	// <s> true
}
