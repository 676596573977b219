package model

import "fmt"

// MemoryLimit is the memory in bytes that this process can use: the limit of
// its control group or the machine's memory; 0 if unknown.
func MemoryLimit() int64 { return memoryLimit() }

// CheckBackend opens the backend that Options.Backend names and describes it.
func CheckBackend(name string) (desc string, err error) {
	defer edge("backend", &err)
	b, err := openBackend(name)
	if err != nil {
		return "", err
	}
	defer b.Finalize()
	return fmt.Sprintf("%s: %s", b.Name(), b.Description()), nil
}

// Ignorable returns the path.Match patterns of stored tensors that are not weights.
func (d *Description) Ignorable() []string { return d.family.Ignorable }
