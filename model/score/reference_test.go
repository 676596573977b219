package score

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"assay/model"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize/text"
	"assay/weights"
)

// What reaches the trace is what transformers 5.23 computes in float64
// (testdata/reference/README.md), rank counted from 0, and passes every check.
func TestTraceAgreesWithReference(t *testing.T) {
	const dir = "../../testdata/reference/gpt_neox-parallel"
	want, err := weights.Open(filepath.Join(dir, "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	words64 := func(name string) []uint64 {
		b, _, err := want.Raw(name)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]uint64, len(b)/8)
		for i := range out {
			out[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		return out
	}
	var in docs
	for s := range 4 {
		d := text.Doc{ID: strconv.Itoa(s)}
		for _, id := range words64("ids." + d.ID) {
			d.IDs = append(d.IDs, int32(id))
		}
		in = append(in, d)
	}
	ck, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	m, err := model.Load(context.Background(), ck, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	o := Options{Policy: window.Policy{Name: "full"}, Positions: m.Info().Positions, Of: identity(m.Info().Vocab), Out: filepath.Join(t.TempDir(), "x.parquet")}
	survey, err := Plan(in, &o)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(context.Background(), m, in, survey, o)
	if err != nil {
		t.Fatal(err)
	}
	if inv := rep.Header.Made.Invariance; inv == nil || inv.N == 0 || inv.MaxAbs > model.InvarianceBound {
		t.Errorf("invariance %+v, want a sample within %g", inv, model.InvarianceBound)
	}
	for s, d := range read(t, o.Out) {
		n := strconv.Itoa(s)
		margin := words64("margin." + n)
		for i, lp := range words64("logprob." + n) {
			k := i + 1 // entry i scores id i+1
			for name, c := range map[string]struct {
				got  float32
				want uint64
				tol  float64
			}{
				"logprob": {d.Tokens.Logprob[k], lp, 5e-5},
				"entropy": {d.Tokens.Entropy[k], words64("entropy." + n)[i], 1e-4},
				"sd":      {d.Tokens.SD[k], words64("sd." + n)[i], 1e-4},
			} {
				if want := math.Float64frombits(c.want); !(math.Abs(float64(c.got)-want) <= c.tol) {
					t.Fatalf("sequence %d pos %d: %s %v, want %v within %g", s, k, name, c.got, want, c.tol)
				}
			}
			if want := int32(words64("rank." + n)[i]) - 1; d.Tokens.Rank[k] != want && math.Float64frombits(margin[i]) > 1e-4 {
				t.Fatalf("sequence %d pos %d: rank %d, want %d", s, k, d.Tokens.Rank[k], want)
			}
		}
	}
	if rep, err := trace.Check(o.Out, 3); err != nil || rep.Failed > 0 {
		t.Errorf("check: %v, %+v", err, rep.Findings)
	}
}
