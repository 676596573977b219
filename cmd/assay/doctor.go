package main

import (
	"fmt"
	"io"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/selftest"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"

	"github.com/spf13/cobra"
)

func newDoctor(a *app) *cobra.Command {
	var backend string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that this machine and binary compute what they should",
		Long: `doctor needs no files. It checks the build, the processor, the backend, the
tokenizer library, embedded checkpoints of every family against float64 values of
transformers (two of them in small and large batches, on one thread and on all), the
statistics against other programs, and that files can be written. Exit code 1 when a
check fails.`,
		Example: "  assay doctor\n  assay doctor --backend xla:/opt/pjrt/pjrt_c_api_cuda_plugin.so --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := thisBuild()
			meter := progress.NewOf(a.stderr, a.meterMode(), "doctor", "checks", selftest.Steps)
			defer meter.Close()
			checks := selftest.Run(cmd.Context(), selftest.Options{Progress: func(string) { meter.Add(1) }, Backend: backend, Version: b.Program + " " + b.Version, Commit: b.Commit, Tags: b.Tags, Experiment: b.Experiment})
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			meter.Close()
			if err := a.print(checks, func(w io.Writer) error { return showChecks(w, checks) }); err != nil {
				return err
			}
			failed := 0
			for _, c := range checks {
				if c.Status == selftest.Fail {
					failed++
				}
			}
			if failed > 0 {
				return fault.New(fault.Check, "doctor", "doctor: %d of %d checks failed", failed, len(checks))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&backend, "backend", "go", "go, or xla:/absolute/path/of/plugin.so")
	return cmd
}

func showChecks(w io.Writer, checks []selftest.Check) error {
	for _, c := range checks {
		if _, err := fmt.Fprintf(w, "%-4s  %s: %s\n", c.Status, c.Name, show.Text(c.Text)); err != nil {
			return err
		}
		if c.Hint != "" {
			if _, err := fmt.Fprintf(w, "      hint: %s\n", show.Text(c.Hint)); err != nil {
				return err
			}
		}
	}
	return nil
}
