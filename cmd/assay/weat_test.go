package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/latent/weat"
)

// TestMatrixWithVocabulary: a safetensors matrix and its words give what the same
// vectors give as text: d of toy T1, 1.441153384246, an exact rational's decimals.
func TestMatrixWithVocabulary(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	head := `{"vectors":{"dtype":"F32","shape":[6,2],"data_offsets":[0,48]}}`
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)
	for _, x := range []float32{1, 0, 4, 3, 3, 4, 0, 1, 1, 0, 0, 1} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	test := weat.Test{ID: "t", X: weat.Set{Words: []string{"x1", "x2"}}, Y: weat.Set{Words: []string{"y1", "y2"}},
		A: weat.Set{Words: []string{"a"}}, B: weat.Set{Words: []string{"b"}}}
	s := weatSource{vectors: write("v.safetensors", b), vocab: write("words.txt", []byte("x1\nx2\ny1\ny2\na\nb\n")), centre: "first"}
	s.loss = weat.DefaultLoss()
	s.loss.MinWords = 1
	r, err := s.openVectors([]weat.Test{test}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := r.score(test, weat.Raw, s.loss)
	if err != nil {
		t.Fatal(err)
	}
	res, err := weat.Run(sc, weat.DefaultOptions())
	if err != nil || math.Abs(*res.Estimates[0].Value-1.441153384246) > 1e-12 {
		t.Errorf("d %v, %v", *res.Estimates[0].Value, err)
	}
	if got := fmt.Sprint(r.settings["centred_on"]); got != "6 rows of the file" {
		t.Errorf("centred on %s", got)
	}
	s.vocab = write("short.txt", []byte("x1\nx2\n"))
	if _, err := s.openVectors([]weat.Test{test}, nil); err == nil || !strings.Contains(err.Error(), "found 2 words and 6 rows") {
		t.Errorf("a vocabulary that is too short: %v", err)
	}
}
