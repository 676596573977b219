//go:build !tokenizers

package tokenize

import "assay/internal/fault"

// Available says whether this program holds the tokenizer library.
const Available = false

func errNoLibrary() error {
	return fault.New(fault.Usage, "tag", "tokenize: this program was built without the tokenizer library (build tag tokenizers)").
		Hint("build it with `make`, or with cgo and -tags tokenizers after scripts/tokenizers-lib.sh").
		Hint("input that is already token ids (--ids) needs no tokenizer")
}

func newEngine([]byte, bool) (engine, error) { return nil, errNoLibrary() }
