package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"assay/internal/fault"
	"assay/probes/ghost"

	"github.com/spf13/cobra"
)

func newGhostVerify(a *app) *cobra.Command {
	var opening string
	cmd := &cobra.Command{
		Use:   "verify NAME [--opening FILE]",
		Short: "Check that the private file regenerates everything that was committed to",
		Long: `verify draws all candidates again and compares them with NAME.commit.json: roots,
indices, plan, word list and the source of the seed. Any difference is an error (exit 3).

With --opening it checks one opened candidate against NAME.commit.json alone, as a
third party does who never sees the private file (exit 1 if it does not hold).`,
		Example: `  assay ghost verify mine
  assay ghost verify mine --opening leaf.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if opening != "" {
				return a.verifyOpening(args[0], opening)
			}
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
	cmd.Flags().StringVar(&opening, "opening", "", "opened candidate to check against the commitment")
	return cmd
}

func (a *app) verifyOpening(name, path string) error {
	c, err := readCommitment(name + ".commit.json")
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fault.Inputf("no-file", "--opening: %w", err)
	}
	defer f.Close()
	o, err := ghost.ReadOpening(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := o.Check(*c); err != nil {
		return err
	}
	doc := struct {
		Verified  bool   `json:"verified"`
		Secret    int    `json:"secret"`
		Candidate int    `json:"candidate"`
		Planted   *bool  `json:"planted"` // null: the index was not opened
		Root      string `json:"root"`
	}{Verified: true, Secret: o.Secret, Candidate: o.Candidate, Root: o.Root}
	says := "whether it was the planted one was not opened"
	if o.Index != nil {
		planted := *o.Index == o.Candidate
		doc.Planted = &planted
		if says = "it is a control"; planted {
			says = "it is the one that was to be planted"
		}
	}
	return a.print(doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "verified: candidate %d of secret %d was committed to; %s (the date cannot be checked)\n", o.Candidate, o.Secret, says)
		return err
	})
}

func newGhostOpen(a *app) *cobra.Command {
	var k, j int
	var index bool
	var out string
	cmd := &cobra.Command{
		Use:   "open NAME --secret K --candidate J -o FILE",
		Short: "Show one candidate with its path to the committed root, for a third party",
		Long: `open writes the text of one candidate, its salt and the hashes that lead from its leaf
to the root in NAME.commit.json; "ghost verify --opening" or any SHA-256 program checks
it. --index also opens which candidate was planted. An opened candidate may become
public: it is marked in NAME.secrets.json, and later tests say so.`,
		Example: `  assay ghost open mine --secret 3 --candidate 17 -o leaf.json
  assay ghost open mine --secret 3 --planted -o planted.json`,
		Args: cobra.ExactArgs(1),
	}
	fl := cmd.Flags()
	fl.IntVar(&k, "secret", 0, "number of the secret, from 0")
	fl.IntVar(&j, "candidate", 0, "number of the candidate, from 0")
	planted := fl.Bool("planted", false, "open the planted candidate and the index")
	fl.BoolVar(&index, "index", false, "also open which candidate was planted")
	outputFlag(cmd, &out, "opening to write (.json, mode 0600)")
	_ = cmd.MarkFlagRequired("secret")
	_ = cmd.MarkFlagRequired("output")
	cmd.MarkFlagsOneRequired("candidate", "planted")
	cmd.MarkFlagsMutuallyExclusive("candidate", "planted")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		s, c, err := a.loadGhost(args[0])
		if err != nil {
			return err
		}
		if c == nil {
			return fault.Inputf("no-file", "ghost: %s.commit.json: found no commitment to open against", args[0])
		}
		if *planted && k >= 0 && k < s.Secrets {
			j, index = s.Index(k), true
		}
		o, err := s.Open(k, j, index)
		if err != nil {
			return err
		}
		if err := o.Check(*c); err != nil {
			return err
		}
		b, err := o.JSON()
		if err != nil {
			return err
		}
		if err := ghost.WriteNew(out, b, true); err != nil {
			return err
		}
		s.Burn(ghost.Ref{Secret: k, Candidate: j})
		private, err := s.JSON()
		if err != nil {
			return err
		}
		if err := ghost.Replace(args[0]+".secrets.json", private, true); err != nil {
			return err
		}
		doc := struct {
			Path   string `json:"path"`
			Leaf   string `json:"leaf"`
			Opened int    `json:"opened"`
		}{out, o.Leaf, len(s.Burnt)}
		return a.print(doc, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s: leaf %s; %s of this set opened so far\n", doc.Path, doc.Leaf, plural(doc.Opened, "candidate"))
			return err
		})
	}
	return cmd
}
