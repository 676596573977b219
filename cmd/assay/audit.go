package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/probes/bundle"
	"assay/probes/report"

	"github.com/spf13/cobra"
)

// auditFlags are the flags of `assay audit`.
type auditFlags struct {
	app      *app
	model    modelFlags
	out      string
	sealed   string
	seal     bool
	dryRun   bool
	schema   bool
	hostInfo bool
}

func newAudit(a *app) *cobra.Command {
	f := auditFlags{app: a}
	cmd := &cobra.Command{
		Use:   "audit PLAN.yaml -o DIR",
		Short: "Run a list of tests and leave one folder that a sceptic can check",
		Long: `audit runs the tests of a plan with one forward pass per distinct measurement and
leaves a bundle: plan, inputs, traces, results, figures, a report for people, and the
digests of all of them. "assay verify" recomputes it.

Work happens in DIR.partial; the same command goes on after a stop at any moment. A
test that fails does not stop the others: its error is in the bundle, and the exit
code is 4 where trying again may help (DIR.partial then keeps its name), else 3.

The bundle holds the inputs (with the private file of planted strings, if the plan
names one) unless the plan says bundle: {inputs: digest}; traces contain texts.

  audit init CKPT         write a commented plan
  audit --dry-run PLAN    check every input; print passes, cost and digests
  audit --seal PLAN       write PLAN.seal.json: exchange it before anyone has scored
  audit --sealed FILE     refuse (3) if anything differs from that seal
  audit --schema          the JSON Schema of plans`,
		Example: `  assay audit init ./suspect > plan.yaml
  assay audit plan.yaml --dry-run
  assay audit plan.yaml -o bundle`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args) },
	}
	fl := cmd.Flags()
	outputFlag(cmd, &f.out, "folder to make")
	fl.StringVar(&f.sealed, "sealed", "", "seal that was exchanged; refuse to run anything else")
	fl.BoolVar(&f.seal, "seal", false, "write PLAN.seal.json and stop")
	fl.BoolVar(&f.dryRun, "dry-run", false, "check inputs, print forward passes, forecast and digests, and stop")
	fl.BoolVar(&f.schema, "schema", false, "print the JSON Schema of plans and stop")
	fl.BoolVar(&f.hostInfo, "host-info", false, "put host and user names into environment.json")
	f.model.registerEngine(fl)
	cmd.MarkFlagsMutuallyExclusive("seal", "dry-run", "schema", "output")
	cmd.MarkFlagsMutuallyExclusive("seal", "sealed")
	cmd.AddCommand(newAuditInit(a))
	return cmd
}

func (f *auditFlags) run(ctx context.Context, args []string) error {
	tests := auditTests()
	if f.schema {
		b, err := bundle.JSONSchema(bundleTests(tests))
		if err == nil {
			_, err = f.app.stdout.Write(b)
		}
		return err
	}
	if len(args) != 1 {
		return fault.Usagef("audit: found no plan, want PLAN.yaml").Hint("%q writes one", "assay audit init CKPT")
	}
	if f.out == "" && !f.seal && !f.dryRun {
		return fault.Usagef("audit: found no folder to make, want -o DIR")
	}
	plan, err := readPlan(args[0], tests)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(f.out)
	if err != nil {
		return fault.Retryf("io", "audit: %w", err)
	}
	if !f.seal && !f.dryRun {
		if done, err := f.finished(plan, out); err != nil || done {
			return err
		}
	}
	e := newAuditEngine(f.app, tests)
	e.flags = f.model
	defer e.close()
	w, err := bundle.Prepare(ctx, plan, bundleTests(tests), e)
	if err != nil {
		return err
	}
	switch {
	case f.seal:
		return f.writeSeal(args[0], w)
	case f.dryRun:
		c := forecastOf(w)
		return f.app.print(c, func(out io.Writer) error { return showForecast(out, c) })
	}
	sealed, err := f.checkSeal(w)
	if err != nil {
		return err
	}
	return f.execute(ctx, w, out, sealed, e)
}

func (f *auditFlags) execute(ctx context.Context, w *bundle.Work, out, sealed string, e *auditEngine) error {
	c := forecastOf(w)
	f.app.note("note: %s, %s, %d tokens, about %s of memory and %s of disk", plural(len(w.Plan.Tests), "test"),
		passes(len(c.Passes)), c.Tokens, show.Bytes(c.Memory), show.Bytes(c.Disk))
	e.meter = progress.New(f.app.stderr, f.app.meterMode(), "audit", max(1, w.Tokens()))
	s, err := bundle.Run(ctx, w, out, e, bundle.Options{Program: thisProgram(), Sealed: sealed, Environment: environment(f.model, f.hostInfo),
		Report: report.Write, Figures: report.Figures, Now: time.Now, Note: f.app.note})
	if err != nil {
		if ctx.Err() != nil {
			return fault.New(fault.Interrupted, "interrupted", "audit: interrupted: %w", err).Hint("the same command goes on from there")
		}
		return err
	}
	if err := f.summary(s, out); err != nil {
		return err
	}
	switch {
	case s.Class == fault.Retry:
		return fault.Retryf("test", "audit: a test failed and may succeed when tried again").Hint("the same command tries it again; so far the work is in %s.partial", out)
	case s.Class != 0:
		return fault.New(s.Class, "test", "audit: a test failed; its error is in the report")
	}
	return nil
}

// finished says whether the folder holds this very audit already.
func (f *auditFlags) finished(plan *bundle.Plan, out string) (bool, error) {
	if _, err := os.Lstat(out); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	file, err := os.Open(filepath.Join(out, "manifest.json"))
	if err != nil {
		return false, fault.Usagef("audit: %s exists and is no bundle, want a new name", f.out)
	}
	defer file.Close()
	m, err := bundle.ReadManifest(file)
	if err != nil {
		return false, fault.Usagef("audit: %s exists and is no bundle, want a new name: %w", f.out, err)
	}
	if m.Plan != plan.Digest() {
		return false, fault.Usagef("audit: %s holds the audit of plan %s, this plan is %s", f.out, m.Plan, plan.Digest())
	}
	f.app.note("note: %s holds this audit already (\"assay verify %s\" checks it)", f.out, f.out)
	return true, f.app.print(map[string]any{"bundle": f.out, "evidence_id": m.EvidenceID, "finished": "earlier"}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: evidence %s\n", f.out, m.EvidenceID)
		return err
	})
}

func (f *auditFlags) writeSeal(plan string, w *bundle.Work) error {
	b, err := w.Seal(thisProgram()).JSON()
	if err != nil {
		return err
	}
	path := strings.TrimSuffix(strings.TrimSuffix(plan, ".yaml"), ".yml") + ".seal.json"
	if err := writeFile(path, func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
		return err
	}
	return f.app.print(map[string]any{"seal": path}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: exchange it before anyone has scored\n", path)
		return err
	})
}

func (f *auditFlags) checkSeal(w *bundle.Work) (string, error) {
	if f.sealed == "" {
		return "", nil
	}
	file, err := os.Open(f.sealed)
	if err != nil {
		return "", fault.Usagef("--sealed: %w", err)
	}
	defer file.Close()
	s, digest, err := bundle.ReadSeal(file)
	if err != nil {
		return "", err
	}
	return digest, s.Check(w.Seal(thisProgram()))
}

func readPlan(path string, tests []auditTest) (*bundle.Plan, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Usagef("audit: %w", err)
	}
	defer file.Close()
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fault.Retryf("io", "audit: %w", err)
	}
	return bundle.Parse(file, dir, bundleTests(tests))
}
