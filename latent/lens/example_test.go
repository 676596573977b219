package lens_test

import (
	"context"
	"fmt"

	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/latent/lens"
)

// One position read at two layers: the final token 5 is already on top at layer 1.
func Example() {
	s := mem.New(mem.Set{Name: "example", Layers: []geom.Dense{geom.NewDense(1, 1)}, Label: []string{""}})
	s.LensOf = &latent.Lens{
		Layers: []int{1, 2}, Doc: []int32{0}, Pos: []int32{4}, Target: []int32{5},
		LogProb: []float32{-2, -1}, Entropy: []float32{2, 1}, KL: []float32{.5, 0}, Rank: []int32{0, 0},
		TopID: []int32{5, 1, 2, 3, 4, 5, 1, 2, 3, 4},
	}
	r, err := lens.Analyse(context.Background(), s, lens.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range r.Rows {
		fmt.Println(row.Layer, row.LogProb, row.KL, row.Agree)
	}
	// Output:
	// 1 -2 0.5 1
	// 2 -1 0 1
}
