package store

import (
	"os"
	"path/filepath"
	"testing"

	"assay/internal/fault"
)

// readAll reads some rows; whatever the file says, the ids are ids and errors
// have a class that is not the user's fault.
func readAll(t *testing.T, r Rows) {
	t.Helper()
	var dst []int32
	for i := range min(r.Len(), 200) {
		var err error
		if dst, err = r.Row(i, dst[:0]); err != nil {
			if f := fault.As(err); f == nil || f.Class != fault.Input {
				t.Fatalf("row %d: %v, want an input fault", i, err)
			}
			continue
		}
		for _, id := range dst {
			if id < 0 || id > maxID {
				t.Fatalf("row %d: id %d", i, id)
			}
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Class != fault.Input {
		t.Fatalf("%v, want an input fault", err)
	}
}

func FuzzNPY(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.npy")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no arrays in testdata: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	path := filepath.Join(f.TempDir(), "x.npy")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := OpenNPY(path)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if a.n*a.t.size != int64(len(data))-a.base || a.n < 1 {
			t.Fatalf("shape %v of %s in a file of %d bytes", a.shape, a.t.name, len(data))
		}
		r, err := a.Rows(int(a.shape[len(a.shape)-1]))
		if err != nil {
			checkRefusal(t, err)
			a.Close()
			return
		}
		readAll(t, r)
		if o, err := ReadOrder(path, OrderOptions{Direction: PositionByID}); err != nil {
			checkRefusal(t, err)
		} else if len(o) != int(a.n) {
			t.Fatalf("an order of %d entries from %d items", len(o), a.n)
		}
	})
}

func FuzzIdx(f *testing.F) {
	x := twoDocuments()
	f.Add(x.bytes(), le16(5, 6, 7, 8, 9), le32(1, 0), le32(0, 0, 1, 0, 1, 2), le32(1, 0))
	x.tail = []byte{0, 1}
	f.Add(x.bytes(), le16(5, 6, 7, 8, 0xffff), le32(1, 1), le32(0, 3, 1, 2, 1, 9), le32(0, 0))
	dir := f.TempDir()
	names := []string{"x.idx", "x.bin", "doc.npy", "sample.npy", "shuffle.npy"}
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = filepath.Join(dir, name)
	}
	f.Fuzz(func(t *testing.T, index, data, doc, sample, shuffle []byte) {
		array := func(header string, b []byte) []byte {
			h := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0)
			return append(append(h, header...), b...)
		}
		for i, b := range [][]byte{index, data, array(header1, doc), array(header2, sample), array(header1, shuffle)} {
			if err := os.WriteFile(paths[i], b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := OpenIndexed(paths[0])
		if err != nil {
			checkRefusal(t, err)
			return
		}
		readAll(t, r)
		s, err := OpenSamples(paths[0], paths[2], paths[3], paths[4])
		if err != nil {
			checkRefusal(t, err)
			return
		}
		readAll(t, s)
	})
}
