package main

import (
	"crypto/rand"
	"encoding/hex"
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
  2. plant    put the secrets into documents
  3. test     score all candidates under a checkpoint and compare`,
		Example: `  assay ghost commit mine --secrets 30 --controls 999
  assay ghost plant mine --in corpus.jsonl -o planted.jsonl
  assay ghost test mine ./suspect --ref ./older-model`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGhostCommit(a), newGhostPlant(a), newGhostVerify(a), newGhostTest(a), newGhostExternal(a), newGhostPower(a))
	return cmd
}

// loadGhost reads NAME.secrets.json and, where it exists, NAME.commit.json.
func (a *app) loadGhost(name string) (*ghost.Set, *ghost.Commitment, error) {
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
	if pending != nil {
		return nil, nil, fault.Inputf("pending", "ghost: %s: found a set that waits for its beacon", path)
	}
	g, err := os.Open(name + ".commit.json")
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil, nil
	}
	if err != nil {
		return nil, nil, fault.Retryf("io", "ghost: %w", err)
	}
	defer g.Close()
	c, err := ghost.ReadCommitment(g)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.commit.json: %w", name, err)
	}
	return s, &c, nil
}

func newGhostCommit(a *app) *cobra.Command {
	var list, plan, anchor string
	spec := ghost.Spec{Plan: ghost.DefaultPlan()}
	cmd := &cobra.Command{
		Use:     "commit NAME",
		Aliases: []string{"new"},
		Short:   "Draw secrets and controls, and write the commitment to publish before planting",
		Long: `commit draws --secrets lists of one secret and --controls controls each and writes

  NAME.secrets.json   private: the seed; everything follows from it (mode 0600)
  NAME.plan.json      the analysis: statistic, primary test, combination, wrappers
  NAME.commit.json    hashes of all candidates, of the planted ones and of the plan

Publish the commitment with a time stamp before planting; assay checks the hashes, it
cannot check the date. Existing files are never overwritten.`,
		Example: `  assay ghost commit mine --secrets 30 --controls 999 --words 10
  assay ghost commit mine --kind hex --words 32 --plan plan.json --anchor "commit 1a2b3c of a public repository"`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if spec.Kind == ghost.Passphrase {
				spec.List = ghost.Shipped()
				if list != "" {
					f, err := os.Open(list)
					if err != nil {
						return fault.Inputf("no-file", "--list: %w", err)
					}
					defer f.Close()
					if spec.List, err = ghost.ReadList(f); err != nil {
						return err
					}
				}
			} else if list != "" {
				return fault.Usagef("--list: found kind %q, want %s", spec.Kind, ghost.Passphrase)
			}
			if plan != "" {
				f, err := os.Open(plan)
				if err != nil {
					return fault.Inputf("no-file", "--plan: %w", err)
				}
				defer f.Close()
				if spec.Plan, err = ghost.ReadPlan(f); err != nil {
					return err
				}
			}
			return a.ghostCommit(args[0], spec, anchor)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&spec.Kind, "kind", ghost.Passphrase, "passphrase, hex, alnum or uuid4")
	fl.StringVar(&list, "list", "", "word list, one word a line (default: the list that comes with assay)")
	fl.IntVar(&spec.Words, "words", 10, "words of a passphrase, or characters of hex and alnum")
	fl.IntVar(&spec.Secrets, "secrets", 30, "secrets to plant")
	fl.IntVar(&spec.Controls, "controls", 999, "controls of each secret")
	fl.StringVar(&plan, "plan", "", "analysis plan (.json; default: rank test, Fisher's sum, empty wrapper)")
	fl.StringVar(&anchor, "anchor", "", "where the commitment is time-stamped: quoted as claimed, not checked")
	return cmd
}

func (a *app) ghostCommit(name string, spec ghost.Spec, anchor string) (err error) {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return fault.Retryf("io", "ghost: seed: %w", err)
	}
	s, err := ghost.New(seed, spec)
	if err != nil {
		return err
	}
	c, err := s.Commit()
	if err != nil {
		return err
	}
	c.Anchor = anchor
	type file struct {
		path    string
		data    []byte
		private bool
	}
	var files []file
	for _, x := range []struct {
		ext     string
		json    func() ([]byte, error)
		private bool
	}{{".secrets.json", s.JSON, true}, {".plan.json", spec.Plan.JSON, false}, {".commit.json", c.JSON, false}} {
		b, err := x.json()
		if err != nil {
			return err
		}
		files = append(files, file{name + x.ext, b, x.private})
	}
	var written []string
	defer func() {
		if err != nil {
			for _, p := range written {
				_ = os.Remove(p)
			}
		}
	}()
	for _, f := range files {
		if err := ghost.WriteNew(f.path, f.data, f.private); err != nil {
			return err
		}
		written = append(written, f.path)
	}
	return a.print(c, func(w io.Writer) error {
		return show.Table(w, [][]string{
			{"secrets", fmt.Sprintf("%d of %.1f bits, %d controls each", s.Secrets, s.Bits(), s.Controls)},
			{"keep private", files[0].path},
			{"publish before planting", files[2].path},
			{"plan sha256", c.PlanSHA256},
			{"first root", c.Roots[0]},
			{"log10 p at best", show.Number(ghost.Power([]float64{0}, s.Secrets, s.Controls, spec.Plan.Alpha)[0].Floor)},
		})
	})
}

func newGhostVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify NAME",
		Short: "Check that the private file regenerates everything that was committed to",
		Long: `verify draws all candidates again and compares them with NAME.commit.json: roots,
indices, plan, word list and the source of the seed. Any difference is an error (exit 3).`,
		Example: "  assay ghost verify mine",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s, c, err := a.loadGhost(args[0])
			if err != nil {
				return err
			}
			if c == nil {
				return fault.Inputf("no-file", "ghost: %s.commit.json: found no commitment", args[0])
			}
			diff, err := ghost.Verify(*c, s)
			if err != nil {
				return err
			}
			if len(diff) > 0 {
				f := fault.Inputf("commitment", "ghost: %s: the commitment does not verify: %d differences", args[0], len(diff))
				for i, d := range diff {
					if i == 10 {
						break
					}
					f = f.Hint("%s", d)
				}
				return f
			}
			leaf := s.IndexHash(0)
			doc := struct {
				Verified bool   `json:"verified"`
				Secrets  int    `json:"secrets"`
				Controls int    `json:"controls"`
				Index    string `json:"first_index_commitment"`
				Anchor   string `json:"anchor_claimed"`
			}{true, s.Secrets, s.Controls, hex.EncodeToString(leaf[:]), c.Anchor}
			return a.print(doc, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "verified: %d secrets with %d controls, plan and list are those committed to (the date cannot be checked)\n", doc.Secrets, doc.Controls)
				return err
			})
		},
	}
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
