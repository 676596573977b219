//go:build !amd64 || !goexperiment.simd

package trace

func addQuotientsFast(hi, lo []float64, x []float32, f float64) int { return 0 }

func addVectorFast(hi, lo []float64, x []float32) int { return 0 }

func addSquaresFast(hi, lo []float64, x []float32) int { return 0 }

func addAllFast(hi, lo, x []float64) int { return 0 }

func dotsFast(x []float32, y [][]float32, out []float64) bool { return false }
