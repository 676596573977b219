package states

import (
	"math/rand/v2"
	"testing"

	"assay/model"
	"assay/model/trace"
)

// What pooling and token statistics cost for one document of 64 tokens at 33 layers
// of width 4096.
func BenchmarkReduce(b *testing.B) {
	const T, K, w = 64, 33, 4096
	rng := rand.New(rand.NewPCG(1, 2))
	x := model.View{X: make([]float32, T*w), Rows: T, Width: w}
	for i := range x.X {
		x.X[i] = float32(rng.NormFloat64())
	}
	layers := make([]int, K)
	for l := range layers {
		layers[l] = l
	}
	own := piece{0, T, 0, T}
	b.Run("mean", func(b *testing.B) {
		for range b.N {
			p := &pooling{view: trace.View{Layers: layers, Width: w}, pool: &pool{}, hi: T, pieces: 1}
			for l := range layers {
				p.add(l, 0, own, x)
			}
			if _, err := p.vectors(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("statistics", func(b *testing.B) {
		for range b.N {
			s := newTokenSum(layers)
			for l := range layers {
				s.add(l, 0, own, x)
			}
			s.done()
		}
	})
}
