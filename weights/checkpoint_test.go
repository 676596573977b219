package weights

import (
	"path/filepath"
	"testing"
)

const reference = "../testdata/reference"

// referenceNames lists the checkpoints of the repository.
func referenceNames(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(reference, "*", "config.json"))
	if err != nil || len(found) < 40 {
		t.Fatalf("found %d reference checkpoints, %v; want at least 40", len(found), err)
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = filepath.Base(filepath.Dir(f))
	}
	return names
}

func mustOpen(t testing.TB, path string) *Checkpoint {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestOpenReference(t *testing.T) {
	for _, name := range referenceNames(t) {
		c := mustOpen(t, filepath.Join(reference, name))
		if c.Len() == 0 || !c.Config().Exists() {
			t.Errorf("%s: %d tensors", name, c.Len())
		}
		d, err := c.Scan(t.Context())
		if err != nil {
			t.Error(err)
		}
		t.Log(name, d.Weights, c.Ignored(), c.Warnings(), c.Files())
		for info := range c.Tensors() {
			if info.DType == Bool || info.DType == I64 {
				continue
			}
			if err := c.F32(info.Name, make([]float32, info.Len())); err != nil {
				t.Error(err)
			}
		}
	}
}
