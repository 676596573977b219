package trace

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"

	"assay/internal/gen"
)

// mem is a disk in memory that can lose power: after a number of operations every
// one fails, the one in progress half done, and what was not synced is lost in part.
type mem struct {
	mu    sync.Mutex
	files map[string]*memFile
	left  int // operations until the power fails; negative = never
	ops   int
}

type memFile struct {
	d      *mem
	b      []byte
	synced int
}

func newMem() *mem { return &mem{files: map[string]*memFile{}, left: -1} }

var errPower = errors.New("power failure")

// op counts an operation and reports whether it may go through; half says that
// this is the one that the failure hits.
func (d *mem) op() (half bool, err error) {
	d.ops++
	switch {
	case d.left == 0:
		return false, errPower
	case d.left == 1:
		d.left = 0
		return true, errPower
	case d.left > 0:
		d.left--
	}
	return false, nil
}

// reboot brings the power back: of what was not synced, some is there.
func (d *mem) reboot(g *gen.Stream) {
	d.left = -1
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[name]
		f.b = f.b[:f.synced+g.Below(len(f.b)-f.synced+1)]
	}
}

func (d *mem) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.op(); err != nil {
		return nil, err
	}
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &memFile{d: d}
	d.files[name] = f
	return f, nil
}

func (d *mem) open(name string) (file, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, 0, fs.ErrNotExist
	}
	return f, int64(len(f.b)), nil
}

func (d *mem) edit(name string) (file, int64, error) { return d.open(name) }

func (d *mem) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.op(); err != nil {
		return err
	}
	f := d.files[from]
	if f == nil {
		return fs.ErrNotExist
	}
	delete(d.files, from)
	d.files[to] = f
	return nil
}

func (d *mem) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.op(); err != nil {
		return err
	}
	delete(d.files, name)
	return nil
}

func (d *mem) syncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.op()
	return err
}

func (f *memFile) Write(b []byte) (int, error) { return f.WriteAt(b, int64(len(f.b))) }

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	half, err := f.d.op()
	if err != nil {
		if !half {
			return 0, err
		}
		b = b[:len(b)/2]
	}
	if n := int(off) + len(b); n > len(f.b) {
		f.b = append(f.b, make([]byte, n-len(f.b))...)
	}
	copy(f.b[off:], b)
	f.synced = min(f.synced, int(off))
	return len(b), err
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off > int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(b, f.b[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if _, err := f.d.op(); err != nil {
		return err
	}
	f.synced = len(f.b)
	return nil
}

func (f *memFile) Close() error { return nil }

// put stores bytes under a name.
func (d *mem) put(name string, b []byte) { d.files[name] = &memFile{d: d, b: b, synced: len(b)} }

func (d *mem) names() []string { return slices.Sorted(maps.Keys(d.files)) }

func writeAll(t testing.TB, d disk, path string, of Identity, docs []DocTokens, o Options) Header {
	t.Helper()
	o.disk = d
	w, err := Create(path, of, o)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, docs, o)
	h, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func appendAll(t testing.TB, w *Writer, docs []DocTokens, o Options) {
	t.Helper()
	for _, x := range docs {
		x = x.without(o)
		if err := w.Append(x.Doc, x.Tokens); err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(t testing.TB, d disk, path string) []DocTokens {
	t.Helper()
	r, err := open(d, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var docs []DocTokens
	for x, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, x)
	}
	return docs
}

// clean fails unless the trace passes every check.
func clean(t testing.TB, d disk, path string) Report {
	t.Helper()
	rep, err := check(d, path, 3)
	if err == nil {
		err = rep.Err()
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return rep
}
