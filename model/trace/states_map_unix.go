//go:build unix

package trace

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file of the operating system; it takes over f.
func mapFile(f file, size int64) (mapping, error) {
	o, ok := f.(*os.File)
	if !ok || size == 0 {
		return readFile(f, size)
	}
	b, err := unix.Mmap(int(o.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return mapping{}, err
	}
	return mapping{b, func() error { return errors.Join(unix.Munmap(b), o.Close()) }}, nil
}
