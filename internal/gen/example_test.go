package gen_test

import (
	"fmt"

	"assay/internal/gen"
)

func Example() {
	g := gen.New(1)
	fmt.Println(g.Below(100), g.Below(100), g.Below(100))
	// Output: 56 74 97
}
