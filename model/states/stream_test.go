package states

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"assay/model"
	"assay/model/score"
	"assay/weights"
)

// States, lens and trace of one pass over layers that stay in the file are those of
// weights in memory, byte for byte.
func TestStreamed(t *testing.T) {
	clock := func() time.Time { return time.Unix(0, 0) }
	var files [2][2][]byte
	for i, mode := range []string{model.WeightsArgs, model.WeightsStream} {
		ck, err := weights.Open(filepath.Join(referenceDir, tiny))
		if err != nil {
			t.Fatal(err)
		}
		defer ck.Close()
		m, err := model.Load(context.Background(), ck, model.Options{BatchTokens: 64, Weights: mode})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		in := documents(25)
		o := options(m)
		o.Pools, o.Lens = []string{"mean", "last"}, 12
		p, err := Prepare(in, m.Spec(), &o)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		tokens := int64(0)
		ro := RunOptions{Out: filepath.Join(dir, "s.safetensors"), Now: clock, Progress: func(n int64) { tokens += n }}
		so := score.Options{Positions: o.Positions, Of: o.Of, Out: filepath.Join(dir, "t.jsonl"), Now: clock}
		rep, _, err := RunTraced(context.Background(), m, in, p, ro, so)
		if err != nil {
			t.Fatal(err)
		}
		if tokens != p.Tokens || rep.Invariance.N == 0 {
			t.Errorf("%s: progress of %d tokens, want %d; invariance %+v", mode, tokens, p.Tokens, rep.Invariance)
		}
		files[i] = [2][]byte{read(t, ro.Out), read(t, so.Out)}
	}
	if !bytes.Equal(files[0][0], files[1][0]) {
		t.Error("the states differ")
	}
	if !bytes.Equal(files[0][1], files[1][1]) {
		t.Error("the traces differ")
	}
}
