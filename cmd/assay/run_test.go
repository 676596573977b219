package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// An interrupted run says how to go on and exits with 130.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	out := filepath.Join(t.TempDir(), "x.parquet")
	code := run(ctx, []string{"score", "../../testdata/demo/alice", "--ids", "../../testdata/demo/nonmembers.npy", "-o", out}, nil, &stdout, &stderr)
	if code != 130 || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), "error: ") {
		t.Fatalf("code %d, stdout %q, stderr %q; want 130, nothing, error:", code, stdout.String(), stderr.String())
	}
}

// Every command that does something has a synopsis, a description and an example.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: no short text or no example", c.CommandPath())
		}
		if c.RunE != nil && c.Long == "" && len(c.Commands()) > 0 {
			t.Errorf("%s: no description", c.CommandPath())
		}
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(newRoot(&app{}))
}
