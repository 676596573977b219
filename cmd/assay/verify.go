package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/probes/bundle"
	"assay/probes/report"

	"github.com/spf13/cobra"
)

// verifyFlags are the flags of `assay verify`.
type verifyFlags struct {
	app     *app
	model   modelFlags
	ckpt    []string
	input   []string
	level   string
	rescore int
	seed    string
}

func newVerify(a *app) *cobra.Command {
	f := verifyFlags{app: a}
	cmd := &cobra.Command{
		Use:   "verify DIR [--ckpt ROLE=DIR]",
		Short: "Check a bundle: is it intact, do results follow from traces, do traces follow from the checkpoint",
		Long: `verify checks a bundle without trusting it, in three levels:

  files       everything listed is there and unchanged, nothing else is; traces obey
              the laws of probability
  statistics  every result is computed again from the evidence
  scores      with --ckpt ROLE=DIR: the checkpoint is the one named, and a sample of
              documents scored again gives the same numbers (--rescore documents of
              each trace, drawn by --seed, which is random unless given)

The first thing that differs is named (exit 1). The last line says what was checked
and what was not. 459 documents find 1 % of altered ones with probability 0.99.`,
		Example: `  assay verify bundle
  assay verify bundle --ckpt suspect=./suspect --rescore 459`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.ckpt, "ckpt", nil, "ROLE=DIR: checkpoint of a role of the bundle (repeatable)")
	fl.StringArrayVar(&f.input, "input", nil, "NAME=FILE: data that the bundle holds only the digest of (repeatable)")
	fl.StringVar(&f.level, "level", "", "last level to check: files, statistics or scores (default: all that is possible)")
	fl.IntVar(&f.rescore, "rescore", 64, "documents of each trace that are scored again")
	fl.StringVar(&f.seed, "seed", "", "seed of the sample (default: random, printed)")
	f.model.registerEngine(fl)
	return cmd
}

func (f *verifyFlags) run(ctx context.Context, dir string) error {
	switch f.level {
	case "", bundle.LevelFiles, bundle.LevelStatistics, bundle.LevelScores:
	default:
		return fault.Usagef("--level: found %q, want files, statistics or scores", f.level)
	}
	if f.rescore < 1 {
		return fault.Usagef("--rescore: found %d, want 1 or more", f.rescore)
	}
	o := bundle.VerifyOptions{Level: f.level, Ckpt: map[string]string{}, Input: map[string]string{}, Seed: f.seed, Sample: f.rescore,
		Report: report.Write, Figures: report.Figures, Note: f.app.note}
	for flag, x := range map[string]struct {
		from []string
		to   map[string]string
	}{"ckpt": {f.ckpt, o.Ckpt}, "input": {f.input, o.Input}} {
		for _, v := range x.from {
			name, path, ok := strings.Cut(v, "=")
			if !ok || name == "" || path == "" || x.to[name] != "" {
				return fault.Usagef("--%s: found %q, want NAME=PATH, each name once", flag, v)
			}
			x.to[name] = path
		}
	}
	if f.level != bundle.LevelFiles {
		o.Program = thisProgram() // reads the whole executable
	}
	if o.Seed == "" {
		o.Seed = rand.Text() // a maker who knows the choice knows which documents are safe to alter
	}
	tests := auditTests()
	o.Tests = bundleTests(tests)
	e := newAuditEngine(f.app, tests)
	e.flags = f.model
	defer e.close()
	rep, err := bundle.Verify(ctx, dir, e, o)
	if err != nil {
		return err
	}
	if err := f.app.print(rep, func(w io.Writer) error { return showVerified(w, rep) }); err != nil {
		return err
	}
	if rep.Failed > 0 {
		x := rep.Findings[0]
		return fault.New(fault.Check, "verify", "verify: %s: %s: %s", x.Level, x.Path, x.Text)
	}
	return nil
}

func showVerified(w io.Writer, r *bundle.Report) error {
	rows := [][]string{{"evidence", r.EvidenceID}}
	for _, l := range r.Levels {
		rows = append(rows, []string{l.Name, map[bool]string{true: "holds", false: "FAILS"}[l.Pass] + ": " + l.What})
	}
	for _, s := range r.Samples {
		rows = append(rows, []string{"sample", fmt.Sprintf("%s: %d of %d documents differ, at most %.2f %% of all at 95 %% confidence; largest difference %.1e nats, mean %.1e",
			s.Path, s.Differ, s.Docs, 100*s.Upper, s.MaxAbs, s.Mean)})
	}
	if r.Seed != "" {
		rows = append(rows, []string{"seed", r.Seed + " (--seed repeats this sample)"})
	}
	for i, x := range r.Findings {
		if i == 20 {
			rows = append(rows, []string{"", fmt.Sprintf("and %d more", r.Failed-20)})
			break
		}
		rows = append(rows, []string{"differs", x.Level + ": " + x.Path + ": " + x.Text})
	}
	if err := show.Table(w, rows); err != nil {
		return err
	}
	if err := show.Wrap(w, "checked: "+orNone(strings.Join(r.Checked, "; ")), "  ", 100); err != nil {
		return err
	}
	return show.Wrap(w, "not checked: "+orNone(strings.Join(r.NotChecked, "; ")), "  ", 100)
}
