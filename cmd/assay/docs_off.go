//go:build !docs

package main

import "github.com/spf13/cobra"

// extraCommands are those that only a build with the tag docs has.
func extraCommands(*app) []*cobra.Command { return nil }
