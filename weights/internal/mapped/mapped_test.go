package mapped

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func openTemp(t *testing.T, content []byte) (*File, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m, err := Open(root, "f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, path
}

func TestBytes(t *testing.T) {
	want := bytes.Repeat([]byte("assay"), 20000)
	m, _ := openTemp(t, want)
	if !bytes.Equal(m.Bytes(), want) || m.Size() != int64(len(want)) {
		t.Fatalf("mapped bytes differ from the file")
	}
	if err := m.Changed(); err != nil {
		t.Fatalf("Changed on an untouched file: %v", err)
	}
	for _, part := range [][]byte{m.Bytes()[7:8], m.Bytes()[4095:70001], m.Bytes()[len(want):]} {
		if err := errors.Join(Prefetch(part), Drop(part)); err != nil {
			t.Errorf("advice on %d bytes: %v", len(part), err)
		}
	}
	if !bytes.Equal(m.Bytes(), want) {
		t.Fatal("Drop lost bytes")
	}
}

func TestEmpty(t *testing.T) {
	m, _ := openTemp(t, nil)
	if len(m.Bytes()) != 0 {
		t.Fatalf("got %d bytes of an empty file", len(m.Bytes()))
	}
}

// The file is cut while mapped, so pages past its new end fault when read.
func TestCutWhileMapped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the file is a copy in memory")
	}
	m, path := openTemp(t, make([]byte, 1<<20))
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 1<<20)
	for name, read := range map[string]func() error{
		"copy":   func() error { copy(dst, m.Bytes()); return nil },
		"sha256": func() error { sha256.Sum256(m.Bytes()); return nil },
		"loop": func() error {
			for _, b := range m.Bytes() {
				dst[0] += b
			}
			return nil
		},
	} {
		if err := Guard(read); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: got %v, want ErrChanged", name, err)
		}
	}
	if err := m.Changed(); !errors.Is(err, ErrChanged) {
		t.Errorf("Changed: got %v, want ErrChanged", err)
	}
}

// Length is compared even where the time was put back.
func TestGrownWithOldTime(t *testing.T) {
	m, path := openTemp(t, []byte("x"))
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(path, 2), os.Chtimes(path, time.Time{}, st.ModTime())); err != nil {
		t.Fatal(err)
	}
	if err := m.Changed(); !errors.Is(err, ErrChanged) {
		t.Errorf("Changed: got %v, want ErrChanged", err)
	}
}

func TestTouched(t *testing.T) {
	m, path := openTemp(t, []byte("x"))
	if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := m.Changed(); !errors.Is(err, ErrChanged) {
		t.Errorf("Changed: got %v, want ErrChanged", err)
	}
}

func TestGuardPassesOtherPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an ordinary panic was swallowed")
		}
	}()
	Guard(func() error {
		var s []int
		_ = s[len(os.Args)]
		return nil
	})
}

func TestRefusesOddFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Skip(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := Open(root, "folder"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("folder: got %v, want ErrNotRegular", err)
	}
	for _, name := range []string{"out", "../x", "/etc/passwd", "missing"} {
		if _, err := Open(root, name); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
