package main

import (
	"context"
	"fmt"

	"assay/internal/fault"
	"assay/model/score"
	"assay/probes"
	"assay/probes/membership"

	"github.com/spf13/cobra"
)

func newMembershipInfer(a *app) *cobra.Command {
	f := comparison{membershipFlags: membershipFlags{scorer: scorer{app: a}}}
	var suspect, unseen, perturbed, synonyms string
	var splits int
	cmd := &cobra.Command{
		Use:   "infer CKPT|TRACE --suspect FILE --unseen FILE",
		Short: "Dataset inference: does a dataset score unlike texts known to be unseen?",
		Long: `infer learns on half of both sets (files with one document id a line) which scores tell
the unseen texts from the suspects, and compares the other halves; labels are permuted
by group. The unseen texts must come from the same process, such as unpublished drafts
or a random split. Beside it stands the same with the unseen texts cut in two, which
must show nothing. Without a clean gate or an assignment no p-value is given (tier C).
By default the features are the loss and the means of the lowest and highest shares;
--perturbed adds how the loss changes under six edits of each text.`,
		Example: `  assay membership infer trace.parquet --suspect book.txt --unseen drafts.txt --text all.jsonl
  assay membership infer trace.parquet --suspect s.txt --unseen v.txt --assignment split.json --splits 5`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := f.perturbation(args[0], perturbed, synonyms)
			if err != nil {
				return err
			}
			return f.infer(cmd.Context(), args[0], suspect, unseen, splits, p)
		},
	}
	f.membershipFlags.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&suspect, "suspect", "", "document ids of the suspected dataset, one a line")
	fl.StringVar(&unseen, "unseen", "", "document ids of texts known to be unseen, one a line")
	fl.StringVar(&perturbed, "perturbed", "", "edited copies: their trace (\"membership perturb\" writes the texts), or \"make\" to make and score them here for a checkpoint with --text")
	fl.StringVar(&synonyms, "synonyms", "", "synonyms for the first edit (.json: {word: [replacements]}); without them it is left out")
	fl.IntVar(&splits, "splits", 1, "splits into halves (p = twice the median)")
	fl.StringVar(&f.assignment, "assignment", "", "file that proves the unseen texts were drawn at random (tier A)")
	fl.BoolVar(&f.noGate, "no-gate", false, "do not ask whether the two sets differ without the model (tier C)")
	fl.IntVar(&f.gatePerm, "gate-perm", 99, "label permutations of the gate")
	fl.Float64Var(&f.o.Alpha, "alpha", 0.05, "level of the verdict")
	fl.IntVar(&f.o.B, "perm", 9999, "permutations")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of halves, permutations and folds")
	outputFlag(cmd, &f.out, "write the result as JSON to this file too")
	_ = cmd.MarkFlagRequired("suspect")
	_ = cmd.MarkFlagRequired("unseen")
	return cmd
}

// perturbation is where edited copies come from: a trace, or texts made here.
type perturbation struct {
	trace    string
	synonyms map[string][]string
	make     bool
}

func (f *comparison) perturbation(path, perturbed, synonyms string) (p perturbation, err error) {
	if perturbed != "make" {
		if p.trace = perturbed; synonyms != "" {
			return p, fault.Usagef("--synonyms: want --perturbed make")
		}
		return p, nil
	}
	if isTrace(path) || f.score.text == "" {
		return p, fault.Usagef("--perturbed make: want a checkpoint and --text")
	}
	p.make = true
	p.synonyms, err = readSynonyms(synonyms)
	return p, err
}

// losses are the mean losses of the texts and of their edited copies.
func (f *comparison) losses(ctx context.Context, path string, p perturbation, d *membershipData) (base map[string]float64, copies map[string]map[int]float64, err error) {
	in, closer, err := f.documents(path)
	if err != nil {
		return nil, nil, err
	}
	defer closer()
	from, docs := p.trace, in
	if p.make {
		from, docs = path, edited{in, f.o.Seed, p.synonyms}
	}
	r, err := f.trace(ctx, from, docs, true, score.Options{Policy: f.score.policy})
	if err != nil {
		return nil, nil, fmt.Errorf("membership: edited copies: %w", err)
	}
	defer r.Close()
	d.inputs = append(d.inputs, probes.Input{Role: "edited copies", Path: from, Digest: "sha256:" + r.Header().Run})
	if w := r.Header().Of.Checkpoint.Weights; w != d.Weights {
		return nil, nil, fault.Inputf("weights", "membership: edited copies: found weights %.20s, want the suspect's %.20s", w, d.Weights)
	}
	if copies, err = membership.CopyLoss(r); err != nil {
		return nil, nil, err
	}
	s, err := f.trace(ctx, path, in, f.score.text != "", score.Options{Policy: f.score.policy})
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	base, err = membership.MeanLoss(s)
	return base, copies, err
}

func (f *comparison) infer(ctx context.Context, path, suspect, unseen string, splits int, p perturbation) error {
	if err := f.o.Validate(); err != nil {
		return err
	}
	f.fallback = membership.InferScores
	d, err := f.table(ctx, path, !f.noGate)
	if err != nil {
		return err
	}
	s, v, err := f.sides(d, "--suspect", suspect, "--unseen", unseen)
	if err != nil {
		return err
	}
	if err := f.ground(d); err != nil {
		return err
	}
	fs, fv := d.Features(s), d.Features(v)
	if p.make || p.trace != "" {
		base, copies, err := f.losses(ctx, path, p, &d)
		if err != nil {
			return err
		}
		fs, fv = fs.PerturbedFeatures(base, copies), fv.PerturbedFeatures(base, copies)
	}
	r, err := membership.Infer(fs, fv, membership.InferOptions{Alpha: f.o.Alpha, B: f.o.B, Seed: fmt.Sprint(f.o.Seed),
		Splits: splits, Ground: f.o.Ground, Inputs: d.inputs})
	if err != nil {
		return err
	}
	r.Warnings = append(append(r.Warnings, d.Warnings...), d.extra...)
	return f.app.printResult(r, f.out)
}
