package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"assay/probes/assoc/pairs"
)

// TestOpenDataGzip: data files are read compressed too; a damaged one is an error.
func TestOpenDataGzip(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(`{"id":"1","more":"a b","less":"a c"}`)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pairs.jsonl.gz")
	for _, c := range []struct {
		data []byte
		want int
	}{{b.Bytes(), 1}, {b.Bytes()[:len(b.Bytes())-6], 0}, {[]byte{0x1f, 0x8b, 0}, 0}} {
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		ps, err := openData("contrasts", path, pairs.ReadContrasts)
		if len(ps) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%d bytes: %d pairs, %v; want %d", len(c.data), len(ps), err, c.want)
		}
	}
}
