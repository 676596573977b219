package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/weat"
	"assay/model"
	"assay/probes"

	"github.com/spf13/cobra"
)

// contextID names the states of a word in its k-th context, as "rose#3".
func contextID(word string, k int) string { return word + "#" + strconv.Itoa(k) }

// wordOf is the word of an id; ok is false where it has no number.
func wordOf(id string) (word string, ok bool) {
	i := strings.LastIndexByte(id, '#')
	if i < 1 {
		return "", false
	}
	_, err := strconv.Atoi(id[i+1:])
	return id[:i], err == nil
}

const makeStates = `make them with "assay weat contexts --tests ... -o items.jsonl" and "assay states CKPT --text items.jsonl --span response --pool last --keep all -o states.safetensors" (sentences: contexts --sentences, states --span text --pool mean)`

// openStates reads words in contexts from a states file: view resid_post (or
// final_norm) of the pool, span response (ctx) or text (sent), ids word#number.
func (s *weatSource) openStates(tests []weat.Test, extra []string) ([]weatRep, error) {
	if err := s.ck.settle(); err != nil {
		return nil, err
	}
	f, err := latent.Open(s.states, true)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reference, err := s.reference()
	if err != nil {
		return nil, err
	}
	if len(s.reps) == 0 {
		s.reps = []string{"ctx:50%"}
	}
	var out []weatRep
	for _, rep := range s.reps {
		r, err := s.statesOf(f, rep, tests, slices.Concat(extra, reference))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o weatRep) bool { return o.name == r.name }) {
			return nil, fault.Usagef("--rep: found %s twice", r.name)
		}
		out = append(out, r)
	}
	return out, nil
}

func (s *weatSource) statesOf(f *latent.File, rep string, tests []weat.Test, extra []string) (weatRep, error) {
	kind, layer, ok := strings.Cut(rep, ":")
	if !ok || kind != "ctx" && kind != "sent" || s.ck.seat && kind != "sent" {
		return weatRep{}, fault.Usagef("--rep: found %q, want ctx:LAYER or sent:LAYER: a states file holds no matrices (seat: sent:LAYER alone)", rep)
	}
	in := f.Info()
	missing := func(format string, args ...any) error {
		return fault.Inputf("missing-states", "--states: %s: "+format, append([]any{s.states}, args...)...).Hint("%s", makeStates)
	}
	span, pool, tap := "response", s.ck.poolOr(weat.PoolLast), model.TapResidPost
	if kind == "sent" {
		span, pool = "text", s.ck.poolOr(weat.PoolMean)
	}
	if layer == "final" {
		tap, layer = model.TapFinalNorm, "last"
	}
	view := slices.IndexFunc(in.Views, func(v latent.View) bool { return v.Tap == tap && v.Pool == string(pool) && v.Span == span })
	if view < 0 {
		return weatRep{}, missing("found no view %s.%s of span %s", tap, pool, span)
	}
	picked, err := in.Views[view].Pick(layer)
	if err != nil || len(picked) != 1 {
		return weatRep{}, missing("layer %q of view %s: found layers %v", layer, in.Views[view].Name(), in.Views[view].Layers)
	}
	at := in.Views[view].Layers[picked[0]]
	rows, ok := f.Rows(view, picked[0])
	if !ok {
		return weatRep{}, missing("found no rows of layer %d", at)
	}
	docs, err := f.Docs()
	if err != nil {
		return weatRep{}, err
	}
	st, n := weat.NewStates(rows.Width()), 0
	row := make([]float64, rows.Width())
	wanted := weat.Wanted(tests, s.loss, extra...)
	for i, id := range docs.ID {
		word, ok := wordOf(id)
		if !ok {
			return weatRep{}, missing("document %d: found id %q, want a word and its context's number, as rose#1", i+1, id)
		}
		if _, ok := wanted[word]; !ok {
			continue
		}
		rows.At(i, row)
		if err := st.Add(word, row, int(docs.Span[i])); err != nil {
			return weatRep{}, err
		}
		n++
	}
	if n == 0 {
		return weatRep{}, missing("found no state of a word of the tests among %d documents", docs.Len())
	}
	words, err := runWords(tests, extra, st, s.loss)
	if err != nil {
		return weatRep{}, err
	}
	name := fmt.Sprintf("%s:%d", kind, at)
	if tap == model.TapFinalNorm {
		name = kind + ":final"
	}
	r := statesRep(name, st, words, kind == "sent", s.centre)
	r.settings["pool"], r.settings["contexts_total"] = string(pool), n
	r.inputs = []probes.Input{{Role: "states", Path: s.states, Digest: in.Run}, {Role: "checkpoint", Digest: in.Checkpoint}}
	return r, nil
}

// newWeatContexts writes the texts that a states file for --states is made from.
func newWeatContexts(a *app) *cobra.Command {
	var s weatSource
	var tests []string
	var out string
	var sentences bool
	cmd := &cobra.Command{
		Use:   "contexts --tests NAME|FILE -o items.jsonl",
		Short: "Write the contexts of the words of tests, to be read by assay states",
		Long: `contexts writes one document for every word and context: prompt and response, where
the response is the word, with the id word#number. States of them are enough for
weat --states, so that the pass through the model and the test can be apart.`,
		Example: `  assay weat contexts --tests weat6 -o items.jsonl
  assay states ./pythia-70m --text items.jsonl --span response --pool last --keep all -o states.safetensors
  assay weat --states states.safetensors --tests weat6 --rep ctx:1 --rep ctx:50%`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ts, err := loadTests(tests)
			if err != nil {
				return err
			}
			if out == "" {
				return fault.Usagef("weat contexts: no output, want -o FILE.jsonl")
			}
			if err := s.settleMaps(); err != nil {
				return err
			}
			kind := "ctx"
			if sentences {
				kind = "sent"
			}
			under := planned(ts, nil, s.loss)
			reference, err := s.reference()
			if err != nil {
				return err
			}
			cs, err := s.ck.contextsOf(kind, under, planned(nil, slices.Concat(under, reference), weat.LossOptions{}), true)
			if err != nil {
				return err
			}
			if err := writeFile(out, func(w io.Writer) error { return writeContexts(w, cs, sentences) }); err != nil {
				return err
			}
			doc := struct {
				Path     string `json:"path"`
				Contexts int    `json:"contexts"`
			}{out, len(cs)}
			return a.print(doc, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%d contexts in %s\n", len(cs), out)
				return err
			})
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&tests, "tests", nil, "weat1 to weat10, caliskan:1-10, all, or a YAML or JSON file (repeatable)")
	fl.StringVar(&s.ck.templates, "templates", "", "mention8, says6, or a file of lines that hold {w}")
	fl.StringVar(&s.ck.contexts, "contexts", "", "contexts of single words instead: .jsonl with word, prompt")
	fl.StringArrayVar(&s.mapped, "map", nil, "also the contexts of another form of a word: old=new (repeatable)")
	fl.StringSliceVar(&s.loss.Fallback, "fallback", nil, "also other forms of every word: lower, title, accents")
	fl.StringVar(&s.centre, "centre", "run", "run, or lists: also the words of the built-in tests, to centre on")
	fl.BoolVar(&sentences, "sentences", false, "whole sentences, for sent:LAYER")
	outputFlag(cmd, &out, "file to write (.jsonl)")
	return cmd
}

func writeContexts(w io.Writer, cs []weat.Context, sentences bool) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	k := map[string]int{}
	for _, c := range cs {
		k[c.Word]++
		var row any = struct {
			ID       string `json:"id"`
			Prompt   string `json:"prompt"`
			Response string `json:"response"`
		}{contextID(c.Word, k[c.Word]), c.Prompt, c.Response}
		if sentences {
			row = struct {
				ID   string `json:"id"`
				Text string `json:"text"`
			}{contextID(c.Word, k[c.Word]), c.Prompt + c.Response}
		}
		if err := enc.Encode(row); err != nil {
			return err
		}
	}
	return nil
}
