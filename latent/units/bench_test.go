package units

import (
	"context"
	"fmt"
	"testing"

	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// BenchmarkScreen is one layer with 999 permutations; cost grows with rows times
// units times permutations.
func BenchmarkScreen(b *testing.B) {
	for _, c := range []struct{ n, w int }{{128, 64}, {256, 256}, {512, 512}, {1024, 1024}} {
		b.Run(fmt.Sprintf("rows=%d/units=%d", c.n, c.w), func(b *testing.B) {
			x := geom.NewDense(c.n, c.w)
			g := uint64(1)
			for i := range x.Data {
				g = g*6364136223846793005 + 1442695040888963407
				x.Data[i] = float64(int64(g))
			}
			set := mem.Set{Name: "bench", Rows: true, Layers: []geom.Dense{x}}
			for i := range c.n {
				set.Label = append(set.Label, []string{"a", "b"}[i%2])
			}
			s := mem.New(set)
			for b.Loop() {
				if _, err := Screen(context.Background(), s, DefaultScreen()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
