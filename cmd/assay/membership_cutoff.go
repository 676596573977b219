package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"time"

	"assay/internal/fault"
	"assay/probes/membership"

	"github.com/spf13/cobra"
)

func newMembershipCutoff(a *app) *cobra.Command {
	f := comparison{membershipFlags: membershipFlags{scorer: scorer{app: a}}}
	var o membership.CutoffOptions
	var date string
	cmd := &cobra.Command{
		Use:   "cutoff CKPT|TRACE --cutoff YYYY-MM-DD --scores NAME",
		Short: "Does a score jump at the training cutoff? (regression discontinuity)",
		Long: `cutoff fits a line on each side of the training cutoff (texts carry a date) and asks
whether the score jumps down there: texts from just before and just after are alike but
for the training. Placebo cutoffs, the texts' length and a classifier that never saw the
model must not jump; then the p-value stands (tier B), else the result is a description
(tier C). An unknown or fuzzy cutoff pulls the jump to 0; late crawls and earlier
preprints are what the fit without the days around the cutoff (donut) is for.`,
		Example: `  assay membership cutoff news.parquet --cutoff 2024-03-01 --scores mink:0.2 --bandwidth 180 --text news.jsonl
  assay membership cutoff ./model --text papers.jsonl --cutoff 2023-12-01 --scores loss --months`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			day, err := time.Parse(time.DateOnly, date)
			if err != nil {
				return fault.Usagef("--cutoff: found %q, want YYYY-MM-DD", date)
			}
			return f.cutoff(cmd.Context(), args[0], day, o)
		},
	}
	f.membershipFlags.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&date, "cutoff", "", "last day of the training data, YYYY-MM-DD; that day and later count as after")
	fl.Float64Var(&o.Bandwidth, "bandwidth", 180, "days on each side that enter the fit")
	fl.Float64Var(&o.Donut, "donut", 0, "days around the cutoff left out of the donut fit (default: a sixth of the bandwidth)")
	fl.BoolVar(&o.Months, "months", false, "dates are known by the month only: errors are clustered by month")
	fl.BoolVar(&f.noGate, "no-gate", false, "leave out the classifier without the model as a covariate")
	fl.Float64Var(&o.Alpha, "alpha", 0.05, "level of the verdict")
	fl.Float64Var(&o.Level, "level", 0.95, "level of intervals")
	fl.Uint64Var(&o.Seed, "seed", 1, "seed of the classifier's folds")
	fl.StringVar(&f.rows, "rows", "", "write one row per document to this .csv")
	fl.StringVar(&f.plot, "plot", "", "draw the score against the days to this .svg or .png")
	outputFlag(cmd, &f.out, "write the result as JSON to this file too")
	_ = cmd.MarkFlagRequired("cutoff")
	return cmd
}

func (f *comparison) cutoff(ctx context.Context, path string, day time.Time, o membership.CutoffOptions) error {
	if err := f.oneScore("cutoff"); err != nil {
		return err
	}
	format, err := plotFormat(f.plot)
	if err != nil {
		return err
	}
	d, err := f.table(ctx, path, !f.noGate)
	if err != nil {
		return err
	}
	texts, undated, err := d.Dated(d.Names[0], day)
	if err != nil {
		return err
	}
	o.Inputs = d.inputs
	if !f.noGate {
		blind, err := membership.BlindByDate(texts, d.text, d.ids, o)
		if err != nil {
			return err
		}
		o.Blind = "classifier of words (or token ids) before against after, out of fold"
		for i := range texts {
			texts[i].Blind = blind[i]
		}
	}
	r, err := membership.Cutoff(texts, o)
	if err != nil {
		return err
	}
	r.N["undated"] = undated
	r.Settings["score"], r.Settings["cutoff"] = d.Names[0], day.Format(time.DateOnly)
	r.Settings["weights"], r.Settings["policy"] = d.Weights, d.Policy
	r.Warnings = append(append(r.Warnings, d.Warnings...), d.extra...)
	if undated > 0 {
		r.Warnings = append(r.Warnings, warning("undated", "%s without a date, in no fit", plural(undated, "document")))
	}
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return writeDated(w, texts) }); err != nil {
			return err
		}
	}
	if f.plot != "" {
		if err := writeFile(f.plot, func(w io.Writer) error { return membership.WriteCutoff(w, format, d.Names[0], texts, o) }); err != nil {
			return err
		}
	}
	return f.app.printResult(r, f.out)
}

func writeDated(w io.Writer, texts []membership.Dated) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"doc_id", "days_from_cutoff", "score", "bytes", "blind"}); err != nil {
		return err
	}
	for _, t := range texts {
		line := []string{t.ID, fmt.Sprint(t.Days)}
		for _, v := range []float64{t.Score, t.Bytes, t.Blind} {
			cell := ""
			if v == v { // NaN: undefined
				cell = fmt.Sprint(v)
			}
			line = append(line, cell)
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
