package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/probes/membership"

	"github.com/spf13/cobra"
)

// extraction is one document of membership extract.
type extraction struct {
	ID      string   `json:"id"`
	Status  string   `json:"status"` // ok, or why there is no number
	Tokens  int      `json:"suffix_tokens"`
	Greedy  bool     `json:"greedy"`
	LogP    *float64 `json:"ln_p"`          // null: outside what the sampler keeps
	Queries *float64 `json:"log10_queries"` // samples for one hit with probability --chance
}

func newMembershipExtract(a *app) *cobra.Command {
	f := membershipFlags{scorer: scorer{app: a}}
	var s membership.Sampler
	var prefix, suffix int
	var chance float64
	cmd := &cobra.Command{
		Use:   "extract CKPT|TRACE",
		Short: "How likely a model continues each document's beginning verbatim",
		Long: `extract takes the first --prefix and the next --suffix tokens of every document and
prints whether greedy decoding gives the whole suffix, ln p of the suffix under the
sampler (temperature, then top-k, then top-p, renormalised), and how many samples bring
it back with probability --chance. Models also complete text that they never saw, so
this describes (tier C): compare with controls by membership claim. A trace needs
--topk columns for any sampler but the plain one.`,
		Example: `  assay membership extract book.parquet --prefix 50 --suffix 50 --rows extract.csv
  assay membership extract ./model --text book.jsonl --split blank --top-k 40 --temperature 0.8`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if prefix < 1 || suffix < 1 || !(chance > 0 && chance < 1) {
				return fault.Usagef("membership extract: found prefix %d, suffix %d, chance %v, want at least 1, at least 1, a number in (0, 1)", prefix, suffix, chance)
			}
			return f.extract(cmd.Context(), args[0], prefix, suffix, s, chance)
		},
	}
	f.register(cmd)
	for _, name := range []string{"scores", "ref", "lower", "shots", "member-shots", "self", "neighbours", "perturbed", "freq"} {
		_ = cmd.Flags().MarkHidden(name)
	}
	fl := cmd.Flags()
	fl.IntVar(&prefix, "prefix", 50, "tokens that the model is given")
	fl.IntVar(&suffix, "suffix", 50, "tokens that it should bring back")
	fl.Float64Var(&s.Temperature, "temperature", 1, "temperature of the sampler")
	fl.IntVar(&s.TopK, "top-k", 0, "most likely tokens that the sampler keeps (0 = all)")
	fl.Float64Var(&s.TopP, "top-p", 0, "probability that the sampler keeps (0 = all)")
	fl.Float64Var(&chance, "chance", 0.5, "wanted probability of one hit")
	fl.StringVar(&f.rows, "rows", "", "write one row per document to this .csv")
	return cmd
}

func (f *membershipFlags) extract(ctx context.Context, path string, prefix, suffix int, s membership.Sampler, chance float64) error {
	in, closer, err := f.documents(path)
	if err != nil {
		return err
	}
	defer closer()
	o := score.Options{Policy: f.score.policy}
	o.Score.TopK = s.TopK
	r, err := f.trace(ctx, path, in, f.score.text != "", o)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Need("id", "argmax_id", "logprob"); err != nil {
		return err
	}
	doc := struct {
		Rows   []extraction `json:"rows"`
		Greedy int          `json:"greedy"`
		Short  int          `json:"too_short"`
	}{Rows: []extraction{}}
	for d, err := range r.All() {
		if err != nil {
			return err
		}
		x := extraction{ID: d.Doc.ID, Status: "too-short"}
		if d.Tokens.Len() < prefix+suffix {
			doc.Short++
			doc.Rows = append(doc.Rows, x)
			continue
		}
		e, err := membership.Extract(firstTokens(d.Tokens, prefix+suffix), prefix, s)
		if err != nil {
			return fmt.Errorf("document %q: %w", d.Doc.ID, err)
		}
		x.Status, x.Tokens, x.Greedy = d.Doc.Status, e.Tokens, e.Greedy
		x.LogP, x.Queries = finite(e.LogProb), finite(membership.Log10Queries(e.LogProb, chance))
		if e.Greedy {
			doc.Greedy++
		}
		doc.Rows = append(doc.Rows, x)
	}
	table := [][]string{{"doc_id", "status", "suffix_tokens", "greedy", "ln_p [nats]", "log10_queries"}}
	for _, x := range doc.Rows {
		p, q := "", ""
		if x.LogP != nil {
			p = show.Number(*x.LogP)
		}
		if x.Queries != nil {
			q = show.Number(*x.Queries)
		}
		table = append(table, []string{x.ID, x.Status, fmt.Sprint(x.Tokens), fmt.Sprint(x.Greedy), p, q})
	}
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(table) }); err != nil {
			return err
		}
	}
	return f.app.print(doc, func(w io.Writer) error {
		if err := show.Table(w, table); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "  %d of %d documents come back whole under greedy decoding; %d are shorter than prefix and suffix\n  [tier C: descriptive, no valid p-value]\n",
			doc.Greedy, len(doc.Rows)-doc.Short, doc.Short)
		return err
	})
}

// firstTokens are the columns that an extraction reads, cut to n rows.
func firstTokens(t trace.Tokens, n int) trace.Tokens {
	c := trace.Tokens{Pos: t.Pos[:n], ID: t.ID[:n], ArgmaxID: t.ArgmaxID[:n], Scored: t.Scored[:n], Logprob: t.Logprob[:n]}
	if t.TopID != nil && t.TopLogprob != nil {
		c.TopID, c.TopLogprob = t.TopID[:n], t.TopLogprob[:n]
	}
	return c
}
