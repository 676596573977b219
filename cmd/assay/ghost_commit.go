package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/probes/ghost"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// ghostCommitFlags are the flags of ghost commit.
type ghostCommitFlags struct {
	spec                                ghost.Spec
	list, template, traps, plan, anchor string
	beacon                              bool
}

func newGhostCommit(a *app) *cobra.Command {
	f := ghostCommitFlags{spec: ghost.Spec{Plan: ghost.DefaultPlan()}}
	cmd := &cobra.Command{
		Use:     "commit NAME",
		Aliases: []string{"new"},
		Short:   "Draw secrets and controls, and write the commitment to publish before planting",
		Long: `commit draws --secrets lists of one secret and --controls controls each and writes

  NAME.secrets.json   private: the seed; everything follows from it (mode 0600)
  NAME.plan.json      the analysis: statistic, primary test, combination, wrappers
  NAME.commit.json    hashes of all candidates, of the planted ones and of the plan

Publish the commitment with a time stamp before planting; assay checks the hashes, it
cannot check the date. Existing files are never overwritten.

With --beacon-nonce the seed waits for a public random value: commit writes
NAME.nonce.json, which is published first, and "ghost seed" completes the set. Then
nobody can say that many seeds were tried.

Kind template fills the slots {name} of a text from lists: --template names a .json of
{"text", "lists": {name: [...]}}. Kind trap draws from texts that a reference model
wrote: --traps names the pool that "ghost pool" made.`,
		Example: `  assay ghost commit mine --secrets 30 --controls 999 --words 10
  assay ghost commit mine --kind hex --words 32 --plan plan.json --anchor "commit 1a2b3c of a public repository"
  assay ghost commit mine --kind trap --traps pool.jsonl --secrets 20 --controls 99 --beacon-nonce`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := f.read(); err != nil {
				return err
			}
			return a.ghostCommit(args[0], f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.spec.Kind, "kind", ghost.Passphrase, "passphrase, hex, alnum, uuid4, template or trap")
	fl.StringVar(&f.list, "list", "", "word list, one word a line (default: the list that comes with assay)")
	fl.StringVar(&f.template, "template", "", "text with slots and their lists (.json), for kind template")
	fl.StringVar(&f.traps, "traps", "", "pool of texts (.jsonl), for kind trap")
	fl.IntVar(&f.spec.Words, "words", 10, "words of a passphrase, or characters of hex and alnum")
	fl.IntVar(&f.spec.Secrets, "secrets", 30, "secrets to plant")
	fl.IntVar(&f.spec.Controls, "controls", 999, "controls of each secret")
	fl.StringVar(&f.plan, "plan", "", "analysis plan (.json, \"assay ghost plan\" writes one; default: rank test, Fisher's sum, empty wrapper)")
	fl.StringVar(&f.anchor, "anchor", "", "where the commitment is time-stamped: quoted as claimed, not checked")
	fl.BoolVar(&f.beacon, "beacon-nonce", false, "draw a nonce now and the seed from a public random value later")
	return cmd
}

// read opens the files that the kind and the plan need.
func (f *ghostCommitFlags) read() error {
	for _, x := range []struct{ flag, value, kind string }{{"list", f.list, ghost.Passphrase}, {"template", f.template, ghost.Templated}, {"traps", f.traps, ghost.Trap}} {
		if x.value != "" && f.spec.Kind != x.kind {
			return fault.Usagef("--%s: found kind %q, want %s", x.flag, f.spec.Kind, x.kind)
		}
		if x.value == "" && f.spec.Kind == x.kind && x.kind != ghost.Passphrase {
			return fault.Usagef("ghost commit: kind %s: want --%s", x.kind, x.flag)
		}
	}
	if f.spec.Kind == ghost.Passphrase {
		f.spec.List = ghost.Shipped()
	}
	if f.spec.Kind == ghost.Templated || f.spec.Kind == ghost.Trap || f.spec.Kind == ghost.UUID4 {
		f.spec.Words = 0
	}
	for _, x := range []struct {
		flag, path string
		read       func(io.Reader) error
	}{
		{"--list", f.list, func(r io.Reader) (err error) { f.spec.List, err = ghost.ReadList(r); return err }},
		{"--template", f.template, func(r io.Reader) (err error) { f.spec.Template, err = ghost.ReadTemplate(r); return err }},
		{"--plan", f.plan, func(r io.Reader) (err error) { f.spec.Plan, err = ghost.ReadPlan(r); return err }},
	} {
		if x.path == "" {
			continue
		}
		file, err := os.Open(x.path)
		if err != nil {
			return fault.Inputf("no-file", "%s: %w", x.flag, err)
		}
		err = x.read(file)
		_ = file.Close()
		if err != nil {
			return err
		}
	}
	if f.traps != "" {
		for d, err := range text.Read(f.traps, text.Options{}) {
			if err != nil {
				return err
			}
			f.spec.Traps = append(f.spec.Traps, d.Text)
		}
	}
	return nil
}

// ghostFile is one file of a set.
type ghostFile struct {
	path    string
	json    func() ([]byte, error)
	private bool
}

// writeGhost writes new files; a failure leaves none of them.
func writeGhost(files []ghostFile) (err error) {
	var written []string
	defer func() {
		if err != nil {
			for _, p := range written {
				_ = os.Remove(p)
			}
		}
	}()
	for _, f := range files {
		b, err := f.json()
		if err != nil {
			return err
		}
		if err := ghost.WriteNew(f.path, b, f.private); err != nil {
			return err
		}
		written = append(written, f.path)
	}
	return nil
}

func (a *app) ghostCommit(name string, f ghostCommitFlags) (err error) {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return fault.Retryf("io", "ghost: seed: %w", err)
	}
	if f.beacon {
		return a.ghostNonce(name, seed, f)
	}
	s, err := ghost.New(seed, f.spec)
	if err != nil {
		return err
	}
	c, err := s.Commit()
	if err != nil {
		return err
	}
	c.Anchor = f.anchor
	if err := writeGhost([]ghostFile{{name + ".secrets.json", s.JSON, true}, {name + ".plan.json", s.Plan.JSON, false}, {name + ".commit.json", c.JSON, false}}); err != nil {
		return err
	}
	return a.printCommitment(name, s, c)
}

// ghostNonce writes the first step of the beacon form.
func (a *app) ghostNonce(name string, nonce [32]byte, f ghostCommitFlags) error {
	p, err := ghost.NewPending(nonce, f.spec)
	if err != nil {
		return err
	}
	c, err := p.Commit()
	if err != nil {
		return err
	}
	c.Anchor = f.anchor
	if err := writeGhost([]ghostFile{{name + ".secrets.json", p.JSON, true}, {name + ".plan.json", f.spec.Plan.JSON, false}, {name + ".nonce.json", c.JSON, false}}); err != nil {
		return err
	}
	return a.print(c, func(w io.Writer) error {
		return show.Table(w, [][]string{
			{"keep private", name + ".secrets.json"}, {"publish now", name + ".nonce.json"}, {"nonce commitment", c.Source}, {"plan sha256", c.PlanSHA256},
			{"then", "take a public random value that appears later: assay ghost seed " + name + " --beacon HEX"},
		})
	})
}

func (a *app) printCommitment(name string, s *ghost.Set, c ghost.Commitment) error {
	drawn := fmt.Sprintf("%d of %.1f bits, %d controls each", s.Secrets, s.Bits(), s.Controls)
	if s.Kind == ghost.Trap {
		drawn = fmt.Sprintf("%d of a pool of %d texts, %d controls each", s.Secrets, len(s.Traps), s.Controls)
	}
	return a.print(c, func(w io.Writer) error {
		return show.Table(w, [][]string{
			{"secrets", drawn},
			{"keep private", name + ".secrets.json"},
			{"publish before planting", name + ".commit.json"},
			{"plan sha256", c.PlanSHA256},
			{"first root", c.Roots[0]},
			{"log10 p at best", show.Number(ghost.Power([]float64{0}, s.Secrets, s.Controls, s.Plan.Alpha)[0].Floor)},
		})
	})
}

func newGhostSeed(a *app) *cobra.Command {
	var beacon, anchor string
	cmd := &cobra.Command{
		Use:   "seed NAME --beacon HEX",
		Short: "Complete a set of the beacon form with a public random value",
		Long: `seed takes the public random value (a lottery draw, a randomness beacon) that appeared
after NAME.nonce.json was published, draws all candidates from the nonce and the value,
and writes NAME.commit.json with their hashes. Publish that before planting. A plan,
list or design other than in NAME.nonce.json is an error.`,
		Example: "  assay ghost seed mine --beacon 6f1c29d85c3a4be0",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := hex.DecodeString(beacon)
			if err != nil {
				return fault.Usagef("--beacon: found %q, want hexadecimal digits", beacon)
			}
			return a.ghostSeed(args[0], b, anchor)
		},
	}
	cmd.Flags().StringVar(&beacon, "beacon", "", "public random value, hexadecimal, at least 8 bytes")
	cmd.Flags().StringVar(&anchor, "anchor", "", "where the value and the commitment can be looked up: quoted as claimed, not checked")
	_ = cmd.MarkFlagRequired("beacon")
	return cmd
}

func (a *app) ghostSeed(name string, beacon []byte, anchor string) error {
	done, pending, err := a.readSecrets(name)
	if err != nil {
		return err
	}
	if done != nil {
		return fault.Usagef("ghost: %s.secrets.json: has its seed already; a seed is never drawn again", name)
	}
	first, err := readCommitment(name + ".nonce.json")
	if err != nil {
		return err
	}
	s, err := pending.Seed(beacon)
	if err != nil {
		return err
	}
	c, err := s.Commit()
	if err != nil {
		return err
	}
	if diff := c.Continues(*first); len(diff) > 0 {
		return fault.Inputf("commitment", "ghost: %s.nonce.json: %s", name, diff[0])
	}
	if c.Anchor = anchor; anchor == "" {
		c.Anchor = first.Anchor
	}
	if err := writeGhost([]ghostFile{{name + ".commit.json", c.JSON, false}}); err != nil {
		return err
	}
	private, err := s.JSON()
	if err != nil {
		return err
	}
	if err := ghost.Replace(name+".secrets.json", private, true); err != nil {
		_ = os.Remove(name + ".commit.json")
		return err
	}
	return a.printCommitment(name, s, c)
}
