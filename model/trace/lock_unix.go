//go:build unix

package trace

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes a file for this process, until it is closed; it fails at once when
// another process has it.
func lockFile(f file) error {
	o, ok := f.(*os.File)
	if !ok {
		return nil
	}
	return unix.Flock(int(o.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
