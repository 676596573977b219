package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model/answer"
	"assay/model/score"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/assoc"
	"assay/tokenize"
	"assay/tokenize/chat"

	"github.com/spf13/cobra"
)

// assocFlags are what the probes of biased behaviour share.
type assocFlags struct {
	app      *app
	model    modelFlags
	wording  wordingFlags
	data     []string
	evidence string
	bos      string
	plan     bool
	seed     uint64
	out      string
	rows     string
	plot     string
	slots    map[string][]string // --data by slot
}

func newProbe(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe NAME [CKPT]",
		Short: "Smaller tests: biased behaviour, health and content of hidden states",
		Long: `probe asks a checkpoint questions whose answers should not depend on a group, and
reads its log-probabilities (nothing is sampled or parsed, but by iat --sample):

  iat            which of two groups goes with a word
  decision-swap  yes or no about a person, when only race or gender changes
  pairs          sentences that differ in the group (CrowS-Pairs, WinoBias, own)
  stereoset      stereotype, anti-stereotype and unrelated sentences
  bbq            multiple choice that the text informs or leaves open

and reads hidden states (assay states), of one checkpoint or two:

  state-health      collapsed, dominated by a few units, blown up
  lens              from which layer on the answer is readable
  unit-screen       units that share most with a label
  sparse-probe      whether few units are enough
  direction         fit a direction on some texts, use it on others
  group-similarity  mean cosine between two groups
  picture           components, held-out axis and separation by layer

Answers are kept in --evidence FILE, from which the same command without a
checkpoint recomputes the result. --plan prints what would be asked and stops.`,
		Example: `  assay probe iat ./pythia-70m --set racism
  assay probe pairs ./pythia-70m --data crows=crows_pairs_anonymized.csv --evidence answers.jsonl
  assay probe pairs --data crows=crows_pairs_anonymized.csv --evidence answers.jsonl --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newProbeIAT(a), newProbeSwap(a), newProbePairs(a), newProbeStereo(a), newProbeBBQ(a))
	cmd.AddCommand(newProbeHealth(a), newProbeLens(a), newProbeScreen(a), newProbeSparse(a), newProbeDirection(a), newProbeSimilarity(a), newProbePicture(a))
	return cmd
}

func (f *assocFlags) register(cmd *cobra.Command, slots string) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.data, "data", nil, slots)
	fl.StringVar(&f.evidence, "evidence", "", "file of answers (.jsonl): read where it exists, completed by the checkpoint, written")
	fl.StringVar(&f.bos, "bos", "auto", "ids in front of a prompt: auto (as the tokenizer's template has it), always, never or id:N")
	fl.BoolVar(&f.plan, "plan", false, "print what would be asked and stop")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of draws and resamples")
	fl.StringVar(&f.rows, "rows", "", "write one row per word, question or pair to this .csv, undefined ones too")
	fl.StringVar(&f.plot, "plot", "", "draw the result (.svg)")
	outputFlag(cmd, &f.out, "write the results as JSON to this file too")
	f.model.register(fl)
}

// settle reads --data SLOT=FILE.
func (f *assocFlags) settle(allowed ...string) error {
	if f.plot != "" && !strings.HasSuffix(f.plot, ".svg") {
		return fault.Usagef("--plot: found %q, want a name ending in .svg", f.plot)
	}
	f.slots = map[string][]string{}
	for _, d := range f.data {
		slot, path, ok := strings.Cut(d, "=")
		if !ok || path == "" || !slices.Contains(allowed, slot) {
			return fault.Usagef("--data: found %q, want SLOT=FILE with slot %s", d, strings.Join(allowed, ", "))
		}
		f.slots[slot] = append(f.slots[slot], path)
	}
	return nil
}

// one returns the file of a slot that may be given once; "" if it is not.
func (f *assocFlags) one(slot string) (string, error) {
	switch p := f.slots[slot]; len(p) {
	case 0:
		return "", nil
	case 1:
		return p[0], nil
	default:
		return "", fault.Usagef("--data %s: found %d files, want one", slot, len(p))
	}
}

// answered runs the requests that the evidence does not hold yet. A nil map with
// a nil error means that --plan was asked for and printed.
func (f *assocFlags) answered(ctx context.Context, args []string, requests []assoc.Request) (assoc.Map, []probes.Input, error) {
	h, have, err := f.readEvidence()
	if err != nil {
		return nil, nil, err
	}
	missing := assoc.Missing(have, requests)
	inputs := []probes.Input{}
	if f.evidence != "" && len(have) > 0 {
		inputs = append(inputs, probes.Input{Role: "answers", Path: f.evidence, Digest: h.Weights})
	}
	if f.plan && len(args) == 0 {
		return nil, nil, f.printPlan(requests, missing, nil, answer.Options{})
	}
	if len(args) == 0 {
		if f.evidence == "" {
			return nil, nil, fault.Usagef("probe: found neither a checkpoint nor --evidence, want one of them")
		}
		if len(missing) > 0 {
			return nil, nil, fault.Inputf("unanswered", "probe: %s: found answers to %d of %d requests", f.evidence, len(requests)-len(missing), len(requests)).
				Hint("name the checkpoint too: it answers the rest, if it is the one that answered the first")
		}
		return have, inputs, nil
	}
	f.app.warnNoSIMD()
	s, err := f.model.open(ctx, args[0], true)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	policy, _, err := score.Settle(window.Policy{Name: "full", BOS: f.bos}, s.tok, false, s.info.Vocab)
	if err != nil {
		return nil, nil, err
	}
	now := answer.Header{Weights: s.digests.Weights, Config: s.info.Config, Tokenizer: s.tok.Digest(), PrefixIDs: policy.PrefixIDs}
	o := answer.Options{Prefix: policy.PrefixIDs, Limit: s.info.Positions, Encoder: s.info.Encoder}
	if slices.ContainsFunc(requests, func(r assoc.Request) bool { return r.Chat }) {
		shut, err := f.openChat(s, &o, &now)
		if err != nil {
			return nil, nil, err
		}
		defer shut()
	}
	if len(have) > 0 && !h.Same(now) {
		return nil, nil, fault.Inputf("digest", "probe: %s: found answers of other weights, tokenizer, chat template or ids in front than %s has", f.evidence, args[0]).
			Hint("name another file, or leave the checkpoint out to read this one")
	}
	if o.Encoder {
		o.Suffix = score.Suffix(s.tok, false)
		id, ok := s.tok.Mask()
		if !ok {
			return nil, nil, fault.Inputf("no-mask", "probe: %s: found no mask token in the tokenizer, want one: an encoder answers by masking alone", args[0])
		}
		o.Mask = id
	}
	if f.plan {
		return nil, nil, f.printPlan(requests, missing, s.tok, o)
	}
	inputs = []probes.Input{{Role: "checkpoint", Path: args[0], Digest: now.Weights}, {Role: "tokenizer", Path: s.tok.Path(), Digest: now.Tokenizer}}
	if len(missing) == 0 {
		return have, inputs, nil
	}
	_, tokens, err := answer.Tokens(s.tok, missing, o)
	if err != nil {
		return nil, nil, err
	}
	if err := f.model.load(ctx, f.app, s); err != nil {
		return nil, nil, err
	}
	meter := progress.New(f.app.stderr, f.app.meterMode(), "asking", tokens)
	o.Progress = func(n int) { meter.Add(int64(n)) }
	got, err := answer.Score(ctx, s.model, s.tok, missing, o)
	meter.Close()
	if err != nil {
		return nil, nil, err
	}
	for id, a := range have {
		got[id] = a
	}
	if now.Template == "" {
		now.Template = h.Template
	}
	if f.evidence != "" {
		if err := writeFile(f.evidence, func(w io.Writer) error { return answer.Write(w, now, got) }); err != nil {
			return nil, nil, err
		}
	}
	return got, inputs, nil
}

// openChat opens the chat template and a tokenizer that reads special tokens in what
// it renders.
func (f *assocFlags) openChat(s *session, o *answer.Options, h *answer.Header) (shut func(), err error) {
	if f.wording.chat.template == "" {
		return nil, fault.Usagef("--templates: found a wording with a system prompt, which wants a chat template: name one with --template auto")
	}
	t, co, err := f.wording.chat.open(s.tok.File)
	if err != nil {
		return nil, err
	}
	co.Generation = true
	tok, err := tokenize.Open(s.tok.Path(), tokenize.Options{Specials: tokenize.SpecialsParse, Vocab: s.info.Vocab})
	if err != nil {
		return nil, err
	}
	o.Chat = func(system, user string) (string, error) { return t.Render(chat.Turns(system, "", user), co) }
	o.ChatEncoder = tok
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%v\x00%s", t.Source(), co.Vars, co.Date)
	h.Template = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	return func() { _ = tok.Close() }, nil
}

func (f *assocFlags) readEvidence() (h answer.Header, m assoc.Map, err error) {
	m = assoc.Map{}
	if f.evidence == "" {
		return h, m, nil
	}
	file, err := os.Open(f.evidence)
	if errors.Is(err, fs.ErrNotExist) {
		return h, m, nil
	}
	if err != nil {
		return h, m, fault.Retryf("io", "--evidence: %w", err)
	}
	defer file.Close()
	return answer.Read(file, f.evidence)
}

// printPlan says what would be asked; with a tokenizer, at what cost.
func (f *assocFlags) printPlan(requests, missing []assoc.Request, tok answer.Encoder, o answer.Options) error {
	doc := struct {
		Requests int    `json:"requests"`
		Missing  int    `json:"unanswered"`
		Windows  int    `json:"forward_passes,omitempty"`
		Tokens   int64  `json:"input_tokens,omitempty"`
		Example  string `json:"example"`
	}{Requests: len(requests), Missing: len(missing)}
	if len(requests) > 0 {
		doc.Example = requests[0].Prompt + "|" + strings.Join(requests[0].Targets, "|")
	}
	if tok != nil {
		var err error
		if doc.Windows, doc.Tokens, err = answer.Tokens(tok, missing, o); err != nil {
			return err
		}
	}
	return f.app.print(doc, func(w io.Writer) error {
		rows := [][]string{{"requests", fmt.Sprint(doc.Requests)}, {"unanswered", fmt.Sprint(doc.Missing)}}
		if tok != nil {
			rows = append(rows, []string{"forward passes", fmt.Sprint(doc.Windows)}, []string{"input tokens", fmt.Sprint(doc.Tokens)})
		}
		return show.Table(w, append(rows, []string{"for example", doc.Example}))
	})
}

// finish adds where answers came from, writes the files and prints.
func (f *assocFlags) finish(rs []probes.Result, inputs []probes.Input, more extras) error {
	if f.rows != "" {
		t, err := more.items()
		if err != nil {
			return err
		}
		if err := writeFile(f.rows, func(w io.Writer) error { return writeTable(w, t.Head, t.Rows) }); err != nil {
			return err
		}
	}
	if f.plot != "" {
		if err := more.draw(f.plot); err != nil {
			return err
		}
	}
	for i := range rs {
		rs[i].Inputs = slices.Concat(inputs, rs[i].Inputs)
	}
	return f.app.results(rs, f.out)
}
