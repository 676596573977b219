package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/ghost"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// ghostFlags are the flags of ghost test and external.
type ghostFlags struct {
	scorer
	ref, gens, tests, planted, wrap, rows, out string
	lastK                                      []int
	o                                          ghost.Options
}

func (f *ghostFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.ref, "ref", "", "reference checkpoint or trace that never saw the strings")
	fl.StringVar(&f.rows, "rows", "", "write one row per secret to this .csv (no secret text)")
	fl.StringVar(&f.cache, "cache", "", "folder for traces of checkpoints scored here (default: the user's cache folder); they show the secrets")
	outputFlag(cmd, &f.out, "write the result as JSON to this file too")
	f.model.register(fl)
}

// requests is an input of texts to score.
type requests []ghost.Request

func (r requests) Len() int { return len(r) }

func (r requests) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for i, q := range r {
			if !yield(text.Doc{ID: q.ID, Line: i + 1, HasText: true, Text: q.Text, Context: q.Context, HasContext: q.Context != ""}, nil) {
				return
			}
		}
	}
}

func newGhostTest(a *app) *cobra.Command {
	f := ghostFlags{scorer: scorer{app: a}}
	cmd := &cobra.Command{
		Use:   "test NAME CKPT|TRACE [--ref CKPT|TRACE]",
		Short: "Test whether a checkpoint depends on the planted strings",
		Long: `test scores every candidate under the checkpoint, on this machine, and runs the plan:
rank among the committed controls, recall of the last words, e-values, exposure. The
primary test of the plan carries the verdict. A commitment that does not verify is an
error. A reference shows that the planted strings were not chosen for being likely.
--planted is the planted corpus: controls found in it are left out and counted.

A TRACE must hold the candidates as documents g<secret>/<candidate>/<wrapper>.`,
		Example: `  assay ghost test mine ./suspect --ref ./older-model --rows secrets.csv
  assay ghost test mine suspect.parquet --tests rank,recall --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.test(cmd.Context(), args[0], args[1]) },
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.gens, "gens", "", "generated continuations of the prompts that \"ghost requests --recall\" writes (.jsonl with id, text)")
	fl.StringVar(&f.tests, "tests", "", "recall, evalue, rank, words, exposure, separated by commas (default: all that the evidence allows; words costs one text for every word of the list at every place)")
	fl.IntSliceVar(&f.lastK, "k", nil, "numbers of last words asked for by recall, instead of the plan's (costs the tier)")
	fl.StringVar(&f.wrap, "wrap", "", "file of wrappers, one a line, or \"document\" for the text before each planted place, instead of the plan's (costs the tier)")
	fl.StringVar(&f.planted, "planted", "", "the planted corpus (its record is NAME.plants.jsonl)")
	fl.IntVar(&f.o.Draws, "perm", 9999, "Monte Carlo draws of the combination sum")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of the draws")
	return cmd
}

func (f *ghostFlags) test(ctx context.Context, name, path string) error {
	s, c, err := f.app.loadGhost(name)
	if err != nil {
		return err
	}
	if f.tests != "" {
		f.o.Tests = strings.Split(f.tests, ",")
	}
	var ev ghost.Evidence
	docs, record, err := f.plantedCorpus(name, s, &ev)
	if err != nil {
		return err
	}
	if err := f.depart(s, docs, record); err != nil {
		return err
	}
	if f.gens != "" {
		g, err := os.Open(f.gens)
		if err != nil {
			return fault.Inputf("no-file", "--gens: %w", err)
		}
		defer g.Close()
		skipped := 0
		if ev.Gens, skipped, err = ghost.ReadGens(g); err != nil {
			return err
		}
		if skipped > 0 {
			f.app.note("note: --gens: %s of other requests passed over", plural(skipped, "line"))
		}
	}
	in := requests(slices.Collect(ghost.Requests(s)))
	policy := window.Policy{Name: s.Plan.Policy, BOS: s.Plan.BOS}
	scores := func(role, path string) (out ghost.Scores, err error) {
		err = f.read(ctx, role, path, in, policy, &ev.Inputs, func(r *trace.Reader) error {
			out, err = ghost.FromTrace(r, s)
			return err
		})
		return out, err
	}
	if slices.Contains(f.o.Tests, ghost.ByWordRanks) || f.o.Tests == nil && s.Plan.Primary == ghost.ByWordRanks {
		if ev.WordRanks, err = f.wordRanks(ctx, path, s, policy, &ev.Inputs); err != nil {
			return err
		}
	}
	if ev.Suspect, err = scores("suspect", path); err != nil {
		return err
	}
	if f.ref != "" {
		r, err := scores("reference", f.ref)
		if err != nil {
			return err
		}
		ev.Reference = &r
	}
	out, err := ghost.Test(s, c, ev, f.o)
	if err != nil {
		return err
	}
	rows := [][]string{{"secret", "leaf", "score [nats/word]", "controls [nats/word]", "rank", "of", "log10_e", "recalled", "exposure [bits]"}}
	for _, r := range out.Rows {
		e := ""
		if r.Log10E != nil {
			e = fmt.Sprint(*r.Log10E)
		}
		rows = append(rows, []string{fmt.Sprint(r.Secret), r.Leaf, fmt.Sprint(r.Score), fmt.Sprint(r.Controls), fmt.Sprint(r.Rank), fmt.Sprint(r.Of), e,
			strings.Trim(fmt.Sprint(r.Hits), "[]"), fmt.Sprint(r.Exposure)})
	}
	return f.finish(out.Result, rows)
}

// read opens or makes a trace, notes it among the inputs and hands it on.
func (f *ghostFlags) read(ctx context.Context, role, path string, in score.Input, p window.Policy, inputs *[]probes.Input, use func(*trace.Reader) error) error {
	r, err := f.trace(ctx, path, in, true, score.Options{Policy: p})
	if err != nil {
		return err
	}
	defer r.Close()
	*inputs = append(*inputs, probes.Input{Role: role, Path: path, Digest: "sha256:" + r.Header().Run})
	if err := use(r); err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	return nil
}

func (f *ghostFlags) finish(r probes.Result, rows [][]string) error {
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(rows) }); err != nil {
			return err
		}
	}
	return f.app.printResult(r, f.out)
}
