package figure_test

import (
	"bytes"
	"fmt"

	"assay/probes/assoc/figure"
)

func ExampleForest() {
	var b bytes.Buffer
	rows := []figure.Effect{{Label: "gender", D: .61, Lo: .5, Hi: .7, Bound: 1}}
	if err := figure.Forest(&b, "Sentence pairs", "share", .5, rows); err != nil {
		panic(err)
	}
	fmt.Println(bytes.Contains(b.Bytes(), []byte("gender")))
	// Output: true
}
