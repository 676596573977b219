package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	latentcompare "assay/latent/compare"
	"assay/latent/picture"
	"assay/model/score"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/compare"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// compareFlags are the flags of `assay compare`.
type compareFlags struct {
	stater
	scores  string
	ignore  []string
	traces  compare.TraceOptions
	states  latentcompare.Options
	require []string
	table   string
	plot    string
	output  string
	full    bool
}

func newCompare(a *app) *cobra.Command {
	f := compareFlags{stater: stater{app: a}, traces: compare.DefaultTraces(), states: latentcompare.Default()}
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Same bytes, same weights, same behaviour, and how far apart",
		Long: `compare puts two checkpoints, two traces or two files of states against each other;
which of them, it sees by itself.

Checkpoints: every tensor is identical, a cast of the other (equal after widening, or
rounded to nearest even), different, of another shape, or on one side only; tensors
under another name are recognised by content, embedding rows matched by token. No
forward pass; memory does not grow with the checkpoints. With --scores TEXTS both are
scored first and their traces compared, with --text ITEMS their states.

Traces of the same documents: difference of log-probability by token with a bootstrap
interval over documents, agreement of the first guess, ratio of perplexities; with two
tokenizers bits per byte alone.

States of the same texts: debiased CKA beside a ruler, cosine, relative distance,
Procrustes, neighbours, group means, by layer, and the change of separation.

--require makes it a check with exit code 1: same-bytes, same-weights,
same-tokenizer, same-scores=NATS.`,
		Example: `  assay compare ./base ./tuned
  assay compare ./model ./copy --require same-weights --require same-tokenizer
  assay compare base.parquet tuned.parquet --require same-scores=1e-4
  assay compare ./base ./tuned --scores texts.jsonl --text items.jsonl --plot cka.svg
  assay compare base.safetensors tuned.safetensors --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args[0], args[1])
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.require, "require", nil, "exit with 1 unless it holds: same-bytes, same-weights, same-tokenizer or same-scores=NATS (repeatable)")
	fl.StringVar(&f.scores, "scores", "", "with checkpoints: score both on these texts (.txt, .jsonl) and compare the traces")
	fl.StringArrayVar(&f.ignore, "ignore", nil, "with checkpoints: leave out tensors whose name matches, such as *.rotary_emb.inv_freq (repeatable)")
	fl.IntVar(&f.traces.B, "boot", f.traces.B, "with traces: resamples of documents")
	fl.Float64Var(&f.traces.Level, "level", f.traces.Level, "level of the intervals")
	fl.Uint64Var(&f.traces.Seed, "seed", f.traces.Seed, "seed of resamples and arrangements")
	o := &f.states
	fl.StringVar(&o.View, "view", "", "with states: tap and pool (default: resid_post.mean)")
	fl.StringVar(&o.Layers, "layers", o.Layers, "with states: all, or numbers, percentages of the last layer and last")
	fl.IntVar(&o.Neighbours, "neighbours", o.Neighbours, "with states: nearest documents that are compared")
	fl.Float64Var(&o.Moved, "moved", o.Moved, "with states: relative distance from which a layer has moved")
	fl.StringSliceVar(&o.Groups, "groups", nil, "with states: labels whose separation is compared (default: all)")
	fl.StringVar(&f.strata, "strata", "", "with states: none = compare separation across topics")
	fl.StringVar(&f.table, "table", "", "with checkpoints: write every tensor to this .csv")
	fl.StringVar(&f.plot, "plot", "", "with states: draw the map of CKA between layers (.svg or .png)")
	fl.BoolVar(&f.full, "full", false, "print every estimate with its method")
	outputFlag(cmd, &f.output, "write the result as JSON to this file too")
	f.stater.register(fl)
	return cmd
}

// requirement splits name=value.
func (f *compareFlags) requirements() (names []string, err error) {
	for _, r := range f.require {
		name, v, has := strings.Cut(r, "=")
		if !slices.Contains([]string{compare.SameBytes, compare.SameWeights, compare.SameTokenizer, compare.SameScores}, name) || has != (name == compare.SameScores) {
			return nil, fault.Usagef("--require: found %q, want same-bytes, same-weights, same-tokenizer or same-scores=NATS", r)
		}
		if has {
			if f.traces.Within, err = strconv.ParseFloat(v, 64); err != nil {
				return nil, fault.Usagef("--require %s: found %q, want a number of nats", name, v)
			}
		}
		names = append(names, name)
	}
	return names, f.traces.Validate()
}

func (f *compareFlags) run(ctx context.Context, a, b string) error {
	names, err := f.requirements()
	if err != nil {
		return err
	}
	ka, err := detect(a)
	if err != nil {
		return err
	}
	kb, err := detect(b)
	if err != nil {
		return err
	}
	if ka != kb {
		return fault.Usagef("compare: %s is a %s and %s a %s, want two of one kind", a, ka, b, kb)
	}
	if err := f.settleCompare(ka); err != nil {
		return err
	}
	var doc compareDoc
	var rs []probes.Result
	switch ka {
	case kindCheckpoint:
		rs, err = f.checkpoints(ctx, a, b, &doc)
	case kindTrace:
		rs, err = f.traced(a, b)(ctx)
	case kindStates:
		rs, err = f.stated(ctx, a, b)
	}
	if err != nil {
		return err
	}
	doc.Results = rs
	if err := f.print(&doc); err != nil {
		return err
	}
	for _, n := range names {
		if err := compare.Require(n, rs...); err != nil {
			return err
		}
	}
	return nil
}

func (f *compareFlags) settleCompare(k kind) error {
	only := func(want kind, flag, v string) error {
		if v != "" && k != want {
			return fault.Usagef("%s: goes with %s, found %s", flag, want, k)
		}
		return nil
	}
	if err := only(kindCheckpoint, "--scores", f.scores); err != nil {
		return err
	}
	if err := only(kindCheckpoint, "--table", f.table); err != nil {
		return err
	}
	if f.plot != "" && k != kindStates && f.text == "" {
		return fault.Usagef("--plot: needs states, want two files of them, or two checkpoints and --text")
	}
	if f.table != "" && !strings.HasSuffix(f.table, ".csv") {
		return fault.Usagef("--table: found %q, want a name ending in .csv", f.table)
	}
	if f.save != "" {
		return fault.Usagef("--save-states: two files would be made, want assay states for each")
	}
	f.states.Level, f.states.Seed, f.states.NoStrata = f.traces.Level, f.traces.Seed, f.strata == "none"
	if err := checkFigure("--plot", f.plot); err != nil {
		return err
	}
	return f.states.Validate()
}

// compareDoc is the JSON document: results, and for checkpoints the tables.
type compareDoc struct {
	Results []probes.Result `json:"results"`
	Weights *compareTables  `json:"weights,omitempty"`
	rep     *compare.Report
}

type compareTables struct {
	Tensors   []compare.Row          `json:"tensors"`
	Config    []compare.Difference   `json:"config"`
	Tokenizer *compare.TokenizerDiff `json:"tokenizer"`
	Files     []compare.FileDiff     `json:"files"`
}

func (f *compareFlags) print(doc *compareDoc) error {
	if f.output != "" {
		if err := writeFile(f.output, func(w io.Writer) error { return show.JSON(w, doc) }); err != nil {
			return err
		}
	}
	return f.app.print(doc, func(w io.Writer) error {
		for i := range doc.Results {
			if i > 0 {
				fmt.Fprintln(w)
			}
			var err error
			switch {
			case f.full:
				err = show.Result(w, &doc.Results[i])
			case i == 0 && doc.rep != nil:
				err = showWeights(w, doc.rep)
			default:
				err = show.Layered(w, &doc.Results[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// checkpoints compares weights, and scores and states where texts are given.
func (f *compareFlags) checkpoints(ctx context.Context, a, b string, doc *compareDoc) ([]probes.Result, error) {
	rep, err := f.weights(ctx, a, b)
	if err != nil {
		return nil, err
	}
	doc.rep, doc.Weights = rep, &compareTables{rep.Tensors, rep.Config, rep.Tokenizer, rep.Files}
	if f.table != "" {
		if err := writeCSV(f.table, tensorRows(rep)); err != nil {
			return nil, err
		}
	}
	rs := []probes.Result{rep.Result}
	if f.scores != "" {
		more, err := f.traced(a, b)(ctx)
		if err != nil {
			return nil, err
		}
		rs = append(rs, more...)
	}
	if f.text != "" {
		more, err := f.stated(ctx, a, b)
		if err != nil {
			return nil, err
		}
		rs = append(rs, more...)
	}
	return rs, nil
}

// traced compares traces; checkpoints are scored first.
func (f *compareFlags) traced(a, b string) func(context.Context) ([]probes.Result, error) {
	return func(ctx context.Context) ([]probes.Result, error) {
		s := scorer{app: f.app, model: f.model, cache: f.cache}
		var in score.Input
		if f.scores != "" {
			src, err := text.Open(f.scores, text.Options{})
			if err != nil {
				return nil, err
			}
			in = src
		}
		o := score.Options{Policy: window.Policy{Name: "full", BOS: f.o.Policy.BOS}}
		x, err := s.trace(ctx, a, in, true, o)
		if err != nil {
			return nil, err
		}
		defer x.Close()
		y, err := s.trace(ctx, b, in, true, o)
		if err != nil {
			return nil, err
		}
		defer y.Close()
		f.traces.Workers = f.model.threads
		r, err := compare.Traces(ctx, x, y, f.traces)
		if err != nil {
			return nil, err
		}
		r.Inputs[0].Path, r.Inputs[1].Path = a, b
		return []probes.Result{r}, nil
	}
}

// stated compares states; those of checkpoints are made first.
func (f *compareFlags) stated(ctx context.Context, a, b string) ([]probes.Result, error) {
	x, err := f.stater.open(ctx, a, f.states.Seed, f.states.View)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	y, err := f.stater.open(ctx, b, f.states.Seed, f.states.View)
	if err != nil {
		return nil, err
	}
	defer y.Close()
	f.states.Workers = f.model.threads
	meter := f.app.layerMeter("comparing states", x, f.states.View, f.states.Layers, 3)
	f.states.Progress = meter.Add
	rep, err := latentcompare.Analyse(ctx, x, y, f.states)
	meter.Close()
	if err != nil {
		return nil, err
	}
	if f.plot != "" {
		fig, err := picture.Map(rep)
		if err != nil {
			return nil, err
		}
		if err := writeFigure(f.plot, fig); err != nil {
			return nil, err
		}
	}
	return []probes.Result{rep.Result}, nil
}
