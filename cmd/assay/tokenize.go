package main

import (
	"fmt"
	"io"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/tokenize"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// tokenized is the result of `assay tokenize` for one document.
type tokenized struct {
	ID      string   `json:"id"`
	IDs     []int32  `json:"ids"`
	Tokens  []string `json:"tokens"`
	ByteOff []int64  `json:"byte_off"`
	ByteLen []int32  `json:"byte_len"`
	Dropped int      `json:"bytes_dropped"`
	Decoded string   `json:"decoded"`
	Exact   bool     `json:"round_trip"` // decoding gives the bytes back
}

func newTokenize(a *app) *cobra.Command {
	var m modelFlags
	var file, split string
	var template bool
	cmd := &cobra.Command{
		Use:   "tokenize CKPT [TEXT | --text FILE]",
		Short: "Show the token ids and byte offsets of a text under a checkpoint's tokenizer",
		Long: `tokenize prints the ids that a checkpoint's tokenizer gives a text, with the byte
tile of each token and whether decoding gives the bytes back. Special tokens'
strings in the text are plain text unless --specials parse. CKPT is a checkpoint
folder or a tokenizer.json.`,
		Example: `  assay tokenize ./pythia-70m "In the beginning"
  assay tokenize ./pythia-70m --text book.txt --split line --json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) == (file != "") {
				return fault.Usagef("tokenize: want a TEXT argument or --text FILE")
			}
			path := args[0]
			if m.tokenizer != "" {
				path = m.tokenizer
			}
			t, err := tokenize.Open(path, tokenize.Options{Specials: m.specials})
			if err != nil {
				return err
			}
			defer t.Close()
			var out []tokenized
			add := func(id, s string) error {
				d, err := tokenizeOne(t, id, s, template)
				out = append(out, d)
				return err
			}
			if file == "" {
				err = add("text", args[1])
			} else {
				for d, e := range text.Read(file, text.Options{Split: split}) {
					if err = e; err == nil {
						err = add(d.ID, d.Text)
					}
					if err != nil {
						break
					}
				}
			}
			if err != nil {
				return err
			}
			for _, w := range t.Warnings() {
				a.note("warning %s: %s", w.Code, w.Text)
			}
			return a.print(out, func(w io.Writer) error { return showTokenized(w, t, out) })
		},
	}
	cmd.Flags().StringVar(&file, "text", "", "file with the text: .txt, .jsonl, .jsonl.gz")
	cmd.Flags().StringVar(&split, "split", "", "how a .txt file is cut into documents: file (default), line or blank")
	cmd.Flags().BoolVar(&template, "template", false, "with the special tokens that the tokenizer's template adds")
	m.registerTokenizer(cmd.Flags())
	return cmd
}

func tokenizeOne(t *tokenize.Tokenizer, id, s string, template bool) (tokenized, error) {
	enc, err := t.EncodeAll(s, template)
	if err != nil {
		return tokenized{}, err
	}
	d := tokenized{ID: id, IDs: enc.IDs, Tokens: enc.Tokens}
	d.ByteOff, d.ByteLen, d.Dropped = text.Tiles(enc.End, s)
	if d.Decoded, err = t.Decode(enc.IDs); err != nil {
		return d, err
	}
	d.Exact = d.Decoded == s
	return d, nil
}

func showTokenized(w io.Writer, t *tokenize.Tokenizer, docs []tokenized) error {
	for _, d := range docs {
		fmt.Fprintf(w, "%s: %d tokens, round trip %s\n", show.Text(d.ID), len(d.IDs), map[bool]string{true: "exact", false: "not exact"}[d.Exact])
		rows := [][]string{{"pos", "id", "byte", "len", "token"}}
		for i, id := range d.IDs {
			rows = append(rows, []string{fmt.Sprint(i), fmt.Sprint(id), fmt.Sprint(d.ByteOff[i]), fmt.Sprint(d.ByteLen[i]), quoted(d.Tokens[i])})
		}
		if err := show.Table(w, rows); err != nil {
			return err
		}
	}
	prefix, suffix := t.Template()
	_, err := fmt.Fprintf(w, "tokenizer %s, template prefix %v, suffix %v\n", t.Digest(), prefix, suffix)
	return err
}

func quoted(s string) string { return "`" + strings.ReplaceAll(show.Text(s), "`", `\u{60}`) + "`" }
