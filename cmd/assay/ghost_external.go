package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/ghost"

	"github.com/spf13/cobra"
)

func newGhostExternal(a *app) *cobra.Command {
	f := ghostFlags{scorer: scorer{app: a}}
	cmd := &cobra.Command{
		Use:   "external SET.json CKPT|TRACE [--ref CKPT|TRACE]",
		Short: "Rank planted strings that assay did not draw among given controls (tier C)",
		Long: `external reads {"prefix", "planted": [{id, text, times}], "controls": [{id, text}]} and
ranks each planted string among the controls. Nothing shows how the strings were
chosen, so the result is a description: no p-value.`,
		Example: "  assay ghost external ghosts.json ./suspect --ref ./base --rows ranks.csv",
		Args:    cobra.ExactArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.external(cmd.Context(), args[0], args[1]) },
	}
	f.register(cmd)
	return cmd
}

func (f *ghostFlags) external(ctx context.Context, set, path string) error {
	file, err := os.Open(set)
	if err != nil {
		return fault.Inputf("no-file", "ghost: %w", err)
	}
	defer file.Close()
	e, err := ghost.ReadExternal(file)
	if err != nil {
		return err
	}
	in := requests(slices.Collect(e.Requests()))
	var inputs []probes.Input
	scores := func(role, path string) (out map[string]float64, err error) {
		err = f.read(ctx, role, path, in, window.Policy{Name: "full", BOS: "auto"}, &inputs, func(r *trace.Reader) error {
			out, err = e.FromTrace(r)
			return err
		})
		return out, err
	}
	suspect, err := scores("suspect", path)
	if err != nil {
		return err
	}
	var reference map[string]float64
	if f.ref != "" {
		if reference, err = scores("reference", f.ref); err != nil {
			return err
		}
	}
	r, ranks, err := e.Test(suspect, reference, inputs)
	if err != nil {
		return err
	}
	rows := [][]string{{"id", "repetitions", "score [nats/token]", "rank", "of"}}
	for _, x := range ranks {
		rows = append(rows, []string{x.ID, fmt.Sprint(x.Times), fmt.Sprint(x.Score), fmt.Sprint(x.Rank), fmt.Sprint(x.Of)})
	}
	return f.finish(r, rows)
}
