package main

import (
	"context"
	"fmt"

	"assay/probes/membership"

	"github.com/spf13/cobra"
)

func newMembershipInfer(a *app) *cobra.Command {
	f := comparison{membershipFlags: membershipFlags{scorer: scorer{app: a}}}
	var suspect, unseen string
	var splits int
	cmd := &cobra.Command{
		Use:   "infer CKPT|TRACE --suspect FILE --unseen FILE",
		Short: "Dataset inference: does a dataset score unlike texts known to be unseen?",
		Long: `infer learns on half of both sets (files with one document id a line) which scores tell
the unseen texts from the suspects, and compares the other halves; labels are permuted
by group. The unseen texts must come from the same process, such as unpublished drafts
or a random split. Beside it stands the same with the unseen texts cut in two, which
must show nothing. Without a clean gate or an assignment no p-value is given (tier C).
By default the features are the loss and the means of the lowest and highest shares.`,
		Example: `  assay membership infer trace.parquet --suspect book.txt --unseen drafts.txt --text all.jsonl
  assay membership infer trace.parquet --suspect s.txt --unseen v.txt --assignment split.json --splits 5`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.infer(cmd.Context(), args[0], suspect, unseen, splits)
		},
	}
	f.membershipFlags.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&suspect, "suspect", "", "document ids of the suspected dataset, one a line")
	fl.StringVar(&unseen, "unseen", "", "document ids of texts known to be unseen, one a line")
	fl.IntVar(&splits, "splits", 1, "splits into halves (p = twice the median)")
	fl.StringVar(&f.assignment, "assignment", "", "file that proves the unseen texts were drawn at random (tier A)")
	fl.BoolVar(&f.noGate, "no-gate", false, "do not ask whether the two sets differ without the model (tier C)")
	fl.IntVar(&f.gatePerm, "gate-perm", 99, "label permutations of the gate")
	fl.Float64Var(&f.o.Alpha, "alpha", 0.05, "level of the verdict")
	fl.IntVar(&f.o.B, "perm", 9999, "permutations")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of halves, permutations and folds")
	outputFlag(cmd, &f.out, "write the result as JSON to this file too")
	_ = cmd.MarkFlagRequired("suspect")
	_ = cmd.MarkFlagRequired("unseen")
	return cmd
}

func (f *comparison) infer(ctx context.Context, path, suspect, unseen string, splits int) error {
	if err := f.o.Validate(); err != nil {
		return err
	}
	f.fallback = membership.InferScores
	d, err := f.table(ctx, path, !f.noGate)
	if err != nil {
		return err
	}
	s, v, err := f.sides(d, "--suspect", suspect, "--unseen", unseen)
	if err != nil {
		return err
	}
	if err := f.ground(d); err != nil {
		return err
	}
	r, err := membership.Infer(d.Features(s), d.Features(v), membership.InferOptions{Alpha: f.o.Alpha, B: f.o.B, Seed: fmt.Sprint(f.o.Seed),
		Splits: splits, Ground: f.o.Ground, Inputs: d.inputs})
	if err != nil {
		return err
	}
	r.Warnings = append(append(r.Warnings, d.Warnings...), d.extra...)
	return f.app.printResult(r, f.out)
}
