//go:build !xla

package model

import (
	"assay/internal/fault"
	"github.com/gomlx/compute"
)

func openXLA(string) (compute.Backend, error) {
	return nil, fault.Usagef("model: backend xla: this build has no XLA").
		Hint("build with `make xla` (tag xla)")
}
