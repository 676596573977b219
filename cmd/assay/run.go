package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"

	"github.com/spf13/cobra"
)

// app is what every subcommand shares: the streams and the common flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
	quiet          bool
	progress       string
	traces         tracer         // takes the place of scoring checkpoints; nil = they are scored
	states         *statesRequest // where a command's states go; nil = the cache
}

// run is the whole program as a function: tests call it, main calls it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	f := classify(ctx, err)
	a.json = a.json || slices.Contains(args, "--json") // a bad flag may have ended parsing before it
	a.report(f)
	return int(f.Class)
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "assay",
		Short: "Audit open-weight language-model checkpoints, offline",
		Long: `assay loads a checkpoint from disk, extracts what the model computes (token
log-probabilities, hidden states, embeddings) and turns that into tests with
defensible statistics. It never opens a network connection and never runs code
that comes with a checkpoint.

Results go to standard output, everything else to standard error.
"assay help exit-codes" lists the exit codes.`,
		Example: `  assay inspect ./pythia-70m
  assay score ./pythia-70m --text book.txt -o book.trace.parquet
  assay palimpsest query --transcript order.npy --suspect ./suspect --ref ./base --ref-basis other-order`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print one JSON document on standard output")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress on standard error")
	f.StringVar(&a.progress, "progress", "auto", "auto (a bar on a terminal), plain (a line every 30 s) or none")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.Usagef("%w", err).Hint("see %q", cmd.CommandPath()+" --help")
	})
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch a.progress {
		case "auto", "plain", "none":
			return nil
		}
		return fault.Usagef("--progress: found %q, want auto, plain or none", a.progress)
	}
	root.AddCommand(commands(a)...)
	root.AddCommand(extraCommands(a)...)
	root.AddCommand(exitCodesTopic())
	return root
}

// interruptible runs f, which has no context of its own and leaves nothing behind,
// and returns early when ctx ends.
func interruptible[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := f()
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
		var none T
		return none, fault.New(fault.Interrupted, "interrupted", "interrupted: %w", context.Cause(ctx))
	}
}

// classify gives every error the class that decides the exit code. What no
// package classified is the command line's (cobra's own errors) or a retry.
func classify(ctx context.Context, err error) *fault.Fault {
	if f := fault.As(err); f != nil {
		return &fault.Fault{Class: f.Class, Code: f.Code, Hints: f.Hints, Err: err}
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fault.New(fault.Interrupted, "interrupted", "interrupted: %w", err)
	}
	if isUsage(err) {
		return fault.Usagef("%w", err).Hint("see %q", "assay --help")
	}
	return fault.Retryf("io", "%w", err)
}

// isUsage recognises cobra's argument errors, which have no type.
func isUsage(err error) bool {
	for _, s := range []string{"unknown command", "accepts ", "requires at least", "required flag", "if any flags in the group", "at least one of the flags"} {
		if strings.HasPrefix(err.Error(), s) {
			return true
		}
	}
	return false
}

func (a *app) report(f *fault.Fault) {
	text := show.Text(f.Error())
	if a.json {
		_ = show.JSON(a.stderr, map[string]any{"error": map[string]any{
			"code": f.Code, "exit": int(f.Class), "text": text, "hint": f.Hints,
		}})
		return
	}
	fmt.Fprintf(a.stderr, "error: %s\n", text)
	for _, h := range f.Hints {
		fmt.Fprintf(a.stderr, "hint: %s\n", show.Text(h))
	}
}

// print writes v as JSON under --json, else calls human.
func (a *app) print(v any, human func(io.Writer) error) error {
	if a.json {
		return show.JSON(a.stdout, v)
	}
	return human(a.stdout)
}

// note writes one line to standard error.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintln(a.stderr, show.Text(fmt.Sprintf(format, args...)))
	}
}

var exitCodes = []struct {
	Class   fault.Class `json:"exit"`
	Meaning string      `json:"meaning"`
}{
	{0, "done, whatever the verdict"},
	{fault.Check, "a check that was asked for does not hold (verify, doctor, --require)"},
	{fault.Usage, "usage: the command line must change"},
	{fault.Input, "the input is wrong and will stay wrong: malformed checkpoint, unknown architecture, digest mismatch"},
	{fault.Retry, "try again: I/O, memory, a lost device"},
	{fault.Interrupted, "interrupted; the same command resumes"},
}

func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Exit codes of every assay command:\n\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "%5d  %s\n", c.Class, c.Meaning)
	}
	b.WriteString("\nOn an error one \"error:\" line and its \"hint:\" lines stand on standard error;\nwith --json they are one object {\"error\": {code, exit, text, hint}} there.\n")
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean (help topic)", Long: b.String(), Example: "  assay help exit-codes"}
}
