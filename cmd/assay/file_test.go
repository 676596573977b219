package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"assay/internal/fault"
)

// A failure leaves nothing under the name and keeps the class of the error.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		err  error
		want fault.Class
	}{{errors.New("disk full"), fault.Retry}, {fault.Usagef("another format"), fault.Usage}} {
		err := writeFile(filepath.Join(dir, "x"), func(io.Writer) error { return c.err })
		if f := fault.As(err); f == nil || f.Class != c.want {
			t.Errorf("error %v, want class %d", err, c.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
