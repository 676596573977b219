// Package outfile writes files that are whole or not there.
//
// Everything that leaves a file for others goes through it: results, figures,
// transcripts, the files of a bundle. Writers that go on after a stop (traces,
// states, generations) have their own formats for that.
package outfile

import (
	"os"
	"path/filepath"

	"assay/internal/fault"
)

// Write fills path by way of a temporary file beside it and a rename, so that a stop
// at any moment leaves the old file or the new one. Failures that have no class are
// worth another try (fault.Retry).
func Write(path string, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.partial")
	if err != nil {
		return fault.Retryf("io", "write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			if fault.As(err) == nil {
				err = fault.Retryf("io", "write %s: %w", path, err)
			}
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
