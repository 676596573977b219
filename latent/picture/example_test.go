package picture_test

import (
	"bytes"
	"fmt"

	"assay/latent/compare"
	"assay/latent/picture"
)

func Example() {
	f, err := picture.Map(&compare.Report{Layers: []int{0, 1}, Map: [][]float64{{1, .5}, {.5, 1}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var svg bytes.Buffer
	err = f.WriteSVG(&svg)
	fmt.Println(bytes.HasPrefix(svg.Bytes(), []byte("<?xml")), err)
	// Output: true <nil>
}
