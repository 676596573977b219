package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model"
	"assay/model/states"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/model/trace/window"

	"github.com/spf13/cobra"
)

// statesFlags are the flags of `assay states`.
type statesFlags struct {
	model         modelFlags
	text, ids     string
	from, labels  string
	out           string
	o             states.Options
	cols          items.Columns
	strata        string
	dtype         string
	template      string
	lens          bool
	lensPositions int
	plan          bool
	resume        bool
}

func newStates(a *app) *cobra.Command {
	var f statesFlags
	cmd := &cobra.Command{
		Use:   "states CKPT (--text FILE | --ids FILE) -o OUT.safetensors",
		Short: "Store the hidden vectors that a checkpoint computes for texts",
		Long: `states runs a checkpoint over labelled documents and writes the vectors of its
layers, pooled over each document, to a safetensors file that any tool opens.
Sums over cells of documents make the file small and keep every later test exact;
rows of all documents are kept as well while they fit in 4 GiB (--keep).

Input: .jsonl, .jsonl.gz or .csv with id, text (or prompt and response), label,
topic, source, family, pair, meta and free columns x_...; with --ids, ids in place
of text. --from takes vectors that another program made: a .npy array n x width or
n x layers x width, with --labels for id, label and the other columns.

Layer 0 is the embedding output, layer l the output of block l, never normalised;
final_norm is a tap of its own. Taps: ` + strings.Join(model.Taps(), ", ") + `.
Pools: ` + strings.Join(states.Pools(), ", ") + `.
Spans: ` + strings.Join(states.Spans(), ", ") + `.`,
		Example: `  assay states ./pythia-70m --text items.jsonl -o s.safetensors
  assay states ./pythia-70m --text items.jsonl --tap resid_post --pool mean --pool last --layers 0,50%,last -o s.safetensors
  assay states ./pythia-70m --text items.jsonl --plan
  assay states --from vectors.npy --labels labels.csv -o s.safetensors`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), a, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.text, "text", "", "documents as text: .jsonl, .jsonl.gz or .csv")
	fl.StringVar(&f.ids, "ids", "", "documents as token ids: .jsonl or .jsonl.gz with id and ids")
	fl.StringVar(&f.from, "from", "", "vectors made elsewhere: float32 or float64 .npy, n x width or n x layers x width")
	fl.StringVar(&f.labels, "labels", "", "rows that describe the vectors of --from: .csv or .jsonl with id, label, ...")
	outputFlag(cmd, &f.out, "file to write (.safetensors)")
	fl.StringArrayVar(&f.o.Taps, "tap", []string{model.TapResidPost}, "tap (repeatable)")
	fl.StringVar(&f.o.Layers, "layers", "all", "all, or numbers, percentages of the last layer and last, separated by commas")
	fl.StringArrayVar(&f.o.Pools, "pool", []string{"mean"}, "pool (repeatable)")
	fl.StringVar(&f.o.Span, "span", states.SpanText, "token positions that count: "+strings.Join(states.Spans(), ", "))
	fl.StringVar(&f.template, "template", "none", "chat template: none (others are not built in)")
	fl.StringVar(&f.cols.ID, "id", "id", "column of ids")
	fl.StringVar(&f.cols.Label, "label", "label", "column of labels")
	fl.StringVar(&f.cols.Topic, "topic", "topic", "column of topics")
	fl.StringVar(&f.cols.Source, "source", "source", "column of sources")
	fl.StringVar(&f.cols.Family, "family", "family", "column of families: documents that stay together")
	fl.StringVar(&f.cols.Pair, "pair", "pair", "column of pairs: one document of each label")
	fl.StringVar(&f.strata, "strata", "", "columns and lenbin:N, separated by commas, or none (default: topic if there is one)")
	fl.StringVar(&f.o.Keep, "keep", "", "layers whose rows are kept for every document: all, none or a list (default: all up to 4 GiB)")
	fl.IntVar(&f.o.Sample, "sample", 512, "units per label whose rows are kept at every layer (0 = none)")
	fl.IntVar(&f.o.Cells, "cells", 128, "target number of cells")
	fl.StringVar(&f.dtype, "dtype", "f32", "f32 or bf16, of rows and sample (sums are float64)")
	fl.BoolVar(&f.lens, "lens", false, "read every layer with the checkpoint's own head at some positions")
	fl.IntVar(&f.lensPositions, "lens-positions", 2000, "most positions that --lens reads")
	fl.StringVar(&f.o.Policy.Name, "policy", "full", "window policy: full (a document that is too long is an error), hf-stride or mimir")
	fl.IntVar(&f.o.Policy.Window, "window", 0, "ids in a window (default: the model's positions)")
	fl.IntVar(&f.o.Policy.Stride, "stride", 0, "stride of hf-stride")
	fl.StringVar(&f.o.Policy.BOS, "bos", "auto", "auto (the tokenizer's template; never for ids), always, never or id:N")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of the order that cuts cells and draws the sample")
	fl.BoolVar(&f.plan, "plan", false, "print sizes and memory, write nothing")
	fl.BoolVar(&f.resume, "resume", false, "go on with an interrupted run of the same command")
	f.model.register(fl)
	cmd.MarkFlagsMutuallyExclusive("text", "ids", "from")
	cmd.MarkFlagsOneRequired("text", "ids", "from")
	return cmd
}

func (f *statesFlags) run(ctx context.Context, a *app, args []string) error {
	if err := f.settle(args); err != nil {
		return err
	}
	if f.from != "" {
		return f.runFrom(ctx, a)
	}
	path := f.text
	if f.ids != "" {
		path, f.cols.IDs = f.ids, true
	}
	src, err := items.Open(path, f.cols)
	if err != nil {
		return err
	}
	a.warnNoSIMD()
	s, err := f.model.open(ctx, args[0], f.text != "")
	if err != nil {
		return err
	}
	defer s.close()
	d, err := model.Describe(s.ck, f.model.acceptKeys...)
	if err != nil {
		return err
	}
	f.o.Positions, f.o.Of = s.info.Positions, s.identity()
	if s.tok != nil {
		f.o.Encoder = s.tok
	}
	p, err := states.Prepare(src, d.Spec, &f.o)
	if err != nil {
		return err
	}
	if f.plan {
		return f.printPlan(a, p)
	}
	if err := f.model.load(ctx, s); err != nil {
		return err
	}
	var meter *progress.Meter
	defer func() { meter.Close() }()
	rep, err := states.Run(ctx, s.model, src, p, states.RunOptions{Out: f.out, Resume: f.resume, Made: statesMade(s),
		Start:    func(tokens int64) { meter = progress.New(a.stderr, a.meterMode(), "states", tokens) },
		Progress: func(n int64) { meter.Add(n) }})
	if err != nil {
		return err
	}
	return a.print(rep, func(w io.Writer) error { return showStates(w, rep) })
}

// settle checks the flags that no package can.
func (f *statesFlags) settle(args []string) error {
	switch {
	case f.from == "" && len(args) != 1:
		return fault.Usagef("states: want one checkpoint, found %d arguments", len(args))
	case f.from != "" && len(args) > 0:
		return fault.Usagef("states --from: takes vectors, not a checkpoint: found %q", args[0])
	case (f.from != "") != (f.labels != ""):
		return fault.Usagef("states: --from and --labels go together")
	case f.template != "none":
		return fault.Usagef("states: --template %s: chat templates are not built in, want none", f.template).
			Hint("write the template into the texts, and use prompt and response to mark them")
	case f.o.Span == "template":
		return fault.Usagef("states: --span template: needs a chat template, and none is built in")
	case f.dtype != "f32" && f.dtype != "bf16":
		return fault.Usagef("states: --dtype: found %q, want f32 or bf16", f.dtype)
	case f.o.Cells < 1:
		return fault.Usagef("states: --cells: found %d, want 1 or more", f.o.Cells)
	case f.lens && f.lensPositions < 1:
		return fault.Usagef("states: --lens-positions: found %d, want 1 or more", f.lensPositions)
	case f.out == "" && !f.plan:
		return fault.Usagef("states: no output, want -o FILE.safetensors, or --plan")
	case f.out != "" && !strings.HasSuffix(f.out, ".safetensors"):
		return fault.Usagef("states: -o %s: want a name that ends in .safetensors", f.out)
	}
	f.o.BF16, f.o.Label = f.dtype == "bf16", f.cols.Label
	if f.lens {
		f.o.Lens = f.lensPositions
	}
	if f.strata != "" {
		f.o.Strata = strings.Split(f.strata, ",")
	}
	f.cols.Extra = states.StrataColumns(f.o.Strata)
	f.o.Extra = f.cols.Extra
	return f.checkOut()
}

// checkOut refuses to write over a file; an interrupted one resumes.
func (f *statesFlags) checkOut() error {
	if f.plan {
		return nil
	}
	if _, err := os.Stat(f.out); err == nil {
		return fault.Usagef("states: %s exists, want a new name", f.out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.Retryf("io", "states: %w", err)
	}
	return nil
}

func (f *statesFlags) runFrom(ctx context.Context, a *app) error {
	f.cols.Labels = true
	src, err := items.Open(f.labels, f.cols)
	if err != nil {
		return err
	}
	x, err := states.OpenVectors(f.from)
	if err != nil {
		return err
	}
	defer x.Close()
	p, err := states.PrepareVectors(src, x, &f.o)
	if err != nil {
		return err
	}
	if f.plan {
		return f.printPlan(a, p)
	}
	b := thisBuild()
	rep, err := states.RunVectors(ctx, x, p, states.RunOptions{Out: f.out, Resume: f.resume,
		Made: trace.StatesMade{Program: b.Program, Version: b.Version, Commit: b.Commit}})
	if err != nil {
		return err
	}
	return a.print(rep, func(w io.Writer) error { return showStates(w, rep) })
}

func statesMade(s *session) trace.StatesMade {
	m := s.made()
	return trace.StatesMade{Program: m.Program, Version: m.Version, Commit: m.Commit, Backend: m.Backend, Device: m.Device,
		Warnings: m.Warnings, Quantised: s.digests.Quant != ""}
}

// statesForecast is what --plan prints.
type statesForecast struct {
	Docs     int             `json:"docs"`
	Tokens   int64           `json:"tokens"`
	Policy   window.Policy   `json:"policy"`
	Views    []trace.View    `json:"views"`
	Labels   []string        `json:"labels"`
	Strata   []string        `json:"strata"`
	Unit     string          `json:"unit"`
	Cells    int             `json:"cells"`
	Sample   int             `json:"sample_docs"`
	Keep     []int           `json:"keep_layers"`
	File     int64           `json:"file_bytes"`
	Memory   int64           `json:"memory_bytes"`
	Warnings []trace.Warning `json:"warnings"`
}

func (f *statesFlags) printPlan(a *app, p *states.Plan) error {
	sp := p.States
	c := statesForecast{Docs: len(sp.Docs), Tokens: p.Tokens, Policy: p.Of.Policy, Views: sp.Views, Labels: sp.Labels, Strata: sp.Strata,
		Unit: sp.Unit, Cells: len(sp.Cells), Sample: len(sp.Sample), Keep: sp.Keep, Warnings: p.Warnings}
	c.File, c.Memory = sp.Bytes()
	return a.print(c, func(w io.Writer) error {
		unit := c.Unit
		if unit == "" {
			unit = "document"
		}
		rows := [][]string{
			{"documents", fmt.Sprintf("%d, %d tokens to feed", c.Docs, c.Tokens)},
			{"labels", joined(c.Labels)},
			{"strata", joined(c.Strata)},
			{"unit", unit},
			{"cells", fmt.Sprint(c.Cells)},
			{"sample", fmt.Sprintf("%d documents", c.Sample)},
			{"rows kept", fmt.Sprintf("%d layers", len(c.Keep))},
			{"file", show.Bytes(c.File)},
			{"memory for sums", show.Bytes(c.Memory)},
		}
		for _, v := range c.Views {
			rows = append(rows, []string{"view", describeView(v)})
		}
		if err := show.Table(w, rows); err != nil {
			return err
		}
		return showWarnings(w, c.Warnings)
	})
}

func describeView(v trace.View) string {
	return fmt.Sprintf("%s over %s, %d layers of width %d", v.Name(), v.Span, len(v.Layers), v.Width)
}

func showStates(w io.Writer, r *states.Report) error {
	rows := [][]string{{"states", r.Path}, {"run", r.Run}, {"documents", fmt.Sprint(r.Docs)}, {"size", show.Bytes(r.Bytes)}}
	for _, v := range r.Views {
		rows = append(rows, []string{"view", describeView(v)})
	}
	if r.Invariance != nil {
		rows = append(rows, []string{"invariance", fmt.Sprintf("%.1e of a vector's size over %d vectors computed alone and in company", r.Invariance.MaxRel, r.Invariance.N)})
	}
	if r.Resumed > 0 {
		rows = append(rows, []string{"resumed", fmt.Sprintf("%d documents were finished earlier", r.Resumed)})
	}
	if err := show.Table(w, rows); err != nil {
		return err
	}
	return showWarnings(w, r.Warnings)
}
