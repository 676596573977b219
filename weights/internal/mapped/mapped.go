// Package mapped gives a file's bytes without reading it: a read-only memory
// map on Unix, a copy in memory elsewhere.
//
// A mapped file that another program cuts short turns a memory read into a
// fault. Code that touches the bytes therefore runs inside Guard, which turns
// the fault into an error, and asks Changed afterwards whether the file is
// still the one that was opened.
package mapped

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"time"
)

// ErrChanged: the file was cut, rewritten or touched while it was in use.
var ErrChanged = errors.New("file changed while it was in use")

// ErrNotRegular: the name is a folder, a device, a socket or a pipe.
var ErrNotRegular = errors.New("not a regular file")

// File is an open, mapped file.
type File struct {
	f     *os.File
	data  []byte
	size  int64
	mtime time.Time
}

// Open maps the named file of root. Links that leave root are refused by root;
// anything but a regular file is refused before it is opened, because opening
// a pipe blocks.
func Open(root *os.Root, name string) (*File, error) {
	st, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	m, err := load(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

func load(f *os.File) (*File, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: f.Name(), Err: ErrNotRegular}
	}
	if st.Size() > math.MaxInt {
		return nil, &fs.PathError{Op: "map", Path: f.Name(), Err: fmt.Errorf("%d bytes do not fit the address space", st.Size())}
	}
	m := &File{f: f, size: st.Size(), mtime: st.ModTime()}
	if m.size > 0 {
		if m.data, err = contents(f, m.size); err != nil {
			return nil, &fs.PathError{Op: "map", Path: f.Name(), Err: err}
		}
	}
	return m, nil
}

// Bytes returns the file's bytes, valid until Close. Read them inside Guard.
func (m *File) Bytes() []byte { return m.data }

// Size returns the length at opening.
func (m *File) Size() int64 { return m.size }

// Changed compares length and modification time with those at opening. A file
// replaced under the same name is not a change: the old one stays mapped.
func (m *File) Changed() error {
	st, err := m.f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if st.Size() != m.size {
		return fmt.Errorf("%w: %d bytes, was %d", ErrChanged, st.Size(), m.size)
	}
	if !st.ModTime().Equal(m.mtime) {
		return fmt.Errorf("%w: modified at %s, was %s", ErrChanged, st.ModTime().UTC().Format(time.RFC3339Nano), m.mtime.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// Close unmaps the bytes and closes the file.
func (m *File) Close() error {
	data := m.data
	m.data = nil
	return errors.Join(release(data), m.f.Close())
}

// Guard runs f and returns its error. A memory fault inside f, on this
// goroutine, becomes ErrChanged; any other panic goes on.
func Guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			// The runtime's memory faults, and only they, carry an address.
			if _, ok := r.(interface{ Addr() uintptr }); !ok {
				panic(r)
			}
			err = fmt.Errorf("%w: memory fault", ErrChanged)
		}
	}()
	return f()
}
