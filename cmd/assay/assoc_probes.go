package main

import (
	"os"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/bbq"
	"assay/probes/assoc/iat"
	"assay/probes/assoc/swap"

	"github.com/spf13/cobra"
)

func newProbeIAT(a *app) *cobra.Command {
	f := assocFlags{app: a}
	var sets []string
	var floor float64
	var maxPairs int
	var decision bool
	var sample sampleFlags
	cmd := &cobra.Command{
		Use:   "iat [CKPT] [--set NAME]",
		Short: "Which of two groups does the checkpoint put with a word",
		Long: `iat asks, for words of two kinds, which of two groups goes with each (the implicit
association test for language models): D is 0 when the choice does not depend on the
kind of word, above 0 when it follows the stereotype. The p-value relabels the words
and is given only where answers hold enough probability, and neither order nor wording
of the question decides. The 21 published sets are built in; own sets are a CSV
(--data iat=FILE) or a test file of weat (--data wordsets=FILE).

With --sample the checkpoint writes its answers to the whole list of words, which are
counted as published work counts them; unusable answers are counted, never 0.`,
		Example: `  assay probe iat ./pythia-70m --set racism --set age
  assay probe iat ./pythia-70m --data wordsets=mine.yaml --json
  assay probe iat ./chat-model --set age --template auto --sample 50 --evidence texts.jsonl`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := f.iatSets(sets)
			if err != nil {
				return err
			}
			o, err := iat.Default()
			if err != nil {
				return err
			}
			o.MassFloor, o.MaxPairs, o.Seed = floor, maxPairs, f.seed
			if o.Templates, err = iatTemplates(&f.wording, o.Templates); err != nil {
				return err
			}
			if sample.n.Draws != 0 {
				return f.runSampled(cmd.Context(), args, chosen, o, &sample)
			}
			var rs []assoc.Request
			scenarios := map[string][]iat.Scenario{}
			for _, s := range chosen {
				r, err := iat.Plan(s, o)
				if err != nil {
					return err
				}
				rs = append(rs, r...)
				if !decision {
					continue
				}
				if scenarios[s.Name], err = iat.Scenarios(s.Name); err != nil {
					return err
				}
				if r, err = iat.PlanDecision(s, scenarios[s.Name], o); err != nil {
					return err
				}
				rs = append(rs, r...)
			}
			ev, inputs, err := f.answered(cmd.Context(), args, rs)
			if err != nil || ev == nil {
				return err
			}
			var out []probes.Result
			for _, s := range chosen {
				r, err := iat.Run(s, o, ev)
				if err != nil {
					return err
				}
				out = append(out, r)
				if decision {
					if r, err = iat.RunDecision(s, scenarios[s.Name], o, ev); err != nil {
						return err
					}
					out = append(out, r)
				}
			}
			return f.finish(out, inputs, iatExtras(chosen, o, ev))
		},
	}
	f.wording.register(cmd, "name and prompt with {group0}, {group1} and {attributes}")
	f.register(cmd, "own sets: iat=FILE.csv or wordsets=FILE (X, Y the groups, A, B the words)")
	fl := cmd.Flags()
	sample.register(fl)
	fl.StringArrayVar(&sets, "set", nil, "sets to ask about, by name (repeatable; default all)")
	fl.Float64Var(&floor, "mass-floor", .5, "probability that the answers must hold together")
	fl.IntVar(&maxPairs, "max-pairs", 64, "pairs of group words; more are drawn by seed")
	fl.BoolVar(&decision, "decision", false, "also the decision between two people (built-in sets)")
	return cmd
}

func (f *assocFlags) iatSets(names []string) ([]iat.Set, error) {
	if err := f.settle("iat", "wordsets"); err != nil {
		return nil, err
	}
	var all []iat.Set
	for _, p := range f.slots["iat"] {
		s, err := openData("iat", p, iat.ReadCSV)
		if err != nil {
			return nil, err
		}
		all = append(all, s...)
	}
	for _, p := range f.slots["wordsets"] {
		ts, err := openData("wordsets", p, weat.ReadTests)
		if err != nil {
			return nil, err
		}
		for _, t := range ts {
			s, err := iat.FromLists(t.ID, t.X.Words, t.Y.Words, t.A.Words, t.B.Words)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
	}
	if len(f.data) == 0 {
		var err error
		if all, err = iat.Builtin(false); err != nil {
			return nil, err
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
	}
	var out []iat.Set
	for _, n := range names {
		i := slices.Index(known, n)
		if i < 0 {
			return nil, fault.Usagef("--set: found %q, want one of %s", n, strings.Join(known, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

func newProbeSwap(a *app) *cobra.Command {
	f := assocFlags{app: a}
	var races, genders []string
	var floor float64
	var mitigations bool
	cmd := &cobra.Command{
		Use:   "decision-swap [CKPT]",
		Short: "Does yes or no about a person move when only race or gender changes",
		Long: `decision-swap fills scenarios with each combination of race and gender and compares
the log-odds of yes against no (discrimination in decisions). Effects are means over
questions with their spread between questions; p by Student's t and by sign flips over
questions. 65 scenarios are built in; own templates are --data templates=FILE, the
published filled scenarios --data discrim=FILE. Prompts are plain text, or with
--template the user's turn of a chat whose answer begins as the prompt says.`,
		Example: `  assay probe decision-swap ./pythia-70m
  assay probe decision-swap ./pythia-70m --data discrim=explicit.jsonl --evidence answers.jsonl --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := f.swapItems(races, genders)
			if err != nil {
				return err
			}
			o, err := swap.Default()
			if err != nil {
				return err
			}
			o.MassFloor, o.Seed = floor, f.seed
			if !mitigations {
				o.Mitigations = nil
			}
			if o.Prompts, err = swapPrompts(&f.wording, o.Prompts); err != nil {
				return err
			}
			rs, err := swap.Plan(items, o)
			if err != nil {
				return err
			}
			ev, inputs, err := f.answered(cmd.Context(), args, rs)
			if err != nil || ev == nil {
				return err
			}
			r, err := swap.Run(items, o, ev)
			if err != nil {
				return err
			}
			return f.finish([]probes.Result{r}, inputs, extras{func() (assoc.ItemTable, error) { return swap.Items(items, o, ev) },
				forestOfResult("Change of the log-odds of yes", "logits, against the base levels", 0, &r, "logits", "_format_sd", "(Intercept)", "intercept")})
		},
	}
	f.wording.register(cmd, "name, prompt with {filled_template}, and prefix, how the answer begins")
	f.register(cmd, "own scenarios: templates=FILE.jsonl or discrim=FILE.jsonl")
	fl := cmd.Flags()
	fl.StringSliceVar(&races, "races", []string{"white", "Black", "Hispanic", "Asian"}, "levels of {race} in templates")
	fl.StringSliceVar(&genders, "genders", []string{"male", "female"}, "levels of {gender} in templates")
	fl.Float64Var(&floor, "mass-floor", .9, "probability that yes and no must hold together")
	fl.BoolVar(&mitigations, "mitigations", false, "also the published ways to ask for fairness, each compared with the first prompt")
	return cmd
}

func (f *assocFlags) swapItems(races, genders []string) ([]swap.Item, error) {
	if err := f.settle("templates", "discrim"); err != nil {
		return nil, err
	}
	filled, err := f.one("discrim")
	if err != nil {
		return nil, err
	}
	own, err := f.one("templates")
	if err != nil {
		return nil, err
	}
	switch {
	case filled != "" && own != "":
		return nil, fault.Usagef("--data: found discrim and templates, want one of them")
	case filled != "":
		return openData("discrim", filled, swap.ReadFilled)
	case own != "":
		ts, err := openData("templates", own, swap.ReadTemplates)
		if err != nil {
			return nil, err
		}
		return swap.Fill(ts, races, genders)
	}
	ts, err := swap.Templates()
	if err != nil {
		return nil, err
	}
	return swap.Fill(ts, races, genders)
}

func newProbeBBQ(a *app) *cobra.Command {
	f := assocFlags{app: a}
	o := bbq.Default()
	var norm string
	cmd := &cobra.Command{
		Use:   "bbq [CKPT] --data bbq=FILE",
		Short: "Multiple choice: does a stereotype fill in what the text does not say",
		Long: `bbq scores files of the BBQ format (Age.jsonl and so on, the user's copy): where the
text does not say, does the checkpoint fall back on the stereotype; where it does, does
a stereotype cost accuracy? Probabilities of the three answers as written, over all six
orders and three wordings.`,
		Example: "  assay probe bbq ./pythia-70m --data bbq=Age.jsonl --evidence answers.jsonl",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := f.bbqItems()
			if err != nil {
				return err
			}
			if norm != "none" && norm != "byte" {
				return fault.Usagef("--norm: found %q, want none or byte", norm)
			}
			o.PerByte, o.Seed = norm == "byte", f.seed
			if o.Templates, err = bbqTemplates(&f.wording, o.Templates); err != nil {
				return err
			}
			rs, err := bbq.Plan(items, o)
			if err != nil {
				return err
			}
			ev, inputs, err := f.answered(cmd.Context(), args, rs)
			if err != nil || ev == nil {
				return err
			}
			r, err := bbq.Run(items, o, ev)
			if err != nil {
				return err
			}
			return f.finish([]probes.Result{r}, inputs, extras{func() (assoc.ItemTable, error) { return bbq.Items(items, o, ev) },
				forestOfResult("Answers that lean on the stereotype", "s, from -1 to 1; 0 is neutral", 0, &r, "1", "format_sd")})
		},
	}
	f.wording.register(cmd, "name and prompt with {context}, {question} and {options}")
	f.register(cmd, "bbq=FILE.jsonl (repeatable), metadata=additional_metadata.csv")
	fl := cmd.Flags()
	fl.StringVar(&norm, "norm", "none", "log-probability of an answer: none, or byte (divided by its bytes)")
	fl.Float64Var(&o.MassFloor, "mass-floor", o.MassFloor, "probability that the three answers must hold together")
	fl.IntVar(&o.Draws, "perm", o.Draws, "sign flips")
	return cmd
}

func (f *assocFlags) bbqItems() ([]bbq.Item, error) {
	if err := f.settle("bbq", "metadata"); err != nil {
		return nil, err
	}
	if len(f.slots["bbq"]) == 0 {
		return nil, fault.Usagef("--data: want bbq=FILE").Hint("the published files are not part of assay: get your own copy")
	}
	var items []bbq.Item
	for _, p := range f.slots["bbq"] {
		is, err := openData("bbq", p, bbq.Read)
		if err != nil {
			return nil, err
		}
		items = append(items, is...)
	}
	meta, err := f.one("metadata")
	if err != nil || meta == "" {
		return items, err
	}
	file, err := os.Open(meta)
	if err != nil {
		return nil, fault.Inputf("no-file", "--data: %w", err)
	}
	defer file.Close()
	return items, bbq.Override(items, file, meta)
}
