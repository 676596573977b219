package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/units"
	"assay/probes"

	"io"

	"github.com/spf13/cobra"
)

func newProbeScreen(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	o := units.DefaultScreen()
	cmd := &cobra.Command{
		Use:   "unit-screen (STATES | CKPT --text FILE)",
		Short: "Which units share most with the label",
		Long: `unit-screen ranks every unit of every layer by its mutual information with the label,
less its bias. The p-value is family-wise over all units and layers and is given only
where the labels passed the checks of assay aqi; how many folds pick a unit again is
shown beside it.`,
		Example: "  assay probe unit-screen s.safetensors --text items.jsonl --top 50 --table units.csv",
		Args:    cobra.ExactArgs(1),
	}
	table := ""
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		fs, closer, err := f.files(cmd.Context(), args)
		if err != nil {
			return err
		}
		defer closer()
		if o.Side.Items, err = f.side(fs[0]); err != nil {
			return err
		}
		o.View, o.Layers, o.Groups, o.NoStrata, o.Seed, o.Workers = f.view, f.layers, f.groups, f.strata == "none", f.seed, f.model.threads
		meter := a.layerMeter("screening units", fs[0], f.view, f.layers, 1)
		o.Progress = meter.Add
		rep, err := units.Screen(cmd.Context(), fs[0], o)
		meter.Close()
		if err != nil {
			return err
		}
		if table != "" {
			rows := [][]string{{"layer", "unit", "information_nats", "plug_in_nats", "log10_p", "folds"}}
			for _, p := range rep.Picks {
				lp := ""
				if p.Log10P == p.Log10P { // tier C has none
					lp = fmt.Sprint(p.Log10P)
				}
				rows = append(rows, []string{strconv.Itoa(p.Layer), strconv.Itoa(p.Unit), fmt.Sprint(p.Info), fmt.Sprint(p.Plug), lp, fmt.Sprint(p.Folds)})
			}
			if err := writeCSV(table, rows); err != nil {
				return err
			}
		}
		return f.app.printResult(rep.Result, f.output)
	}
	f.register(cmd)
	fl := cmd.Flags()
	f.flagLayers(fl)
	f.flagGroups(fl)
	fl.IntVar(&o.Bins, "bins", o.Bins, "bins of a unit's values, of equal counts")
	fl.IntVar(&o.Draws, "perm", o.Draws, "random arrangements of the labels")
	fl.IntVar(&o.Top, "top", o.Top, "units shown, and picked in a fold")
	fl.IntVar(&o.Folds, "folds", o.Folds, "folds")
	fl.StringVar(&table, "table", "", "write the units to this .csv")
	return cmd
}

func newProbeSparse(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	o := units.DefaultSparse()
	cmd := &cobra.Command{
		Use:   "sparse-probe (STATES | CKPT --text FILE)",
		Short: "Are few units enough to tell the label",
		Long: `sparse-probe fits a logistic probe that leaves most units out (minimax concave
penalty), by layer. Screening, penalty and weights come from the training folds alone;
the AUROC is of held-out documents.`,
		Example: "  assay probe sparse-probe s.safetensors --layers 50%,last",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fs, closer, err := f.files(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer closer()
			if o.Side.Items, err = f.side(fs[0]); err != nil {
				return err
			}
			o.View, o.Layers, o.Groups, o.NoStrata, o.Seed, o.Workers = f.view, f.layers, f.groups, f.strata == "none", f.seed, f.model.threads
			meter := a.layerMeter("sparse probe", fs[0], f.view, f.layers, 1)
			o.Progress = meter.Add
			r, err := units.Sparse(cmd.Context(), fs[0], o)
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
	f.flagGroups(fl)
	fl.IntVar(&o.Screen, "screen", o.Screen, "units that pass the screening inside a fold")
	fl.Float64Var(&o.Gamma, "gamma", o.Gamma, "of the penalty, above 1")
	fl.IntVar(&o.Folds, "folds", o.Folds, "folds, outer and inner")
	return cmd
}

func newProbeDirection(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "direction",
		Short: "A direction between two groups: fit it on some texts, use it on others",
		Long: `direction fit finds the direction between two labelled groups at one layer;
direction apply projects the states of other texts on it (does the state tell what the
model does not say: --margin); direction shift measures how far a tuned checkpoint
moved the same texts along it.`,
		Example: `  assay probe direction fit s.safetensors --layer 50% -o d.safetensors
  assay probe direction apply d.safetensors other.safetensors --margin margins.csv
  assay probe direction shift d.safetensors base.safetensors tuned.safetensors`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDirectionFit(a), newDirectionApply(a), newDirectionShift(a))
	return cmd
}

func newDirectionFit(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	var o units.FitOptions
	cmd := &cobra.Command{
		Use:     "fit (STATES | CKPT --text FILE) -o FILE.safetensors",
		Short:   "Fit a direction and write it",
		Example: "  assay probe direction fit s.safetensors --layer 50% --groups no,yes -o d.safetensors",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.HasSuffix(f.output, ".safetensors") {
				return fault.Usagef("direction: -o: found %q, want a name that ends in .safetensors", f.output)
			}
			fs, closer, err := f.files(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer closer()
			o.View, o.Groups, o.NoStrata, o.Workers = f.view, f.groups, f.strata == "none", f.model.threads
			d, err := units.Fit(cmd.Context(), fs[0], o)
			if err != nil {
				return err
			}
			if err := writeFile(f.output, func(w io.Writer) error { return units.WriteDirection(w, d) }); err != nil {
				return err
			}
			doc := struct {
				Path   string   `json:"path"`
				View   string   `json:"view"`
				Layer  int      `json:"layer"`
				Groups []string `json:"groups"`
				Method string   `json:"method"`
				Rows   int      `json:"rows"`
			}{f.output, d.View, d.Layer, d.Groups, d.Method, d.Rows}
			return a.print(doc, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "direction %s: %s layer %d, from %s to %s, %s of %d rows\n", f.output, d.View, d.Layer, d.Groups[0], d.Groups[1], d.Method, d.Rows)
				return err
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.view, "view", "", "tap and pool, such as resid_post.last (default: resid_post.mean)")
	fl.StringVar(&o.Layer, "layer", "last", "one layer: a number, a percentage of the last, or last")
	fl.StringVar(&o.Method, "method", "means", "means: difference of means; probe: weights of a logistic probe")
	fl.Float64Var(&o.Lambda, "lambda", .1, "penalty of the probe")
	f.flagGroups(fl)
	outputFlag(cmd, &f.output, "direction to write (.safetensors)")
	_ = cmd.MarkFlagRequired("output")
	f.stater.register(fl)
	return cmd
}

func openDirection(path string) (units.Direction, error) {
	f, err := os.Open(path)
	if err != nil {
		return units.Direction{}, fault.Usagef("%w", err)
	}
	defer f.Close()
	d, err := units.ReadDirection(f)
	if err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// onDirection runs a test with the direction args[0] on the states of the rest, in the
// view that the direction was fitted in.
func (f *statesProbe) onDirection(ctx context.Context, args []string, run func(units.Direction, []*latent.File) (probes.Result, error)) error {
	d, err := openDirection(args[0])
	if err != nil {
		return err
	}
	f.view = d.View
	fs, closer, err := f.files(ctx, args[1:])
	if err != nil {
		return err
	}
	defer closer()
	r, err := run(d, fs)
	if err != nil {
		return err
	}
	r.Inputs = append(r.Inputs, probes.Input{Role: "direction", Path: args[0], Digest: d.Run})
	return f.app.printResult(r, f.output)
}

func newDirectionApply(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	margin := ""
	cmd := &cobra.Command{
		Use:     "apply DIRECTION (STATES | CKPT --text FILE)",
		Short:   "Project the states of other texts on a direction",
		Example: "  assay probe direction apply d.safetensors other.safetensors --margin margins.csv",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.onDirection(cmd.Context(), args, func(d units.Direction, fs []*latent.File) (r probes.Result, err error) {
				o := units.ApplyOptions{Groups: f.groups, Level: f.level}
				if margin != "" {
					if o.Margin, err = readMargins(margin); err != nil {
						return r, err
					}
				}
				return units.Apply(cmd.Context(), d, fs[0], o)
			})
		},
	}
	fl := cmd.Flags()
	f.flagLevel(fl)
	fl.StringSliceVar(&f.groups, "groups", nil, "two labels, the second expected on the positive side (default: those of the fit)")
	fl.StringVar(&margin, "margin", "", "the model's own margin (.csv or .jsonl with id, margin), put beside the direction")
	outputFlag(cmd, &f.output, "write the result as JSON to this file too")
	f.stater.register(fl)
	return cmd
}

func readMargins(path string) (map[string]float64, error) {
	m, _, err := readByID(path, "margin")
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64, len(m))
	for id, s := range m {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, fault.Inputf("bad-margin", "%s: margin of %q: found %q, want a number", path, id, s)
		}
		out[id] = v
	}
	return out, nil
}

func newDirectionShift(a *app) *cobra.Command {
	f := statesProbe{stater: stater{app: a}}
	cmd := &cobra.Command{
		Use:     "shift DIRECTION A B",
		Short:   "How far a second checkpoint moved the same texts along a direction",
		Example: "  assay probe direction shift d.safetensors base.safetensors tuned.safetensors",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.onDirection(cmd.Context(), args, func(d units.Direction, fs []*latent.File) (probes.Result, error) {
				return units.Shift(cmd.Context(), d, fs[0], fs[1], f.level)
			})
		},
	}
	fl := cmd.Flags()
	f.flagLevel(fl)
	outputFlag(cmd, &f.output, "write the result as JSON to this file too")
	f.stater.register(fl)
	return cmd
}
