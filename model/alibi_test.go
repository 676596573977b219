package model

import "testing"

// transformers' Falcon rounds slope, key index and their product to bfloat16
// each, which shows from index 257 on. Values: torch 2.15, transformers 5.23,
// models.falcon.modeling_falcon.build_alibi_tensor(ones(1, 1100), 16, float64).
func TestRoundedALiBi(t *testing.T) {
	const heads, T = 16, 1100
	x := make([]float32, heads*T)
	(&ALiBi{Scale: 1, Rounded: true}).table(x, heads, T)
	for j, want := range map[int][3]float32{
		1: {0.70703125, 0.353515625, 0.00390625}, 3: {2.125, 1.0625, 0.01171875}, 100: {70.5, 35.25, 0.390625},
		255: {180, 90, 0.99609375}, 257: {181, 90.5, 1}, 259: {184, 92, 1.015625}, 511: {362, 181, 2}, 1099: {776, 388, 4.28125},
	} {
		for i, h := range []int{0, 2, 15} {
			if got := x[h*T+j]; got != want[i] {
				t.Errorf("head %d key %d: %v, want %v", h, j, got, want[i])
			}
		}
	}
}
