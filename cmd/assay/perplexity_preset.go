package main

import (
	"iter"
	"os"
	"strings"

	"assay/internal/fault"
	"assay/model/score"
	"assay/probes/perplexity"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// presetWikitext is lm-evaluation-harness's wikitext task: the page is detokenised and
// scored by lmeval-rolling, the page as it was is counted.
const presetWikitext = "wikitext2-lmeval"

// preset sets what a preset stands for; flags given beside it must agree.
func (f *perplexityFlags) preset(cmd *cobra.Command) error {
	switch f.presetName {
	case "":
		return nil
	case presetWikitext:
	default:
		return fault.Usagef("--preset: found %q, want %s", f.presetName, presetWikitext)
	}
	if cmd.Flags().Changed("policy") && f.score.policy.Name != "lmeval-rolling" || f.unitsFrom != "" || f.all || f.score.text == "" || f.score.ids != "" {
		return fault.Usagef("--preset %s: want --text alone: it sets the policy and the units", presetWikitext)
	}
	f.score.policy.Name = "lmeval-rolling"
	return nil
}

// detokenized undoes the spacing of WikiText pages.
type detokenized struct{ score.Input }

func (d detokenized) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for x, err := range d.Input.Docs() {
			x.Text = perplexity.Detokenize(x.Text)
			if !yield(x, err) {
				return
			}
		}
	}
}

// originals are the texts whose words and bytes are counted instead of those scored;
// nil where the scored ones are.
func (f *perplexityFlags) originals() (map[string]string, error) {
	switch {
	case f.presetName != "":
		out := make(map[string]string)
		for d, err := range text.Read(f.score.text, text.Options{Split: f.score.split}) {
			if err != nil {
				return nil, err
			}
			out[d.ID] = d.Text
		}
		return out, nil
	case f.unitsFrom == "":
		return nil, nil
	case !strings.HasSuffix(f.unitsFrom, ".jsonl") && !strings.HasSuffix(f.unitsFrom, ".jsonl.gz"):
		b, err := os.ReadFile(f.unitsFrom)
		if err != nil {
			return nil, fault.Inputf("no-file", "--units-from: %w", err)
		}
		return map[string]string{"line:1": string(b)}, nil
	}
	return readTexts(f.unitsFrom)
}
