package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strings"

	"assay/internal/fault"
	"assay/probes/membership"

	"github.com/spf13/cobra"
)

func newMembershipClaim(a *app) *cobra.Command {
	f := comparison{membershipFlags: membershipFlags{scorer: scorer{app: a}}}
	var suspect, control string
	cmd := &cobra.Command{
		Use:   "claim CKPT|TRACE --scores NAME --suspect FILE --control FILE",
		Short: "Test one claimant's texts against controls by one score named beforehand",
		Long: `claim compares the texts named in --suspect with those in --control (files with one
document id a line) by the rank sum of one score. The controls must be texts of the
same kind that were not trained on. Without a clean gate or an assignment the result
is a description (tier C): AUC and ranks, no p-value.`,
		Example: `  assay membership claim trace.parquet --scores mink:0.2 --suspect mine.txt --control others.txt --rows ranks.csv`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.claim(cmd.Context(), args[0], suspect, control)
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&suspect, "suspect", "", "document ids of the claimed texts, one a line")
	fl.StringVar(&control, "control", "", "document ids of the controls, one a line")
	_ = cmd.MarkFlagRequired("suspect")
	_ = cmd.MarkFlagRequired("control")
	return cmd
}

func (f *comparison) claim(ctx context.Context, path, suspect, control string) error {
	if err := f.oneScore("claim"); err != nil {
		return err
	}
	format, err := plotFormat(f.plot)
	if err != nil {
		return err
	}
	if err := f.o.Validate(); err != nil {
		return err
	}
	d, err := f.table(ctx, path, !f.noGate)
	if err != nil {
		return err
	}
	s, c, err := f.sides(d, "--suspect", suspect, "--control", control)
	if err != nil {
		return err
	}
	mine, err := d.Cases(d.Names[0], s)
	if err != nil {
		return err
	}
	others, err := d.Cases(d.Names[0], c)
	if err != nil {
		return err
	}
	if err := f.ground(d); err != nil {
		return err
	}
	r, rows, err := membership.Claim(d.Names[0], mine, others, f.o.Ground, f.o.Options, d.inputs)
	if err != nil {
		return err
	}
	r.Warnings = append(append(r.Warnings, d.Warnings...), d.extra...)
	if err := f.files(d.Table, format, func(w io.Writer) error { return writeClaim(w, rows) }); err != nil {
		return err
	}
	return f.app.printResult(r, f.out)
}

// oneScore refuses a list: what is tested is named beforehand.
func (f *membershipFlags) oneScore(command string) error {
	if f.scores == "" || strings.Contains(f.scores, ",") {
		return fault.Usagef("membership %s: --scores: found %q, want one score named beforehand", command, f.scores)
	}
	return nil
}

// sides reads two sets of document ids and makes them the labels 1 and 0.
func (f *comparison) sides(d membershipData, flag1, path1, flag0, path0 string) (one, zero map[string]bool, err error) {
	if one, err = idSet(flag1, path1, d.Table); err != nil {
		return nil, nil, err
	}
	if zero, err = idSet(flag0, path0, d.Table); err != nil {
		return nil, nil, err
	}
	f.o.Labels = map[string]int{}
	for id := range zero {
		if one[id] {
			return nil, nil, fault.Inputf("duplicate", "membership: text %q stands in %s and in %s", id, flag1, flag0)
		}
		f.o.Labels[id] = 0
	}
	for id := range one {
		f.o.Labels[id] = 1
	}
	return one, zero, nil
}

// idSet reads document ids, one a line; each must name a document of the table.
func idSet(flag, path string, t membership.Table) (map[string]bool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Inputf("no-file", "%s: %w", flag, err)
	}
	known := map[string]bool{}
	for _, r := range t.Rows {
		known[r.ID] = true
	}
	out := map[string]bool{}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		id := strings.TrimRight(line, "\r\n")
		switch {
		case id == "":
		case !known[id]:
			return nil, fault.Inputf("texts", "%s: %s:%d: found %q, want a document of the trace", flag, path, n, id)
		case out[id]:
			return nil, fault.Inputf("duplicate", "%s: %s:%d: id %q appears twice", flag, path, n, id)
		default:
			out[id] = true
		}
	}
	if len(out) == 0 {
		return nil, fault.Inputf("empty", "%s: %s: found no document id", flag, path)
	}
	return out, nil
}

func writeClaim(w io.Writer, rows []membership.ClaimRow) error {
	num := func(x *float64) string {
		if x == nil {
			return ""
		}
		return fmt.Sprint(*x)
	}
	c := csv.NewWriter(w)
	if err := c.Write([]string{"doc_id", "score", "conformal_p", "bh", "holm"}); err != nil {
		return err
	}
	for _, r := range rows {
		if err := c.Write([]string{r.ID, num(r.Score), num(r.Conformal), num(r.BH), num(r.Holm)}); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
