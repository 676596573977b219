package compare

import (
	"context"
	"fmt"
	"testing"

	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// BenchmarkStates is everything of a comparison, per number of layers; the
// state-health part included.
func BenchmarkStates(b *testing.B) {
	for _, c := range []struct{ n, k, w int }{{128, 2, 256}, {256, 3, 512}, {512, 3, 1024}, {1024, 3, 4096}} {
		b.Run(fmt.Sprintf("sample=%d/layers=%d/width=%d", c.n, c.k, c.w), func(b *testing.B) {
			sets := [2]mem.Set{{Name: "a", Rows: true}, {Name: "b", Rows: true}}
			g := uint64(1)
			for s := range sets {
				for range c.k {
					x := geom.NewDense(c.n, c.w)
					for i := range x.Data {
						g = g*6364136223846793005 + 1442695040888963407
						x.Data[i] = float64(int64(g)) / (1 << 63)
					}
					sets[s].Layers = append(sets[s].Layers, x)
				}
				sets[s].Label = make([]string, c.n)
			}
			x, y := mem.New(sets[0]), mem.New(sets[1])
			for b.Loop() {
				if _, err := States(context.Background(), x, y, Default()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
