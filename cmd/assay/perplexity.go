package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/perplexity"

	"github.com/spf13/cobra"
)

// perplexityFlags are the flags of `assay perplexity`.
type perplexityFlags struct {
	scorer
	score      scoreFlags
	o          perplexity.Options
	unitsFrom  string
	presetName string
	vs         string
	rows       string
	all        bool
	out        string
}

func newPerplexity(a *app) *cobra.Command {
	f := perplexityFlags{scorer: scorer{app: a}}
	cmd := &cobra.Command{
		Use:   "perplexity CKPT|TRACE [--text FILE]",
		Short: "How well a checkpoint predicts a text, with an interval, comparable with a named tool",
		Long: `perplexity prints the cost of a text under a checkpoint in every usual unit, with
intervals over documents, under a named window policy ("assay perplexity policies"
lists them with the tool that each reproduces). Token perplexities of different
tokenizers do not compare; bits per byte do. --beside shows one text under every
policy, which is why tools disagree. An encoder (BERT) has pseudo-perplexity alone,
of each token masked in turn (--policy pll). Perplexity describes; it proves nothing
about training (tier C).`,
		Example: `  assay perplexity ./pythia-70m --text wiki.txt --policy hf-stride --window 1024 --stride 512
  assay perplexity wiki.parquet --vs other.parquet --json
  assay perplexity ./pythia-70m --text wiki.txt --beside
  assay perplexity ./bert-base-uncased --text sentences.jsonl --policy pll`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.preset(cmd); err != nil {
				return err
			}
			return f.run(cmd.Context(), args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.presetName, "preset", "", presetWikitext+": the wikitext task of lm-eval (pages detokenised and scored by lmeval-rolling, the originals counted)")
	fl.StringVar(&f.score.text, "text", "", "documents as text, for a checkpoint")
	fl.StringVar(&f.score.ids, "ids", "", "documents as token ids, for a checkpoint")
	fl.StringVar(&f.score.split, "split", "", "how a .txt file is cut into documents: file (default), line or blank")
	f.score.registerPolicy(cmd)
	f.score.pair.register(fl)
	fl.StringVar(&f.unitsFrom, "units-from", "", "texts whose words and bytes are counted instead (lm-eval's wikitext)")
	fl.StringVar(&f.o.Cover, "cover", "document", "bytes that bits per byte divide by: document or scored")
	fl.StringVar(&f.o.By, "by", "", "also by group or by ctx")
	fl.StringVar(&f.o.CI, "ci", "jackknife", "jackknife, percentile, bca or none")
	fl.Float64Var(&f.o.Level, "level", 0.95, "level of intervals")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of the bootstrap and the sign flips")
	fl.StringVar(&f.vs, "vs", "", "checkpoint or trace to compare with on the same documents")
	fl.BoolVar(&f.all, "beside", false, "one text under every policy, side by side (needs a checkpoint)")
	fl.StringVar(&f.rows, "rows", "", "write one row per document to this .csv")
	fl.StringVar(&f.cache, "cache", "", "folder for traces of checkpoints scored here (default: the user's cache folder)")
	outputFlag(cmd, &f.out, "write the result as JSON to this file too")
	f.model.register(fl)
	cmd.MarkFlagsMutuallyExclusive("text", "ids")
	cmd.MarkFlagsMutuallyExclusive("beside", "vs")
	cmd.AddCommand(newPerplexityExplain(a), newPerplexityPolicies(a), newPerplexityWords(a))
	return cmd
}

func (f *perplexityFlags) run(ctx context.Context, path string) error {
	if f.all {
		return f.beside(ctx, path)
	}
	s, err := f.sample(ctx, path, f.score.policy)
	if err != nil {
		return err
	}
	f.o.Pseudo = s.Policy.Name == window.Masked
	f.o.Extra = append(f.o.Extra, s.warnings...)
	f.o.Inputs = append(f.o.Inputs, s.input("checkpoint", path))
	originals, err := f.originals()
	if err != nil {
		return err
	}
	if originals != nil {
		if err := perplexity.UnitsFrom(s.Units, originals); err != nil {
			return err
		}
	}
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return writeRows(w, perplexity.Rows(s.Units)) }); err != nil {
			return err
		}
	}
	var r probes.Result
	if f.vs == "" {
		r, err = perplexity.Run(s.Sample, f.o)
	} else {
		var b scoredSample
		if b, err = f.sample(ctx, f.vs, f.score.policy); err != nil {
			return err
		}
		f.o.Inputs = append(f.o.Inputs, b.input("against", f.vs))
		r, err = perplexity.Compare(s.Sample, b.Sample, f.o)
	}
	if err != nil {
		return err
	}
	return f.app.printResult(r, f.out)
}

// scoredSample is a sample with the warnings of the run that made its trace.
type scoredSample struct {
	perplexity.Sample
	warnings []probes.Warning
}

func (s scoredSample) input(role, path string) probes.Input {
	return probes.Input{Role: role, Path: path, Digest: "sha256:" + s.Run}
}

// sample opens a trace or scores a checkpoint under a policy.
func (f *perplexityFlags) sample(ctx context.Context, path string, p window.Policy) (scoredSample, error) {
	var in score.Input
	if !isTrace(path) {
		if f.score.text == "" && f.score.ids == "" {
			return scoredSample{}, fault.Usagef("perplexity: %s is a checkpoint: want --text or --ids", path)
		}
		var closer func()
		var err error
		if in, closer, err = f.score.inputFor(path, &f.model, &p.BOS); err != nil {
			return scoredSample{}, err
		}
		defer closer()
		if f.presetName != "" {
			in = detokenized{in}
		}
	}
	r, err := f.trace(ctx, path, in, f.score.text != "", score.Options{Policy: p})
	if err != nil {
		return scoredSample{}, err
	}
	defer r.Close()
	s, err := perplexity.FromTrace(r, f.reading(r))
	out := scoredSample{Sample: s}
	for _, w := range r.Header().Made.Warnings {
		out.warnings = append(out.warnings, probes.Warning{Code: w.Code, Text: w.Text})
	}
	return out, err
}

// reading says what of a trace the flags need: its token rows for contexts, covered
// bytes and a lone document's windows; whole documents where rows, groups or a second
// trace are asked for; else a few bytes of each document.
func (f *perplexityFlags) reading(r *trace.Reader) perplexity.Read {
	rows := f.o.By == "ctx" || f.o.Cover == "scored" || r.Header().Counts.Status[trace.StatusOK] == 1
	jack := f.o.CI == "" || f.o.CI == perplexity.Jackknife || f.o.CI == perplexity.None
	return perplexity.Read{
		Rows: rows && r.Need("logprob") == nil,
		Lean: !f.all && f.rows == "" && f.vs == "" && f.unitsFrom == "" && f.presetName == "" && f.o.By == "" && jack,
	}
}

// beside scores one text under every policy that the checkpoint can follow.
func (f *perplexityFlags) beside(ctx context.Context, path string) error {
	if isTrace(path) {
		return fault.Usagef("perplexity --beside: %s is a trace of one policy: want a checkpoint and --text", path)
	}
	var samples []perplexity.Sample
	for _, name := range policyNames() {
		if name == window.Masked {
			continue // of other checkpoints than all the others
		}
		p := window.Policy{Name: name, Window: f.score.policy.Window, BOS: f.score.policy.BOS}
		if name == "llamacpp-stride" || name == "oren" {
			p.Stride = max(1, p.Window/2)
		}
		s, err := f.sample(ctx, path, p)
		if fa := fault.As(err); fa != nil && fa.Code == "encoder" { // which has one policy
			return err
		}
		if err != nil {
			f.app.note("note: policy %s left out: %v", name, err)
			continue
		}
		samples = append(samples, s.Sample)
	}
	if len(samples) == 0 {
		return fault.Inputf("too-short", "perplexity: no policy can score this text")
	}
	lines, err := perplexity.Beside(samples)
	if err != nil {
		return err
	}
	return f.app.print(besideJSON(lines), func(w io.Writer) error {
		rows := [][]string{{"policy", "window", "scored", "nll nats/token", "ppl_token", "bits/byte", "minus first", "as"}}
		for _, l := range lines {
			rows = append(rows, []string{l.Policy.Name, fmt.Sprint(l.Policy.Window), fmt.Sprintf("%.0f (%.0f %%)", l.Scored, 100*l.Share),
				show.Number(l.NLLToken), show.Number(l.PPLToken), show.Number(l.BPB), show.Number(l.Minus), l.Tool})
		}
		if err := show.Table(w, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "  tokenizer %s\n", lines[0].Tokenizer)
		return err
	})
}

// besideJSON is the table with undefined numbers as null.
func besideJSON(lines []perplexity.Line) any {
	type line struct {
		Policy    window.Policy `json:"policy"`
		Tool      string        `json:"reproduces"`
		Scored    float64       `json:"tokens_scored"`
		NLLToken  *float64      `json:"nll_token"`
		PPLToken  *float64      `json:"ppl_token"`
		BPB       *float64      `json:"bpb"`
		Tokenizer string        `json:"tokenizer"`
	}
	var out []line
	for _, l := range lines {
		out = append(out, line{l.Policy, l.Tool, l.Scored, finite(l.NLLToken), finite(l.PPLToken), finite(l.BPB), l.Tokenizer})
	}
	return out
}

func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func writeRows(w io.Writer, rows []perplexity.Row) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"doc_id", "group", "status", "tokens_scored", "bytes", "nll_token [nats]", "ppl_token", "bpb [bits/byte]", "greedy [share]"}); err != nil {
		return err
	}
	num := func(x *float64) string {
		if x == nil {
			return ""
		}
		return fmt.Sprint(*x)
	}
	for _, r := range rows {
		if err := c.Write([]string{r.ID, r.Group, r.Status, num(&r.Tokens), num(r.Bytes), num(r.NLLToken), num(r.PPLToken), num(r.BPB), num(r.Greedy)}); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
