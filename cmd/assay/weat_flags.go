package main

import (
	"os"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/latent/weat/vecfile"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (f *weatFlags) registerAll(cmd *cobra.Command) {
	fl := cmd.Flags()
	f.register(fl)
	fl.StringArrayVar(&f.variants, "variant", []string{"raw", "centred", "abtt3"}, "change of the space: raw, centred or abtt3 (repeatable; fewer than all gives no p-value)")
	fl.BoolVar(&f.o.Adjust, "adjust", false, "also test given the covariates that the target sets differ in; counts where imbalance is the only failure")
	fl.IntVar(&f.matched, "matched", 0, "also draw this many random X and Y, each word matched on length and pieces (input, output and files)")
	fl.StringVar(&f.freq, "freq", "", "occurrences of words, one \"word count\" a line, for the balance check")
	fl.StringSliceVar(&f.measures, "measure", nil, "also "+strings.Join(weat.Measures(), ", ")+" (descriptive)")
	fl.BoolVar(&f.full, "full", false, "print every result in full instead of a table")
	f.weatOut.register(fl)
	outputFlag(cmd, &f.out, "write the results as JSON to this file too")
}

func (f *weatFlags) register(fl *pflag.FlagSet) {
	f.weatSource.register(fl)
	fl.StringArrayVar(&f.tests, "tests", nil, "weat1 to weat10, weat1..weat10, caliskan:1-10, all, or a YAML or JSON file (repeatable)")
	fl.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "test" || name == "words" {
			name = "tests"
		}
		return pflag.NormalizedName(name)
	})
	fl.StringVar(&f.alt, "alt", "auto", "auto (as the test says), greater (X expected nearer A) or two")
	fl.StringVar(&f.p, "p", "exact", "exact (counted, or a proven bracket) or sample")
	registerWeatOptions(fl, &f.o)
	fl.IntVar(&f.o.Boot, "boot", f.o.Boot, "resamples of the BCa interval; 0 leaves it out")
	fl.BoolVar(&f.o.Compat, "compat", false, "also the share of choices strictly above the observed one, as older code reports")
}

// registerWeatOptions adds the options that every command over vectors has.
func registerWeatOptions(fl *pflag.FlagSet, o *weat.Options) {
	fl.IntVar(&o.Perm, "perm", o.Perm, "draws where p is sampled")
	fl.Float64Var(&o.Alpha, "alpha", o.Alpha, "level of warnings and of the finding")
	fl.Uint64Var(&o.Seed, "seed", o.Seed, "seed of draws and resamples")
}

func (s *weatSource) register(fl *pflag.FlagSet) {
	s.loss = weat.DefaultLoss()
	fl.StringVar(&s.vectors, "vectors", "", "file of word vectors")
	fl.StringVar(&s.format, "format", "auto", "of --vectors: auto, glove, w2v or w2v-bin")
	fl.StringVar(&s.vocab, "vocab", "", "words of a .safetensors matrix, one a line")
	fl.StringVar(&s.states, "states", "", "states file of contexts instead of a checkpoint (made by assay states)")
	fl.StringVar(&s.centre, "centre", "auto", "what centring is over: first (rows of a file), all (every row), run (the words of the tests), lists (those and the built-in ones); auto is first for files, run for states")
	fl.StringArrayVar(&s.mapped, "map", nil, "look a word up under another: old=new (repeatable)")
	fl.StringSliceVar(&s.loss.Fallback, "fallback", nil, "forms to try for a word that is absent, in order: lower, title, accents")
	fl.Float64Var(&s.loss.MaxMissing, "max-missing", s.loss.MaxMissing, "share of a set that may be lost")
	fl.IntVar(&s.loss.MinWords, "min-words", s.loss.MinWords, "words that each set must keep")
	fl.BoolVar(&s.loss.AllowOverlap, "allow-overlap", false, "allow a word in both target or both attribute sets, or twice in one")
	fl.StringVar(&s.loss.Unequal, "unequal", weat.UnequalKeep, "sets of unequal size: keep, or trim-list (cut the longer at the end of its list, named)")
	fl.BoolVar(&s.foldNorm, "fold-norm", false, "scale the columns of the output matrix by the final norm's gain")
	fl.StringArrayVar(&s.reps, "rep", nil, "representation of a checkpoint: input, output, ctx:LAYER, ctx:PERCENT%, ctx:final (repeatable; default input and ctx:50%)")
	s.ck.register(fl)
}

// settle checks what needs no input.
func (s *weatSource) settle(args []string) error {
	from := 0
	for _, given := range []bool{len(args) == 1, s.vectors != "", s.states != ""} {
		if given {
			from++
		}
	}
	switch {
	case from == 0:
		return fault.Usagef("weat: found neither a checkpoint nor --vectors or --states, want one of them")
	case from > 1:
		return fault.Usagef("weat: found more than one of a checkpoint, --vectors and --states, want one of them")
	case s.vectors != "" && len(s.reps) > 0:
		return fault.Usagef("weat: --rep %s: a file of vectors has no layers, want a checkpoint", s.reps[0])
	case (s.vocab != "") != strings.HasSuffix(s.vectors, ".safetensors"):
		return fault.Usagef("weat: --vocab and --vectors FILE.safetensors belong together: found %q and %q", s.vocab, s.vectors)
	case s.foldNorm && !slices.Contains(s.reps, "output"):
		return fault.Usagef("--fold-norm: it scales the output matrix, want --rep output beside it")
	}
	if err := s.settleCentre(); err != nil {
		return err
	}
	formats := []vecfile.Format{vecfile.Auto, vecfile.GloVe, vecfile.W2V, vecfile.W2VBin}
	if !slices.Contains(formats, vecfile.Format(s.format)) {
		return fault.Usagef("--format: found %q, want auto, glove, w2v or w2v-bin", s.format)
	}
	if err := s.settleMaps(); err != nil {
		return err
	}
	return s.loss.Validate()
}

func (s *weatSource) settleMaps() error {
	s.loss.Map = map[string]string{}
	for _, m := range s.mapped {
		from, to, ok := strings.Cut(m, "=")
		if !ok || from == "" || to == "" {
			return fault.Usagef("--map: found %q, want old=new", m)
		}
		s.loss.Map[from] = to
	}
	return nil
}

func (s *weatSource) settleCentre() error {
	if s.centre == "auto" {
		s.centre = "run"
		if s.vectors != "" {
			s.centre = "first"
		}
	}
	switch {
	case !slices.Contains([]string{"first", "all", "run", "lists"}, s.centre):
		return fault.Usagef("--centre: found %q, want first, all, run or lists", s.centre)
	case s.vectors == "" && (s.centre == "all" || s.centre == "first"):
		return fault.Usagef("--centre %s: it is for --vectors; matrices of a checkpoint are always centred on all rows", s.centre)
	}
	return nil
}

// reference are the words that centring is over beside those of the run.
func (s *weatSource) reference() ([]string, error) {
	if s.centre != "lists" {
		return nil, nil
	}
	ts, err := weat.Caliskan()
	return planned(ts, nil, weat.LossOptions{}), err
}

// loadTests resolves names and files; ids must differ over the run.
func loadTests(names []string) ([]weat.Test, error) {
	if len(names) == 0 {
		return nil, fault.Usagef("weat: found no --tests, want weat1..weat10, all or a file").Hint("%q lists the built-in tests", "assay weat lists")
	}
	var out []weat.Test
	for _, name := range names {
		ts, err := oneTests(name)
		if err != nil {
			return nil, err
		}
		for _, t := range ts {
			if slices.ContainsFunc(out, func(o weat.Test) bool { return o.ID == t.ID }) {
				return nil, fault.Usagef("--tests %s: found the test id %q twice in this run", name, t.ID)
			}
			out = append(out, t)
		}
	}
	return out, nil
}

func oneTests(name string) ([]weat.Test, error) {
	if name == "all" {
		name = "caliskan:1-10"
	}
	file, err := os.Open(name)
	if err != nil {
		if !strings.ContainsAny(name, `./\`) || strings.Contains(name, "..") || strings.Contains(name, ":") {
			return weat.Builtin(name)
		}
		return nil, fault.Inputf("no-file", "--tests: %w", err)
	}
	defer file.Close()
	return weat.ReadTests(file, name)
}
