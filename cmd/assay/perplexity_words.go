package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"unicode"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/probes/perplexity"
	"assay/tokenize"

	"github.com/spf13/cobra"
)

// wordLine is one word in the output of perplexity words.
type wordLine struct {
	ID        string    `json:"doc_id"`
	Word      string    `json:"word"`
	Begin     int64     `json:"byte_off"`
	Len       int64     `json:"byte_len"`
	Tokens    int       `json:"tokens"`
	Bits      float64   `json:"bits"`
	Whole     bool      `json:"whole"` // false: a lower bound, some token was not scored
	Straddle  bool      `json:"straddle"`
	Corrected []float64 `json:"bits_corrected"` // lowest and highest; null = not made
}

func newPerplexityWords(a *app) *cobra.Command {
	f := perplexityFlags{scorer: scorer{app: a}}
	var topK int
	cmd := &cobra.Command{
		Use:   "words CKPT|TRACE --text FILE",
		Short: "Surprisal of every word, with the beginning-of-word correction",
		Long: `words sums token costs to white-space separated words, in bits. Tokens that carry the
space before a word say of a word that it ended only with the next token; the
correction of Pimentel and Meister (2024) moves that probability back. It needs the mass
of all tokens that begin a word: the --topk largest entries are known, the rest makes the
answer an interval. A trace needs --topk columns, and --tokenizer names the tokenizer.`,
		Example: `  assay perplexity words ./pythia-70m --text story.txt --rows words.csv
  assay perplexity words story.parquet --text story.txt --tokenizer ./pythia-70m/tokenizer.json --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.words(cmd.Context(), args[0], topK) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.score.text, "text", "", "documents as text")
	fl.StringVar(&f.score.split, "split", "", "how a .txt file is cut into documents: file (default), line or blank")
	f.score.registerPolicy(cmd)
	fl.IntVar(&topK, "topk", 100, "entries of every prediction that the correction adds up (0 = no correction)")
	fl.StringVar(&f.rows, "rows", "", "write one row per word to this .csv")
	fl.StringVar(&f.cache, "cache", "", "folder for traces of checkpoints scored here (default: the user's cache folder)")
	f.model.register(fl)
	_ = cmd.MarkFlagRequired("text")
	return cmd
}

func (f *perplexityFlags) words(ctx context.Context, path string, topK int) error {
	if topK < 0 {
		return fault.Usagef("--topk: found %d, want 0 or more", topK)
	}
	in, closer, err := f.score.input()
	if err != nil {
		return err
	}
	defer closer()
	texts := make(map[string]string)
	for d, err := range in.Docs() {
		if err != nil {
			return err
		}
		texts[d.ID] = d.Text
	}
	o := score.Options{Policy: f.score.policy}
	o.Score.TopK = topK
	r, err := f.trace(ctx, path, in, true, o)
	if err != nil {
		return err
	}
	defer r.Close()
	var initial func(int32) bool
	if topK > 0 && r.Need("top_id") == nil {
		if initial, err = f.initial(path, r.Header()); err != nil {
			return err
		}
	}
	doc := struct {
		Policy    string     `json:"policy"`
		Tokenizer string     `json:"tokenizer"`
		Corrected bool       `json:"corrected"`
		Rows      []wordLine `json:"rows"`
	}{r.Header().Of.Policy.Name, r.Header().Of.Tokenizer.Digest, initial != nil, []wordLine{}}
	for d, err := range r.All() {
		if err != nil {
			return err
		}
		t, ok := texts[d.Doc.ID]
		if !ok {
			return fault.Inputf("texts", "perplexity words: document %q: found no text of it in %s", d.Doc.ID, f.score.text)
		}
		if d.Doc.Status != trace.StatusOK {
			f.app.note("note: document %q has no words: %s", d.Doc.ID, d.Doc.Status)
			continue
		}
		ws, err := perplexity.Words(d, []byte(t))
		if err != nil {
			return err
		}
		if initial != nil {
			if err := perplexity.Correct(d, ws, initial); err != nil {
				return err
			}
		}
		for _, w := range ws {
			l := wordLine{d.Doc.ID, w.Text, w.Begin, w.End - w.Begin, w.Tokens, w.Bits, w.Whole, w.Straddle, nil}
			if w.Corrected != nil && finite(w.Corrected[0]) != nil && finite(w.Corrected[1]) != nil {
				l.Corrected = w.Corrected[:]
			}
			doc.Rows = append(doc.Rows, l)
		}
	}
	table := wordTable(doc.Rows)
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(table) }); err != nil {
			return err
		}
	}
	return f.app.print(doc, func(w io.Writer) error {
		if err := show.Table(w, table); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "  policy %s, tokenizer %s\n", doc.Policy, doc.Tokenizer)
		return err
	})
}

func wordTable(rows []wordLine) [][]string {
	table := [][]string{{"doc_id", "byte_off", "word", "tokens", "bits", "corrected_low [bits]", "corrected_high [bits]", "note"}}
	for _, l := range rows {
		lo, hi, note := "", "", ""
		if l.Corrected != nil {
			lo, hi = show.Number(l.Corrected[0]), show.Number(l.Corrected[1])
		}
		switch {
		case !l.Whole:
			note = "lower bound: a token was not scored"
		case l.Straddle:
			note = "a token reaches over its beginning"
		}
		table = append(table, []string{l.ID, fmt.Sprint(l.Begin), show.Text(l.Word), fmt.Sprint(l.Tokens), show.Number(l.Bits), lo, hi, note})
	}
	return table
}

// initial tells the tokens that begin a word: white space in front, or a special token
// (the end of a text). A token is read behind another one, because some decoders
// drop the space in front of the first.
func (f *perplexityFlags) initial(path string, h trace.Header) (func(int32) bool, error) {
	name := f.model.tokenizer
	if name == "" {
		if isTrace(path) {
			return nil, fault.Usagef("perplexity words: --tokenizer: want the tokenizer of the trace, or --topk 0")
		}
		name = path
	}
	tok, err := tokenize.Open(name, tokenize.Options{Specials: f.model.specials})
	if err != nil {
		return nil, err
	}
	defer tok.Close()
	if got := tok.Digest(); h.Of.Tokenizer.Digest != got {
		return nil, fault.Inputf("tokenizer", "perplexity words: found tokenizer %.20s, want the trace's %.20s", got, h.Of.Tokenizer.Digest)
	}
	ids, _, err := tok.Encode("a")
	if err != nil || len(ids) == 0 {
		return nil, fault.Inputf("tokenizer", "perplexity words: the tokenizer gives the letter a no id: %v", err)
	}
	base, err := tok.Decode(ids)
	if err != nil {
		return nil, err
	}
	begins := make([]bool, h.Of.Checkpoint.Vocab)
	for v := range begins {
		if v >= tok.VocabSize() {
			break // padding rows of the head
		}
		s, err := tok.Decode(append(ids[:len(ids):len(ids)], int32(v)))
		if err != nil {
			return nil, err
		}
		rest := strings.TrimPrefix(s, base)
		begins[v] = tok.Special(int32(v)) || strings.IndexFunc(rest, unicode.IsSpace) == 0
	}
	return func(id int32) bool { return int(id) < len(begins) && begins[id] }, nil
}
