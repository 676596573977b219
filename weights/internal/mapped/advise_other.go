//go:build !linux && !darwin

package mapped

// Prefetch does nothing on this system.
func Prefetch([]byte) error { return nil }

// Drop does nothing on this system.
func Drop([]byte) error { return nil }
