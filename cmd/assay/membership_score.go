package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/probes"
	"assay/probes/membership"

	"github.com/spf13/cobra"
)

func newMembershipScore(a *app) *cobra.Command {
	f := membershipFlags{scorer: scorer{app: a}}
	var thresholds string
	cmd := &cobra.Command{
		Use:   "score CKPT|TRACE",
		Short: "Compute membership scores of every document, without a verdict",
		Long: `score prints one row per document: each score so that larger means likelier
trained on, and in --rows and --json also the raw number as published. A score that
is undefined for a document is an empty cell with its reason, never left out.
Scores of single texts prove nothing; eval and claim compare sets.`,
		Example: `  assay membership score book.parquet --scores loss,mink:0.2,minkpp:0.2 --rows scores.csv
  assay membership score ./pythia-70m --text book.jsonl --ref base.parquet`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.runScore(cmd.Context(), args[0], thresholds) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.rows, "rows", "", "write one row per document to this .csv")
	cmd.Flags().StringVar(&thresholds, "thresholds", "", "thresholds made by calibrate for the same weights: say which scores pass them")
	return cmd
}

// scoreRow is one document of the JSON output.
type scoreRow struct {
	ID     string              `json:"id"`
	Group  string              `json:"group,omitempty"`
	Label  *int32              `json:"label"`
	Status string              `json:"status"`
	Tokens int                 `json:"tokens_scored"`
	Scores map[string]*float64 `json:"scores"`
	Raw    map[string]*float64 `json:"raw"`
	Why    map[string]string   `json:"undefined,omitempty"`
	Passes map[string]bool     `json:"passes,omitempty"`
}

func (f *membershipFlags) runScore(ctx context.Context, path, thresholds string) error {
	d, err := f.table(ctx, path, false)
	if err != nil {
		return err
	}
	var limits membership.Thresholds
	if thresholds != "" {
		file, err := os.Open(thresholds)
		if err != nil {
			return fault.Inputf("no-file", "--thresholds: %w", err)
		}
		defer file.Close()
		if limits, err = membership.ReadThresholds(file, d.Weights); err != nil {
			return err
		}
	}
	doc := struct {
		Names    []string         `json:"names"`
		Weights  string           `json:"weights"`
		Policy   string           `json:"policy"`
		Inputs   []probes.Input   `json:"inputs"`
		Rows     []scoreRow       `json:"rows"`
		Warnings []probes.Warning `json:"warnings"`
	}{d.Names, d.Weights, d.Policy, d.inputs, []scoreRow{}, append(append([]probes.Warning{}, d.Warnings...), d.extra...)}
	table := [][]string{append([]string{"document", "status", "tokens"}, d.Names...)}
	for _, r := range d.Rows {
		row := scoreRow{ID: r.ID, Group: r.Group, Label: r.Label, Status: r.Status, Tokens: r.Tokens, Scores: map[string]*float64{}, Raw: map[string]*float64{}, Why: map[string]string{}}
		line := []string{r.ID, r.Status, fmt.Sprint(r.Tokens)}
		for i, n := range d.Names {
			row.Scores[n], row.Raw[n] = finite(r.Score[i]), finite(r.Raw[i])
			cell := show.Number(r.Score[i])
			if r.Why[i] != "" {
				row.Why[n], cell = r.Why[i], "undefined: "+r.Why[i]
			}
			if t, ok := limits.Find(n, r.Tokens); ok && t.Value != nil {
				if row.Passes == nil {
					row.Passes = map[string]bool{}
				}
				if row.Passes[n] = r.Score[i] >= *t.Value; row.Passes[n] {
					cell += " *"
				}
			}
			line = append(line, cell)
		}
		doc.Rows, table = append(doc.Rows, row), append(table, line)
	}
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return writeScores(w, d.Table) }); err != nil {
			return err
		}
	}
	return f.app.print(doc, func(w io.Writer) error {
		if err := show.Table(w, table); err != nil {
			return err
		}
		if thresholds != "" {
			if _, err := fmt.Fprintf(w, "  * passes the threshold at level %g (of controls like those that made it)\n", limits.Alpha); err != nil {
				return err
			}
		}
		for _, x := range doc.Warnings {
			if err := show.Wrap(w, fmt.Sprintf("warning %s: %s", x.Code, x.Text), "  ", 100); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeScores writes every score of every document; an empty cell is undefined.
func writeScores(w io.Writer, t membership.Table) error {
	num := func(x float64) string {
		if math.IsNaN(x) {
			return ""
		}
		return fmt.Sprint(x)
	}
	c := csv.NewWriter(w)
	head := []string{"doc_id", "group", "label", "status", "tokens_scored", "bytes", "flat_rows"}
	for _, n := range t.Names {
		head = append(head, n, "raw "+n, "undefined "+n)
	}
	if err := c.Write(head); err != nil {
		return err
	}
	for _, r := range t.Rows {
		label, size := "", ""
		if r.Label != nil {
			label = fmt.Sprint(*r.Label)
		}
		if r.Bytes >= 0 {
			size = fmt.Sprint(r.Bytes)
		}
		line := []string{r.ID, r.Group, label, r.Status, fmt.Sprint(r.Tokens), size, fmt.Sprint(r.Degenerate)}
		for i := range t.Names {
			line = append(line, num(r.Score[i]), num(r.Raw[i]), r.Why[i])
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func newMembershipCalibrate(a *app) *cobra.Command {
	f := membershipFlags{scorer: scorer{app: a}}
	var alpha float64
	var control string
	cmd := &cobra.Command{
		Use:   "calibrate CKPT|TRACE -o thresholds.json",
		Short: "Make thresholds from controls, bound to the weights, the score and the length",
		Long: `calibrate writes, per score and length (powers of two of tokens), the value that at
most a share --alpha of texts like the controls reaches (conformal rule). The
thresholds hold for these weights and for texts exchangeable with the controls;
"membership score --thresholds" refuses them for other weights. Too few controls
give no threshold (null), never a guess.`,
		Example: `  assay membership calibrate controls.parquet --alpha 0.01 -o thresholds.json
  assay membership calibrate trace.parquet --control ids.txt -o thresholds.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := f.table(cmd.Context(), args[0], false)
			if err != nil {
				return err
			}
			if control != "" {
				in, err := idSet("--control", control, d.Table)
				if err != nil {
					return err
				}
				d.Rows = slices.DeleteFunc(d.Rows, func(r membership.Row) bool { return !in[r.ID] })
			}
			t, err := membership.Calibrate(d.Table, alpha)
			if err != nil {
				return err
			}
			if err := writeFile(f.out, func(w io.Writer) error { return show.JSON(w, t) }); err != nil {
				return err
			}
			return a.print(t, func(w io.Writer) error {
				rows := [][]string{{"score", "tokens", "controls", "threshold"}}
				for _, b := range t.Buckets {
					v := "too few controls"
					if b.Value != nil {
						v = show.Number(*b.Value)
					}
					rows = append(rows, []string{b.Score, fmt.Sprintf("%d-%d", b.Lo, b.Hi-1), fmt.Sprint(b.Controls), v})
				}
				return show.Table(w, rows)
			})
		},
	}
	f.register(cmd)
	cmd.Flags().Float64Var(&alpha, "alpha", 0.05, "share of controls that may reach a threshold")
	cmd.Flags().StringVar(&control, "control", "", "file of the controls' document ids, one a line (default: all documents)")
	outputFlag(cmd, &f.out, "thresholds to write (.json)")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func newMembershipExport(a *app) *cobra.Command {
	f := membershipFlags{scorer: scorer{app: a}}
	var o membership.SignatureOptions
	cmd := &cobra.Command{
		Use:   "export CKPT|TRACE -o OUT.parquet",
		Short: "Write the output-signature table for classifiers of your own",
		Long: `export writes one row per scored token: log-probability, rank, entropy, standard
deviation, moments over the vocabulary, and the sorted log-probabilities of the most
likely tokens. A trace must have been scored with --moments and --topk.`,
		Example: `  assay membership export book.parquet -o signature.parquet --topk 20
  assay membership export ./pythia-70m --text book.jsonl -o signature.parquet`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.export(cmd.Context(), args[0], o) },
	}
	f.register(cmd)
	for _, name := range []string{"scores", "ref", "lower", "shots", "member-shots", "self", "neighbours", "swaps", "freq", "group"} {
		_ = cmd.Flags().MarkHidden(name)
	}
	cmd.Flags().IntVar(&o.Tokens, "tokens", 100, "first tokens of each document")
	cmd.Flags().IntVar(&o.TopK, "topk", 20, "most likely tokens of every prediction")
	outputFlag(cmd, &f.out, "table to write (.parquet)")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func (f *membershipFlags) export(ctx context.Context, path string, o membership.SignatureOptions) error {
	in, closer, err := f.documents(path)
	if err != nil {
		return err
	}
	defer closer()
	r, err := f.trace(ctx, path, in, f.score.text != "", score.Options{Policy: f.score.policy, Score: model.ScoreOptions{Moments: true, TopK: o.TopK}})
	if err != nil {
		return err
	}
	defer r.Close()
	doc := struct {
		Path string `json:"path"`
		Rows int    `json:"rows"`
		Flat int    `json:"flat_rows"`
	}{Path: f.out}
	var cause error // writeFile speaks of files alone
	if err := writeFile(f.out, func(w io.Writer) error {
		doc.Rows, doc.Flat, cause = membership.ExportSignature(r, w, o)
		return cause
	}); err != nil {
		if x := fault.As(cause); x != nil {
			return cause
		}
		return err
	}
	return f.app.print(doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s (%d with a flat distribution, their z is 0)\n", doc.Path, plural(doc.Rows, "row"), doc.Flat)
		return err
	})
}
