//go:build !unix

package trace

// mapFile reads the file: there is no mapping on this system. It takes over f.
func mapFile(f file, size int64) (mapping, error) { return readFile(f, size) }
