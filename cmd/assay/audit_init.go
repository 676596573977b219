package main

import (
	"fmt"
	"io"
	"strings"

	"assay/model"
	"assay/weights"

	"github.com/spf13/cobra"
)

func newAuditInit(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "init CKPT",
		Short: "Write a commented plan for a checkpoint",
		Long: `init opens a checkpoint and writes a plan in which everything that needs data of yours
is commented out. Edit it, then run "assay audit PLAN --dry-run".`,
		Example: "  assay audit init ./suspect -o plan.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ck, err := weights.Open(args[0])
			if err != nil {
				return err
			}
			defer ck.Close()
			d, err := model.Describe(ck)
			if err != nil {
				return err
			}
			plan := initialPlan(args[0], d.Info, ck.Tokenizer() != "")
			if out == "" {
				_, err := io.WriteString(a.stdout, plan)
				return err
			}
			return writeFile(out, func(w io.Writer) error { _, err := io.WriteString(w, plan); return err })
		},
	}
	outputFlag(cmd, &out, "plan to write (default: standard output)")
	return cmd
}

// yamlString is a double-quoted YAML scalar; JSON's quoting is valid YAML.
func yamlString(s string) string { return fmt.Sprintf("%q", strings.ToValidUTF8(s, "\uFFFD")) }

func initialPlan(path string, info model.Info, tokenizer bool) string {
	texts := ""
	if !tokenizer {
		texts = "  # this checkpoint has no tokenizer: use {ids: FILE} in place of {text: FILE}\n"
	}
	return fmt.Sprintf(`# A plan for "assay audit". Paths are relative to this file. "assay audit --schema" describes every key.
# The checkpoint: %s, %d layers, width %d, vocabulary %d, %d parameters.
schema: assay.audit/1
title: %s
seed: 1

inputs:
  suspect: {checkpoint: %s}
  # base: {checkpoint: path/of/a/reference}              # a model that cannot have seen the data in dispute
%s  # wiki: {text: data/wiki.jsonl}                        # one {"id", "text"} a line
  # order: {transcript: data/order.parquet}              # what my run saw, in its order (assay palimpsest extract)
  # ghosts: {ghosts: data/mine.secrets.json}             # from assay ghost commit; mine.commit.json lies beside it
  # papers: {labelled: data/papers.jsonl}                # {"id", "text", "label": 1 or 0}
  # words: {wordsets: data/words.yaml}                   # {tests: [{id, X, Y, A, B}]}

defaults: {}                                             # settings of every test that has them, such as bos: auto

tests:
  # the association of word groups in the embeddings needs no data of yours
  - {id: weat, test: weat, on: suspect, settings: {tests: weat6, rep: input}}
  # - {id: ppl, test: perplexity, on: suspect, data: wiki, settings: {policy: lmeval-rolling}}
  # - {id: gh,  test: ghost, on: suspect, refs: [base], data: ghosts, primary: true}
  # - {id: pal, test: palimpsest, on: suspect, refs: [base], data: order, primary: true, settings: {ref_basis: unrelated}}
  # - {id: mia, test: membership, on: suspect, refs: [base], data: papers}
  # - {id: yn,  test: probe, name: decision-swap, on: suspect}

family: {method: holm, level: 0.05, over: primary}       # primary p-values are adjusted for their number
bundle: {inputs: copy, text_in_report: excerpts}         # inputs: digest leaves the data out of the folder
`, info.Family, info.Layers, info.Width, info.Vocab, info.Params, yamlString("Audit of "+path), yamlString(path), texts)
}
