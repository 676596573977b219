package main

import (
	"strings"
	"time"

	"assay/model"
	"assay/model/states"
	"assay/model/states/items"

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
	chat          chatFlags
	system        string
	lens          bool
	lensPositions int
	project       string
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
topic, source, family, pair, weights, positions, meta and free columns x_...; with --ids, ids in place
of text. --from takes vectors that another program made: a .npy array n x width or
n x layers x width, with --labels for id, label and the other columns.

Layer 0 is the embedding output, layer l the output of block l, never normalised;
final_norm is a tap of its own. Taps: ` + strings.Join(model.Taps(), ", ") + `.
Pools: ` + strings.Join(states.Pools(), ", ") + `; FILE is
.jsonl with id and weights (one for each token of the span) or positions, or the word
column for these columns of the input itself.
Spans: ` + strings.Join(states.Spans(), ", ") + `.`,
		Example: `  assay states ./pythia-70m --text items.jsonl -o s.safetensors
  assay states ./pythia-70m --text items.jsonl --tap resid_post --pool mean --pool last --layers 0,50%,last -o s.safetensors
  assay states ./qwen2.5-0.5b-instruct --text qa.jsonl --template auto --span template --pool last -o q.safetensors
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
	f.chat.register(fl)
	fl.Lookup("template").Usage = "chat template that texts, or prompts and responses, are put into: none, auto (the checkpoint's) or a Jinja file"
	fl.Lookup("template").DefValue, f.chat.template = "none", "none"
	fl.StringVar(&f.system, "system", "", "system prompt in front of every document, with --template")
	fl.StringVar(&f.cols.ID, "id", "id", "column of ids")
	fl.StringVar(&f.cols.Label, "label", "label", "column of labels")
	fl.StringVar(&f.cols.Topic, "topic", "topic", "column of topics")
	fl.StringVar(&f.cols.Source, "source", "source", "column of sources")
	fl.StringVar(&f.cols.Family, "family", "family", "column of families: documents that stay together")
	fl.StringVar(&f.cols.Pair, "pair", "pair", "column of pairs: one document of each label")
	fl.StringVar(&f.strata, "strata", "", "columns and lenbin:N, separated by commas, or none (default: topic if there is one)")
	fl.StringVar(&f.o.Keep, "keep", "", "layers whose rows are kept for every document: all, none or a list (default: all up to 4 GiB)")
	fl.BoolVar(&f.o.NoStats, "no-token-stats", false, "leave out sums and peaks over tokens (outlier dimensions, massive activations)")
	fl.IntVar(&f.o.Sample, "sample", 512, "units per label whose rows are kept at every layer (0 = none)")
	fl.IntVar(&f.o.Cells, "cells", 128, "target number of cells")
	fl.StringVar(&f.dtype, "dtype", "f32", "f32 or bf16, of rows and sample (sums are float64)")
	fl.BoolVar(&f.o.Sameness, "sameness", false, "keep the mean cosine of pairs of positions inside each document's span")
	fl.StringVar(&f.project, "project", "", "safetensors file of directions: store projections on them instead of rows")
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
