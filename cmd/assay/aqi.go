package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/picture"
	"assay/probes"

	"github.com/spf13/cobra"
)

// aqiFlags are the flags of `assay aqi`.
type aqiFlags struct {
	stater
	aqi        aqi.Options
	pool       string
	assignment string
	table      string
	items      string
	plot       string
	plotLayer  string
	output     string
	full       bool
}

func newAQI(a *app) *cobra.Command {
	f := aqiFlags{stater: stater{app: a}, aqi: aqi.Default()}
	cmd := &cobra.Command{
		Use:   "aqi (STATES | CKPT --text FILE) [B]",
		Short: "Do labelled groups of texts lie apart inside the model, how far, at which layer",
		Long: `aqi measures how far labelled groups of texts (safe and unsafe answers, say) lie
apart in the hidden states of a checkpoint.

The headline AQI-R2 is the share of variance that the label would explain if the
groups were equally common, without sampling bias, with a jackknife interval: it can
be compared between models, layers and samples. Beside it stand the published index
(lambda/XBI + (1-lambda) CHI), Davies-Bouldin, Dunn and silhouette computed in the
space itself, a probe's held-out AUROC, the permutation null, and what else could
explain a separation: length, words, source, topic (strata).

STATES is a file of assay states. With a checkpoint and --text the states are made
first and kept in the cache. With B, a second checkpoint or states of the same texts,
the change of the separation is measured, unit by unit.`,
		Example: `  assay aqi s.safetensors
  assay aqi ./pythia-70m --text items.jsonl --groups safe,unsafe --plot aqi.svg
  assay aqi s.safetensors --text items.jsonl --layers 50%,last --table layers.csv --json
  assay aqi base.safetensors tuned.safetensors`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args)
		},
	}
	fl := cmd.Flags()
	o := &f.aqi
	fl.StringSliceVar(&o.Groups, "groups", nil, "labels to compare, separated by commas (default: all of the file)")
	fl.StringVar(&o.View, "view", "", "tap and pool, such as resid_post.last (default: resid_post.mean)")
	fl.StringVar(&o.Layers, "layers", o.Layers, "all, or numbers, percentages of the last layer and last, separated by commas")
	fl.StringVar(&f.pool, "layer-pool", o.Pool, "headline vector: uniform, none, mean:LO-HI, fixed:FILE or learned:softmax,sparsemax,entmax15")
	fl.StringVar(&o.Scale, "layer-scale", o.Scale, "spread: layers in units of their own spread; none")
	fl.StringVar(&o.Post, "post", o.Post, "none, l2, zscore, center+l2, abtt:K or whiten")
	fl.StringVar(&f.strata, "strata", "", "none: compare across topics; with a checkpoint: columns and lenbin:N (default: topic)")
	fl.Float64Var(&o.Lambda, "lambda", o.Lambda, "of the published index")
	fl.StringSliceVar(&o.Indices, "indices", nil, "some of "+strings.Join(aqi.Indices(), ",")+" (default: all)")
	fl.IntVar(&o.Draws, "perm", o.Draws, "random arrangements of the labels")
	fl.Float64Var(&o.Level, "level", o.Level, "level of the intervals")
	fl.BoolVar(&o.Exact, "exact", false, "distances between all rows even beyond 4096")
	fl.StringVar(&o.Compat, "compat", o.Compat, "add the figures of another program: none, sklearn or aqi-eval")
	fl.Float64Var(&o.Gamma, "gamma", o.Gamma, "of --compat aqi-eval")
	fl.IntVar(&o.Folds, "probe-folds", o.Folds, "folds of the probe, outer and inner")
	fl.Uint64Var(&o.Seed, "seed", o.Seed, "seed of arrangements, folds and half-samples")
	fl.StringVar(&f.assignment, "assignment", "", "the auditor's own draw of labels (.csv or .jsonl with id, label): tier A if it reproduces them")
	fl.StringVar(&f.table, "table", "", "write every index by layer to this .csv")
	fl.StringVar(&f.items, "items", "", "write every document's place to this .csv, mislabelled rows first")
	fl.StringVar(&f.plot, "plot", "", "draw scatter, projection and curve (.svg or .png)")
	fl.StringVar(&f.plotLayer, "plot-layer", "last", "layer of the scatter")
	fl.BoolVar(&f.full, "full", false, "print every estimate with its method")
	outputFlag(cmd, &f.output, "write the result as JSON to this file too")
	f.stater.register(fl)
	return cmd
}

func (f *aqiFlags) settleAQI(args []string) error {
	if err := f.settle(args); err != nil {
		return err
	}
	f.aqi.Pool = f.pool
	if file, ok := strings.CutPrefix(f.pool, "fixed:"); ok {
		w, err := readWeights(file)
		if err != nil {
			return err
		}
		f.aqi.Pool, f.aqi.Weights = "fixed", w
	} else if f.pool == "fixed" {
		return fault.Usagef("--layer-pool fixed: names no file, want fixed:FILE")
	}
	f.aqi.NoStrata = f.strata == "none"
	if f.strata != "" && f.strata != "none" && !slices.ContainsFunc(args, func(p string) bool { return !isStates(p) }) {
		return fault.Usagef("--strata %s: states have theirs already, want none, or a checkpoint with --text", f.strata)
	}
	if err := checkFigure("--plot", f.plot); err != nil {
		return err
	}
	if f.plot != "" || f.table != "" || f.items != "" {
		for flag, p := range map[string]string{"--table": f.table, "--items": f.items} {
			if p != "" && !strings.HasSuffix(p, ".csv") {
				return fault.Usagef("%s: found %q, want a name ending in .csv", flag, p)
			}
		}
	}
	if len(args) == 2 && (f.items != "" || f.assignment != "") {
		return fault.Usagef("aqi: --items and --assignment: go with one file of states, found two")
	}
	f.aqi.Workers = f.model.threads
	return f.aqi.Validate()
}

func (f *aqiFlags) run(ctx context.Context, args []string) error {
	if err := f.settleAQI(args); err != nil {
		return err
	}
	s, err := f.open(ctx, args[0], f.aqi.Seed, f.aqi.View)
	if err != nil {
		return err
	}
	defer s.Close()
	if f.aqi.Side.Items, err = f.side(s); err != nil {
		return err
	}
	if f.assignment != "" {
		if f.aqi.Side.Assignment, err = readAssignment(f.assignment); err != nil {
			return err
		}
	}
	if len(args) == 2 {
		return f.delta(ctx, s, args[0], args[1])
	}
	meter := progress.NewOf(f.app.stderr, f.app.meterMode(), "aqi", "layers", aqi.Steps(s, f.aqi))
	f.aqi.Progress = meter.Add
	rep, err := aqi.Analyse(ctx, s, f.aqi)
	meter.Close()
	if err != nil {
		return err
	}
	rep.Inputs = append(rep.Inputs, f.sources(s, "checkpoint", args[0])...)
	if err := f.files(rep); err != nil {
		return err
	}
	if f.plot != "" {
		fig, err := picture.Separation(ctx, s, rep, picture.Options{Layer: f.plotLayer})
		if e := fault.As(err); e != nil && e.Code == "missing-states" { // sums alone: the curve needs no rows
			f.app.note("note: no rows were kept: only the curve is drawn")
			fig, err = picture.Curve(rep), nil
		}
		if err != nil {
			return err
		}
		if err := writeFigure(f.plot, fig); err != nil {
			return err
		}
	}
	return f.app.layered(rep.Result, f.output, f.full)
}

func (f *aqiFlags) delta(ctx context.Context, a *latent.File, first, path string) error {
	b, err := f.open(ctx, path, f.aqi.Seed, f.aqi.View)
	if err != nil {
		return err
	}
	defer b.Close()
	meter := progress.NewOf(f.app.stderr, f.app.meterMode(), "aqi", "layers", aqi.Steps(a, f.aqi))
	f.aqi.Progress = meter.Add
	rep, err := aqi.AnalyseDelta(ctx, a, b, f.aqi)
	meter.Close()
	if err != nil {
		return err
	}
	for _, x := range append(f.sources(a, "checkpoint a", first), f.sources(b, "checkpoint b", path)...) {
		if x.Role != "texts" || !slices.ContainsFunc(rep.Inputs, func(y probes.Input) bool { return y.Role == x.Role }) {
			rep.Inputs = append(rep.Inputs, x)
		}
	}
	if err := f.files(rep); err != nil {
		return err
	}
	if f.plot != "" {
		if err := writeFigure(f.plot, picture.Change(rep)); err != nil {
			return err
		}
	}
	return f.app.layered(rep.Result, f.output, f.full)
}

// files writes the tables.
func (f *aqiFlags) files(rep *aqi.Report) error {
	if f.table != "" {
		rows := [][]string{aqi.CurveHeader()}
		for _, r := range rep.Curve {
			rows = append(rows, r.Fields())
		}
		if err := writeCSV(f.table, rows); err != nil {
			return err
		}
	}
	if f.items == "" {
		return nil
	}
	rows := [][]string{aqi.ItemHeader()}
	for _, r := range rep.Items {
		rows = append(rows, r.Fields())
	}
	return writeCSV(f.items, rows)
}

func writeCSV(path string, rows [][]string) error {
	return writeFile(path, func(w io.Writer) error {
		c := csv.NewWriter(w)
		if err := c.WriteAll(rows); err != nil {
			return err
		}
		return c.Error()
	})
}

// checkFigure refuses a name that no format goes with.
func checkFigure(flag, path string) error {
	if ext := filepath.Ext(path); path != "" && ext != ".svg" && ext != ".png" {
		return fault.Usagef("%s: found %q, want a name ending in .svg or .png", flag, path)
	}
	return nil
}

// pngDPI is the resolution of pictures in PNG.
const pngDPI = 200

func writeFigure(path string, f *picture.Figure) error {
	return writeFile(path, func(w io.Writer) error {
		if filepath.Ext(path) == ".png" {
			return f.WritePNG(w, pngDPI)
		}
		return f.WriteSVG(w)
	})
}

// layered prints a result whose estimates are given by layer, and writes it as JSON.
func (a *app) layered(r probes.Result, out string, full bool) error {
	return a.layeredAll([]probes.Result{r}, out, full)
}

func (a *app) layeredAll(rs []probes.Result, out string, full bool) error {
	if full || a.json {
		return a.results(rs, out)
	}
	if err := a.saveResults(rs, out); err != nil {
		return err
	}
	for i := range rs {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		if err := show.Layered(a.stdout, &rs[i]); err != nil {
			return err
		}
	}
	return nil
}
