package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/cmd/assay/internal/transcript"
	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/palimpsest"
	"assay/tokenize"

	"github.com/spf13/cobra"
)

func newPalimpsestPartition(a *app) *cobra.Command {
	var t transcriptFlags
	var o palimpsest.PartitionOptions
	var text, patterns, tokenizer, out string
	var lines, literal bool
	cmd := &cobra.Command{
		Use:   "partition --transcript FILE --text FILE | --patterns F.tsv --text FILE",
		Short: "Test the suspect's text alone: from which positions of the run do its n-grams come?",
		Long: `partition needs no access to the suspect's weights: only text that it wrote,
several hundred thousand tokens sampled near temperature 1, without the prompts.
N-grams are those of the transcript's ids (--tokenizer) or of words when the
transcript holds text. With --patterns F.tsv (columns pattern, pos) the units are
patterns that were chosen blind to their positions.`,
		Example: `  assay palimpsest partition --transcript tr.parquet --text outputs.jsonl --tokenizer ./base/tokenizer.json
  assay palimpsest partition --patterns canaries.tsv --literal --text outputs.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := partition(cmd.Context(), &t, o, text, patterns, tokenizer, lines, literal)
			if err != nil {
				return err
			}
			return a.printResult(r, out)
		},
	}
	t.register(cmd)
	f := cmd.Flags()
	f.StringVar(&text, "text", "", "the suspect's texts: .jsonl with field text, or a document per line")
	f.BoolVar(&lines, "lines", false, "--text holds one document per line")
	f.StringVar(&tokenizer, "tokenizer", "", "tokenizer.json of the transcript's ids")
	f.StringVar(&patterns, "patterns", "", "tab-separated patterns with their positions")
	f.BoolVar(&literal, "literal", false, "patterns are plain strings, not regular expressions (RE2)")
	f.IntVar(&o.MinN, "min-n", 4, "shortest n-gram, in tokens")
	f.IntVar(&o.MaxN, "max-n", 8, "longest n-gram")
	f.IntVar(&o.MaxOcc, "max-occ", 100, "ignore n-grams in more units than this")
	f.IntVar(&o.Perm, "perm", 9999, "permutations")
	f.Float64Var(&o.Alpha, "alpha", 1e-3, "level of the verdict")
	f.IntVar(&o.Tried, "tried", 1, "options tried on this pair, this one included")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of row selection and permutations")
	outputFlag(cmd, &out, "write the result as JSON to this file too")
	_ = cmd.MarkFlagRequired("text")
	cmd.MarkFlagsOneRequired("transcript", "patterns")
	cmd.MarkFlagsMutuallyExclusive("transcript", "patterns")
	return cmd
}

func partition(ctx context.Context, t *transcriptFlags, o palimpsest.PartitionOptions, text, patterns, tokenizer string, lines, literal bool) (probes.Result, error) {
	f, err := os.Open(text)
	if err != nil {
		return probes.Result{}, fault.Inputf("no-file", "partition: %w", err)
	}
	defer f.Close()
	texts := palimpsest.ReadTexts(text, f, lines || !strings.HasSuffix(text, ".jsonl"))
	if patterns != "" {
		pf, err := os.Open(patterns)
		if err != nil {
			return probes.Result{}, fault.Inputf("no-file", "partition: %w", err)
		}
		defer pf.Close()
		ps, err := palimpsest.ReadPatterns(patterns, pf)
		if err != nil {
			return probes.Result{}, err
		}
		return palimpsest.Patterns(ctx, ps, literal, texts, o)
	}
	if t.src.Design.Window, err = t.fractions(); err != nil {
		return probes.Result{}, err
	}
	o.Join.Window, t.src.Design.Seed = t.src.Design.Window, o.Seed
	tr, err := transcript.Load(t.src)
	if err != nil {
		return probes.Result{}, err
	}
	if tokenizer != "" {
		tok, err := tokenize.Open(tokenizer, tokenize.Options{})
		if err != nil {
			return probes.Result{}, err
		}
		defer tok.Close()
		if err := fits(tr, tok, tokenizer); err != nil {
			return probes.Result{}, err
		}
		texts = encoded(texts, tok)
	}
	return palimpsest.Partition(ctx, tr, texts, o)
}

// fits refuses a transcript whose ids cannot come from the tokenizer.
func fits(tr *palimpsest.Transcript, tok *tokenize.Tokenizer, name string) error {
	row := 0
	for c, err := range tr.Contents() {
		if err != nil {
			return err
		}
		for _, id := range c.IDs {
			if int64(id) >= int64(tok.VocabSize()) {
				return fault.Inputf("mismatch", "partition: transcript: seq %d holds id %d, %s has ids below %d", tr.Seq[row], id, name, tok.VocabSize()).
					Hint("give the tokenizer that made the transcript")
			}
		}
		row++
	}
	return nil
}

// encoded gives each text its ids.
func encoded(texts iter.Seq2[palimpsest.Doc, error], tok *tokenize.Tokenizer) iter.Seq2[palimpsest.Doc, error] {
	return func(yield func(palimpsest.Doc, error) bool) {
		for d, err := range texts {
			if err == nil {
				var ids []int32
				ids, _, err = tok.Encode(d.Text)
				for _, id := range ids {
					d.IDs = append(d.IDs, uint32(id))
				}
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

func newPalimpsestShuffle(a *app) *cobra.Command {
	var o palimpsest.ShuffleOptions
	var truePath, out string
	var copies []string
	cmd := &cobra.Command{
		Use:   "shuffle --true TRACE --copy TRACE --copy TRACE ...",
		Short: "Test the suspect's text with retrained copies: is the true tail order special?",
		Long: `shuffle compares copies of the run's tail, retrained by the auditor: one in the
true order, the others on shuffled tails, all scored on the suspect's text. The
rank of the true one is exact, 1/(copies+1) at best: more copies buy evidence,
more text does not.`,
		Example: "  assay palimpsest shuffle --true t.parquet --copy c1.parquet --copy c2.parquet --copy c3.parquet",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var score []float64
			var text string
			for _, p := range append([]string{truePath}, copies...) {
				s, digest, err := meanSum(p)
				if err != nil {
					return err
				}
				if text != "" && digest != text {
					return fault.Inputf("mismatch", "shuffle: %s: text digest %s, want %s", p, digest, text).Hint("score every copy on the same texts")
				}
				text = digest
				score = append(score, s)
			}
			r, err := palimpsest.Shuffle(score[0], score[1:], o)
			if err != nil {
				return err
			}
			for i, p := range append([]string{truePath}, copies...) {
				role := "copy"
				if i == 0 {
					role = "true order"
				}
				r.Inputs = append(r.Inputs, probes.Input{Role: role, Path: p, Digest: text})
			}
			return a.printResult(r, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&truePath, "true", "", "trace of the suspect's text under the copy trained in the true order")
	f.StringArrayVar(&copies, "copy", nil, "trace under a copy trained on a shuffled tail (repeatable)")
	f.Float64Var(&o.Alpha, "alpha", 0.05, "level of the verdict")
	f.BoolVar(&o.OtherTail, "other-tail", false, "copies differ in more than the order of the tail (tier C)")
	outputFlag(cmd, &out, "write the result as JSON to this file too")
	_ = cmd.MarkFlagRequired("true")
	_ = cmd.MarkFlagRequired("copy")
	return cmd
}

// meanSum is the mean over documents of the summed log-probability of a trace.
func meanSum(path string) (mean float64, text string, err error) {
	r, err := trace.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer r.Close()
	n := 0
	for d, err := range r.Docs() {
		if err != nil {
			return 0, "", err
		}
		if d.Scored > 0 {
			mean += d.SumLogprob
			n++
		}
	}
	if n == 0 {
		return 0, "", fault.Inputf("too-few", "shuffle: %s: no scored document", path)
	}
	return mean / float64(n), r.Header().Of.Text, nil
}

func newPalimpsestPower(a *app) *cobra.Command {
	var rho, alpha, power, rate float64
	var tests, tokens int
	var preset, pilot string
	cmd := &cobra.Command{
		Use:   "power (--rho R | --preset NAME | --pilot RESULT.json)",
		Short: "How many sequences a query needs, and what they cost",
		Long: `power plans a query: the number of training sequences to score for a given rank
correlation, the log10 p to expect, and the tokens and time that costs. --pilot
takes the lower confidence limit of an earlier result; its rows must stay out of
the final test.

` + presetList(),
		Example: "  assay palimpsest power --rho 0.05 --power 0.9\n  assay palimpsest power --pilot pilot.json --rate 12000",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case preset != "":
				var err error
				if rho, err = presetRho(preset); err != nil {
					return err
				}
			case pilot != "":
				r, err := readResult(pilot)
				if err != nil {
					return err
				}
				if rho, err = palimpsest.PilotRho(r); err != nil {
					return err
				}
			}
			p, err := palimpsest.Power(rho, alpha, power, tests)
			if err != nil {
				return err
			}
			p = p.Cost(tokens, rate)
			return a.print(p, func(w io.Writer) error {
				return show.Table(w, [][]string{
					{"rho", show.Number(p.Rho)},
					{"sequences", fmt.Sprintf("%d for the rank correlation, %d for the exact tail (alpha %g over %s, power %g)", p.N, p.NExact, p.Alpha, plural(p.Tests, "test"), p.Power)},
					{"expect", fmt.Sprintf("log10 p %.2f, standard deviation %.2f", p.Log10P, p.Log10PSD)},
					{"cost", fmt.Sprintf("%d tokens a model, %s", p.Tokens, seconds(p.Seconds))},
				})
			})
		},
	}
	f := cmd.Flags()
	f.Float64Var(&rho, "rho", 0, "rank correlation to find")
	f.StringVar(&preset, "preset", "", "a correlation seen on a public pair, by name")
	f.StringVar(&pilot, "pilot", "", "result file of a pilot query")
	f.Float64Var(&alpha, "alpha", 1e-3, "one-sided level")
	f.Float64Var(&power, "power", 0.9, "probability of finding it")
	f.IntVar(&tests, "tests", 1, "verdicts that share alpha")
	f.IntVar(&tokens, "row-tokens", 64, "tokens scored of each sequence")
	f.Float64Var(&rate, "rate", 0, "tokens per second of the machine (assay bench)")
	cmd.MarkFlagsOneRequired("rho", "preset", "pilot")
	cmd.MarkFlagsMutuallyExclusive("rho", "preset", "pilot")
	return cmd
}

func seconds(s float64) string {
	if s == 0 {
		return "time unknown (give --rate)"
	}
	return fmt.Sprintf("%.0f s", s)
}

func presetList() string {
	var b strings.Builder
	b.WriteString("Presets (rank correlations on 10,000 rows of 64 tokens):\n")
	for _, p := range palimpsest.Presets() {
		fmt.Fprintf(&b, "  %-42q rho %g\n", p.Name, p.Rho)
	}
	return b.String()
}

func presetRho(name string) (float64, error) {
	var names []string
	for _, p := range palimpsest.Presets() {
		if p.Name == name {
			return p.Rho, nil
		}
		names = append(names, fmt.Sprintf("%q", p.Name))
	}
	return 0, fault.Usagef("--preset: found %q, want one of %s", name, joined(names))
}

// readResult reads the first result of a file that a command wrote.
func readResult(path string) (probes.Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return probes.Result{}, fault.Inputf("no-file", "%w", err)
	}
	var doc struct {
		Results []probes.Result `json:"results"`
	}
	if err := json.Unmarshal(b, &doc); err != nil || len(doc.Results) == 0 {
		return probes.Result{}, fault.Inputf("malformed", "%s: not a result file of assay", path)
	}
	return doc.Results[0], nil
}
