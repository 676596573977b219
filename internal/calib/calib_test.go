package calib

import (
	"fmt"
	"math"
	"testing"

	"assay/probes/stat"
)

// recorder is a testing.TB that only counts failures.
type recorder struct {
	testing.TB
	failed int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed++ }
func (r *recorder) Logf(string, ...any)   {}

// Uniform draws pass; p-values that are too small, too large or rounded down are found.
func TestCheck(t *testing.T) {
	draw := func(f func(u float64) float64) []float64 {
		g := stat.NewRand(5, "calib", 0)
		out := make([]float64, 5000)
		for i := range out {
			out[i] = f(g.Float64())
		}
		return out
	}
	for _, c := range []struct {
		name string
		f    func(u float64) float64
		law  Law
		ok   bool
	}{
		{"uniform", func(u float64) float64 { return u }, Uniform, true},
		{"uniform as valid", func(u float64) float64 { return u }, Valid, true},
		{"large as valid", math.Sqrt, Valid, true},
		{"large as uniform", math.Sqrt, Uniform, false},
		{"small", func(u float64) float64 { return u * u }, Valid, false},
		{"small tail only", func(u float64) float64 {
			if u < .01 {
				return u / 10
			}
			return u
		}, Valid, false},
		{"steps, rounded up", func(u float64) float64 { return math.Ceil(u*20) / 20 }, Valid, true},
		{"steps, rounded down", func(u float64) float64 { return math.Floor(u*20) / 20 }, Valid, false},
	} {
		r := &recorder{}
		Check(r, c.name, draw(c.f), c.law)
		if (r.failed == 0) != c.ok {
			t.Errorf("%s: %d failures, want passing %v", c.name, r.failed, c.ok)
		}
	}
	r := &recorder{}
	Check(r, "none", nil, Valid)
	if r.failed != 1 {
		t.Error("no p-value: want a failure")
	}
	if n := Sets(t, 7); n != 7 && fmt.Sprint(n) == "" {
		t.Error(n)
	}
}
