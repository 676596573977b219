package figure_test

import (
	"bytes"
	"fmt"
	"math"

	"assay/latent/weat/figure"
)

func ExampleForest() {
	var svg bytes.Buffer
	err := figure.Forest(&svg, "effects", []figure.Effect{{Label: "flowers", D: 1.5, Lo: 1.2, Hi: 1.7, Bound: 1.98}, {Label: "names", D: 1.2, Lo: math.NaN(), Hi: math.NaN(), Bound: math.NaN(), Hollow: true}})
	fmt.Println(bytes.Contains(svg.Bytes(), []byte("<svg")), err)
	// Output: true <nil>
}
