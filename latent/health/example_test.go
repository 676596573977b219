package health_test

import (
	"fmt"

	"assay/latent/geom"
	"assay/latent/health"
)

// Two positions that point the same way and one across.
func Example() {
	cosine, rank := health.Sameness(geom.Dense{N: 3, W: 2, Data: []float64{1, 0, 3, 0, 0, 2}})
	fmt.Printf("mean cosine %.4f, effective rank %.4f\n", cosine, rank)
	// Output: mean cosine 0.3333, effective rank 1.9495
}
