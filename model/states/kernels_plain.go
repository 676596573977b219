//go:build !amd64 || !goexperiment.simd

package states

func addRow(sum []float64, row []float32) { addRowPlain(sum, row) }

func squares(row []float32, sq []float64, top []float32, n6 []int32) float32 {
	return squaresPlain(row, sq, top, n6)
}
