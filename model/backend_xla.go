//go:build xla

package model

import (
	"path/filepath"

	"assay/internal/fault"
	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
)

// openXLA opens a PJRT plugin by its absolute path. TF32 is off: its products
// have 10 bits of mantissa. Nothing is searched for, downloaded or installed.
func openXLA(plugin string) (compute.Backend, error) {
	if !filepath.IsAbs(plugin) {
		return nil, fault.Usagef("model: backend xla: plugin %q: want an absolute path", plugin)
	}
	xla.EnableAutoInstall(false)
	b, err := xla.NewWithOptions(plugin+",tf32=false", nil)
	if err != nil {
		return nil, fault.Retryf("device", "model: backend xla: %s: %w", plugin, err)
	}
	return b, nil
}
