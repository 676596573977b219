package model_test

import (
	"fmt"
	"strings"

	"assay/model"
)

// The README holds this table between two markers.
func ExampleFamilyTable() {
	for _, row := range strings.SplitN(model.FamilyTable(), "\n", 4)[:3] {
		cells := strings.Split(row, "|")
		fmt.Println(strings.TrimSpace(cells[1]) + ": " + strings.TrimSpace(cells[2]))
	}
	// Output:
	// model_type: what it covers
	// ---: ---
	// `gpt_neox`: parallel or sequential residual, LN, plain MLP, part of each head rotated; Pythia, GPT-NeoX
}
