//go:build unix

package trace

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes a file for this process, until it is closed; it fails at once when
// another process has it. The lock is the process's: a writer that was left behind
// unclosed does not keep the same process from going on.
func lockFile(f file) error {
	o, ok := f.(*os.File)
	if !ok {
		return nil
	}
	return unix.FcntlFlock(o.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
}
