//go:build !amd64 || !goexperiment.simd

package peak

func how() string { return "multiply-add loop, scalar" }

func chain() float64 { return scalar() }
