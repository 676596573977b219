package membership

import (
	"slices"
	"strings"
	"testing"
)

// The first and the last line of a file of generations are no generations.
func TestReadGenerationsFile(t *testing.T) {
	const file = `{"assay":{"schema":"assay.gens/1"}}
{"id":"a","sample":0,"ids":[1],"text":"x","logprobs":[-1],"stop":"length","near_tie":-1}
{"end":{"records":1,"content":"00"}}
`
	got, err := ReadGenerations(strings.NewReader(file))
	if err != nil || len(got) != 1 || !slices.Equal(got["a"], []string{"x"}) {
		t.Errorf("%v %v", got, err)
	}
}
