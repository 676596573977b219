//go:build goexperiment.simd

package model

// SIMD reports whether this binary was built with GOEXPERIMENT=simd. Without it
// the Go backend is more than ten times slower and gives other last bits.
const SIMD = true
