package model

import (
	"slices"
	"testing"
)

// TestMatrix: the token matrices are the stored tensors, row by row; a tied
// model has one.
func TestMatrix(t *testing.T) {
	for _, c := range []struct{ name, kind, tensor string }{
		{"llama-mha", "input", "model.embed_tokens.weight"},
		{"llama-mha", "output", "lm_head.weight"},
		{"qwen2", "output", "model.embed_tokens.weight"},
	} {
		m := loadReference(t, c.name, Options{BatchTokens: 64})
		rows, cols, at, err := m.Matrix(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, rows*cols)
		if err := openReference(t, c.name).F32(c.tensor, want); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, cols)
		for _, i := range []int{0, 17, rows - 1} {
			at(i, got)
			if !slices.Equal(got, want[i*cols:(i+1)*cols]) {
				t.Errorf("%s %s: row %d differs", c.name, c.kind, i)
			}
		}
	}
}
