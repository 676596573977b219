// Package testdata carries the small checkpoints that `assay doctor` checks itself
// with, one or more of every family, so that the program can prove on any machine,
// with no files, that it computes what transformers computes in float64. Origin:
// README.md here.
package testdata

import "embed"

// Golden holds reference checkpoints with their expected values, and their list.
//
//go:embed reference/index.json reference/gpt_neox-parallel reference/llama-llama3
//go:embed reference/*/config.json reference/*/model*.safetensors reference/*/model.safetensors.index.json
//go:embed reference/*/expected.json reference/*/expected.safetensors
var Golden embed.FS
