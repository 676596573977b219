package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/internal/outfile"
)

// save writes a file by rename, so that a stop at any moment leaves the old file
// or the new one. Equal bytes are not written again.
func save(path string, b []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return outfile.Write(path, func(f *os.File) error { _, err := f.Write(b); return err })
}

// copyFile copies a file whose digest is known; another digest is an error.
func copyFile(to, from, sum string) error {
	if _, have, err := digestFile(to); err == nil && have == sum {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return fault.Retryf("io", "%w", err)
	}
	defer in.Close()
	return outfile.Write(to, func(f *os.File) error {
		h := sha256.New()
		if _, err := io.Copy(io.MultiWriter(f, h), in); err != nil {
			return err
		}
		if sum != "" && hex.EncodeToString(h.Sum(nil)) != sum {
			return fault.Retryf("changed", "%s: the file changed while the audit ran", from)
		}
		return nil
	})
}

// syncDir makes a rename in a folder last through a power failure.
func syncDir(path string) {
	if d, err := os.Open(path); err == nil {
		_ = d.Sync() // not every file system can
		d.Close()
	}
}

// list walks a bundle: every path with what it is, folders left out.
func list(root *os.Root) (map[string]fs.FileMode, error) {
	out := map[string]fs.FileMode{}
	err := fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case len(out) > maxFiles:
			return fault.Inputf("malformed", "bundle: found more than %d files", maxFiles)
		case !d.IsDir():
			out[path] = d.Type()
		}
		return nil
	})
	if err != nil && fault.As(err) == nil {
		err = fault.Retryf("io", "bundle: %w", err)
	}
	return out, err
}

// prune removes everything that is not in keep, leftovers of interrupted writes
// among them, and folders that are then empty.
func prune(dir string, keep []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fault.Retryf("io", "bundle: %w", err)
	}
	defer root.Close()
	found, err := list(root)
	if err != nil {
		return err
	}
	for path := range found {
		if !slices.Contains(keep, path) {
			if err := root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fault.Retryf("io", "bundle: %w", err)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fault.Retryf("io", "bundle: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.ContainsFunc(keep, func(k string) bool { return strings.HasPrefix(k, e.Name()+"/") }) {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return nil
}
