package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model"
	"assay/model/answer"
	"assay/model/score"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/iat"

	"github.com/spf13/pflag"
)

// sampleFlags let the checkpoint answer in its own words.
type sampleFlags struct {
	n           iat.Samples
	temperature float64
	topP        float64
	maxTokens   int
}

func (s *sampleFlags) register(fl *pflag.FlagSet) {
	fl.IntVar(&s.n.Draws, "sample", 0, "let the checkpoint write this many answers to each wording instead of reading its probabilities, as published work does")
	fl.BoolVar(&s.n.Compat, "compat", false, "with --sample: .01 in the denominators and 0 for an answer without groups, as the authors count")
	fl.Float64Var(&s.temperature, "temperature", .7, "with --sample: of the draws; 0 is greedy")
	fl.Float64Var(&s.topP, "top-p", 1, "with --sample: share of the probability to draw from")
	fl.IntVar(&s.maxTokens, "max-tokens", 256, "with --sample: longest answer")
}

// runSampled asks the open questions of the sets and counts the answers.
func (f *assocFlags) runSampled(ctx context.Context, args []string, sets []iat.Set, o iat.Options, s *sampleFlags) error {
	if f.rows != "" || f.plot != "" {
		return fault.Usagef("probe iat --sample: --rows and --plot are of probabilities, want them without --sample")
	}
	var qs []assoc.Open
	for _, set := range sets {
		q, err := iat.PlanSamples(set, o, s.n)
		if err != nil {
			return err
		}
		qs = append(qs, q...)
	}
	if f.plan {
		return f.printOpen(qs)
	}
	texts, inputs, err := f.sampled(ctx, args, qs, s)
	if err != nil {
		return err
	}
	var out []probes.Result
	for _, set := range sets {
		r, err := iat.RunSamples(set, o, s.n, texts)
		if err != nil {
			return err
		}
		out = append(out, r)
	}
	if len(out) > 1 {
		if r, err := iat.OverSets(out, o.Seed); err == nil {
			out = append(out, r)
		} else {
			f.app.note("note: no test over sets: %v", err)
		}
	}
	return f.finish(out, inputs, extras{})
}

func (f *assocFlags) printOpen(qs []assoc.Open) error {
	doc := struct {
		Questions int    `json:"questions"`
		Example   string `json:"example"`
	}{len(qs), qs[0].Prompt}
	return f.app.print(doc, func(w io.Writer) error {
		return show.Columns(w, [][]string{{"questions", strconv.Itoa(doc.Questions)}, {"for example", doc.Example}}, show.Width)
	})
}

// sampled reads the answers of --evidence, or lets the checkpoint write them all:
// a file with other sampling is refused, not completed.
func (f *assocFlags) sampled(ctx context.Context, args []string, qs []assoc.Open, s *sampleFlags) (assoc.Texts, []probes.Input, error) {
	var h answer.TextsHeader
	texts := assoc.Texts{}
	if f.evidence != "" {
		file, err := os.Open(f.evidence)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fault.Retryf("io", "--evidence: %w", err)
		}
		if err == nil {
			defer file.Close()
			if h, texts, err = answer.ReadTexts(file, f.evidence); err != nil {
				return nil, nil, err
			}
		}
	}
	missing := texts.Unanswered(qs)
	from := []probes.Input{{Role: "answers", Path: f.evidence, Digest: h.Weights}}
	switch {
	case len(args) == 0 && f.evidence == "":
		return nil, nil, fault.Usagef("probe: found neither a checkpoint nor --evidence, want one of them")
	case len(args) == 0 && len(missing) > 0:
		return nil, nil, fault.Inputf("unanswered", "probe: %s: found answers to %d of %d questions", f.evidence, len(qs)-len(missing), len(qs))
	case len(args) == 0:
		return texts, from, nil
	}
	f.app.warnNoSIMD()
	sess, err := f.model.open(ctx, args[0], true)
	if err != nil {
		return nil, nil, err
	}
	defer sess.close()
	policy, _, err := score.Settle(window.Policy{Name: "full", BOS: f.bos}, sess.tok, false, sess.info.Vocab)
	if err != nil {
		return nil, nil, err
	}
	now := answer.TextsHeader{Header: answer.Header{Weights: sess.digests.Weights, Config: sess.info.Config, Tokenizer: sess.tok.Digest(), PrefixIDs: policy.PrefixIDs},
		Sampling: answer.Sampling{Temperature: s.temperature, TopP: s.topP, MaxTokens: s.maxTokens, Seed: f.seed}}
	o := answer.Options{Prefix: policy.PrefixIDs, Limit: sess.info.Positions, Encoder: sess.info.Encoder}
	if slices.ContainsFunc(qs, func(q assoc.Open) bool { return q.Chat }) {
		shut, err := f.openChat(sess, &o, &now.Header)
		if err != nil {
			return nil, nil, err
		}
		defer shut()
	}
	if len(texts) > 0 && (!h.Same(now.Header) || h.Sampling != now.Sampling) {
		return nil, nil, fault.Inputf("digest", "probe: %s: found answers of another checkpoint, chat template or sampling", f.evidence).
			Hint("name another file, or leave the checkpoint out to read this one")
	}
	inputs := []probes.Input{{Role: "checkpoint", Path: args[0], Digest: now.Weights}, {Role: "tokenizer", Path: sess.tok.Path(), Digest: now.Tokenizer}}
	if len(missing) == 0 {
		return texts, inputs, nil
	}
	if err := f.model.load(ctx, f.app, sess); err != nil {
		return nil, nil, err
	}
	meter := progress.New(f.app.stderr, f.app.meterMode(), "writing", int64(len(missing)*s.maxTokens))
	g := model.GenOptions{MaxTokens: s.maxTokens, Temperature: s.temperature, TopP: s.topP, Seed: f.seed, Vocab: sess.tok.VocabSize(), Decode: sess.tok.Decode,
		Progress: func(n int) { meter.Add(int64(n)) }}
	if id, ok := sess.tok.EOS(); ok {
		g.EOS = []int32{id}
	}
	got, err := answer.Generate(ctx, sess.model, sess.tok, missing, o, g)
	meter.Close()
	if err != nil {
		return nil, nil, err
	}
	for id, t := range texts {
		got[id] = t
	}
	if f.evidence != "" {
		if err := writeFile(f.evidence, func(w io.Writer) error { return answer.WriteTexts(w, now, got) }); err != nil {
			return nil, nil, err
		}
	}
	return got, inputs, nil
}
