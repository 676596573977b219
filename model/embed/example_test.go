package embed_test

import (
	"fmt"

	"assay/model/embed"
)

func ExampleParseLayer() {
	middle, _ := embed.ParseLayer("50%", 24)
	final, _ := embed.ParseLayer("final", 24)
	fmt.Println(middle, final)
	// Output: 12 final
}
