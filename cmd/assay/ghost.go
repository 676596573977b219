package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/probes/ghost"

	"github.com/spf13/cobra"
)

func newGhost(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ghost",
		Short: "Plant secret strings in documents and later prove that a checkpoint was trained on them",
		Long: `ghost draws secrets and controls from one generator, commits to all of them and to the
analysis before anything is planted, plants the secrets, and later asks whether a
checkpoint ranks the planted strings above their controls. The randomness is the
auditor's own, so the p-values are exact whatever the model is (tier A).

  1. commit   draw NAME.secrets.json (private), write NAME.commit.json: publish it
  2. plant    put the secrets into documents; check forecasts what cleaning would leave
  3. test     score all candidates under a checkpoint and compare
  4. open     show one candidate to a third party, verify checks it

Canaries that others planted are ranked by external (tier C). Traps are texts that a
reference model wrote: pool filters them before anything is drawn.`,
		Example: `  assay ghost commit mine --secrets 30 --controls 999
  assay ghost plant mine --in corpus.jsonl -o planted.jsonl
  assay ghost test mine ./suspect --ref ./older-model`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGhostPlan(a), newGhostPool(a), newGhostCommit(a), newGhostSeed(a), newGhostPlant(a), newGhostCheck(a), newGhostVerify(a), newGhostOpen(a),
		newGhostRequests(a), newGhostTest(a), newGhostExternal(a), newGhostPower(a))
	return cmd
}

// readSecrets reads NAME.secrets.json: a set, or one that waits for its beacon.
func (a *app) readSecrets(name string) (*ghost.Set, *ghost.Pending, error) {
	path := name + ".secrets.json"
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fault.Inputf("no-file", "ghost: %w", err).Hint("\"assay ghost commit %s\" makes it", name)
	}
	defer f.Close()
	if loose, err := ghost.Loose(path); err == nil && loose {
		a.note("warning: other users can read %s (chmod 600)", path)
	}
	s, pending, err := ghost.ReadSecrets(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, pending, nil
}

// loadGhost reads NAME.secrets.json and, where it exists, NAME.commit.json.
func (a *app) loadGhost(name string) (*ghost.Set, *ghost.Commitment, error) {
	s, pending, err := a.readSecrets(name)
	if err != nil {
		return nil, nil, err
	}
	if pending != nil {
		return nil, nil, fault.Inputf("pending", "ghost: %s.secrets.json: found a set that waits for its beacon", name).
			Hint("\"assay ghost seed %s --beacon HEX\" completes it", name)
	}
	c, err := readCommitment(name + ".commit.json")
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil, nil
	}
	return s, c, err
}

func readCommitment(path string) (*ghost.Commitment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Inputf("no-file", "ghost: %w", err)
	}
	defer f.Close()
	c, err := ghost.ReadCommitment(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

func newGhostPower(a *app) *cobra.Command {
	var deltas []float64
	var secrets, controls int
	var alpha float64
	cmd := &cobra.Command{
		Use:   "power",
		Short: "Forecast what a design of secrets and controls can show",
		Long: `power prints, for shifts of the planted strings' scores in standard deviations of
their controls, the power of the rank test of one secret and of all together.`,
		Example: "  assay ghost power --secrets 30 --controls 999 --alpha 0.001",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if secrets < 1 || controls < 1 || !(alpha > 0 && alpha < 1) {
				return fault.Usagef("ghost power: found %d secrets, %d controls, alpha %v, want at least 1, at least 1, a number in (0, 1)", secrets, controls, alpha)
			}
			rows := ghost.Power(deltas, secrets, controls, alpha)
			return a.print(map[string]any{"forecast": rows}, func(w io.Writer) error {
				t := [][]string{{"shift [sd]", "AUC", "one secret", fmt.Sprintf("%d secrets", secrets), "log10 p at best"}}
				for _, r := range rows {
					t = append(t, []string{show.Number(r.Delta), show.Number(r.AUC), show.Number(r.One), show.Number(r.All), show.Number(r.Floor)})
				}
				return show.Table(w, t)
			})
		},
	}
	fl := cmd.Flags()
	fl.Float64SliceVar(&deltas, "delta", []float64{.5, 1, 1.742, 3, 4}, "shifts, in standard deviations of the controls")
	fl.IntVar(&secrets, "secrets", 30, "secrets")
	fl.IntVar(&controls, "controls", 999, "controls of each")
	fl.Float64Var(&alpha, "alpha", 0.01, "level")
	return cmd
}
