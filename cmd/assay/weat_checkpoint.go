package main

import (
	"context"

	"assay/internal/fault"
	"assay/latent/weat"

	"github.com/spf13/pflag"
)

// weatCheckpoint are the flags of representations of a checkpoint.
type weatCheckpoint struct {
	model modelFlags
}

func (c *weatCheckpoint) register(fl *pflag.FlagSet) { c.model.register(fl) }

func (s *weatSource) openCheckpoint(ctx context.Context, a *app, path string, tests []weat.Test, extra []string) ([]weatRep, error) {
	return nil, fault.Usagef("weat: representations of a checkpoint are not built in yet, want --vectors")
}
