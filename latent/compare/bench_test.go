package compare

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// drawn are rows that are computed when they are read, so that the benchmark
// measures the comparison's memory and not that of its input: a file is mapped.
type drawn struct {
	n, w int
	seed uint64
}

func (d drawn) Len() int   { return d.n }
func (d drawn) Width() int { return d.w }

func (d drawn) At(i int, dst []float64) {
	g := (d.seed + uint64(i)) * 0x9e3779b97f4a7c15
	for j := range dst {
		g = g*6364136223846793005 + 1442695040888963407
		dst[j] = float64(float32(int64(g)) / (1 << 63))
	}
}

// sampled are states of which only a sample of drawn rows is there.
type sampled struct {
	*mem.States
	n, w int
	seed uint64
}

func (s *sampled) Rows(int, int) (geom.Rows, bool) { return nil, false }
func (s *sampled) Sample(_, k int) (geom.Rows, []int, error) {
	docs := make([]int, s.n)
	for i := range docs {
		docs[i] = i
	}
	return drawn{s.n, s.w, s.seed + uint64(k)<<20}, docs, nil
}
func (s *sampled) SqNorm(int) ([]float32, error)      { return nil, nil }
func (s *sampled) DimSq(int, int) (geom.Dense, error) { return geom.Dense{}, nil }
func newSampled(name string, n, k, w int, seed uint64) *sampled {
	set := mem.Set{Name: name, Label: make([]string, n), Layers: []geom.Dense{{N: n}}}
	s := &sampled{mem.New(set), n, w, seed}
	s.Inf.Views = []latent.View{{Tap: "resid_post", Pool: "mean", Span: "text", Width: w}}
	for l := range k {
		s.Inf.Views[0].Layers = append(s.Inf.Views[0].Layers, l)
	}
	return s
}

// peak is the most memory this process has had resident, MB; 0 = not known.
func peak() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			if err == nil {
				return kb / 1000
			}
		}
	}
	return 0
}

// BenchmarkStates is everything of a comparison without labels, the state-health
// part included. The peak is that of the process: run one case at a time to read it.
func BenchmarkStates(b *testing.B) {
	for _, c := range []struct{ n, k, w int }{{128, 2, 256}, {512, 3, 1024}, {1024, 3, 4096}, {1024, 33, 4096}} {
		b.Run(fmt.Sprintf("sample=%d/layers=%d/width=%d", c.n, c.k, c.w), func(b *testing.B) {
			x, y := newSampled("a", c.n, c.k, c.w, 1), newSampled("b", c.n, c.k, c.w, 2)
			for b.Loop() {
				if _, err := States(context.Background(), x, y, Default()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(peak(), "peak-MB")
		})
	}
}
