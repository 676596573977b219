//go:build !unix

package peak

// CPUSeconds is unknown here.
func CPUSeconds() float64 { return 0 }

// RSS is unknown here.
func RSS() int64 { return 0 }
