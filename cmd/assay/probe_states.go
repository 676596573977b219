package main

import (
	"context"
	"fmt"
	"path/filepath"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/health"
	"assay/latent/lens"
	"assay/latent/picture"
	"assay/latent/units"
	"assay/model/trace"
	"assay/probes"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// statesProbe is what the probes of states share: they read files of states, or
// make those of a checkpoint and --text first.
type statesProbe struct {
	stater
	seed   uint64
	view   string
	layers string
	groups []string
	level  float64
	output string
	full   bool
}

func (f *statesProbe) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.view, "view", "", "tap and pool, such as resid_post.last (default: resid_post.mean)")
	fl.BoolVar(&f.full, "full", false, "print every estimate with its method")
	outputFlag(cmd, &f.output, "write the result as JSON to this file too")
	f.stater.register(fl)
}

func (f *statesProbe) flagLayers(fl *pflag.FlagSet) {
	fl.StringVar(&f.layers, "layers", "all", "all, or numbers, percentages of the last layer and last, separated by commas")
}

func (f *statesProbe) flagLevel(fl *pflag.FlagSet) {
	fl.Float64Var(&f.level, "level", .95, "level of the intervals")
}

func (f *statesProbe) flagGroups(fl *pflag.FlagSet) {
	fl.StringSliceVar(&f.groups, "groups", nil, "labels to compare, separated by commas (default: all of the file)")
	fl.StringVar(&f.strata, "strata", "", "none: across topics; with a checkpoint: columns and lenbin:N (default: topic)")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of arrangements and folds")
}

// files opens the states of every path.
func (f *statesProbe) files(ctx context.Context, paths []string) (fs []*latent.File, closer func(), err error) {
	closer = func() {
		for _, s := range fs {
			_ = s.Close()
		}
	}
	if err := f.settle(paths); err != nil {
		return nil, closer, err
	}
	if f.seed == 0 {
		f.seed = 1
	}
	for _, p := range paths {
		s, err := f.open(ctx, p, f.seed, f.view)
		if err != nil {
			closer()
			return nil, func() {}, err
		}
		fs = append(fs, s)
	}
	return fs, closer, nil
}

func (f *statesProbe) done(r probes.Result) error { return f.app.layered(r, f.output, f.full) }

func newProbeHealth(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	o := health.Default()
	cmd := &cobra.Command{
		Use:   "state-health (STATES | CKPT --text FILE) [B]",
		Short: "Are hidden states collapsed, dominated by a few units, or blown up",
		Long: `state-health measures, by layer: participation ratio and effective ranks, anisotropy
(mean cosine), norms, massive activations, outlier and dead units, and how alike the
positions inside a document are. With B, states of the same texts in a second
checkpoint, the paired differences with intervals.`,
		Example: `  assay probe state-health s.safetensors
  assay probe state-health base.safetensors tuned.safetensors --json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			fs, closer, err := f.files(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer closer()
			o.View, o.Layers, o.Level, o.Workers = f.view, f.layers, f.level, f.model.threads
			var b latent.States // not a nil *latent.File
			if len(fs) == 2 {
				b = fs[1]
			}
			meter := a.layerMeter("state health", fs[0], f.view, f.layers, 1)
			o.Progress = meter.Add
			r, err := health.Run(cmd.Context(), fs[0], b, o)
			meter.Close()
			if err != nil {
				return err
			}
			return f.done(r)
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	f.flagLayers(fl)
	f.flagLevel(fl)
	fl.Float64Var(&o.OutlierTokens, "outlier-tokens", o.OutlierTokens, "share of tokens in which an outlier unit reaches 6 ...")
	fl.Float64Var(&o.OutlierLayers, "outlier-layers", o.OutlierLayers, "... in this share of layers")
	return cmd
}

func newProbeLens(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	o := lens.Default()
	var tracePath, table string
	cmd := &cobra.Command{
		Use:   "lens STATES",
		Short: "From which layer on is the answer readable by the model's own head",
		Long: `lens reads what assay states --lens keeps: the checkpoint's final norm and head at
every layer. By layer: log-probability of the next token, divergence of the final
distribution, agreement with the final token, median rank. The last layer must be the
model's own output; with --trace, the trace of the same run, this is checked.`,
		Example: `  assay states ./pythia-70m --text items.jsonl --lens --trace s.parquet -o s.safetensors
  assay probe lens s.safetensors --trace s.parquet`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := latent.Open(args[0], !f.noVerify)
			if err != nil {
				return err
			}
			defer s.Close()
			if tracePath != "" {
				t, err := trace.Open(tracePath)
				if err != nil {
					return err
				}
				defer t.Close()
				if o.Trace, err = lens.FromTrace(t, s); err != nil {
					return err
				}
			}
			o.Level = f.level
			rep, err := lens.Analyse(cmd.Context(), s, o)
			if err != nil {
				return err
			}
			if table != "" {
				rows := [][]string{{"layer", "logprob", "kl", "agreement", "entropy", "median_rank"}}
				for _, r := range rep.Rows {
					rows = append(rows, []string{fmt.Sprint(r.Layer), fmt.Sprint(r.LogProb), fmt.Sprint(r.KL), fmt.Sprint(r.Agree), fmt.Sprint(r.Entropy), fmt.Sprint(r.Median)})
				}
				if err := writeCSV(table, rows); err != nil {
					return err
				}
			}
			return f.done(rep.Result)
		},
	}
	fl := cmd.Flags()
	f.flagLevel(fl)
	fl.BoolVar(&f.noVerify, "no-verify", false, "do not check the content digest (the result says so)")
	fl.BoolVar(&f.full, "full", false, "print every estimate with its method")
	fl.Float64Var(&o.Agreement, "agreement", o.Agreement, "the depth is the first layer that agrees with the final token in this share")
	fl.StringVar(&tracePath, "trace", "", "trace of the same run, held against the last layer")
	fl.StringVar(&table, "table", "", "write the figures by layer to this .csv")
	outputFlag(cmd, &f.output, "write the result as JSON to this file too")
	return cmd
}

func newProbeSimilarity(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	cmd := &cobra.Command{
		Use:   "group-similarity (STATES | CKPT --text FILE)",
		Short: "Mean cosine between two groups of texts, by layer",
		Long: `group-similarity is the mean cosine over all cross pairs of two groups (the IMA score
of Shukor and Cord 2024), from sums alone. Most of it is the direction common to all
texts, so with pairs the matched minus the unmatched cosine stands beside it.`,
		Example: "  assay probe group-similarity s.safetensors --groups en,fr",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fs, closer, err := f.files(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer closer()
			r, err := units.Similarity(cmd.Context(), fs[0], units.SimilarityOptions{Groups: f.groups, View: f.view, Layers: f.layers, Level: f.level})
			if err != nil {
				return err
			}
			return f.done(r)
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	f.flagLayers(fl)
	f.flagLevel(fl)
	fl.StringSliceVar(&f.groups, "groups", nil, "two labels (default: the two of the file)")
	return cmd
}

func newProbePicture(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	var layer string
	var perm int
	cmd := &cobra.Command{
		Use:   "picture (STATES | CKPT --text FILE) -o FILE.svg",
		Short: "Draw labelled states: components, held-out axis, separation by layer",
		Long: `picture draws three panels: the first two principal components of one layer, the
projection on the axis between the groups held out by fold, and the separation by
layer with interval and null band. Colours are told apart without colour too.`,
		Example: `  assay probe picture s.safetensors -o p.svg
  assay probe picture s.safetensors --layer 50% -o p.png`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ext := filepath.Ext(f.output); ext != ".svg" && ext != ".png" {
				return fault.Usagef("picture: -o: found %q, want a name ending in .svg or .png", f.output)
			}
			fs, closer, err := f.files(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer closer()
			o := aqi.Default()
			o.View, o.Layers, o.Groups, o.Draws, o.Seed, o.Workers = f.view, f.layers, f.groups, perm, f.seed, f.model.threads
			o.NoStrata, o.Indices = f.strata == "none", []string{"r2", "probe"}
			rep, err := aqi.Analyse(cmd.Context(), fs[0], o)
			if err != nil {
				return err
			}
			fig, err := picture.Separation(cmd.Context(), fs[0], rep, picture.Options{Layer: layer, Workers: f.model.threads})
			if err != nil {
				return err
			}
			if err := writeFigure(f.output, fig); err != nil {
				return err
			}
			a.note("note: %s: a picture, not a measurement; assay aqi has the numbers", f.output)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.view, "view", "", "tap and pool, such as resid_post.last (default: resid_post.mean)")
	fl.StringVar(&layer, "layer", "last", "layer of the components: a number, a percentage or last")
	fl.IntVar(&perm, "perm", 999, "random arrangements for the null band")
	f.flagLayers(fl)
	f.flagGroups(fl)
	outputFlag(cmd, &f.output, "picture to write (.svg or .png)")
	_ = cmd.MarkFlagRequired("output")
	f.stater.register(fl)
	return cmd
}
