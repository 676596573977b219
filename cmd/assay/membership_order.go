package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/membership"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// orderFlags are the flags of membership order.
type orderFlags struct {
	scorer
	score                           scoreFlags
	data, split, separator          string
	assignment, requests, rows, out string
	shards, shuffles                int
	o                               membership.OrderOptions
}

func newMembershipOrder(a *app) *cobra.Command {
	f := orderFlags{scorer: scorer{app: a}}
	cmd := &cobra.Command{
		Use:   "order CKPT|TRACE --data FILE",
		Short: "Does a checkpoint prefer the published order of a dataset?",
		Long: `order cuts a published file into --shards runs of consecutive examples and scores each
run in its published order and in --shuffles uniform shuffles. If the order of the file
is arbitrary, a model that never saw the file ranks it like any shuffle; the ranks of
the shards combine exactly, so few shuffles suffice. t_published, what
tatsu-lab/test_set_contamination computes, stands beside it: it is anti-conservative.

Five checks without the model ask whether the order goes with the content (length,
alphabet, neighbours, labels); if so no p-value is given (tier C). --assignment proves
that the publisher drew the order (tier A). The cost is shards x (shuffles + 1) passes;
--sequential H stops a shard after H shuffles at or above the published order.

--requests writes the texts for another machine instead; a TRACE holds them as
documents o<shard>/<shuffle>, 0 being the published order.`,
		Example: `  assay membership order ./suspect --data test.jsonl --shards 50 --shuffles 19
  assay membership order ./suspect --data test.jsonl --sequential 5 --shuffles 99 --rows shards.csv`,
		Args: cobra.RangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (f.requests != "") {
				return fault.Usagef("membership order: want a checkpoint or trace, or --requests FILE")
			}
			return f.run(cmd.Context(), append(args, "")[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", "", "the published file (.txt with --split line or blank, .jsonl with id, text, label)")
	fl.StringVar(&f.split, "split", "line", "how a .txt file is cut into examples: line or blank")
	fl.StringVar(&f.separator, "separator", "", "what stands between examples (default: as in the file, a line end or an empty line)")
	fl.IntVar(&f.shards, "shards", 50, "runs of consecutive examples")
	fl.IntVar(&f.shuffles, "shuffles", 19, "shuffles of each run")
	fl.IntVar(&f.o.Sequential, "sequential", 0, "stop a shard after so many shuffles at or above the published order (0 = score all)")
	fl.StringVar(&f.assignment, "assignment", "", "file that proves the order was drawn at random (tier A)")
	fl.Float64Var(&f.o.Alpha, "alpha", 0.05, "level of the verdict")
	fl.IntVar(&f.o.B, "perm", 9999, "draws of the checks and of the combination sum")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of shuffles and draws")
	fl.StringVar(&f.requests, "requests", "", "write the texts to score to this .jsonl and stop")
	fl.StringVar(&f.rows, "rows", "", "write one row per shard to this .csv")
	fl.StringVar(&f.cache, "cache", "", "folder for traces of checkpoints scored here (default: the user's cache folder)")
	f.score.registerPolicy(cmd)
	outputFlag(cmd, &f.out, "write the result as JSON to this file too")
	f.model.register(fl)
	_ = cmd.MarkFlagRequired("data")
	return cmd
}

func (f *orderFlags) run(ctx context.Context, path string) error {
	if err := f.o.Validate(); err != nil {
		return err
	}
	examples, err := f.examples()
	if err != nil {
		return err
	}
	plan, err := membership.PlanOrder(examples, membership.Shuffling{Shards: f.shards, Shuffles: f.shuffles, Separator: f.separator, Seed: f.o.Seed})
	if err != nil {
		return err
	}
	if f.requests != "" {
		return f.write(plan)
	}
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
		f.o.Assignment = &as
	}
	shards, err := f.shardScores(ctx, path, plan)
	if err != nil {
		return err
	}
	r, err := membership.Order(shards, examples, f.o)
	if err != nil {
		return err
	}
	r.Settings["shards"], r.Settings["shuffles"], r.Settings["separator"] = f.shards, f.shuffles, plan.Separator
	r.Settings["policy"] = f.score.policy.Name
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return membership.WriteShards(w, plan, shards) }); err != nil {
			return err
		}
	}
	return f.app.printResult(r, f.out)
}

// examples reads the published file; the default separator is the file's own.
func (f *orderFlags) examples() ([]membership.Example, error) {
	if f.split != "line" && f.split != "blank" {
		return nil, fault.Usagef("--split: found %q, want line or blank", f.split)
	}
	o := text.Options{}
	if strings.HasSuffix(f.data, ".txt") {
		o.Split = f.split
	}
	if f.separator == "" {
		if f.separator = "\n"; o.Split == "blank" {
			f.separator = "\n\n"
		}
	}
	var out []membership.Example
	for d, err := range text.Read(f.data, o) {
		if err != nil {
			return nil, err
		}
		e := membership.Example{ID: d.ID, Text: d.Text}
		if d.Label != nil {
			e.Label = fmt.Sprint(*d.Label)
		}
		out = append(out, e)
	}
	return out, nil
}

// orderTexts is an input of shards in their orders.
type orderTexts struct {
	plan *membership.OrderPlan
	want func(shard, shuffle int) bool // nil = all
}

func (o orderTexts) each(yield func(id, text string) bool) {
	for i := range o.plan.Shards() {
		for j := range o.plan.Shuffles + 1 {
			if (o.want == nil || o.want(i, j)) && !yield(fmt.Sprintf("o%d/%d", i, j), o.plan.Text(i, j)) {
				return
			}
		}
	}
}

func (o orderTexts) Len() (n int) {
	for i := range o.plan.Shards() {
		for j := range o.plan.Shuffles + 1 {
			if o.want == nil || o.want(i, j) {
				n++
			}
		}
	}
	return n
}

func (o orderTexts) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		line := 0
		for id, t := range o.each {
			line++
			if !yield(text.Doc{ID: id, Line: line, HasText: true, Text: t}, nil) {
				return
			}
		}
	}
}

func (f *orderFlags) write(plan *membership.OrderPlan) error {
	n := 0
	if err := writeFile(f.requests, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for id, t := range (orderTexts{plan: plan}).each {
			if err := e.Encode(map[string]string{"id": id, "text": t}); err != nil {
				return err
			}
			n++
		}
		return nil
	}); err != nil {
		return err
	}
	return f.app.print(map[string]any{"path": f.requests, "requests": n}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %d shard texts\n", f.requests, n)
		return err
	})
}

// shardScores reads or makes the scores: all at once, or with --sequential in rounds
// that leave out the shards that have stopped.
func (f *orderFlags) shardScores(ctx context.Context, path string, plan *membership.OrderPlan) ([]membership.Shard, error) {
	book := membership.NewShardScores(plan)
	read := func(in orderTexts) error {
		r, err := f.trace(ctx, path, in, true, score.Options{Policy: f.score.policy})
		if err != nil {
			return err
		}
		defer r.Close()
		f.o.Inputs = append(f.o.Inputs, probes.Input{Role: "suspect", Path: path, Digest: "sha256:" + r.Header().Run})
		return f.collect(r, book)
	}
	if isTrace(path) || f.o.Sequential == 0 {
		f.app.note("note: %d shard passes", plan.Shards()*(plan.Shuffles+1))
		if err := read(orderTexts{plan: plan}); err != nil {
			return nil, err
		}
		return book.Shards(f.o.Sequential)
	}
	const round = 8
	for from := 0; from <= plan.Shuffles; from += round {
		in := orderTexts{plan, func(i, j int) bool { return j >= from && j < from+round && !book.Stopped(i, f.o.Sequential) }}
		if in.Len() == 0 {
			break
		}
		f.app.note("note: shuffles %d to %d: %d shard passes", from, min(from+round-1, plan.Shuffles), in.Len())
		if err := read(in); err != nil {
			return nil, err
		}
	}
	return book.Shards(f.o.Sequential)
}

func (f *orderFlags) collect(r *trace.Reader, book *membership.ShardScores) error {
	for d, err := range r.Docs() {
		if err != nil {
			return err
		}
		if err := book.Add(d); err != nil {
			return err
		}
	}
	return nil
}
