package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes/ghost"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// survivor is one planted copy in the output of ghost check; no secret text.
type survivor struct {
	Secret  int      `json:"secret"`
	DocID   string   `json:"doc_id"`
	ByteOff int      `json:"byte_off"`
	Line    bool     `json:"line_duplicate"`
	NGram   bool     `json:"ngram_duplicate"`
	Share   *float64 `json:"perplexity_rank"` // share of documents at or below; null = not measured
	Outlier bool     `json:"outlier"`
}

func newGhostCheck(a *app) *cobra.Command {
	f := ghostFlags{scorer: scorer{app: a}}
	var keep float64
	cmd := &cobra.Command{
		Use:   "check NAME PLANTED.jsonl [--ref CKPT|TRACE]",
		Short: "Forecast which planted copies usual cleaning of a corpus would remove",
		Long: `check reads every planted place back and says of each copy whether exact-line
deduplication, deduplication by runs of 13 words, or (with a reference) a perplexity
filter that keeps the share --keep would remove it. One line repeated many times is
what line deduplication removes: vary the wrappers. It also looks for controls in the
corpus. A place that does not hold its secret is an error.`,
		Example: `  assay ghost check mine planted.jsonl
  assay ghost check mine planted.jsonl --ref ./older-model --keep 0.9 --rows copies.csv`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.check(cmd.Context(), args[0], args[1], keep)
		},
	}
	f.register(cmd)
	cmd.Flags().Float64Var(&keep, "keep", 0.9, "share of documents that the perplexity filter keeps")
	return cmd
}

func (f *ghostFlags) check(ctx context.Context, name, corpus string, keep float64) error {
	s, _, err := f.app.loadGhost(name)
	if err != nil {
		return err
	}
	docs, _, err := ghostCorpus(corpus)
	if err != nil {
		return err
	}
	record, err := readPlants(name)
	if err != nil {
		return err
	}
	if err := ghost.CheckPlants(s, docs, record); err != nil {
		return err
	}
	var nats map[string]float64
	if f.ref != "" {
		if nats, err = f.natsPerByte(ctx, corpus); err != nil {
			return err
		}
	}
	all, err := ghost.Survive(docs, record, nats, keep)
	if err != nil {
		return err
	}
	doc := struct {
		Copies   int        `json:"copies"`
		Lines    int        `json:"line_duplicates"`
		NGrams   int        `json:"ngram_duplicates"`
		Outliers *int       `json:"outliers"` // null: no reference
		Leaked   int        `json:"controls_in_corpus"`
		Rows     []survivor `json:"rows"`
	}{Copies: len(all), Leaked: len(ghost.Leaks(s, docs, record)), Rows: []survivor{}}
	outliers := 0
	table := [][]string{{"secret", "doc_id", "byte_off", "line_duplicate", "ngram_duplicate", "perplexity_rank [share]", "outlier"}}
	for _, x := range all {
		r := survivor{Secret: x.Secret, DocID: x.DocID, ByteOff: x.ByteOff, Line: x.LineDuplicate, NGram: x.NGramDuplicate, Outlier: x.Outlier}
		share := ""
		if x.Perplexity > 0 {
			r.Share, share = &x.Perplexity, show.Number(x.Perplexity)
		}
		doc.Lines, doc.NGrams, outliers = doc.Lines+one(r.Line), doc.NGrams+one(r.NGram), outliers+one(r.Outlier)
		doc.Rows = append(doc.Rows, r)
		table = append(table, []string{strconv.Itoa(r.Secret), r.DocID, strconv.Itoa(r.ByteOff), fmt.Sprint(r.Line), fmt.Sprint(r.NGram), share, fmt.Sprint(r.Outlier)})
	}
	filtered := "not measured (no --ref)"
	if nats != nil {
		doc.Outliers, filtered = &outliers, strconv.Itoa(outliers)
	}
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(table) }); err != nil {
			return err
		}
	}
	if f.out != "" {
		if err := writeFile(f.out, func(w io.Writer) error { return show.JSON(w, doc) }); err != nil {
			return err
		}
	}
	return f.app.print(doc, func(w io.Writer) error {
		return show.Table(w, [][]string{
			{"planted copies", strconv.Itoa(doc.Copies)}, {"removed with equal lines", strconv.Itoa(doc.Lines)},
			{"touched by 13-word deduplication", strconv.Itoa(doc.NGrams)}, {"removed by the perplexity filter", filtered},
			{"controls found in the corpus", strconv.Itoa(doc.Leaked)},
		})
	})
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func readPlants(name string) ([]ghost.Planting, error) {
	p, err := os.Open(name + ".plants.jsonl")
	if err != nil {
		return nil, fault.Inputf("no-file", "ghost: record of planted copies: %w", err)
	}
	defer p.Close()
	return ghost.ReadPlants(p)
}

// natsPerByte scores the planted corpus under the reference; documents of any
// length, every token once.
func (f *ghostFlags) natsPerByte(ctx context.Context, corpus string) (map[string]float64, error) {
	in, err := text.Open(corpus, text.Options{})
	if err != nil {
		return nil, err
	}
	r, err := f.trace(ctx, f.ref, in, true, score.Options{Policy: window.Policy{Name: "lmeval-rolling", BOS: "auto"}, PerDocument: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := make(map[string]float64)
	for d, err := range r.Docs() {
		if err != nil {
			return nil, err
		}
		if d.Status == trace.StatusOK && d.Bytes > 0 {
			out[d.ID] = -d.SumLogprob / float64(d.Bytes)
		}
	}
	return out, nil
}

func newGhostPool(a *app) *cobra.Command {
	f := ghostFlags{scorer: scorer{app: a}}
	o := ghost.TrapOptions{}
	var in, bucket string
	cmd := &cobra.Command{
		Use:   "pool CKPT|TRACE --in TEXTS.jsonl -o POOL.jsonl",
		Short: "Filter sampled texts into a pool of traps, before anything is drawn",
		Long: `pool reads texts that were sampled from a reference model (at several temperatures),
scores them under it, and keeps those that come back to exactly --tokens tokens, whose
perplexity lies in --bucket, and that share no more than --overlap of their tokens with
a text before them. It must run before "ghost commit --kind trap --traps POOL":
filtering once it is known which text was planted breaks the test.`,
		Example: `  assay ghost pool ./reference --in sampled.jsonl --tokens 50 --bucket 10:20 -o pool.jsonl`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := parseRange("--bucket", bucket, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
			if err != nil {
				return err
			}
			o.Lo, o.Hi = b[0], b[1]
			return f.pool(cmd.Context(), args[0], in, o)
		},
	}
	f.register(cmd)
	_ = cmd.Flags().MarkHidden("ref")
	_ = cmd.Flags().MarkHidden("rows")
	fl := cmd.Flags()
	fl.StringVar(&in, "in", "", "sampled texts (.jsonl with id, text)")
	fl.IntVar(&o.Tokens, "tokens", 50, "length in tokens, usually 25, 50 or 100")
	fl.StringVar(&bucket, "bucket", "10:20", "perplexities kept, as LO:HI")
	fl.Float64Var(&o.Jaccard, "overlap", 0.6, "largest share of common tokens of two texts")
	_ = cmd.MarkFlagRequired("in")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func (f *ghostFlags) pool(ctx context.Context, path, in string, o ghost.TrapOptions) error {
	texts := make(map[string]string)
	for d, err := range text.Read(in, text.Options{}) {
		if err != nil {
			return err
		}
		texts[d.ID] = d.Text
	}
	src, err := text.Open(in, text.Options{})
	if err != nil {
		return err
	}
	r, err := f.trace(ctx, path, src, true, score.Options{Policy: window.Policy{Name: "full", BOS: "auto"}})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Need("id"); err != nil {
		return err
	}
	var sampled []ghost.TrapText
	unscored := 0
	for d, err := range r.Columns("id") {
		if err != nil {
			return err
		}
		t, ok := texts[d.Doc.ID]
		if !ok {
			return fault.Inputf("texts", "ghost pool: trace document %q: found no such text in %s", d.Doc.ID, in)
		}
		if d.Doc.Scored == 0 {
			unscored++
			continue
		}
		sampled = append(sampled, ghost.TrapText{Text: t, IDs: append([]int32(nil), d.Tokens.ID...), Perplexity: math.Exp(-d.Doc.SumLogprob / float64(d.Doc.Scored))})
	}
	pool, drops, err := ghost.TrapPool(sampled, o)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for i, t := range pool {
		if err := e.Encode(map[string]string{"id": fmt.Sprintf("t%d", i), "text": t}); err != nil {
			return err
		}
	}
	if len(pool) == 0 {
		return fault.Inputf("empty", "ghost pool: found no text of %d tokens with perplexity in [%g, %g) among %d (other length %d, other perplexity %d, not scored %d)",
			o.Tokens, o.Lo, o.Hi, len(texts), drops.Length, drops.Bucket, unscored)
	}
	if err := ghost.WriteNew(f.out, b.Bytes(), true); err != nil {
		return err
	}
	doc := struct {
		Pool     string          `json:"pool"`
		Kept     int             `json:"kept"`
		Read     int             `json:"read"`
		Drops    ghost.TrapDrops `json:"dropped"`
		Unscored int             `json:"not_scored"`
	}{f.out, len(pool), len(texts), drops, unscored}
	return f.app.print(doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: kept %d of %d texts (other length %d, other perplexity %d, too much overlap %d, not scored %d)\n",
			doc.Pool, doc.Kept, doc.Read, drops.Length, drops.Bucket, drops.Overlap, unscored)
		return err
	})
}
