package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/membership"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// membershipFlags are the inputs that the membership commands share.
type membershipFlags struct {
	scorer
	score  scoreFlags
	scores string

	refs                                                     []string
	lower, shots, memberShots, self, neighbours, swaps, freq string
	rows, out                                                string

	group    string // field that names the group; "" = group
	fallback string // scores where none are named; "" = the main ones
	extra    []probes.Warning
	list     []membership.Score
}

func newMembership(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "membership",
		Short: "Were these texts in the training data, and what may be claimed of it?",
		Long: `membership scores texts by what a checkpoint says of them and compares sets of
texts. A text chosen afterwards can only be ranked among controls (tier C: no
p-value). Tier B needs a comparison set that no model-free classifier can tell
apart (the gate, run beside every test); tier A needs an assignment that was
drawn at random and can be drawn again.`,
		Example: `  assay membership score book.parquet --scores loss,mink:0.2
  assay membership eval trace.parquet --labels labels.csv --plot roc.svg`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMembershipScores(a), newMembershipScore(a), newMembershipEval(a), newMembershipClaim(a), newMembershipInfer(a), newMembershipOrder(a),
		newMembershipCutoff(a), newMembershipCover(a), newMembershipExtract(a), newMembershipCalibrate(a), newMembershipPerturb(a), newMembershipExport(a))
	return cmd
}

func (f *membershipFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.scores, "scores", "", "scores, separated by commas (\"assay membership scores\" lists them; default: the main ones that the inputs allow)")
	fl.StringVar(&f.score.text, "text", "", "the documents as text: scored for a checkpoint, read by the gate for a trace")
	fl.StringVar(&f.score.ids, "ids", "", "the documents as token ids, for a checkpoint")
	fl.StringVar(&f.score.split, "split", "", "how a .txt file is cut into documents: file (default), line or blank")
	f.score.registerPolicy(cmd)
	fl.StringArrayVar(&f.refs, "ref", nil, "reference checkpoint or trace of the same documents (repeatable; score ref@2 uses the second)")
	fl.StringVar(&f.lower, "lower", "", "trace of the lower-cased texts (made here for a checkpoint with --text when the score lower is named)")
	fl.StringVar(&f.shots, "shots", "", "shots that were never trained on (texts, put before each text of a checkpoint), or a trace of each text after them")
	fl.StringVar(&f.memberShots, "member-shots", "", "the same for shots that were trained on")
	fl.StringVar(&f.self, "self", "", "trace of each text after itself (made here when dyn:rep is named)")
	fl.StringVar(&f.neighbours, "neighbours", "", "edited copies named <id>/<n>, by a masked model of yours: texts for a checkpoint, or their trace")
	fl.StringVar(&f.swaps, "swaps", "", "trace of word-swapped copies named <id>/<n> (made here when pac is named)")
	fl.StringVar(&f.group, "group", "", "field of the texts that names the group (book, site, author); default: group")
	fl.StringVar(&f.freq, "freq", "", "token counts of a corpus: a trace, or lines of id and count")
	fl.StringVar(&f.cache, "cache", "", "folder for traces of checkpoints scored here (default: the user's cache folder)")
	f.model.register(fl)
	cmd.MarkFlagsMutuallyExclusive("text", "ids")
}

// membershipData is a table of scores with what the gate needs.
type membershipData struct {
	membership.Table
	ids    map[string][]int32 // nil where the trace is redacted or texts are at hand
	text   map[string]string
	inputs []probes.Input
	extra  []probes.Warning
}

// table opens or makes every trace and computes the scores; gate asks for words or ids too.
func (f *membershipFlags) table(ctx context.Context, path string, gate bool) (d membershipData, err error) {
	list := f.scores
	if list == "" {
		if list = f.fallback; list == "" {
			list = membership.Must
		}
	}
	if f.list, err = membership.Parse(list); err != nil {
		return d, err
	}
	in, closer, err := f.documents(path)
	if err != nil {
		return d, err
	}
	defer closer()
	var s membership.Sources
	var readers []*trace.Reader
	defer func() {
		for _, r := range readers {
			_ = r.Close()
		}
	}()
	open := func(role, path string, in score.Input, seam string) (*trace.Reader, error) {
		if path == "" {
			return nil, nil
		}
		if in == nil && !isTrace(path) {
			return nil, fault.Usagef("membership: %s: found %s, want a trace, or --text or --ids to score a checkpoint on", role, path)
		}
		p := f.score.policy
		if seam != "" {
			p.Seam = seam
		}
		r, err := f.trace(ctx, path, in, f.score.text != "", score.Options{Policy: p})
		if err != nil {
			return nil, fmt.Errorf("membership: %s: %w", role, err)
		}
		readers = append(readers, r)
		d.inputs = append(d.inputs, probes.Input{Role: role, Path: path, Digest: "sha256:" + r.Header().Run})
		return r, nil
	}
	if s.Suspect, err = open("suspect", path, in, ""); err != nil {
		return d, err
	}
	for _, w := range s.Suspect.Header().Made.Warnings {
		d.extra = append(d.extra, probes.Warning{Code: w.Code, Text: w.Text})
	}
	for _, p := range f.refs {
		r, err := open("reference", p, in, "")
		if err != nil {
			return d, err
		}
		s.Refs = append(s.Refs, r)
	}
	if f.score.text != "" {
		if d.text, err = f.texts(); err != nil {
			return d, err
		}
		s.Changed = make(map[string]float64, len(d.text))
		for id, t := range d.text {
			s.Changed[id] = membership.LetterChange(t)
		}
	}
	for _, c := range f.companions(&s) {
		if err := f.companion(ctx, c, path, in, open); err != nil {
			return d, err
		}
	}
	d.extra = append(d.extra, f.extra...)
	if f.freq != "" {
		if s.Counts, err = f.counts(s.Suspect.Header().Of.Checkpoint.Vocab); err != nil {
			return d, err
		}
	}
	if f.scores == "" {
		f.list = s.Available(f.list)
		if !hasText(s.Suspect) { // a default score must not be undefined for every document
			f.list = slices.DeleteFunc(f.list, func(x membership.Score) bool { return x.Needs()&membership.NeedText != 0 })
		}
	}
	if d.Table, err = membership.Build(s, f.list); err != nil {
		return d, err
	}
	if f.group != "" {
		if err := membership.GroupBy(&d.Table, s.Suspect, f.group); err != nil {
			return d, err
		}
	}
	if gate && d.text == nil {
		d.ids, err = membership.TokenIDs(s.Suspect)
	}
	return d, err
}

// hasText says whether any document of a trace was given as text.
func hasText(r *trace.Reader) bool {
	for d, err := range r.Docs() {
		if err == nil && d.Bytes != trace.Null {
			return true
		}
	}
	return false
}

func needs(list []membership.Score, what membership.Needs) bool {
	for _, s := range list {
		if s.Needs()&what != 0 {
			return true
		}
	}
	return false
}

// documents opens what checkpoints are scored on; nil where only traces are read.
func (f *membershipFlags) documents(path string) (score.Input, func(), error) {
	scored := !isTrace(path)
	for _, r := range f.refs {
		scored = scored || !isTrace(r)
	}
	if !scored {
		return nil, func() {}, nil
	}
	if f.score.text == "" && f.score.ids == "" {
		return nil, nil, fault.Usagef("membership: %s: found a checkpoint (or one in --ref), want --text or --ids to score it on", path)
	}
	return f.score.input()
}

func (f *membershipFlags) texts() (map[string]string, error) {
	out := map[string]string{}
	for d, err := range text.Read(f.score.text, text.Options{Split: f.score.split}) {
		if err != nil {
			return nil, err
		}
		out[d.ID] = d.Text
	}
	return out, nil
}

func (f *membershipFlags) counts(vocab int) (*membership.Counts, error) {
	if strings.HasSuffix(f.freq, ".parquet") {
		r, err := trace.Open(f.freq)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return membership.CountTrace(r, vocab)
	}
	file, err := os.Open(f.freq)
	if err != nil {
		return nil, fault.Inputf("no-file", "--freq: %w", err)
	}
	defer file.Close()
	return membership.ReadCounts(file, vocab)
}

// lowered is an input with its texts in lower case.
type lowered struct{ score.Input }

func (l lowered) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for d, err := range l.Input.Docs() {
			d.Text = strings.ToLower(d.Text)
			if !yield(d, err) {
				return
			}
		}
	}
}

func warning(code, format string, args ...any) probes.Warning {
	return probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)}
}

// plotFormat is the format that a figure's name asks for.
func plotFormat(path string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case "", ".svg", ".png":
		if path == "" || ext != "" {
			return strings.TrimPrefix(ext, "."), nil
		}
	}
	return "", fault.Usagef("--plot: found %q, want a name ending in .svg or .png", path)
}

func newMembershipScores(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "scores",
		Short:   "List the scores, their formulas, inputs and what others compute under the same name",
		Example: "  assay membership scores",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			type line struct {
				Name    string `json:"name"`
				Formula string `json:"formula"`
				Needs   string `json:"needs"`
				Source  string `json:"source"`
				Note    string `json:"note"`
			}
			var doc struct {
				Scores []line `json:"scores"`
			}
			for _, s := range membership.Scores() {
				doc.Scores = append(doc.Scores, line{s.Name, s.Formula, s.Needs.Flag(), s.Source, s.Note})
			}
			return a.print(doc, func(w io.Writer) error {
				rows := [][]string{{"score", "larger = likelier trained on", "needs", "source", "note"}}
				for _, l := range doc.Scores {
					rows = append(rows, []string{l.Name, l.Formula, l.Needs, l.Source, l.Note})
				}
				return show.Table(w, rows)
			})
		},
	}
}
