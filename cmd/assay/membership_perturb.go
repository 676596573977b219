package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"assay/internal/fault"
	"assay/model/score"
	"assay/probes/membership"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

func newMembershipPerturb(a *app) *cobra.Command {
	var in, split, kind, synonyms, out string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "perturb --text FILE -o COPIES.jsonl",
		Short: "Write edited copies of texts, to be scored on another machine",
		Long: `perturb writes copies named <id>/<n>. --edits six makes the six edits of dataset
inference (synonym .2, keyboard .1, deletion .25, case .25, white space .25, underscore
.25; the first needs --synonyms), for "membership infer --perturbed"; --edits swap makes
ten word-swapped copies, for the score pac (--swaps). A checkpoint at hand is scored on
them without this step.`,
		Example: `  assay membership perturb --text book.jsonl --synonyms synonyms.json -o copies.jsonl
  assay membership perturb --text book.jsonl --edits swap -o swapped.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			src, err := text.Open(in, text.Options{Split: split})
			if err != nil {
				return err
			}
			words, err := readSynonyms(synonyms)
			if err != nil {
				return err
			}
			var docs score.Input
			switch kind {
			case "six":
				docs = edited{src, seed, words}
			case "swap":
				docs = swapped{src}
			default:
				return fault.Usagef("--edits: found %q, want six or swap", kind)
			}
			n := 0
			if err := writeFile(out, func(w io.Writer) error {
				e := json.NewEncoder(w)
				e.SetEscapeHTML(false)
				for d, err := range docs.Docs() {
					if err != nil {
						return err
					}
					row := map[string]string{"id": d.ID, "text": d.Text}
					if d.HasContext {
						row["context"] = d.Context
					}
					if d.Group != "" {
						row["group"] = d.Group
					}
					if err := e.Encode(row); err != nil {
						return err
					}
					n++
				}
				return nil
			}); err != nil {
				return err
			}
			return a.print(map[string]any{"path": out, "copies": n}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: %d edited copies\n", out, n)
				return err
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&in, "text", "", "texts to edit (.txt, .jsonl, .jsonl.gz)")
	fl.StringVar(&split, "split", "", "how a .txt file is cut into documents: file (default), line or blank")
	fl.StringVar(&kind, "edits", "six", "six (dataset inference) or swap (pac)")
	fl.StringVar(&synonyms, "synonyms", "", "synonyms (.json: {word: [replacements]})")
	fl.Uint64Var(&seed, "seed", 1, "seed of the six edits")
	outputFlag(cmd, &out, "copies to write (.jsonl)")
	_ = cmd.MarkFlagRequired("text")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

// readSynonyms reads {word: [replacements]}; "" gives none.
func readSynonyms(path string) (map[string][]string, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Inputf("no-file", "--synonyms: %w", err)
	}
	raw := map[string][]string{}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fault.Inputf("malformed", "--synonyms: %s: want {word: [replacements]}: %w", path, err)
	}
	if len(raw) == 0 {
		return nil, fault.Inputf("empty", "--synonyms: %s: found no word", path)
	}
	out := make(map[string][]string, len(raw))
	for w, s := range raw {
		out[strings.ToLower(w)] = s
	}
	return out, membership.CheckSynonyms(out)
}
