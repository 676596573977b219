package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes/ghost"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

func newGhostPlant(a *app) *cobra.Command {
	p := ghost.DefaultPlace()
	var in, out, where, wrap string
	cmd := &cobra.Command{
		Use:   "plant NAME --in CORPUS.jsonl -o PLANTED.jsonl",
		Short: "Write a copy of a corpus with the secrets planted, and the record of every place",
		Long: `plant puts each secret into --repeat documents of the corpus, drawn by the set's seed.
No document gets two secrets and no secret two owners (field group). The record of
places is NAME.plants.jsonl (private, mode 0600). Line deduplication removes identical
lines: give several wrappers in --wrap, one a line with {secret} in it.`,
		Example: `  assay ghost plant mine --in corpus.jsonl -o planted.jsonl --repeat 8 --where 0.5:1 --wrap wrappers.txt`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := parseRange("--where", where, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
			if err != nil {
				return err
			}
			p.From, p.To = r[0], r[1]
			if wrap != "" {
				b, err := os.ReadFile(wrap)
				if err != nil {
					return fault.Inputf("no-file", "--wrap: %w", err)
				}
				p.Wrappers = strings.Split(strings.TrimRight(string(b), "\n"), "\n")
			}
			return a.plant(args[0], in, out, p)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&in, "in", "", "corpus (.jsonl or .jsonl.gz with id, text, group)")
	outputFlag(cmd, &out, "planted corpus to write (.jsonl)")
	fl.IntVar(&p.Repeat, "repeat", p.Repeat, "documents for each secret")
	fl.StringVar(&where, "where", "0.5:1", "part of the document, as fractions A:B")
	fl.StringVar(&p.Unit, "unit", p.Unit, "paragraph, line or comment")
	fl.StringVar(&wrap, "wrap", "", "file of sentences with {secret}, one a line, taken in turn")
	fl.StringVar(&p.Comment, "comment", p.Comment, "what starts a comment, for --unit comment")
	_ = cmd.MarkFlagRequired("in")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func (a *app) plant(name, in, out string, p ghost.Place) error {
	if err := p.Validate(); err != nil {
		return err
	}
	s, c, err := a.loadGhost(name)
	if err != nil {
		return err
	}
	if c == nil {
		a.note("warning: there is no %s.commit.json: without a published commitment no result is tier A", name)
	} else if diff, err := ghost.Verify(*c, s); err != nil {
		return err
	} else if len(diff) > 0 {
		return fault.Inputf("commitment", "ghost: the commitment does not verify: %s", diff[0])
	}
	docs, rows, err := ghostCorpus(in)
	if err != nil {
		return err
	}
	planted, record, err := ghost.Plant(s, docs, p)
	if err != nil {
		return err
	}
	if err := ghost.CheckPlants(s, planted, record); err != nil {
		return err
	}
	leaks := ghost.Leaks(s, planted, record)
	if len(leaks) > 0 {
		a.note("warning: %d controls stand in the corpus already; test leaves them out", len(leaks))
	}
	b, err := ghost.WritePlants(record)
	if err != nil {
		return err
	}
	if err := ghost.WriteNew(name+".plants.jsonl", b, true); err != nil {
		return err
	}
	if err := writeFile(out, func(w io.Writer) error { return writeCorpus(w, planted, rows) }); err != nil {
		_ = os.Remove(name + ".plants.jsonl")
		return err
	}
	doc := struct {
		Planted   int    `json:"planted"`
		Secrets   int    `json:"secrets"`
		Documents int    `json:"documents"`
		Leaked    int    `json:"controls_in_corpus"`
		Corpus    string `json:"corpus"`
		Record    string `json:"record"`
	}{len(record), s.Secrets, len(docs), len(leaks), out, name + ".plants.jsonl"}
	return a.print(doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "planted %d copies of %s in %s: %s, record %s\n", doc.Planted, plural(doc.Secrets, "secret"), plural(doc.Documents, "document"), doc.Corpus, doc.Record)
		return err
	})
}

// ghostCorpus reads the documents of a corpus and their rows.
func ghostCorpus(path string) (docs []ghost.Doc, rows []text.Doc, err error) {
	for d, err := range text.Read(path, text.Options{}) {
		if err != nil {
			return nil, nil, err
		}
		docs = append(docs, ghost.Doc{ID: d.ID, Path: path, Owner: d.Group, Text: d.Text})
		rows = append(rows, d)
	}
	return docs, rows, nil
}

// writeCorpus writes documents with all other fields of their rows.
func writeCorpus(w io.Writer, docs []ghost.Doc, rows []text.Doc) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i, d := range docs {
		r := rows[i]
		line := map[string]any{}
		if r.Meta != nil {
			if err := json.Unmarshal(r.Meta, &line); err != nil {
				return err
			}
		}
		line["id"], line["text"] = d.ID, d.Text
		if r.HasContext {
			line["context"] = r.Context
		}
		if r.Label != nil {
			line["label"] = *r.Label
		}
		if r.Group != "" {
			line["group"] = r.Group
		}
		if r.Date != "" {
			line["date"] = r.Date
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
