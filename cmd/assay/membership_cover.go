package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/probes"
	"assay/probes/membership"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

func newMembershipCover(a *app) *cobra.Command {
	f := comparison{membershipFlags: membershipFlags{scorer: scorer{app: a}}}
	var gens, prompts string
	var c coverSampling
	cmd := &cobra.Command{
		Use:   "cover [CKPT] --text FILE [--gens GENS.jsonl]",
		Short: "Do sampled continuations copy the true rest of the texts? (n-gram coverage)",
		Long: `cover cuts every text after half of its words, and measures how much of the true rest
stands in generated continuations: runs of 2 to 12 common words (index), their balanced
form, the longest run. A checkpoint is asked for --samples continuations of each text, as
many tokens as the true rest has. For another machine --prompts writes the prompts; its
continuations ("assay generate", or a .jsonl with id, text where several lines of one id
are samples) come back by --gens. With labels the scores are evaluated like those of
"membership eval", behind the same gate.`,
		Example: `  assay membership cover ./suspect --text book.jsonl --samples 20
  assay membership cover --text book.jsonl --prompts prompts.jsonl
  assay membership cover --text book.jsonl --gens gens.jsonl --rows cover.csv
  assay membership cover --text labelled.jsonl --gens gens.jsonl --primary cover --plot roc.svg`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if one(gens != "")+one(prompts != "")+len(args) != 1 {
				return fault.Usagef("membership cover: want a checkpoint, --gens FILE or --prompts FILE")
			}
			if c.samples < 1 || c.maxTokens < 1 {
				return fault.Usagef("membership cover: found %d samples of %d tokens, want at least 1 of each", c.samples, c.maxTokens)
			}
			if prompts != "" {
				return f.coverPrompts(prompts)
			}
			return f.cover(cmd.Context(), append(args, "")[0], gens, c)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.score.text, "text", "", "the texts (.txt, .jsonl with id, text, label, group)")
	fl.StringVar(&f.score.split, "split", "", "how a .txt file is cut into documents: file (default), line or blank")
	fl.StringVar(&gens, "gens", "", "generated continuations (.jsonl with id, text)")
	fl.StringVar(&prompts, "prompts", "", "write the prompts to this .jsonl (id, prompt) and stop")
	fl.StringVar(&f.labels, "labels", "", "labels by document id (.csv with the header id,label[,group])")
	fl.StringVar(&f.o.Primary, "primary", "", "the score named beforehand (default: all, adjusted by Holm)")
	fl.IntVar(&c.samples, "samples", 20, "continuations of each text")
	fl.Float64Var(&c.temperature, "temperature", 1, "temperature of the sampler; 0 takes the most likely token")
	fl.Float64Var(&c.topP, "top-p", 0.95, "probability that the sampler keeps (0 = all)")
	fl.IntVar(&c.maxTokens, "max-tokens", 512, "tokens of a continuation at most")
	f.registerComparison(cmd)
	f.model.register(fl)
	_ = cmd.MarkFlagRequired("text")
	return cmd
}

func (f *comparison) coverTexts() (out []membership.CoverText, err error) {
	for d, err := range text.Read(f.score.text, text.Options{Split: f.score.split}) {
		if err != nil {
			return nil, err
		}
		out = append(out, membership.CoverText{ID: d.ID, Group: d.Group, Text: d.Text, Label: d.Label})
	}
	return out, nil
}

func (f *comparison) coverPrompts(path string) error {
	texts, err := f.coverTexts()
	if err != nil {
		return err
	}
	if err := writeFile(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, t := range texts {
			prompt, _ := membership.Halve(t.Text)
			if err := e.Encode(map[string]string{"id": t.ID, "prompt": prompt}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return f.app.print(map[string]any{"path": path, "prompts": len(texts)}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s\n", path, plural(len(texts), "prompt"))
		return err
	})
}

func (f *comparison) cover(ctx context.Context, ckpt, gens string, c coverSampling) error {
	format, err := plotFormat(f.plot)
	if err != nil {
		return err
	}
	if err := f.o.Validate(); err != nil {
		return err
	}
	texts, err := f.coverTexts()
	if err != nil {
		return err
	}
	var generated map[string][]string
	from := probes.Input{Role: "generations", Path: gens}
	if ckpt != "" {
		from = probes.Input{Role: "suspect", Path: ckpt}
		generated, from.Digest, err = f.continuations(ctx, ckpt, texts, c)
	} else {
		generated, from.Digest, err = readGenerations(gens)
	}
	if err != nil {
		return err
	}
	t, err := membership.Cover(texts, generated)
	if err != nil {
		return err
	}
	labelled := f.labels != ""
	d := membershipData{Table: t, text: map[string]string{}}
	for _, x := range texts {
		labelled = labelled || x.Label != nil
		d.text[x.ID] = x.Text
	}
	if !labelled {
		return f.coverRows(t)
	}
	f.o.Inputs = []probes.Input{from}
	return f.evaluate(d, format)
}

func readGenerations(path string) (map[string][]string, string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", fault.Inputf("no-file", "--gens: %w", err)
	}
	defer file.Close()
	out, err := membership.ReadGenerations(file)
	if err != nil {
		return nil, "", err
	}
	digest, err := fileDigest(path)
	return out, digest, err
}

// coverRows prints the scores alone: a description.
func (f *comparison) coverRows(t membership.Table) error {
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return writeScores(w, t) }); err != nil {
			return err
		}
	}
	doc := struct {
		Names    []string         `json:"names"`
		Rows     []scoreRow       `json:"rows"`
		Warnings []probes.Warning `json:"warnings"`
	}{t.Names, []scoreRow{}, append([]probes.Warning{}, t.Warnings...)}
	table := [][]string{append([]string{"document", "words of the rest"}, t.Names...)}
	for _, r := range t.Rows {
		row := scoreRow{ID: r.ID, Group: r.Group, Label: r.Label, Status: r.Status, Tokens: r.Tokens, Scores: map[string]*float64{}, Raw: map[string]*float64{}, Why: map[string]string{}}
		line := []string{r.ID, fmt.Sprint(r.Tokens)}
		for i, n := range t.Names {
			row.Scores[n], row.Raw[n] = finite(r.Score[i]), finite(r.Raw[i])
			cell := show.Number(r.Score[i])
			if r.Why[i] != "" {
				row.Why[n], cell = r.Why[i], "undefined: "+r.Why[i]
			}
			line = append(line, cell)
		}
		doc.Rows, table = append(doc.Rows, row), append(table, line)
	}
	return f.app.print(doc, func(w io.Writer) error {
		if err := show.Table(w, table); err != nil {
			return err
		}
		for _, x := range t.Warnings {
			if err := show.Wrap(w, fmt.Sprintf("warning %s: %s", x.Code, x.Text), "  ", 100); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(w, "  [tier C: descriptive, no valid p-value; label texts of the same kind to compare]")
		return err
	})
}
