package lens

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/model/trace"
	"assay/model/trace/window"
)

// written stores one document of three tokens after one special id; log-probs -3,
// -2 and -1.
func written(t *testing.T) *trace.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.parquet")
	w, err := trace.Create(path, trace.Identity{
		Checkpoint: trace.Checkpoint{Weights: "sha256:w", Vocab: 4},
		Policy:     window.Policy{Name: "full", Window: 8, PrefixIDs: []int32{3}},
	}, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Append(trace.TextDoc(0, "d00000", []byte("abc")), trace.Tokens{
		ID: []int32{0, 1, 2}, ByteOff: []int64{0, 1, 2}, ByteLen: []int32{1, 1, 1},
		Logprob: []float32{-3, -2, -1}, Entropy: []float32{1, 1, 1}, SD: []float32{.5, .5, .5},
		Rank: []int32{1, 1, 0}, ArgmaxID: []int32{1, 2, 2}, ArgmaxLogprob: []float32{-.9, -.9, -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestFromTrace(t *testing.T) {
	r := written(t)
	s := mem.New(mem.Set{Name: "s", Layers: []geom.Dense{geom.NewDense(1, 1)}, Label: []string{""}})
	s.Inf.Checkpoint, s.Inf.Text = "sha256:w", r.Header().Of.Text
	s.LensOf = &latent.Lens{
		// Position 0 is the special id: it reads token 0, position 2 reads token 2.
		Layers: []int{1}, Doc: []int32{0, 0}, Pos: []int32{0, 2}, Target: []int32{0, 2},
		LogProb: []float32{-3, -1}, Entropy: []float32{1, 1}, KL: []float32{0, 0}, Rank: []int32{1, 0},
		TopID: []int32{1, 0, 2, 3, 3, 2, 0, 1, 3, 3},
	}
	sc, err := FromTrace(r, s)
	if err != nil {
		t.Fatal(err)
	}
	for pos, want := range map[int]float64{0: -3, 1: -2, 2: -1} {
		if got, ok := sc.LogProb("d00000", pos); !ok || got != want {
			t.Errorf("position %d: %v, %v; want %v", pos, got, ok, want)
		}
	}
	for _, pos := range []int{-1, 3, 9} {
		if _, ok := sc.LogProb("d00000", pos); ok {
			t.Errorf("position %d has a score", pos)
		}
	}
	o := Default()
	o.Trace = sc
	res, err := Run(context.Background(), s, o)
	if err != nil || value(t, res, "lens.trace.difference") != 0 || res.N["positions.verified"] != 2 {
		t.Errorf("run: %v, %v", res.N, err)
	}
	s.Inf.Text = "sha256:other"
	if _, err := FromTrace(r, s); fault.As(err) == nil || !strings.Contains(err.Error(), "text of the trace") {
		t.Errorf("other texts: %v, want an input error", err)
	}
}
