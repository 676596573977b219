package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/membership"

	"github.com/spf13/cobra"
)

// comparison are the flags of the commands that compare two sets of texts.
type comparison struct {
	membershipFlags
	o          membership.EvalOptions
	labels     string
	assignment string
	noGate     bool
	gatePerm   int
	plot       string
}

func (f *comparison) register(cmd *cobra.Command) {
	f.membershipFlags.register(cmd)
	f.registerComparison(cmd)
}

func (f *comparison) registerComparison(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.assignment, "assignment", "", "file that proves the labels were drawn at random (tier A)")
	fl.BoolVar(&f.noGate, "no-gate", false, "do not ask whether the two sets differ without the model (tier C)")
	fl.IntVar(&f.gatePerm, "gate-perm", 99, "label permutations of the gate")
	fl.Float64Var(&f.o.Alpha, "alpha", 0.05, "level of the verdict")
	fl.Float64Var(&f.o.Level, "level", 0.95, "level of intervals")
	fl.Float64SliceVar(&f.o.FPR, "fpr", []float64{.05, .01, .001}, "false-positive rates")
	fl.IntVar(&f.o.B, "perm", 9999, "permutations and bootstrap replicates")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of permutations, bootstrap and folds")
	fl.StringVar(&f.rows, "rows", "", "write one row per document to this .csv")
	fl.StringVar(&f.plot, "plot", "", "draw the ROC curves to this .svg or .png, and beside it each score by label")
	outputFlag(cmd, &f.out, "write the result as JSON to this file too")
}

func newMembershipEval(a *app) *cobra.Command {
	f := comparison{membershipFlags: membershipFlags{scorer: scorer{app: a}}}
	cmd := &cobra.Command{
		Use:   "eval CKPT|TRACE [--labels FILE]",
		Short: "How well scores tell labelled texts apart, beside a classifier without the model",
		Long: `eval needs texts of known label (1 trained on, 0 not): in the trace, or in --labels, a
.csv with the header id,label or id,label,group. It prints for every score the AUC with
its interval, true-positive rates at low false-positive rates, and the AUC of a
classifier that never saw the checkpoint, on the same texts. Where that classifier
succeeds, the sets differ by themselves and no p-value is given (tier C). The gate
reads the words of --text, or else the token ids of the trace.`,
		Example: `  assay membership eval trace.parquet --labels labels.csv --primary mink:0.2 --plot roc.svg
  assay membership eval ./model --text labelled.jsonl --ref ./base --assignment split.json --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.eval(cmd.Context(), args[0]) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.labels, "labels", "", "labels by document id (.csv with the header id,label[,group])")
	cmd.Flags().StringVar(&f.o.Primary, "primary", "", "the score named beforehand (default: all, adjusted by Holm)")
	cmd.Flags().BoolVar(&f.o.Collapse, "collapse", false, "average the texts of a group into one")
	return cmd
}

func (f *comparison) eval(ctx context.Context, path string) error {
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
	f.o.Inputs, f.o.Extra = d.inputs, d.extra
	return f.evaluate(d, format)
}

// evaluate reads the labels, runs the gate and writes everything.
func (f *comparison) evaluate(d membershipData, format string) error {
	if f.labels != "" {
		if err := f.readLabels(d.Table); err != nil {
			return err
		}
	}
	if err := f.ground(d); err != nil {
		return err
	}
	e, err := membership.Eval(d.Table, f.o)
	if err != nil {
		return err
	}
	if err := f.files(d.Table, format, func(w io.Writer) error { return writeScores(w, f.labelled(d.Table)) }); err != nil {
		return err
	}
	return f.app.printResult(e.Result, f.out)
}

// labelled puts the labels of --labels into the rows.
func (f *comparison) labelled(t membership.Table) membership.Table {
	if f.o.Labels == nil {
		return t
	}
	rows := append([]membership.Row(nil), t.Rows...)
	for i := range rows {
		rows[i].Label = nil
		if l, ok := f.o.Labels[rows[i].ID]; ok {
			l32 := int32(l)
			rows[i].Label = &l32
		}
		if f.o.Groups != nil {
			rows[i].Group = f.o.Groups[rows[i].ID]
		}
	}
	t.Rows = rows
	return t
}

// ground runs the gate and reads the assignment.
func (f *comparison) ground(d membershipData) error {
	if f.assignment != "" {
		file, err := os.Open(f.assignment)
		if err != nil {
			return fault.Inputf("no-file", "--assignment: %w", err)
		}
		defer file.Close()
		as, err := membership.ReadAssignment(file)
		if err != nil {
			return err
		}
		f.o.Ground.Assignment = &as
	}
	if f.noGate {
		return nil
	}
	texts, err := f.o.Texts(d.Table, d.text, d.ids)
	if err != nil {
		return err
	}
	f.app.note("note: gate: %s, %d refits", plural(len(texts), "text"), f.gatePerm)
	g, err := membership.Gate(texts, membership.GateOptions{Seed: fmt.Sprint(f.o.Seed), Permutations: f.gatePerm})
	if err != nil {
		return err
	}
	f.o.Ground.Gate = &g
	return nil
}

// files writes the figures and the rows, once everything has been computed.
func (f *comparison) files(t membership.Table, format string, rows func(io.Writer) error) error {
	if f.rows != "" {
		if err := writeFile(f.rows, rows); err != nil {
			return err
		}
	}
	if f.plot == "" {
		return nil
	}
	curves, err := f.o.Curves(t)
	if err != nil {
		return err
	}
	if err := writeFile(f.plot, func(w io.Writer) error { return membership.WriteROC(w, format, curves) }); err != nil {
		return err
	}
	ext := filepath.Ext(f.plot)
	for _, c := range curves {
		name := strings.TrimSuffix(f.plot, ext) + "-" + strings.NewReplacer(":", "-", "@", "-", "/", "-").Replace(c.Name) + ext
		err := writeFile(name, func(w io.Writer) error { return membership.WriteScores(w, format, c) })
		if x := fault.As(err); x != nil && x.Code == "empty" || err != nil && strings.Contains(err.Error(), "has no value") {
			f.app.note("note: no figure of %s: it is undefined for every text", c.Name)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readLabels reads --labels; ids that the trace lacks are counted in a warning.
func (f *comparison) readLabels(t membership.Table) error {
	file, err := os.Open(f.labels)
	if err != nil {
		return fault.Inputf("no-file", "--labels: %w", err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return fault.Inputf("malformed", "--labels: %w", err)
	}
	if len(lines) == 0 || len(lines[0]) < 2 || lines[0][0] != "id" || lines[0][1] != "label" || len(lines[0]) > 3 || len(lines[0]) == 3 && lines[0][2] != "group" {
		return fault.Inputf("malformed", "--labels: %s: want the header id,label or id,label,group", f.labels)
	}
	f.o.Labels = map[string]int{}
	if len(lines[0]) == 3 {
		f.o.Groups = map[string]string{}
	}
	known := map[string]bool{}
	for _, r := range t.Rows {
		known[r.ID] = true
	}
	missing, first := 0, ""
	for i, l := range lines[1:] {
		if _, dup := f.o.Labels[l[0]]; dup {
			return fault.Inputf("duplicate", "--labels: line %d: id %q appears twice", i+2, l[0])
		}
		switch l[1] {
		case "0", "1":
			f.o.Labels[l[0]] = int(l[1][0] - '0')
		default:
			return fault.Inputf("labels", "--labels: line %d: id %q: found label %q, want 0 or 1", i+2, l[0], l[1])
		}
		if f.o.Groups != nil {
			f.o.Groups[l[0]] = l[2]
		}
		if !known[l[0]] {
			if missing++; missing == 1 {
				first = l[0]
			}
		}
	}
	if missing > 0 {
		f.o.Extra = append(f.o.Extra, probes.Warning{Code: "labels-unmatched", Text: fmt.Sprintf("%d labels name no document of the trace, first %q", missing, first)})
	}
	return nil
}
