package zlen_test

import (
	"fmt"

	"assay/model/trace/zlen"
)

func Example() {
	var c zlen.Counter
	fmt.Println(c.Len([]byte("The quick brown fox jumps over the lazy dog.")))
	// Output: 51
}
