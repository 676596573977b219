package main

import (
	"os"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/pairs"

	"github.com/spf13/cobra"
)

func newProbePairs(a *app) *cobra.Command {
	f := assocFlags{app: a}
	o := pairs.Default()
	var headline string
	cmd := &cobra.Command{
		Use:   "pairs [CKPT] --data crows=FILE",
		Short: "Which of two sentences that differ in the group is likelier",
		Long: `pairs compares sentences that differ in the group: CrowS-Pairs (crows=FILE.csv),
WinoBias (winobias-pro=FILE and winobias-anti=FILE) or own pairs (contrasts=FILE.jsonl
with id, more, less). The headline counts only the tokens that both share after the
first difference, so that a group word that is simply commoner decides nothing. For
encoders (--score pll) each shared token is masked in turn.
Descriptive (tier C): half is not what an unbiased model gives.`,
		Example: `  assay probe pairs ./pythia-70m --data crows=crows_pairs_anonymized.csv
  assay probe pairs ./pythia-70m --data contrasts=mine.jsonl --score sum --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Score, o.Seed = pairs.Score(headline), f.seed
			o.Encoder = o.Score == pairs.PLL
			if err := o.Validate(); err != nil {
				return err
			}
			ps, err := f.pairsData()
			if err != nil {
				return err
			}
			rs, err := pairs.Plan(ps, o)
			if err != nil {
				return err
			}
			ev, inputs, err := f.answered(cmd.Context(), args, rs)
			if err != nil || ev == nil {
				return err
			}
			r, err := pairs.Run(ps, o, ev)
			if err != nil {
				return err
			}
			return f.finish([]probes.Result{r}, inputs, extras{func() (assoc.ItemTable, error) { return pairs.Items(ps, o, ev) },
				forestOfResult("Pairs whose more stereotyped sentence is likelier", "share; half is no difference", .5, &r, "share", "_strict", "accuracy_gap")})
		},
	}
	f.register(cmd, "crows=FILE.csv, contrasts=FILE.jsonl, or winobias-pro=FILE with winobias-anti=FILE")
	fl := cmd.Flags()
	fl.StringVar(&headline, "score", string(o.Score), "the headline: shared, sum, token or byte; pll for encoders, and only for them")
	fl.BoolVar(&o.Compat, "compat", o.Compat, "pll as its authors count: rounded to 3 decimals, equal scores neutral")
	fl.BoolVar(&o.Control, "control", o.Control, "also ask for the group words in a neutral frame")
	fl.IntVar(&o.Boot, "boot", o.Boot, "resamples of items")
	fl.IntVar(&o.Draws, "perm", o.Draws, "sign flips by group")
	return cmd
}

func (f *assocFlags) pairsData() ([]pairs.Pair, error) {
	if err := f.settle("crows", "contrasts", "winobias-pro", "winobias-anti"); err != nil {
		return nil, err
	}
	var path [4]string
	for i, slot := range []string{"crows", "contrasts", "winobias-pro", "winobias-anti"} {
		var err error
		if path[i], err = f.one(slot); err != nil {
			return nil, err
		}
	}
	switch {
	case path[0] != "" && len(f.data) == 1:
		return openData("crows", path[0], pairs.ReadCrows)
	case path[1] != "" && len(f.data) == 1:
		return openData("contrasts", path[1], pairs.ReadContrasts)
	case path[2] != "" && path[3] != "" && len(f.data) == 2:
		var fs [2]*os.File
		for i, p := range path[2:] {
			var err error
			if fs[i], err = os.Open(p); err != nil {
				return nil, fault.Inputf("no-file", "--data: %w", err)
			}
			defer fs[i].Close()
		}
		return pairs.ReadWinoBias(fs[0], fs[1], path[2], path[3])
	}
	return nil, fault.Usagef("--data: want crows=FILE, contrasts=FILE, or winobias-pro=FILE with winobias-anti=FILE").
		Hint("the published files are not part of assay: get your own copy")
}

func newProbeStereo(a *app) *cobra.Command {
	f := assocFlags{app: a}
	o := pairs.DefaultStereo()
	cmd := &cobra.Command{
		Use:   "stereoset [CKPT] --data stereoset=FILE",
		Short: "Stereotype, anti-stereotype and unrelated sentences: which is likelier",
		Long: `stereoset scores StereoSet (dev.json, the user's copy): the stereotype score, the
language score and their combination, by term and over terms, with the form that lets
opposite terms cancel and the form that does not. Descriptive (tier C).`,
		Example: "  assay probe stereoset ./pythia-70m --data stereoset=dev.json --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.settle("stereoset"); err != nil {
				return err
			}
			path, err := f.one("stereoset")
			if err != nil {
				return err
			}
			if path == "" {
				return fault.Usagef("--data: want stereoset=FILE")
			}
			ts, err := openData("stereoset", path, pairs.ReadStereoSet)
			if err != nil {
				return err
			}
			ev, inputs, err := f.answered(cmd.Context(), args, pairs.PlanStereo(ts))
			if err != nil || ev == nil {
				return err
			}
			o.Seed = f.seed
			r, err := pairs.RunStereo(ts, o, ev)
			if err != nil {
				return err
			}
			return f.finish([]probes.Result{r}, inputs, extras{func() (assoc.ItemTable, error) { return pairs.StereoItems(ts, ev) },
				forestOfResult("Stereotype, language and combined score", "percent; 50 is no preference", 50, &r, "percent", "spread")})
		},
	}
	f.register(cmd, "stereoset=FILE")
	cmd.Flags().BoolVar(&o.Compat, "compat", false, "ties go to the anti-stereotype, as the authors have it; else half")
	cmd.Flags().IntVar(&o.Boot, "boot", o.Boot, "resamples of terms")
	return cmd
}
