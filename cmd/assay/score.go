package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/cmd/assay/internal/transcript"
	"assay/internal/fault"
	"assay/model"
	"assay/model/bench"
	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes/membership"
	"assay/probes/palimpsest"
	"assay/tokenize/store"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// scoreFlags are the flags of score; palimpsest scores with their defaults.
type scoreFlags struct {
	model     modelFlags
	text, ids string
	pair      pairFlags
	split     string
	rowLen    int
	dtype     string
	out       string
	policy    window.Policy
	per       string
	moments   bool
	topK      int
	scores    string // membership scores to store in the document table
	maskPad   bool
	redact    bool
	resume    bool
}

func newScore(a *app) *cobra.Command {
	var f scoreFlags
	cmd := &cobra.Command{
		Use:   "score CKPT (--text FILE | --ids FILE) -o OUT",
		Short: "Score every token of a text under a checkpoint and write the trace",
		Long: `score runs a checkpoint over documents and writes a trace: for every token its
log-probability, the entropy and standard deviation of the prediction, its rank
and the most likely token. Every test of assay is a function of traces, so a
checkpoint is run once and tested many times, on any machine.

Input: .txt (--split file, line or blank), .jsonl or .jsonl.gz with fields id,
text, context (or --prompt-field and --response-field, or the --messages of a chat
with its --template: the loss is on the response alone); with --ids: .jsonl with id, ids; .npy arrays, Megatron .idx/.bin,
raw .u16/.u32 streams (--row-len, --dtype), one document per row.

A trace contains the text (as ids and offsets) unless --redact. An interrupted
run leaves what is finished; the same command with --resume goes on.`,
		Example: `  assay score ./pythia-70m --text book.txt -o book.parquet
  assay score ./pythia-70m --text wiki.jsonl --policy hf-stride --window 1024 --stride 512 -o wiki.parquet
  assay score ./qwen2.5-0.5b-instruct --text chats.jsonl --messages messages --template auto -o chats.parquet
  assay score ./pythia-70m --ids transcript.npy -o transcript.parquet`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runScore(cmd.Context(), a, &f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.text, "text", "", "documents as text: .txt, .jsonl, .jsonl.gz")
	fl.StringVar(&f.ids, "ids", "", "documents as token ids: .jsonl, .npy, .idx, .bin, .u16, .u32, or a transcript .parquet")
	fl.StringVar(&f.split, "split", "", "how a .txt file is cut into documents: file (default), line or blank")
	fl.IntVar(&f.rowLen, "row-len", 0, "ids per row of a flat .npy or raw file")
	fl.StringVar(&f.dtype, "dtype", "", "integer type of a raw file: uint16, uint32, ...")
	outputFlag(cmd, &f.out, "trace to write: .parquet (with .docs.parquet beside it), .jsonl or .jsonl.gz")
	f.registerPolicy(cmd)
	f.pair.register(fl)
	fl.StringVar(&f.per, "per", "token", "token: both tables; document: the document table alone")
	fl.BoolVar(&f.moments, "moments", false, "add columns umean, usd (unweighted moments of ln p over the vocabulary)")
	fl.IntVar(&f.topK, "topk", 0, "add the K most likely tokens of every prediction")
	fl.StringVar(&f.scores, "scores", "", "membership scores stored in the document table, between commas (\"membership scores\" lists them): all that --per document keeps of the rows")
	fl.BoolVar(&f.maskPad, "mask-padding-vocab", false, "leave head rows beyond the tokenizer's vocabulary out of the softmax")
	fl.BoolVar(&f.redact, "redact", false, "leave out ids and offsets, so that the trace does not show the text")
	fl.BoolVar(&f.resume, "resume", false, "go on with an interrupted run of the same command")
	f.model.register(fl)
	cmd.MarkFlagsOneRequired("text", "ids")
	cmd.MarkFlagsMutuallyExclusive("text", "ids")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func (f *scoreFlags) registerPolicy(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.policy.Name, "policy", "full", "window policy: "+strings.Join(policyNames(), ", "))
	fl.IntVar(&f.policy.Window, "window", 0, "ids in a window (default: the policy's, else the model's positions)")
	fl.IntVar(&f.policy.Stride, "stride", 0, "stride of strided policies")
	fl.IntVar(&f.policy.Context, "context", 0, "context ids of lmeval-rolling")
	fl.StringVar(&f.policy.BOS, "bos", "auto", "auto (as the named tool does; never for ids), always, never or id:N")
	fl.BoolVar(&f.policy.EachWindow, "bos-each-window", false, "put the prefix before every window")
	fl.StringVar(&f.policy.Seam, "seam", "", "joint (default) or separate: how context and text are tokenized")
	fl.Func("mask-id", "pll: `id` of the mask token (default: the tokenizer's)", func(s string) error {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return fault.Usagef("--mask-id: found %q, want a token id", s)
		}
		id := int32(n)
		f.policy.MaskID = &id
		return nil
	})
	fl.IntVar(&f.policy.MaxTokens, "max-tokens", 0, "score only the first N tokens of each document")
}

func policyNames() []string {
	var names []string
	for _, p := range window.Policies() {
		names = append(names, p.Name)
	}
	return names
}

// inputFor opens the documents, which may be chats in the checkpoint's template;
// bos is then settled too.
func (f *scoreFlags) inputFor(ckpt string, m *modelFlags, bos *string) (in score.Input, closer func(), err error) {
	if err := f.pair.check(); err != nil {
		return nil, nil, err
	}
	if f.text == "" {
		return f.input()
	}
	src, err := text.Open(f.text, f.pair.fields(text.Options{Split: f.split}))
	if err != nil {
		return nil, nil, err
	}
	in, err = f.pair.wrap(src, ckpt, m, bos)
	return in, func() {}, err
}

// input opens the documents; store is closed by the returned function.
func (f *scoreFlags) input() (in score.Input, closer func(), err error) {
	if f.text != "" {
		src, err := text.Open(f.text, text.Options{Split: f.split})
		return src, func() {}, err
	}
	switch ext := strings.ToLower(filepath.Ext(f.ids)); {
	case ext == ".jsonl" || strings.HasSuffix(f.ids, ".jsonl.gz"):
		src, err := text.Open(f.ids, text.Options{IDs: true})
		return src, func() {}, err
	case ext == ".parquet":
		t, err := palimpsest.Open(f.ids, false)
		if err != nil {
			return nil, nil, err
		}
		return transcript.Documents{T: t}, func() {}, nil
	default:
		rows, err := store.Open(f.ids, store.Options{RowLen: f.rowLen, DType: f.dtype})
		if err != nil {
			return nil, nil, err
		}
		return score.Rows{Store: rows}, func() { _ = rows.Close() }, nil
	}
}

func runScore(ctx context.Context, a *app, f *scoreFlags, ckpt string) error {
	if f.per != "token" && f.per != "document" {
		return fault.Usagef("--per: found %q, want token or document", f.per)
	}
	a.warnNoSIMD()
	in, closer, err := f.inputFor(ckpt, &f.model, &f.policy.BOS)
	if err != nil {
		return err
	}
	defer closer()
	s, err := f.model.open(ctx, ckpt, f.text != "" || f.maskPad)
	if err != nil {
		return err
	}
	defer s.close()
	o := f.options(s)
	if err := f.scoreColumns(&o); err != nil {
		return err
	}
	rep, err := a.score(ctx, &f.model, s, in, o)
	if err != nil {
		return err
	}
	return a.print(rep, func(w io.Writer) error { return showTrace(w, rep) })
}

func (f *scoreFlags) options(s *session) score.Options {
	o := score.Options{Policy: f.policy, Positions: s.info.Positions, TwoSided: s.info.Encoder, Of: s.identity(), Out: f.out, Resume: f.resume,
		PerDocument: f.per == "document", Redact: f.redact, Made: s.made(),
		Score: model.ScoreOptions{Moments: f.moments, TopK: f.topK}}
	if s.tok != nil {
		o.Encoder = s.tok
		if f.maskPad && s.tok.VocabSize() < s.info.Vocab {
			o.Score.Vocab = s.tok.VocabSize()
			o.Of.MaskPaddingVocab = true
		}
	}
	return o
}

// scoreColumns adds the membership scores that are computed while scoring.
func (f *scoreFlags) scoreColumns(o *score.Options) error {
	if f.scores == "" {
		return nil
	}
	list, err := membership.Parse(f.scores)
	if err != nil {
		return err
	}
	for _, s := range list {
		o.Scores = append(o.Scores, s.Name())
		if s.Needs()&membership.NeedMoments != 0 {
			if o.PerDocument {
				return fault.Usagef("--scores %s: it reads the moments of every row, which --per document does not keep: want --per token", s.Name())
			}
			o.Score.Moments = true
		}
	}
	o.ScoreOf, err = membership.Columns(list)
	return err
}

// score plans, loads the model and scores.
func (a *app) score(ctx context.Context, mf *modelFlags, s *session, in score.Input, o score.Options) (*score.Report, error) {
	survey, err := score.Plan(in, &o)
	if err != nil {
		return nil, err
	}
	if err := mf.load(ctx, a, s); err != nil {
		return nil, err
	}
	return a.run(ctx, s, in, survey, o)
}

// run scores with a loaded model, with progress.
func (a *app) run(ctx context.Context, s *session, in score.Input, survey *score.Survey, o score.Options) (*score.Report, error) {
	var meter *progress.Meter
	o.Start = func(tokens int64) {
		a.forecast(s, tokens)
		meter = progress.New(a.stderr, a.meterMode(), "scoring", tokens)
	}
	o.Progress = func(n int64) { meter.Add(n) }
	defer func() { meter.Close() }()
	return score.Run(ctx, s.model, in, survey, o)
}

// forecast says what a long run will cost before it starts.
func (a *app) forecast(s *session, tokens int64) {
	c := bench.Estimate(s.model, tokens, cmp.Or(min(s.info.Positions, 512), 512))
	if c.Seconds < 60 {
		return
	}
	a.note("note: %d tokens of %.0f MFLOP: about %s on %d threads (an estimate), up to %s of memory",
		c.Tokens, c.FLOP/float64(c.Tokens)/1e6, time.Duration(c.Seconds*1e9).Round(time.Minute), c.Threads, show.Bytes(c.Memory))
}

func (a *app) meterMode() string {
	if a.quiet {
		return "none"
	}
	return a.progress
}

func showTrace(w io.Writer, r *score.Report) error {
	h := r.Header
	inv := "not measured"
	if h.Made.Invariance != nil {
		inv = fmt.Sprintf("%.1e nats over %d tokens scored alone and in company", h.Made.Invariance.MaxAbs, h.Made.Invariance.N)
	}
	rows := [][]string{
		{"trace", r.Path},
		{"run", h.Run},
		{"documents", fmt.Sprintf("%d (%s)", h.Counts.Docs, statusCounts(h.Counts.Status))},
		{"tokens", fmt.Sprintf("%d, scored %d", h.Counts.Rows, h.Counts.Scored)},
		{"policy", fmt.Sprintf("%s, window %d, prefix ids %v", h.Of.Policy.Name, h.Of.Policy.Window, h.Of.Policy.PrefixIDs)},
		{"invariance", inv},
		{"content", h.Content.Docs},
	}
	if r.Resumed > 0 {
		rows = append(rows, []string{"resumed", fmt.Sprintf("%d documents were finished earlier", r.Resumed)})
	}
	if err := show.Table(w, rows); err != nil {
		return err
	}
	return showWarnings(w, r.Warnings)
}

func showWarnings(w io.Writer, ws []trace.Warning) error {
	for _, x := range ws {
		if err := show.Wrap(w, fmt.Sprintf("warning %s: %s", x.Code, x.Text), "  ", 100); err != nil {
			return err
		}
	}
	return nil
}

func statusCounts(m map[string]int64) string {
	var parts []string
	for _, k := range []string{trace.StatusOK, trace.StatusNoTokens, trace.StatusNoTargets, trace.StatusOverContext} {
		if m[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
		}
	}
	return strings.Join(parts, ", ")
}
