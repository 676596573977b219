package canon_test

import (
	"fmt"

	"assay/internal/canon"
)

func ExampleCanonicalJSON() {
	b, err := canon.CanonicalJSON(map[string]any{"theta": "10000", "layers": 2, "act": "gelu<tanh>"})
	fmt.Println(string(b), err)
	// Output: {"act":"gelu<tanh>","layers":2,"theta":"10000"} <nil>
}
