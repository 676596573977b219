//go:build unix

package mapped

import (
	"os"

	"golang.org/x/sys/unix"
)

func contents(f *os.File, size int64) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
}

func release(data []byte) error {
	if data == nil {
		return nil
	}
	return unix.Munmap(data)
}
