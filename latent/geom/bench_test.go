package geom

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkStream is exact Dunn and silhouette without the matrix of distances;
// cost grows with the square of rows.
func BenchmarkStream(b *testing.B) {
	for _, c := range []struct{ n, w int }{{1000, 256}, {2000, 256}, {2000, 4096}, {4000, 4096}} {
		b.Run(fmt.Sprintf("rows=%d/width=%d", c.n, c.w), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			m := Matrix{N: c.n, W: c.w, Data: make([]float32, c.n*c.w)}
			for i := range m.Data {
				m.Data[i] = r.Float32()
			}
			labels := make([]int, c.n)
			for i := range labels {
				labels[i] = i % 2
			}
			for b.Loop() {
				if _, err := PairwiseStream(context.Background(), m, labels, 2, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(c.n)/float64(c.n)/float64(c.w)*1e12, "ps/pair·dim")
		})
	}
}

// BenchmarkJackknife is theta with its delete-one interval from rows.
func BenchmarkJackknife(b *testing.B) {
	for _, c := range []struct{ n, w int }{{200, 64}, {1000, 256}, {4000, 1024}, {10000, 4096}} {
		b.Run(fmt.Sprintf("rows=%d/width=%d", c.n, c.w), func(b *testing.B) {
			m := Matrix{N: c.n, W: c.w, Data: make([]float32, c.n*c.w)}
			for i := range m.Data {
				m.Data[i] = float32(i*7919%1000) / 1000
			}
			us := make([]Unit, c.n)
			for i := range us {
				us[i].Label = i % 2
			}
			for b.Loop() {
				t, err := FromRows(m, Singles(c.n), us, 2, 1, Independent, 0)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := t.Jackknife(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPermute is 9,999 label permutations of one layer.
func BenchmarkPermute(b *testing.B) {
	for _, n := range []int{64, 256, 1024} {
		b.Run(fmt.Sprintf("units=%d", n), func(b *testing.B) {
			m := Matrix{N: n, W: 64, Data: make([]float32, n*64)}
			for i := range m.Data {
				m.Data[i] = float32(i*7919%1000) / 1000
			}
			us := make([]Unit, n)
			for i := range us {
				us[i].Label = i % 2
			}
			t, err := FromRows(m, Singles(n), us, 2, 1, Independent, 0)
			if err != nil {
				b.Fatal(err)
			}
			s, err := NewLabels(t, 9999, 1)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := s.Evaluate(t); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
