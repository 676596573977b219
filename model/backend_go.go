package model

import (
	"fmt"
	"strings"

	"assay/internal/fault"
	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // registers the backend named go
)

// goConfig makes the Go backend run the operations of a graph one after the
// other in the order in which they were built, so that the chunks of a stage
// reuse each other's memory; cores are filled by disjoint batches. The
// environment variable that selects a default backend is never read.
const goConfig = "go:ops_sequential,creation_order"

// openBackend opens the backend that the option names: "" or "go", or
// "xla:/absolute/path/of/plugin.so".
func openBackend(name string) (compute.Backend, error) {
	switch {
	case name == "" || name == "go":
		b, err := compute.NewWithConfig(goConfig)
		if err != nil {
			return nil, fmt.Errorf("model: backend go: %w", err)
		}
		return b, nil
	case strings.HasPrefix(name, "xla:"):
		return openXLA(strings.TrimPrefix(name, "xla:"))
	}
	return nil, fault.Usagef("model: backend %q: want go or xla:/absolute/path/of/plugin.so", name)
}
