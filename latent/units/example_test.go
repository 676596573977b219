package units_test

import (
	"fmt"

	"assay/latent/units"
)

// A unit that is high for one label and low for the other shares ln 2 nats with it.
func Example() {
	value := []float64{1, 2, 3, 4, 11, 12, 13, 14}
	label := []uint8{0, 0, 0, 0, 1, 1, 1, 1}
	bin := units.Bins(value, 2)
	plug, corrected := units.Information(bin, label, 2, 2)
	fmt.Println(bin)
	fmt.Printf("%.4f %.4f\n", plug, corrected)
	// Output:
	// [0 0 0 0 1 1 1 1]
	// 0.6931 0.6306
}
