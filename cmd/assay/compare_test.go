package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"assay/probes/compare"
)

// Every tensor of two checkpoints, and all of them together, as numpy 2.4 has them
// (probes/compare/testdata/make_expected.py).
func TestWeightsAgainstNumPy(t *testing.T) {
	b, err := os.ReadFile("../../probes/compare/testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Demo map[string]struct {
			R, Cosine float64
			Max       float64 `json:"max_abs"`
		}
	}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	open := func(name string) *weighed {
		w, err := openWeighed(context.Background(), filepath.Join("../../testdata/demo", name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.ck.Close() })
		return w
	}
	rep, err := compare.Weights(context.Background(), open("alice"), open("bob"), compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Tensors)+1 != len(want.Demo) {
		t.Fatalf("%d tensors, want %d", len(rep.Tensors), len(want.Demo)-1)
	}
	near := func(what string, got *float64, want float64) {
		t.Helper()
		if got == nil || !(math.Abs(*got-want) <= 1e-12*(1+math.Abs(want))) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	for _, x := range rep.Tensors {
		w := want.Demo[x.Name]
		near(x.Name+" r", x.R, w.R)
		near(x.Name+" cosine", x.Cosine, w.Cosine)
		near(x.Name+" max", x.MaxAbs, w.Max)
	}
	all := want.Demo[""]
	near("r", rep.Estimates[0].Value, all.R)
	near("cosine", rep.Estimates[1].Value, all.Cosine)
	near("max", rep.Estimates[2].Value, all.Max)
}
