//go:build unix

package selftest

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes a file for this process, as files under way are taken.
func lockFile(f *os.File) error {
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
}
