package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model"
	"assay/model/gens"
	"assay/model/score"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize"
	"assay/tokenize/chat"
	"assay/tokenize/text"

	"github.com/spf13/cobra"
)

// generateFlags are the flags of generate.
type generateFlags struct {
	model           modelFlags
	prompts, ids    string
	field, messages string
	split           string
	chat            chatFlags
	system          string
	bos, eos        string
	o               model.GenOptions
	out             string
	resume          bool
}

func newGenerate(a *app) *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:   "generate CKPT (--prompts FILE | --ids FILE) -o GENS.jsonl",
		Short: "Continue prompts, greedily or by seeded sampling, and keep the log-probabilities",
		Long: `generate continues every prompt and writes one line a continuation: its ids, its text,
the log-probability of each token under the model itself (temperature 1, nothing cut),
why it ended, and the first token that rounding may have decided. It is greedy unless
--temperature is above 0; the law is that of transformers: temperature, then top-k, then
top-p. A draw depends on --seed, the prompt's id, the number of the sample and of the
token alone, so neither other prompts nor an interruption change a continuation.

Prompts: .jsonl with id, prompt (--field names another), system and max_tokens if wanted,
or the --messages of a chat; .txt with --split line. --template puts them into the
checkpoint's chat template, with the assistant's turn opened. A continuation ends at an
id of --eos (auto: generation_config.json, config.json, the tokenizer), at a string of
--stop, after --max-tokens, or where the model's positions end. Nothing else of
generation_config.json is used.

"membership cover" and "ghost test" read the file by --gens.`,
		Example: `  assay generate ./pythia-70m --prompts prompts.jsonl --max-tokens 64 -o gens.jsonl
  assay generate ./pythia-70m --prompts prompts.jsonl --temperature 1 --top-p 0.95 --samples 20 --seed 7 -o gens.jsonl
  assay generate ./qwen2.5-0.5b-instruct --prompts ask.jsonl --template auto --system 'Be brief.' --stop '###' -o answers.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), a, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.prompts, "prompts", "", "prompts as text: .jsonl, .jsonl.gz, .txt")
	fl.StringVar(&f.ids, "ids", "", "prompts as token ids: .jsonl with id, ids; nothing is put before them unless --bos id:N")
	fl.StringVar(&f.field, "field", "", "field of the prompt in .jsonl (default prompt)")
	fl.StringVar(&f.messages, "messages", "", "field with the messages of a chat instead (needs --template)")
	fl.StringVar(&f.split, "split", "", "how a .txt file is cut into prompts: file (default), line or blank")
	f.chat.register(fl)
	fl.StringVar(&f.system, "system", "", "system prompt of rows that have none (needs --template)")
	fl.StringVar(&f.bos, "bos", "auto", "ids before a prompt: auto (the tokenizer's; none with --template), always, never or id:N")
	fl.StringVar(&f.eos, "eos", "auto", "ids that end a continuation: auto, none, or ids between commas")
	fl.IntVar(&f.o.MaxTokens, "max-tokens", 128, "tokens to generate at most")
	fl.Float64Var(&f.o.Temperature, "temperature", 0, "temperature of the sampler; 0 takes the most likely token")
	fl.IntVar(&f.o.TopK, "top-k", 0, "most likely tokens that the sampler keeps (0 = all)")
	fl.Float64Var(&f.o.TopP, "top-p", 0, "probability that the sampler keeps (0 = all)")
	fl.IntVar(&f.o.Samples, "samples", 1, "continuations of each prompt")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "seed of the draws")
	fl.StringArrayVar(&f.o.Stop, "stop", nil, "string that ends a continuation, and is cut off its text (repeatable)")
	fl.IntVar(&f.o.Batch, "batch", model.DefaultGenBatch, "continuations that run at once")
	outputFlag(cmd, &f.out, "generations to write (.jsonl)")
	fl.BoolVar(&f.resume, "resume", false, "go on with an interrupted run of the same command")
	f.model.register(fl)
	cmd.MarkFlagsOneRequired("prompts", "ids")
	cmd.MarkFlagsMutuallyExclusive("prompts", "ids")
	cmd.MarkFlagsMutuallyExclusive("field", "messages")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

// documents opens the prompts, rendered where there is a template.
func (f *generateFlags) documents(ckpt string) (score.Input, error) {
	switch {
	case f.ids != "" && (f.chat.template != "" || f.messages != "" || f.field != "" || f.split != ""):
		return nil, fault.Usagef("generate --ids: found flags of text too")
	case f.ids != "":
		return text.Open(f.ids, text.Options{IDs: true})
	case f.chat.template == "" && (f.messages != "" || f.system != ""):
		return nil, fault.Usagef("--messages, --system: want --template auto, or the file of a chat template")
	}
	o := text.Options{Split: f.split}
	if !strings.HasSuffix(f.prompts, ".txt") {
		o.Prompts, o.Text, o.Messages = true, f.field, f.messages
	}
	src, err := text.Open(f.prompts, o)
	if err != nil || f.chat.template == "" {
		return src, err
	}
	file, err := f.model.tokenizerFile(ckpt)
	if err != nil {
		return nil, err
	}
	t, co, err := f.chat.open(file)
	if err != nil {
		return nil, err
	}
	f.model.specials = tokenize.SpecialsParse
	if f.bos == "auto" {
		f.bos = "never"
	}
	return chat.Prompts{Source: src, Template: t, Options: co, System: f.system}, nil
}

func (f *generateFlags) run(ctx context.Context, a *app, ckpt string) error {
	if !strings.HasSuffix(f.out, ".jsonl") {
		return fault.Usagef("-o %s: want a .jsonl file", f.out)
	}
	in, err := f.documents(ckpt)
	if err != nil {
		return err
	}
	a.warnNoSIMD()
	s, err := f.model.open(ctx, ckpt, f.prompts != "")
	if err != nil {
		return err
	}
	defer s.close()
	if s.info.Encoder {
		return model.ErrEncoder(s.info.Family)
	}
	h := gens.Header{Made: s.made(), Of: gens.Identity{Precision: "f32", Checkpoint: s.identity().Checkpoint}}
	ps, err := f.encode(s, in, &h)
	if err != nil {
		return err
	}
	if f.o.EOS, err = endIDs(s, f.eos); err != nil {
		return err
	}
	if len(f.o.EOS) == 0 {
		h.Made.Warnings = append(h.Made.Warnings, trace.Warning{Code: "no-eos", Text: "no id ends a continuation: each runs to the end of --max-tokens or to a stop string"})
	}
	if s.tok != nil {
		f.o.Decode, f.o.Vocab = s.tok.Decode, min(s.info.Vocab, s.tok.VocabSize())
	}
	o := &f.o
	h.Of.Sampler = gens.Sampler{MaxTokens: o.MaxTokens, Temperature: decimal(o.Temperature), TopK: o.TopK, TopP: decimal(o.TopP), Samples: o.Samples,
		Seed: o.Seed, EOS: append([]int32{}, o.EOS...), Stop: append([]string{}, o.Stop...), Batch: o.Batch, Vocab: o.Vocab}
	if err := f.model.load(ctx, a, s); err != nil {
		return err
	}
	rep, err := f.write(ctx, a, s, ps, h)
	if err != nil {
		return err
	}
	return a.print(rep, func(w io.Writer) error { return rep.show(w) })
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// encode turns the prompts into ids and notes what they were.
func (f *generateFlags) encode(s *session, in score.Input, h *gens.Header) ([]model.Prompt, error) {
	var enc score.Encoder
	if s.tok != nil {
		enc = s.tok
		h.Of.Tokenizer = trace.Tokenizer{Digest: s.tok.Digest(), Specials: s.tok.Specials()}
	}
	p, _, err := score.Settle(window.Policy{Name: "full", BOS: f.bos}, enc, f.ids != "", s.info.Vocab)
	if err != nil {
		return nil, err
	}
	h.Of.PrefixIDs = p.PrefixIDs
	var digest trace.Text
	var ps []model.Prompt
	forged, token := 0, ""
	for d, err := range in.Docs() {
		if err != nil {
			return nil, err
		}
		ids := d.IDs
		doc := trace.IDsDoc(int32(len(ps)), d.ID, d.IDs)
		if d.HasText || d.Turns != nil {
			if ids, _, err = s.tok.Encode(d.Text); err != nil {
				return nil, fmt.Errorf("prompt %q: %w", d.ID, err)
			}
			doc = trace.TextDoc(int32(len(ps)), d.ID, []byte(d.Text))
		}
		for _, turn := range d.Turns {
			if t, ok := s.tok.SpecialIn(turn.Content); ok {
				forged, token = forged+1, t
				break
			}
		}
		digest.Add(doc)
		ps = append(ps, model.Prompt{ID: d.ID, IDs: append(append([]int32{}, p.PrefixIDs...), ids...), MaxTokens: d.MaxTokens})
	}
	if forged > 0 {
		h.Made.Warnings = append(h.Made.Warnings, trace.Warning{Code: "specials-in-text", Text: fmt.Sprintf(
			"the messages of %d prompts hold the string of a special token (such as %q); it became the token, as in transformers", forged, token)})
	}
	h.Of.Prompts = digest.Digest()
	return ps, nil
}

// generated is what generate prints.
type generated struct {
	Path     string          `json:"path"`
	Run      string          `json:"run"`
	Prompts  int             `json:"prompts"`
	Records  int             `json:"records"`
	Tokens   int             `json:"tokens"` // made by this run
	Resumed  int             `json:"resumed"`
	Stops    map[string]int  `json:"stops"`
	NearTies int             `json:"near_ties"`
	Seconds  float64         `json:"seconds"`
	Content  string          `json:"content"`
	Warnings []trace.Warning `json:"warnings"`
}

// write generates into the file.
func (f *generateFlags) write(ctx context.Context, a *app, s *session, ps []model.Prompt, h gens.Header) (*generated, error) {
	start := time.Now()
	h.Made.Start = start.UTC().Format(time.RFC3339)
	create := func() (*gens.Writer, int, error) {
		w, err := gens.Create(f.out, h)
		return w, 0, err
	}
	if f.resume {
		create = func() (*gens.Writer, int, error) { return gens.Resume(f.out, h, f.o.Samples) }
	}
	w, done, err := create()
	if err != nil {
		return nil, err
	}
	rep := &generated{Path: f.out, Run: w.Header().Run, Prompts: len(ps), Records: len(ps) * f.o.Samples, Resumed: done, Stops: map[string]int{}, Warnings: append([]trace.Warning{}, h.Made.Warnings...)}
	rest := ps[min(done/f.o.Samples, len(ps)):]
	heads := map[string][]int32{}
	for _, p := range rest {
		heads[p.ID] = p.IDs
	}
	meter := progress.New(a.stderr, a.meterMode(), "generating", int64(len(rest)*f.o.Samples*f.o.MaxTokens))
	defer func() { meter.Close() }()
	told := 0
	f.o.Progress = func(n int) {
		told += n
		meter.Add(int64(n))
	}
	flushed := start
	err = s.model.Generate(ctx, rest, f.o, func(g model.Generation) error {
		meter.Add(int64(f.o.MaxTokens - len(g.IDs))) // ended before
		rep.Tokens += len(g.IDs)
		rep.Stops[g.Stop]++
		if g.NearTie >= 0 {
			rep.NearTies++
		}
		r := gens.Record{ID: g.ID, Sample: g.Sample, IDs: g.IDs, LogProbs: g.LogProbs, Stop: g.Stop, NearTie: g.NearTie}
		if s.tok != nil {
			t, err := continuation(s.tok, heads[g.ID], g, f.o.Stop)
			if err != nil {
				return err
			}
			r.Text = &t
		}
		if err := w.Append(r); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(flushed) > 5*time.Second {
			flushed = now
			return w.Flush()
		}
		return nil
	})
	if err != nil {
		if aerr := w.Abort(); aerr != nil {
			return nil, aerr
		}
		if ctx.Err() != nil {
			return nil, fault.New(fault.Interrupted, "interrupted", "generate: interrupted after %d tokens", told).Hint("the same command with --resume goes on from there")
		}
		return nil, err
	}
	end, err := w.Close()
	rep.Content, rep.Seconds = end.Content, time.Since(start).Seconds()
	return rep, err
}

func (r *generated) show(w io.Writer) error {
	var stops []string
	for _, k := range []string{model.StopEOS, model.StopString, model.StopLength, model.StopContext} {
		if r.Stops[k] > 0 {
			stops = append(stops, fmt.Sprintf("%d %s", r.Stops[k], k))
		}
	}
	rows := [][]string{{"generations", r.Path}, {"run", r.Run},
		{"continuations", fmt.Sprintf("%d of %s", r.Records, plural(r.Prompts, "prompt"))},
		{"tokens", fmt.Sprintf("%d in %.1f s", r.Tokens, r.Seconds)},
		{"ended by", strings.Join(stops, ", ")},
		{"near ties", fmt.Sprintf("%d continuations hold a token that rounding may have decided", r.NearTies)},
		{"content", r.Content}}
	if r.Resumed > 0 {
		rows = append(rows, []string{"resumed", fmt.Sprintf("%d continuations were finished earlier", r.Resumed)})
	}
	if err := show.Table(w, rows); err != nil {
		return err
	}
	return showWarnings(w, r.Warnings)
}
