package main

import (
	"fmt"
	"io"

	"assay/cmd/assay/internal/show"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/perplexity"

	"github.com/spf13/cobra"
)

func newPerplexityPolicies(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "policies",
		Short:   "List the window policies and the published figures that each reproduces",
		Example: "  assay perplexity policies",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			doc := struct {
				Policies []window.Info       `json:"policies"`
				Tools    []perplexity.Tool   `json:"tools"`
				Anchors  []perplexity.Anchor `json:"published"`
			}{window.Policies(), perplexity.Tools(), perplexity.Anchors()}
			return a.print(doc, func(w io.Writer) error {
				rows := [][]string{{"policy", "reproduces", "never scored", "defaults"}}
				for _, p := range doc.Policies {
					rows = append(rows, []string{p.Name, p.Reproduces, p.Never, p.Defaults})
				}
				rows = append(rows, []string{""}, []string{"their figure", "policy", "our figure", "note"})
				for _, t := range doc.Tools {
					rows = append(rows, []string{t.Theirs, t.Policy, t.Figure, t.Note})
				}
				return show.Table(w, rows)
			})
		},
	}
}

func newPerplexityExplain(a *app) *cobra.Command {
	var top int
	cmd := &cobra.Command{
		Use:   "explain TRACE TRACE",
		Short: "Split the difference of two perplexities of one text into its causes",
		Long: `explain joins two traces of one text on the bytes and splits the difference of
their costs into unit (denominators), coverage (scored by one only), context (other
windows), tokenizer and model. The parts add up.`,
		Example: "  assay perplexity explain a.parquet b.parquet --top 20",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var rs [2]*trace.Reader
			for i, p := range args {
				r, err := trace.Open(p)
				if err != nil {
					return err
				}
				defer r.Close()
				rs[i] = r
			}
			res, stretches, err := perplexity.ExplainAll(rs[0], rs[1], top)
			if err != nil {
				return err
			}
			doc := struct {
				Result    probes.Result        `json:"result"`
				Stretches []perplexity.Stretch `json:"stretches"`
			}{res, stretches}
			return a.print(doc, func(w io.Writer) error {
				if err := show.Result(w, &res); err != nil {
					return err
				}
				rows := [][]string{{"document", "bytes", "nats a", "nats b", "ctx a", "ctx b", "difference", "why"}}
				for _, s := range stretches {
					rows = append(rows, []string{s.DocID, fmt.Sprintf("%d-%d", s.Begin, s.End), show.Number(s.NatsA), show.Number(s.NatsB),
						fmt.Sprint(s.CtxA), fmt.Sprint(s.CtxB), show.Number(s.Difference), s.Why})
				}
				return show.Table(w, rows)
			})
		},
	}
	cmd.Flags().IntVar(&top, "top", 50, "stretches to list, largest difference first")
	return cmd
}
