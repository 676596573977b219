package states

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The vector kernels give the bits of the plain loops, for every length of a rest, with
// signed zeros, values at the limit of a large one and the largest float32.
func TestKernels(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 40 {
		var sum, sum2, sq, sq2 = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		top, top2, n6, n62 := make([]float32, n), make([]float32, n), make([]int32, n), make([]int32, n)
		for range 5 {
			row := make([]float32, n)
			for i := range row {
				row[i] = float32(rng.NormFloat64() * 6)
				switch rng.IntN(8) {
				case 0:
					row[i] = float32(math.Copysign(0, -1))
				case 1:
					row[i] = -6
				case 2:
					row[i] = math.Nextafter32(6, 0)
				case 3:
					row[i] = -math.MaxFloat32
				}
			}
			addRow(sum, row)
			addRowPlain(sum2, row)
			if a, b := squares(row, sq, top, n6), squaresPlain(row, sq2, top2, n62); a != b || a != largest(row) {
				t.Fatalf("length %d: peak %v, want %v", n, a, b)
			}
		}
		if !slices.Equal(sum, sum2) || !slices.Equal(sq, sq2) || !slices.Equal(top, top2) || !slices.Equal(n6, n62) {
			t.Fatalf("length %d: %v %v %v %v, want %v %v %v %v", n, sum, sq, top, n6, sum2, sq2, top2, n62)
		}
	}
}

// Counted by hand: of 5 values the median is the third, 0.1; the ratio 1000 and the
// size 100 both bind.
func TestMassive(t *testing.T) {
	for _, c := range []struct {
		row  []float32
		want int32
	}{
		{[]float32{.1, -.1, 101, -150, .1}, 2},
		{[]float32{.1, -.1, 99, -150, .1}, 1},
		{[]float32{.15, -.15, 101, -151, .15}, 1},
		{[]float32{200, -.1, 101, -150, .1}, 0}, // the median is 101
		{[]float32{.1, .3, 150, 201}, 0},        // an even number: the median is (.3+150)/2
		{[]float32{.1, .1, .1, .1, .3, 201}, 1},
	} {
		if got := massive(c.row, largest(c.row)); got != c.want {
			t.Errorf("%v: %d, want %d", c.row, got, c.want)
		}
	}
}
