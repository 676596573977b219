package outfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"assay/internal/fault"
)

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// The name holds the old file until the new one is whole, and nothing else stays.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	put := func(text string, fail error) error {
		return Write(path, func(f *os.File) error {
			if _, err := f.WriteString(text); err != nil {
				return err
			}
			return fail
		})
	}
	if err := put("first", nil); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if err := put("sec", full); !errors.Is(err, full) || fault.As(err) == nil || fault.As(err).Class != fault.Retry {
		t.Errorf("error %v, want a retry that wraps the cause", err)
	}
	if got := contents(t, dir); len(got) != 1 || got["r.json"] != "first" {
		t.Errorf("after a failure: %v, want the old file alone", got)
	}
	wrong := fault.Inputf("malformed", "wrong input")
	if err := put("sec", wrong); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("error %v, want the class of the cause", err)
	}
	if err := put("second", nil); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir); len(got) != 1 || got["r.json"] != "second" {
		t.Errorf("after success: %v, want the new file alone", got)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v, want 0644", st.Mode(), err)
	}
	if err := Write(filepath.Join(dir, "none", "r.json"), func(*os.File) error { return nil }); fault.As(err) == nil {
		t.Errorf("folder that is not there: %v", err)
	}
}
