package model

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"

	"assay/model/internal/peak"
	"assay/weights"
)

// TestNoGrowth scores 10,000 batches of all lengths with a tiny model: the
// largest resident size after the first tenth must be that of the whole run, but
// for the grain of the collector. A few minutes of processor time; ASSAY_LONG=1
// runs it.
func TestNoGrowth(t *testing.T) {
	if os.Getenv("ASSAY_LONG") == "" {
		t.Skip("set ASSAY_LONG=1")
	}
	ck, err := weights.Open("../testdata/reference/llama-mha")
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	m, err := Load(context.Background(), ck, Options{BatchTokens: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := rand.New(rand.NewPCG(3, 3))
	ids := make([]int32, 161)
	for i := range ids {
		ids[i] = int32(r.IntN(m.spec.Vocab))
	}
	// Batches of a run are counted by the windows of each bucket; here each call
	// of Score makes a few full ones of every length.
	batches := 0
	some := func(n int) {
		for batches < n {
			var ws []Window
			for _, T := range []int{20, 40, 64, 96, 120, 160} {
				for range 3 * m.spec.batchRows(64, bucket(T)) {
					ws = append(ws, Window{IDs: ids[:T], Targets: ids[T-7 : T+1]})
				}
				batches += 3
			}
			scoreAll(t, m, ws, ScoreOptions{LogprobOnly: batches%2 == 0})
		}
	}
	some(1000)
	before := peak.RSS()
	some(10_000)
	after := peak.RSS()
	t.Logf("%d batches: %d MB after 1,000, %d MB after all", batches, before>>20, after>>20)
	if grown := after - before; grown > before/20 {
		t.Errorf("resident memory grew by %d kB from %d MB", grown>>10, before>>20)
	}
}
