package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/probes"
	"assay/probes/assoc/perm"

	"github.com/spf13/cobra"
)

// weatFlags are the flags of `assay weat`.
type weatFlags struct {
	app *app
	weatSource
	tests    []string
	variants []string
	alt, p   string
	o        weat.Options
	freq     string
	matched  int // draws of matched words; 0 = none
	measures []string
	draws    int // of single contexts; 0 = none
	full     bool
	weatOut
}

// weatSource says where vectors come from.
type weatSource struct {
	vectors, format, centre string
	vocab, states           string
	foldNorm                bool
	pool                    int64 // rows of a file to keep as a pool of other words
	reps                    []string
	loss                    weat.LossOptions
	mapped                  []string
	ck                      weatCheckpoint
	shut                    func() // closes what open opened; nil = nothing
}

func (s *weatSource) close() {
	if s.shut != nil {
		s.shut()
	}
}

func newWeat(a *app) *cobra.Command {
	f := weatFlags{app: a, o: weat.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "weat [CKPT] [--vectors FILE | --states FILE] [--tests NAME|FILE]",
		Short: "Association of word groups with attributes in word vectors or a checkpoint",
		Long: `weat measures whether two groups of words stand at different distances from two
sets of attributes (the word embedding association test): effect size with
interval and bound, exact permutation p-values over target and over attribute
words, the numbers without each word, and whether the sets differ in vector
length, pieces or frequency as well as in meaning.

Vectors come from a file (--vectors: GloVe text, word2vec text or binary, plain or
gzip, or a .safetensors matrix with --vocab), from states that were stored before
(--states, see "assay weat contexts"), or from a checkpoint:

  --rep input      rows of the embedding matrix, pooled over a word's pieces
  --rep output     rows of the output matrix
  --rep ctx:L      hidden states of the word at layer L (a number, a percentage,
                   last or final), mean over --templates or --contexts
  --rep sent:L     hidden states of whole sentences, the word as the unit

Each test is run raw, with the mean vector taken off (centred) and with the top
three directions taken off as well (abtt3). A p-value is given (tier B) when the
target sets are balanced and the sign is the same in all three. Words that a space
does not hold are named; a set that loses too many makes its test undefined.

What mean and directions are of (--centre): all rows of a checkpoint's matrix; the
first 20,000 rows of a vector file, its commonest words; for states in contexts the
words of the run, so that there the verdict can depend on which tests share a run
(each result says how many words it was). lists adds the words of the built-in
tests, at the cost of reading them in context too.

Built-in tests are weat1 to weat10 ("assay weat lists"); a file has
{tests: [{id, X: {name, words}, Y, A, B}]} in YAML or JSON.`,
		Example: `  assay weat --vectors glove.840B.300d.txt.gz --tests weat1..weat10
  assay weat --vectors vectors.bin --tests mine.yaml --plot mine.svg --json
  assay weat ./pythia-70m --tests weat6 --rep input --rep ctx:50%`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args) },
	}
	f.registerAll(cmd)
	cmd.AddCommand(newWeatSEAT(a), newWeatCEAT(a), newWefat(a), newWeatLists(a), newWeatContexts(a))
	return cmd
}

func newWeatSEAT(a *app) *cobra.Command {
	f := weatFlags{app: a, o: weat.DefaultOptions()}
	f.ck.seat = true
	cmd := &cobra.Command{
		Use:   "seat [CKPT | --states FILE] --tests NAME|FILE",
		Short: "The same in sentences: words in sentence templates, the word as the unit",
		Long: `seat puts every word into sentence templates and tests the states of whole sentences
(the sentence encoder association test). The unit stays the word: whole words are
permuted, since repeating a sentence adds no information. The tail that counts
sentences is printed as a number, never as a p-value.`,
		Example: `  assay weat seat ./pythia-70m --tests weat6 --rep sent:50%
  assay weat seat ./pythia-70m --tests mine.yaml --templates sentences.txt --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.reps) == 0 {
				f.reps = []string{"sent:50%"}
			}
			return f.run(cmd.Context(), args)
		},
	}
	f.registerAll(cmd)
	return cmd
}

func newWeatCEAT(a *app) *cobra.Command {
	f := weatFlags{app: a, o: weat.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "ceat [CKPT | --states FILE] --tests NAME|FILE",
		Short: "The same over single contexts: how far the effect moves between them",
		Long: `ceat draws one context a word many times and gives the distribution of effect sizes
and their random-effects mean (the contextualized embedding association test). It is
descriptive (tier C): its combined p-value falls without bound as draws are added.
The result on the mean state of every word is printed first, with the p-value to cite.`,
		Example: `  assay weat ceat ./pythia-70m --tests weat6 --rep ctx:50% --draws 1000
  assay weat ceat ./pythia-70m --tests weat6 --contexts contexts.jsonl --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.reps) == 0 {
				f.reps = []string{"ctx:50%"}
			}
			if f.draws < 1 {
				return fault.Usagef("--draws: found %d, want 1 or more", f.draws)
			}
			return f.run(cmd.Context(), args)
		},
	}
	f.registerAll(cmd)
	cmd.Flags().IntVar(&f.draws, "draws", 1000, "draws of one context a word")
	return cmd
}

// settle checks the options and applies --alt to the tests.
func (f *weatFlags) settle(args []string) ([]weat.Test, []weat.Variant, error) {
	if err := f.weatSource.settle(args); err != nil {
		return nil, nil, err
	}
	switch f.p {
	case "exact":
	case "sample":
		f.o.Sample = true
	default:
		return nil, nil, fault.Usagef("--p: found %q, want exact or sample", f.p)
	}
	if f.matched != 0 && f.matched < 99 {
		return nil, nil, fault.Usagef("--matched: found %d draws, want 99 or more", f.matched)
	}
	if err := f.o.Validate(); err != nil {
		return nil, nil, err
	}
	var variants []weat.Variant
	for _, v := range weat.Variants() { // in the order of output
		if slices.Contains(f.variants, string(v)) {
			variants = append(variants, v)
		}
	}
	for _, v := range f.variants {
		if !slices.Contains(weat.Variants(), weat.Variant(v)) {
			return nil, nil, fault.Usagef("--variant: found %q, want raw, centred or abtt3", v)
		}
	}
	for _, m := range f.measures {
		if !slices.Contains(weat.Measures(), m) {
			return nil, nil, fault.Usagef("--measure: found %q, want %s", m, strings.Join(weat.Measures(), ", "))
		}
	}
	tests, err := loadTests(f.tests)
	if err != nil {
		return nil, nil, err
	}
	for i := range tests {
		switch f.alt {
		case "auto":
		case "greater":
			tests[i].Alt = perm.Greater
		case "two":
			tests[i].Alt = perm.TwoSided
		default:
			return nil, nil, fault.Usagef("--alt: found %q, want auto, greater or two", f.alt)
		}
		if err := tests[i].Validate(f.loss.AllowOverlap); err != nil {
			return nil, nil, err
		}
	}
	return tests, variants, nil
}

func (f *weatFlags) run(ctx context.Context, args []string) error {
	tests, variants, err := f.settle(args)
	if err != nil {
		return err
	}
	if err := f.weatOut.settle(); err != nil {
		return err
	}
	if f.freq != "" {
		if f.o.Freq, err = readNamed(f.freq, weat.ReadFreq); err != nil {
			return err
		}
	}
	if f.matched > 0 {
		f.weatSource.pool = firstRows
	}
	defer f.weatSource.close()
	reps, err := f.open(ctx, f.app, args, tests, nil)
	if err != nil {
		return err
	}
	if err := allUndefined(tests, reps, f.loss); err != nil {
		return err
	}
	var jobs []weat.Job
	var extra []probes.Result
	for _, t := range tests {
		for _, r := range reps {
			for _, v := range variants {
				sc, err := r.score(t, v, f.loss)
				if err != nil {
					return err
				}
				if f.matched > 0 && sc.Undefined == "" {
					m, err := r.matchedNull(sc, v, f.matched, f.o.Seed)
					switch ft := fault.As(err); {
					case err == nil:
						sc.Matched = m
					case ft != nil && ft.Code == "too-few": // a word like no other: the rest of the run stands
						sc.Notes = append(sc.Notes, weat.Note{Code: "no-controls", Text: err.Error()})
					default:
						return err
					}
				}
				sc.Notes = append(sc.Notes, r.notes...)
				jobs = append(jobs, weat.Job{Rep: r.name, Variant: v, Scores: sc, Inputs: r.inputs})
			}
			more, err := f.more(t, r, variants)
			if err != nil {
				return err
			}
			extra = append(extra, more...)
			if len(f.measures) > 0 {
				o := f.o
				o.Rep, o.Inputs = r.name, r.inputs
				res, err := weat.RunRelated(t, r.space, f.measures, f.loss, o)
				if err != nil {
					return err
				}
				extra = append(extra, res)
			}
		}
	}
	doc, err := weat.RunAll(jobs, f.o)
	if err != nil {
		return err
	}
	for i := range doc.Results {
		for _, r := range reps {
			if r.name == jobs[i].Rep {
				maps.Copy(doc.Results[i].Settings, r.settings)
			}
		}
	}
	doc.Results = append(doc.Results, extra...)
	if err := f.weatOut.write(jobs, doc, reps, tests, f.loss); err != nil {
		return err
	}
	return f.app.print(doc, func(w io.Writer) error { return showWeat(w, doc, f.full) })
}

// more are the draws of ceat, one result a variant.
func (f *weatFlags) more(t weat.Test, r weatRep, variants []weat.Variant) (out []probes.Result, err error) {
	if f.draws == 0 {
		return nil, nil
	}
	if r.states == nil {
		return nil, fault.Usagef("weat ceat: --rep %s has no contexts to draw from, want ctx:LAYER", r.name)
	}
	for _, v := range variants {
		shift, err := r.shift(v)
		if err != nil {
			return nil, err
		}
		o := f.o
		o.Rep, o.Variant, o.Inputs = r.name, v, r.inputs
		res, err := weat.RunCEAT(t, r.states, shift, f.draws, f.loss, o)
		if err != nil {
			return nil, err
		}
		out = append(out, res)
	}
	return out, nil
}

// allUndefined is the error of a run in which no test can be computed.
func allUndefined(tests []weat.Test, reps []weatRep, o weat.LossOptions) error {
	var why []string
	for _, r := range reps {
		for _, t := range tests {
			sc, err := weat.Score(t, r.space, o)
			if err != nil {
				return err
			}
			if sc.Undefined == "" {
				return nil
			}
			why = append(why, fmt.Sprintf("test %s (%s): %s", t.ID, r.name, sc.Undefined))
		}
	}
	return fault.Inputf("undefined", "weat: no test can be computed: %s", strings.Join(why, "; ")).
		Hint("name the form that the vectors have with --map old=new or --fallback lower,title,accents")
}

// readNamed opens a file for a reader of the library.
func readNamed[T any](path string, read func(io.Reader, string) (T, error)) (out T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return out, fault.Inputf("no-file", "%w", err)
	}
	defer f.Close()
	return read(f, path)
}
