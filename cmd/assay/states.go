package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"assay/cmd/assay/internal/progress"
	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/model/states"
	"assay/model/states/items"
	"assay/model/trace"

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
	shard         string
	trace         string
	plan          bool
	resume        bool
	saveEvery     time.Duration
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
  assay states ./pythia-70m --text items.jsonl -o s.safetensors --trace s.parquet
  assay states ./pythia-70m --text items.jsonl --shard 0/4 -o s0.safetensors
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
	fl.StringVar(&f.shard, "shard", "", "i/n: the documents of shard i of n (i from 0) alone; join them with states merge")
	fl.StringVar(&f.trace, "trace", "", "write the token trace of the same forward passes to this file too (.parquet or .jsonl)")
	fl.BoolVar(&f.plan, "plan", false, "print sizes and memory, write nothing")
	fl.BoolVar(&f.resume, "resume", false, "go on with an interrupted run of the same command")
	fl.DurationVar(&f.saveEvery, "save-every", 10*time.Minute, "how much work a killed process may lose")
	f.model.register(fl)
	cmd.MarkFlagsMutuallyExclusive("text", "ids", "from")
	cmd.MarkFlagsOneRequired("text", "ids", "from")
	cmd.MarkFlagsMutuallyExclusive("shard", "trace")
	cmd.MarkFlagsMutuallyExclusive("from", "trace")
	cmd.MarkFlagsMutuallyExclusive("from", "shard")
	cmd.AddCommand(newStatesMerge(a))
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
	if err := f.cut(src.Len()); err != nil {
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
	if err := f.model.load(ctx, a, s); err != nil {
		return err
	}
	var meter *progress.Meter
	defer func() { meter.Close() }()
	o := states.RunOptions{Out: f.out, Resume: f.resume, SaveEvery: f.saveEvery, Made: statesMade(s),
		Start:    func(tokens int64) { meter = progress.New(a.stderr, a.meterMode(), "states", tokens) },
		Progress: func(n int64) { meter.Add(n) }}
	var rep *states.Report
	var scored *score.Report
	if f.trace == "" {
		rep, err = states.Run(ctx, s.model, src, p, o)
	} else {
		rep, scored, err = states.RunTraced(ctx, s.model, src, p, o, score.Options{Positions: f.o.Positions, TwoSided: s.info.Encoder, Of: f.o.Of, Out: f.trace, Made: s.made()})
	}
	if err != nil {
		return err
	}
	return printStates(a, rep, scored)
}

// cut resolves --shard i/n into documents floor(i N / n) to floor((i+1) N / n).
func (f *statesFlags) cut(docs int) error {
	if f.shard == "" {
		return nil
	}
	a, b, ok := strings.Cut(f.shard, "/")
	i, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || n < 1 || i < 0 || i >= n || n > docs {
		return fault.Usagef("states: --shard %q: want i/n with i from 0 to n-1 and n at most the %d documents", f.shard, docs)
	}
	f.o.From, f.o.To = i*docs/n, (i+1)*docs/n
	return nil
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
	case f.saveEvery <= 0:
		return fault.Usagef("states: --save-every: found %v, want above 0", f.saveEvery)
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
	rep, err := states.RunVectors(ctx, x, p, states.RunOptions{Out: f.out, Resume: f.resume, SaveEvery: f.saveEvery,
		Made: trace.StatesMade{Program: b.Program, Version: b.Version, Commit: b.Commit}})
	if err != nil {
		return err
	}
	return printStates(a, rep, nil)
}

func statesMade(s *session) trace.StatesMade {
	m := s.made()
	return trace.StatesMade{Program: m.Program, Version: m.Version, Commit: m.Commit, Backend: m.Backend, Device: m.Device,
		Warnings: m.Warnings, Quantised: s.digests.Quant != ""}
}
