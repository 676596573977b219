package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/ghost"

	"github.com/spf13/cobra"
)

func newGhostRequests(a *app) *cobra.Command {
	var out string
	var words, recall bool
	cmd := &cobra.Command{
		Use:   "requests NAME -o FILE",
		Short: "Write what a test scores, or asks to be continued, for another machine",
		Long: `requests writes the texts that "ghost test" scores (id, context, text), for a machine
of the auditor's that has the checkpoint but not the secrets file: score them with
"assay score --text FILE" and pass the trace to test. --words adds the texts of the test
words. --recall writes the prompts of the recall test instead (id, prompt); generate
their continuations and pass them by --gens. The files show the secrets: mode 0600.`,
		Example: `  assay ghost requests mine -o requests.jsonl
  assay ghost requests mine --recall -o prompts.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s, _, err := a.loadGhost(args[0])
			if err != nil {
				return err
			}
			if slices.Equal(s.Plan.Wrappers, []string{ghost.DocumentWrappers}) {
				return fault.Usagef("ghost requests: the plan scores after the planted documents: use test --planted")
			}
			var b bytes.Buffer
			n := 0
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			put := func(seq iter.Seq[ghost.Request], prompt bool) error {
				for q := range seq {
					row := map[string]string{"id": q.ID, "text": q.Text}
					if q.Context != "" {
						row["context"] = q.Context
					}
					if prompt {
						row = map[string]string{"id": q.ID, "prompt": q.Context}
					}
					if err := e.Encode(row); err != nil {
						return err
					}
					n++
				}
				return nil
			}
			if recall {
				seq, err := ghost.RecallPrompts(s)
				if err != nil {
					return err
				}
				err = put(seq, true)
				if err != nil {
					return err
				}
			} else if err := put(ghost.Requests(s), false); err != nil {
				return err
			}
			if words {
				seq, err := ghost.WordRequests(s)
				if err != nil {
					return err
				}
				if err := put(seq, false); err != nil {
					return err
				}
			}
			if err := ghost.WriteNew(out, b.Bytes(), true); err != nil {
				return err
			}
			return a.print(map[string]any{"path": out, "requests": n}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: %s\n", out, plural(n, "request"))
				return err
			})
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&words, "words", false, "add the texts of the test words")
	fl.BoolVar(&recall, "recall", false, "write the prompts of the recall test instead")
	outputFlag(cmd, &out, "requests to write (.jsonl, mode 0600)")
	_ = cmd.MarkFlagRequired("output")
	cmd.MarkFlagsMutuallyExclusive("words", "recall")
	return cmd
}

// plantedCorpus reads --planted and its record: controls in it are leaks, and the
// texts before the places may be wrappers.
func (f *ghostFlags) plantedCorpus(name string, s *ghost.Set, ev *ghost.Evidence) ([]ghost.Doc, []ghost.Planting, error) {
	if f.planted == "" {
		return nil, nil, nil
	}
	docs, _, err := ghostCorpus(f.planted)
	if err != nil {
		return nil, nil, err
	}
	record, err := readPlants(name)
	if err != nil {
		return nil, nil, err
	}
	if err := ghost.CheckPlants(s, docs, record); err != nil {
		return nil, nil, err
	}
	ev.Leaked = ghost.Leaks(s, docs, record)
	if slices.Equal(s.Plan.Wrappers, []string{ghost.DocumentWrappers}) && f.wrap == "" {
		err = s.UseDocuments(docs, record)
	}
	return docs, record, err
}

// depart takes what is run instead of the plan from --k and --wrap.
func (f *ghostFlags) depart(s *ghost.Set, docs []ghost.Doc, record []ghost.Planting) error {
	run := s.Plan
	switch f.wrap {
	case "":
	case "document":
		if record == nil {
			return fault.Usagef("--wrap document: want --planted, the planted corpus")
		}
		var err error
		if run, err = s.OffPlan([]string{ghost.DocumentWrappers}, docs, record); err != nil {
			return err
		}
	default:
		b, err := os.ReadFile(f.wrap)
		if err != nil {
			return fault.Inputf("no-file", "--wrap: %w", err)
		}
		if run, err = s.OffPlan(strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil, nil); err != nil {
			return err
		}
	}
	if f.lastK != nil {
		run.RecallK = f.lastK
	}
	if f.wrap != "" || f.lastK != nil {
		f.o.Run = &run
	}
	return nil
}

// wordRanks scores every word of the list at every place of every secret.
func (f *ghostFlags) wordRanks(ctx context.Context, path string, s *ghost.Set, p window.Policy, inputs *[]probes.Input) (ranks [][]int, err error) {
	seq, err := ghost.WordRequests(s)
	if err != nil {
		return nil, err
	}
	var in requests
	if !isTrace(path) {
		in = slices.Collect(seq)
		f.app.note("note: word ranks: %s", plural(len(in), "text"))
	}
	err = f.read(ctx, "suspect, word ranks", path, in, p, inputs, func(r *trace.Reader) error {
		ranks, err = ghost.WordRanks(r, s)
		return err
	})
	return ranks, err
}

func newGhostPlan(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "plan [-o FILE]",
		Short: "Write an analysis plan to edit before commit",
		Long: `plan writes the default analysis plan. Its digest becomes part of the commitment, so
whatever is changed after it costs the tier.

  statistic  logprob, or ref (minus a reference model's; name its digest in reference)
  primary    rank, recall, evalue or words: the test that carries the verdict
  combine    fisher (some secrets may be lost), rank-sum or sum
  recall_k   numbers of last words asked for
  wrappers   texts before the secret when it is scored; ["@document"] takes the last
             400 bytes before each planted place
  attempts   recall attempts allowed for each secret`,
		Example: "  assay ghost plan -o plan.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := ghost.DefaultPlan().JSON()
			if err != nil {
				return err
			}
			if out == "" {
				_, err = a.stdout.Write(b)
				return err
			}
			return ghost.WriteNew(out, b, false)
		},
	}
	outputFlag(cmd, &out, "plan to write (.json; default: standard output)")
	return cmd
}
