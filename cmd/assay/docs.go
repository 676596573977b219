//go:build docs

package main

import (
	"os"
	"path/filepath"

	"assay/internal/fault"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newDocs writes the manual from the commands themselves. It is in builds with the
// tag docs only ("make docs"), so that the program does not carry a Markdown reader.
func newDocs(*app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "docs -o DIR",
		Short:   "Write man pages, Markdown and shell completions of every command",
		Example: "  assay docs -o build/docs",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			for _, d := range []string{"man", "markdown", "completion"} {
				if err := os.MkdirAll(filepath.Join(out, d), 0o755); err != nil {
					return fault.Retryf("io", "docs: %w", err)
				}
			}
			// The date of the pages is that of SOURCE_DATE_EPOCH.
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "assay " + version}, filepath.Join(out, "man")); err != nil {
				return fault.Retryf("io", "docs: %w", err)
			}
			if err := doc.GenMarkdownTree(root, filepath.Join(out, "markdown")); err != nil {
				return fault.Retryf("io", "docs: %w", err)
			}
			for name, write := range map[string]func(string) error{
				"assay.bash": func(p string) error { return root.GenBashCompletionFileV2(p, true) },
				"_assay":     root.GenZshCompletionFile,
				"assay.fish": func(p string) error { return root.GenFishCompletionFile(p, true) },
				"assay.ps1":  root.GenPowerShellCompletionFileWithDesc,
			} {
				if err := write(filepath.Join(out, "completion", name)); err != nil {
					return fault.Retryf("io", "docs: %w", err)
				}
			}
			return nil
		},
	}
	outputFlag(cmd, &out, "folder to write to")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func extraCommands(a *app) []*cobra.Command { return []*cobra.Command{newDocs(a)} }
