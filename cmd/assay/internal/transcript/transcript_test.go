package transcript

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/probes/palimpsest"
	"assay/tokenize/store"
)

// write stores little-endian integers of size bytes each.
func write(t *testing.T, name string, size int, xs ...uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var b []byte
	for _, x := range xs {
		b = append(b, binary.LittleEndian.AppendUint64(nil, x)[:size]...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Eight rows of three ids, row i holding 10i, 10i+1, 10i+2.
func rows(t *testing.T) string {
	var xs []uint64
	for i := range uint64(8) {
		xs = append(xs, 10*i, 10*i+1, 10*i+2)
	}
	return write(t, "rows.u16", 2, xs...)
}

// The position of a row is where the order puts it, whichever way the order is written.
func TestLoadOrder(t *testing.T) {
	ids := []uint64{3, 0, 7, 1, 6, 2, 5, 4} // instance at each position
	inverse := make([]uint64, len(ids))
	for p, id := range ids {
		inverse[id] = uint64(p)
	}
	for kind, order := range map[string][]uint64{"ids-by-position": ids, "position-by-id": inverse} {
		t.Run(kind, func(t *testing.T) {
			tr, err := Load(Source{Path: rows(t), Store: store.Options{RowLen: 3}, Order: write(t, "order.bin", 4, order...), Kind: kind, DType: "uint32",
				Design: palimpsest.Design{Kind: "all", Seed: 1}, Tokens: 2})
			if err != nil {
				t.Fatal(err)
			}
			if tr.Len() != 8 || tr.Meta.N != 8 || !strings.HasPrefix(tr.Meta.Order, "sha256:") {
				t.Fatalf("%d rows of %d, order %q", tr.Len(), tr.Meta.N, tr.Meta.Order)
			}
			for i, seq := range tr.Seq {
				p := tr.Positions[i][0]
				if ids[p] != uint64(seq) {
					t.Errorf("row %d at position %d, want row %d there", seq, p, ids[p])
				}
				if got := tr.IDs[i]; len(got) != 2 || uint64(got[0]) != 10*uint64(seq) {
					t.Errorf("row %d holds %v", seq, got)
				}
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     Source
		class fault.Class
		want  string
	}{
		{"order without a kind", Source{Path: rows(t), Store: store.Options{RowLen: 3}, Order: write(t, "o.bin", 4, 0, 1)}, fault.Usage, "--order-kind"},
		{"more positions than rows", Source{Path: rows(t), Store: store.Options{RowLen: 3}, Kind: "ids-by-position", DType: "uint32",
			Order: write(t, "o.bin", 4, 0, 1, 2, 3, 4, 5, 6, 7, 8)}, fault.Input, "9 positions"},
		{"not a permutation", Source{Path: rows(t), Store: store.Options{RowLen: 3}, Kind: "ids-by-position", DType: "uint32",
			Order: write(t, "o.bin", 4, 0, 1, 1, 2, 3)}, fault.Input, "o.bin"},
		{"more rows than there are", Source{Path: rows(t), Store: store.Options{RowLen: 3}, Design: palimpsest.Design{Rows: 9}}, fault.Input, "9 rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(c.s)
			if f := fault.As(err); f == nil || f.Class != c.class || !strings.Contains(err.Error()+strings.Join(f.Hints, " "), c.want) {
				t.Fatalf("error %v, want class %d with %q", err, c.class, c.want)
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	tr, err := Load(Source{Path: rows(t), Store: store.Options{RowLen: 3}, Design: palimpsest.Design{Rows: 4, Seed: 2}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for d, err := range (Documents{tr}).Docs() {
		if err != nil || d.HasText || len(d.IDs) != 3 {
			t.Fatalf("document %+v, %v", d, err)
		}
		n++
	}
	if n != 4 {
		t.Fatalf("%d documents, want 4", n)
	}
	again, err := Load(Source{Path: rows(t), Store: store.Options{RowLen: 3}, Design: palimpsest.Design{Rows: 4, Seed: 2}})
	if err != nil || Digest(again) != Digest(tr) {
		t.Fatalf("the same seed gave digest %s, then %s (%v)", Digest(tr), Digest(again), err)
	}
}

// numpy 2.4: default_rng(6198).permutation(10) and RandomState(1234).permutation(10),
// and the same from the seed 1,000,003 above.
func TestRegenerate(t *testing.T) {
	for _, c := range []struct {
		generator    string
		seed         uint64
		order, wrong []uint64
	}{
		{"pcg64", 6198, []uint64{2, 4, 7, 3, 8, 9, 0, 6, 1, 5}, []uint64{7, 4, 0, 5, 3, 9, 6, 2, 1, 8}},
		{"mt19937", 1234, []uint64{7, 2, 9, 1, 0, 8, 4, 5, 6, 3}, []uint64{3, 6, 4, 0, 7, 2, 5, 1, 8, 9}},
	} {
		var xs []uint64
		for i := range uint64(10) {
			xs = append(xs, 10*i, 10*i+1, 10*i+2)
		}
		s := Source{Path: write(t, "rows.u16", 2, xs...), Store: store.Options{RowLen: 3}, Kind: "ids-by-position", DType: "uint32",
			Order: write(t, "order.bin", 4, c.order...), Generator: c.generator, Seed: c.seed}
		tr, err := Load(s)
		if err != nil {
			t.Fatalf("%s: %v", c.generator, err)
		}
		if !tr.Meta.Regenerated || tr.Meta.Generator != c.generator || tr.Meta.Seed != fmt.Sprint(c.seed) {
			t.Errorf("%s: %+v, want a regenerated order", c.generator, tr.Meta)
		}
		for i, id := range tr.Seq {
			if p := tr.Positions[i][0]; c.order[p] != uint64(id) {
				t.Errorf("%s: row %d at %d", c.generator, id, p)
			}
			if p := tr.Wrong[i]; c.wrong[p] != uint64(id) {
				t.Errorf("%s: control: row %d at %d", c.generator, id, p)
			}
		}
		s.Order = "" // drawn, but nothing to hold it against
		if tr, err := Load(s); err != nil || tr.Meta.Regenerated || tr.Positions[0][0] != int64(slices.Index(c.order, uint64(tr.Seq[0]))) {
			t.Errorf("%s without a file: %v, %+v", c.generator, err, tr)
		}
		s.Order, s.Seed = write(t, "o.bin", 4, c.order...), c.seed+1
		if _, err := Load(s); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), "position") {
			t.Errorf("%s, another seed: %v", c.generator, err)
		}
		s.Generator = "lcg"
		if _, err := Load(s); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("unknown generator: %v", err)
		}
	}
}
