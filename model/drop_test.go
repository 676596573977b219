package model

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"assay/weights"
)

// dropped records the tensors whose pages Load gives back.
type dropped struct {
	*weights.Checkpoint
	mu    sync.Mutex
	names map[string]bool
}

func (d *dropped) Drop(names ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range names {
		d.names[n] = true
	}
	return d.Checkpoint.Drop(names...)
}

// Once the weights are copied no page of the file stays beside them.
func TestLoadDropsPages(t *testing.T) {
	ck, err := weights.Open("../testdata/reference/gpt_neox-parallel")
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	src := &dropped{Checkpoint: ck, names: map[string]bool{}}
	m, err := Load(context.Background(), src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want := slices.Sorted(maps.Values(m.source.inv.names))
	if got := slices.Sorted(maps.Keys(src.names)); !slices.Equal(got, want) {
		t.Errorf("dropped %d tensors, want %d", len(got), len(want))
	}
}
