package transcript

import (
	"encoding/binary"
	"os"
	"path/filepath"
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
