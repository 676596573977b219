package trace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"assay/internal/fault"
)

// file and disk are what writing needs of the file system; tests put one that
// fails in their place.
type file interface {
	io.Writer
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

type disk interface {
	create(name string) (file, error) // fails if the name exists
	open(name string) (file, int64, error)
	edit(name string) (file, int64, error) // for reading and writing
	rename(from, to string) error
	remove(name string) error
	syncDir(name string) error
}

type osDisk struct{}

func (osDisk) create(name string) (file, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err // not f: a nil *os.File is no nil file
	}
	return f, nil
}

func (osDisk) open(name string) (file, int64, error) { return openRegular(name, os.O_RDONLY) }
func (osDisk) edit(name string) (file, int64, error) { return openRegular(name, os.O_RDWR) }

func openRegular(name string, flag int) (file, int64, error) {
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		return nil, 0, err
	}
	s, err := f.Stat()
	if err == nil && !s.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, s.Size(), nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(name string) error     { return os.Remove(name) }

func (osDisk) syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there; rename is durable with the volume
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// temporary creates a file next to path under a name of this process. One that a
// killed process with the same number left is replaced.
func temporary(d disk, path string) (file, string, error) {
	name := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.tmp", filepath.Base(path), os.Getpid()))
	f, err := d.create(name)
	if errors.Is(err, fs.ErrExist) {
		if err = d.remove(name); err == nil {
			f, err = d.create(name)
		}
	}
	return f, name, err
}

func retry(path, what string, err error) error {
	if f := fault.As(err); f != nil {
		return err
	}
	return fault.Retryf("io", "trace: %s: %s: %w", path, what, err)
}

// openError classifies a failure to open: a missing file stays missing.
func openError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return fault.Inputf("open", "trace: %s: %w", path, err)
	}
	return retry(path, "open", err)
}
