package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/cmd/assay/internal/transcript"
	"assay/internal/fault"
	"assay/probes"
	"assay/probes/palimpsest"

	"github.com/spf13/cobra"
)

func newPalimpsestExtract(a *app) *cobra.Command {
	var t transcriptFlags
	var out string
	cmd := &cobra.Command{
		Use:   "extract --transcript STORE [--order FILE --order-kind K] -o OUT.parquet",
		Short: "Draw rows of a training store into a transcript table",
		Long: `extract draws rows by position and seed only, never by content or score, so that
the null of the test stays exact, and writes them in random order with their
positions. Every model is then scored on the table once (assay score --ids).

Stores: .npy (2-D: rows in training order; 1-D: --row-len), Megatron or GPT-NeoX
.idx/.bin (with --doc-idx, --sample-idx, --shuffle-idx for training samples), raw
.u16, .u32, .bin (--dtype, --row-len, or a sidecar FILE.json).`,
		Example: `  assay palimpsest extract --transcript data.bin --dtype uint16 --row-len 2049 --order idx.npy --order-kind ids-by-position -o tr.parquet
  assay palimpsest extract --transcript rows.npy --design late:0.05 --rows 5000 -o tr.parquet`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var err error
			if t.src.Design.Window, err = t.fractions(); err != nil {
				return err
			}
			if t.src.IsTable() {
				return fault.Usagef("extract: %s is a transcript table already", t.src.Path)
			}
			write, err := transcriptWriter(out)
			if err != nil {
				return err
			}
			tr, err := transcript.Load(t.src)
			if err != nil {
				return err
			}
			if err := writeFile(out, func(w io.Writer) error { return write(tr, w) }); err != nil {
				return err
			}
			doc := struct {
				Path   string          `json:"path"`
				Rows   int             `json:"rows"`
				Digest string          `json:"digest"`
				Meta   palimpsest.Meta `json:"meta"`
			}{out, tr.Len(), transcript.Digest(tr), tr.Meta}
			return a.print(doc, func(w io.Writer) error {
				return show.Table(w, [][]string{{"transcript", out}, {"rows", fmt.Sprintf("%d of %d positions, %s", tr.Len(), tr.Meta.N, tr.Meta.Design)},
					{"order", tr.Meta.Order}, {"digest", doc.Digest}})
			})
		},
	}
	t.register(cmd)
	cmd.Flags().Uint64Var(&t.src.Design.Seed, "seed", 1, "seed of the selection")
	outputFlag(cmd, &out, "transcript to write: .parquet or .jsonl")
	_ = cmd.MarkFlagRequired("transcript")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func transcriptWriter(path string) (func(*palimpsest.Transcript, io.Writer) error, error) {
	switch {
	case strings.HasSuffix(path, ".parquet"):
		return (*palimpsest.Transcript).WriteParquet, nil
	case strings.HasSuffix(path, ".jsonl"):
		return (*palimpsest.Transcript).WriteJSONL, nil
	}
	return nil, fault.Usagef("--output: found %q, want .parquet or .jsonl", path)
}

func newPalimpsestCheck(a *app) *cobra.Command {
	f := queryFlags{scorer: scorer{app: a}}
	cmd := &cobra.Command{
		Use:   "check --transcript FILE --suspect CKPT|TRACE",
		Short: "Check that an order could have been drawn at random",
		Long: `check runs the exchangeability checks of query and nothing else: drift and blocks
in the full order (with --order), and the rank correlation of position with
length, unigram surprisal, multiplicity, source and each reference.`,
		Example: "  assay palimpsest check --transcript tr.parquet --suspect s.parquet --ref r.parquet --ref-basis unrelated",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			results, err := f.query1(cmd.Context())
			if err != nil {
				return err
			}
			failed := false
			for _, c := range results[0].Checks {
				failed = failed || !c.Pass
			}
			if err := a.print(results[0].Checks, func(w io.Writer) error {
				rows := [][]string{{"check", "value", "limit", "", "what"}}
				for _, c := range results[0].Checks {
					rows = append(rows, []string{c.Name, show.Number(c.Value), show.Number(c.Limit), map[bool]string{true: "pass", false: "FAIL"}[c.Pass], c.Text})
				}
				return show.Table(w, rows)
			}); err != nil {
				return err
			}
			if failed {
				return fault.New(fault.Check, "order", "palimpsest: the order fails an exchangeability check")
			}
			return nil
		},
	}
	f.register(cmd)
	return cmd
}

func newPalimpsestCalibrate(a *app) *cobra.Command {
	f := queryFlags{scorer: scorer{app: a}}
	cmd := &cobra.Command{
		Use:   "calibrate --transcript FILE --suspect CKPT|TRACE",
		Short: "Show how the p-values behave under orders that nobody trained on",
		Long: `calibrate reads the same scores against random orders (--controls, 10,000) and
reports how uniform the p-values are for these very scores, ties and strata.`,
		Example: "  assay palimpsest calibrate --transcript tr.parquet --suspect s.parquet --controls 2000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			samples, err := f.samples(cmd.Context())
			if err != nil {
				return err
			}
			meter := progress.NewOf(a.stderr, a.meterMode(), "calibrating", "orders", int64(cmp.Or(f.query.Controls, 10000)))
			f.query.Progress = func(n int) { meter.Add(int64(n)) }
			r, err := interruptible(cmd.Context(), func() (probes.Result, error) { return palimpsest.Calibrate(samples[0], f.query) })
			meter.Close()
			if err != nil {
				return err
			}
			return a.printResult(r, f.out)
		},
	}
	f.register(cmd)
	cmd.Flags().IntVar(&f.query.Controls, "controls", 0, "random orders (default 10,000)")
	return cmd
}
