// Package testdata carries the one small checkpoint that `assay doctor` checks
// itself with, so that the program can prove on any machine, with no files, that
// it computes what transformers computes in float64. Origin: README.md here.
package testdata

import "embed"

// Golden holds reference checkpoints with their expected values.
//
//go:embed reference/gpt_neox-parallel reference/llama-llama3
var Golden embed.FS
