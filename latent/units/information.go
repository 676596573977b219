package units

import (
	"cmp"
	"math"
	"slices"
)

// Bins assigns values to b bins by rank r = 0..n-1, floor(r b/n); equal values
// share the bin of the first of them.
func Bins(x []float64, b int) []uint8 {
	n := len(x)
	idx := make([]int, n)
	for i := range idx {
		idx[i] = i
	}
	slices.SortStableFunc(idx, func(i, j int) int { return cmp.Compare(x[i], x[j]) })
	out := make([]uint8, n)
	for r := 0; r < n; {
		bin := uint8(r * b / n)
		v := x[idx[r]]
		for ; r < n && x[idx[r]] == v; r++ {
			out[idx[r]] = bin
		}
	}
	return out
}

// table is the cross table of bins and labels with the logarithms it needs.
type table struct {
	bins, labels int
	n            int
	xlogx        []float64 // i ln i, i = 0..n
	count        []int32
	row, col     []int32
}

func newTable(bins, labels, n int) *table {
	t := &table{bins: bins, labels: labels, n: n, xlogx: make([]float64, n+1), count: make([]int32, bins*labels), row: make([]int32, bins), col: make([]int32, labels)}
	for i := 2; i <= n; i++ {
		t.xlogx[i] = float64(i) * math.Log(float64(i))
	}
	return t
}

// information returns the plug-in mutual information in nats and the same less
// the bias (R-1)(C-1)/(2n) of its non-empty rows and columns (Miller and Madow).
//
//	n I = sum n_xy ln n_xy - sum n_x ln n_x - sum n_y ln n_y + n ln n
func (t *table) information(bin, label []uint8) (plug, corrected float64) {
	clear(t.count)
	clear(t.row)
	clear(t.col)
	for i, b := range bin {
		t.count[int(b)*t.labels+int(label[i])]++
	}
	s := t.xlogx[t.n]
	for i, c := range t.count {
		s += t.xlogx[c]
		t.row[i/t.labels] += c
		t.col[i%t.labels] += c
	}
	r, k := -1, -1
	for _, c := range t.row {
		s -= t.xlogx[c]
		if c > 0 {
			r++
		}
	}
	for _, c := range t.col {
		s -= t.xlogx[c]
		if c > 0 {
			k++
		}
	}
	n := float64(t.n)
	return s / n, (s - float64(r*k)/2) / n
}

// Information is the mutual information of binned values and labels (0..k-1).
func Information(bin, label []uint8, bins, labels int) (plug, corrected float64) {
	return newTable(bins, labels, len(bin)).information(bin, label)
}
