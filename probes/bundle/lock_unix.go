//go:build unix

package bundle

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes a file for this process until it ends or closes it; it fails at
// once when another process has it.
func lockFile(f *os.File) error {
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
}
