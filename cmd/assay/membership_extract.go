package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"iter"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/membership"

	"github.com/spf13/cobra"
)

// extraction is one window of a document in the output of membership extract.
type extraction struct {
	ID      string   `json:"id"`
	From    int      `json:"from_token"`
	Status  string   `json:"status"` // ok, or why there is no number
	Tokens  int      `json:"suffix_tokens"`
	Greedy  bool     `json:"greedy"`
	LogP    *float64 `json:"ln_p"`          // null: outside what the sampler keeps
	Queries *float64 `json:"log10_queries"` // samples for one hit with probability --chance
	RefBits *float64 `json:"reference_bits"`
	Low     bool     `json:"low_entropy"`
}

// extractFlags are the flags of membership extract.
type extractFlags struct {
	comparison
	w                membership.Window
	s                membership.Sampler
	chance           float64
	suspect, control string
}

func newMembershipExtract(a *app) *cobra.Command {
	f := extractFlags{comparison: comparison{membershipFlags: membershipFlags{scorer: scorer{app: a}}}}
	cmd := &cobra.Command{
		Use:   "extract CKPT|TRACE",
		Short: "How likely a model continues each document's beginning verbatim",
		Long: `extract takes the first --prefix and the next --suffix tokens of every document and
prints whether greedy decoding gives the whole suffix, ln p of the suffix under the
sampler (temperature, then top-k, then top-p, renormalised), and how many samples bring
it back with probability --chance. --step slides the window over the whole document: a
map of a book. A trace needs --topk columns for any sampler but the plain one.

Models also complete text that they never saw: a suffix with fewer than 20 bits under a
reference (--ref), or that compresses below .35 (--text), is marked low-entropy. With
--suspect and --control (files with one document id a line) the share that comes back
and ln p are compared, behind the gate; otherwise the result describes (tier C).`,
		Example: `  assay membership extract book.parquet --prefix 50 --suffix 50 --rows extract.csv
  assay membership extract ./model --text book.jsonl --split blank --top-k 40 --temperature 0.8
  assay membership extract ./model --text all.jsonl --suspect mine.txt --control fresh.txt --ref ./base`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.membershipFlags.register(cmd)
	for _, name := range []string{"scores", "lower", "shots", "member-shots", "self", "neighbours", "swaps", "freq", "group"} {
		_ = cmd.Flags().MarkHidden(name)
	}
	fl := cmd.Flags()
	fl.IntVar(&f.w.Prefix, "prefix", 50, "tokens that the model is given")
	fl.IntVar(&f.w.Suffix, "suffix", 50, "tokens that it should bring back")
	fl.IntVar(&f.w.Step, "step", 0, "slide the window over the document by so many tokens (0 = its beginning only)")
	fl.Float64Var(&f.s.Temperature, "temperature", 1, "temperature of the sampler")
	fl.IntVar(&f.s.TopK, "top-k", 0, "most likely tokens that the sampler keeps (0 = all)")
	fl.Float64Var(&f.s.TopP, "top-p", 0, "probability that the sampler keeps (0 = all)")
	fl.Float64Var(&f.chance, "chance", 0.5, "wanted probability of one hit")
	fl.StringVar(&f.suspect, "suspect", "", "document ids of the suspected texts, one a line")
	fl.StringVar(&f.control, "control", "", "document ids of the controls, one a line")
	fl.StringVar(&f.assignment, "assignment", "", "file that proves the labels were drawn at random (tier A)")
	fl.BoolVar(&f.noGate, "no-gate", false, "do not ask whether the two sets differ without the model (tier C)")
	fl.IntVar(&f.gatePerm, "gate-perm", 99, "label permutations of the gate")
	fl.Float64Var(&f.o.Alpha, "alpha", 0.05, "level of the verdict")
	fl.IntVar(&f.o.B, "perm", 9999, "permutations and bootstrap replicates")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of permutations, bootstrap and folds")
	fl.StringVar(&f.rows, "rows", "", "write one row per window to this .csv")
	outputFlag(cmd, &f.out, "write the result of the comparison as JSON to this file too")
	cmd.MarkFlagsRequiredTogether("suspect", "control")
	return cmd
}

func (f *extractFlags) run(ctx context.Context, path string) error {
	if err := f.w.Validate(); err != nil {
		return err
	}
	if !(f.chance > 0 && f.chance < 1) {
		return fault.Usagef("membership extract: --chance: found %v, want a number in (0, 1)", f.chance)
	}
	if err := f.o.Validate(); err != nil {
		return err
	}
	if len(f.refs) > 1 {
		return fault.Usagef("membership extract: --ref: found %d references, want one", len(f.refs))
	}
	in, closer, err := f.documents(path)
	if err != nil {
		return err
	}
	defer closer()
	o := score.Options{Policy: f.score.policy}
	o.Score.TopK = f.s.TopK
	r, err := f.trace(ctx, path, in, f.score.text != "", o)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Need("id", "argmax_id", "logprob"); err != nil {
		return err
	}
	inputs := []probes.Input{{Role: "suspect", Path: path, Digest: "sha256:" + r.Header().Run}}
	var ref *trace.Reader
	if len(f.refs) == 1 {
		if ref, err = f.trace(ctx, f.refs[0], in, f.score.text != "", score.Options{Policy: f.score.policy}); err != nil {
			return fmt.Errorf("reference: %w", err)
		}
		defer ref.Close()
		if a, b := ref.Header().Of.Tokenizer.Digest, r.Header().Of.Tokenizer.Digest; a != b {
			return fault.Inputf("tokenizer", "membership extract: reference: found tokenizer %.20s, want the suspect's %.20s", a, b)
		}
		inputs = append(inputs, probes.Input{Role: "reference", Path: f.refs[0], Digest: "sha256:" + ref.Header().Run})
	}
	var words map[string]string
	if f.score.text != "" {
		if words, err = f.texts(); err != nil {
			return err
		}
	}
	rows, docs, err := f.windows(r, ref, words)
	if err != nil {
		return err
	}
	if err := f.writeWindows(rows); err != nil {
		return err
	}
	if f.suspect != "" {
		return f.against(rows, docs, words, r, inputs)
	}
	return f.describe(rows)
}

// windows reads both traces side by side.
func (f *extractFlags) windows(r, ref *trace.Reader, words map[string]string) (rows []membership.Extracted, docs []trace.Doc, err error) {
	next := func() (trace.DocTokens, error, bool) { return trace.DocTokens{}, nil, false }
	if ref != nil {
		var stop func()
		next, stop = iter.Pull2(ref.All())
		defer stop()
	}
	for d, err := range r.All() {
		if err != nil {
			return nil, nil, err
		}
		var other *trace.DocTokens
		if ref != nil {
			o, err, ok := next()
			if err != nil {
				return nil, nil, err
			}
			if !ok {
				return nil, nil, fault.Inputf("texts", "membership extract: reference: found no document %q, want the same documents", d.Doc.ID)
			}
			other = &o
		}
		x, err := membership.ExtractAll(d, other, words[d.Doc.ID], f.w, f.s)
		if err != nil {
			return nil, nil, err
		}
		rows, docs = append(rows, x...), append(docs, d.Doc)
	}
	return rows, docs, nil
}

func (f *extractFlags) line(x membership.Extracted) extraction {
	return extraction{ID: x.ID, From: x.From, Status: x.Status, Tokens: x.Tokens, Greedy: x.Greedy, LogP: finite(x.LogProb),
		Queries: finite(membership.Log10Queries(x.LogProb, f.chance)), RefBits: finite(x.RefBits), Low: x.Low}
}

func (f *extractFlags) table(rows []membership.Extracted) [][]string {
	table := [][]string{{"doc_id", "from_token", "status", "suffix_tokens", "greedy", "ln_p [nats]", "log10_queries", "reference [bits]", "low_entropy"}}
	num := func(x *float64) string {
		if x == nil {
			return ""
		}
		return show.Number(*x)
	}
	for _, r := range rows {
		x := f.line(r)
		table = append(table, []string{x.ID, fmt.Sprint(x.From), x.Status, fmt.Sprint(x.Tokens), fmt.Sprint(x.Greedy), num(x.LogP), num(x.Queries), num(x.RefBits), fmt.Sprint(x.Low)})
	}
	return table
}

func (f *extractFlags) writeWindows(rows []membership.Extracted) error {
	if f.rows == "" {
		return nil
	}
	return writeFile(f.rows, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(f.table(rows)) })
}

// against compares suspects with controls.
func (f *extractFlags) against(rows []membership.Extracted, docs []trace.Doc, words map[string]string, r *trace.Reader, inputs []probes.Input) error {
	d := membershipData{text: words}
	sha, group := make(map[string][32]byte), make(map[string]string)
	for _, x := range docs {
		d.Rows = append(d.Rows, membership.Row{ID: x.ID, Group: x.Group, SHA256: x.SHA256, Status: x.Status})
		sha[x.ID], group[x.ID] = x.SHA256, x.Group
	}
	if words == nil && !f.noGate {
		var err error
		if d.ids, err = membership.TokenIDs(r); err != nil {
			return err
		}
	}
	s, c, err := f.sides(d, "--suspect", f.suspect, "--control", f.control)
	if err != nil {
		return err
	}
	if err := f.ground(d); err != nil {
		return err
	}
	res, err := membership.CompareExtracted(rows, s, c, sha, group, f.o.Ground, f.o.Options, inputs)
	if err != nil {
		return err
	}
	res.Settings["prefix"], res.Settings["suffix"], res.Settings["step"] = f.w.Prefix, f.w.Suffix, f.w.Step
	res.Settings["sampler"] = fmt.Sprintf("temperature %g, then top-k %d, then top-p %g (0 = all)", f.s.Temperature, f.s.TopK, f.s.TopP)
	return f.app.printResult(res, f.out)
}

func (f *extractFlags) describe(rows []membership.Extracted) error {
	doc := struct {
		Sampler membership.Sampler `json:"sampler"`
		Rows    []extraction       `json:"rows"`
		Windows int                `json:"windows"`
		Greedy  int                `json:"greedy"`
		Short   int                `json:"too_short"`
		Low     int                `json:"low_entropy"`
	}{Sampler: f.s, Rows: []extraction{}}
	for _, x := range rows {
		doc.Rows = append(doc.Rows, f.line(x))
		if x.Tokens == 0 { // too short, or not scored at all
			doc.Short++
			continue
		}
		doc.Windows++
		doc.Greedy += one(x.Greedy)
		doc.Low += one(x.Low)
	}
	return f.app.print(doc, func(w io.Writer) error {
		if err := show.Table(w, f.table(rows)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "  %d of %d windows come back whole under greedy decoding (%d of all are low-entropy); %s shorter than prefix and suffix\n  [tier C: descriptive, no valid p-value]\n",
			doc.Greedy, doc.Windows, doc.Low, plural(doc.Short, "document"))
		return err
	})
}
