package ghost

import (
	"strings"
	"testing"
)

// The first and the last line of a file of generations are no generations.
func TestReadGensFile(t *testing.T) {
	const file = `{"assay":{"schema":"assay.gens/1"}}
{"id":"r0/1/0","sample":0,"ids":[1],"text":"x","logprobs":[-1],"stop":"length","near_tie":-1}
{"end":{"records":1,"content":"00"}}
`
	gens, skipped, err := ReadGens(strings.NewReader(file))
	if err != nil || len(gens) != 1 || skipped != 0 || gens[0].Text != "x" {
		t.Errorf("%v, %d skipped, %v", gens, skipped, err)
	}
}
