// Package fault classifies errors by what the person at the terminal can do
// about them. Packages wrap their errors in a *Fault where the class is known;
// cmd/assay maps the class to the exit code in one place.
package fault

import (
	"errors"
	"fmt"
)

// Class says what would make the same command succeed.
type Class int

const (
	// Check: a check that was asked for does not hold.
	Check Class = 1
	// Usage: the command line (or the options of an API call) must change.
	Usage Class = 2
	// Input: the input is wrong and will stay wrong.
	Input Class = 3
	// Retry: I/O, memory, a lost device; the same command may work later.
	Retry Class = 4
	// Interrupted: stopped by a signal; the same command resumes.
	Interrupted Class = 130
)

// Fault is an error with a class, a machine-readable code and hints.
type Fault struct {
	Class Class
	Code  string   // kebab-case: malformed, tensor, unsupported, nonfinite, ...
	Hints []string // what to do, one sentence each
	Err   error
}

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns the wrapped error.
func (f *Fault) Unwrap() error { return f.Err }

// New formats an error (with %w support) and gives it a class and a code.
func New(c Class, code, format string, args ...any) *Fault {
	return &Fault{Class: c, Code: code, Err: fmt.Errorf(format, args...)}
}

// Hint returns f with one more hint.
func (f *Fault) Hint(format string, args ...any) *Fault {
	f.Hints = append(f.Hints, fmt.Sprintf(format, args...))
	return f
}

// Inputf is New(Input, ...).
func Inputf(code, format string, args ...any) *Fault { return New(Input, code, format, args...) }

// Usagef is New(Usage, "usage", ...).
func Usagef(format string, args ...any) *Fault { return New(Usage, "usage", format, args...) }

// Retryf is New(Retry, ...).
func Retryf(code, format string, args ...any) *Fault { return New(Retry, code, format, args...) }

// As returns the outermost Fault in err's chain, or nil.
func As(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return nil
}
