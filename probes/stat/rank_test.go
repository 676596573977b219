package stat

import (
	"maps"
	"slices"
	"testing"

	"assay/internal/gen"
)

// Samples that are sorted in two halves have the ranks of their definition.
func TestRanksOfHalves(t *testing.T) {
	g := gen.New(5)
	x := make([]float64, 1<<16+7)
	for i := range x {
		x[i] = float64(g.Below(900)) - 450 // ties within and across halves
	}
	count := map[float64]int{}
	for _, v := range x {
		count[v]++
	}
	values := slices.Sorted(maps.Keys(count))
	want, below, ties := map[float64]int32{}, 0, 0
	for _, v := range values {
		want[v] = int32(2*below + count[v] - len(x)) // 2 (below + (count+1)/2) - (n+1)
		below += count[v]
		ties = max(ties, count[v])
	}
	r := NewRanks(x)
	for i, v := range x {
		if r.C[i] != want[v] {
			t.Fatalf("value %g has rank %d, want %d", v, r.C[i], want[v])
		}
	}
	if r.Ties != ties {
		t.Errorf("largest tie %d, want %d", r.Ties, ties)
	}
}
