package model

import (
	"context"
	"fmt"
	"math"
	"testing"
)

// TestPrefixOfLongerWindow: causal scores of a window are those of the same
// inputs at the head of a longer one, whatever the buckets and the blocks of
// queries that the two fall into (320 and 448 end in half a block).
func TestPrefixOfLongerWindow(t *testing.T) {
	for _, window := range []string{"null", "100"} {
		config := fmt.Sprintf(`{"model_type":"mistral","vocab_size":512,"hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":128,`+
			`"hidden_act":"silu","rms_norm_eps":1e-5,"max_position_embeddings":1024,"rope_theta":10000,"sliding_window":%s,"tie_word_embeddings":false}`, window)
		src, err := Synthetic([]byte(config), 1)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Load(context.Background(), src, Options{BatchTokens: 1024})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		long := randomWindows(1, 512, m.spec.Vocab)[0]
		want := scoreAll(t, m, []Window{long}, ScoreOptions{})[0]
		for _, n := range []int{33, 72, 129, 200, 257, 300, 320, 400, 448, 449} {
			w := Window{IDs: long.IDs[:n], Targets: long.Targets[:n]}
			got := scoreAll(t, m, []Window{w}, ScoreOptions{})[0]
			for j := range n {
				if d := math.Abs(float64(got.Logprob[j] - want.Logprob[j])); !(d <= InvarianceBound) {
					t.Fatalf("sliding window %s, %d inputs (bucket %d): target %d is %g, in the longer window %g", window, n, bucket(n), j, got.Logprob[j], want.Logprob[j])
				}
			}
		}
	}
}
