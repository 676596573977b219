package main

import (
	"context"
	"fmt"

	"assay/cmd/assay/internal/progress"
	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/model/trace/window"
	"assay/probes/membership"
)

// coverSampling are the flags by which cover generates for itself.
type coverSampling struct {
	samples     int
	temperature float64
	topP        float64
	maxTokens   int
}

// continuations samples the rest of every text under the checkpoint: as many tokens as
// the true rest has, --max-tokens at most. Texts whose first half fills the model, or
// gives no token, get none.
func (f *comparison) continuations(ctx context.Context, ckpt string, texts []membership.CoverText, c coverSampling) (map[string][]string, string, error) {
	f.app.warnNoSIMD()
	s, err := f.model.open(ctx, ckpt, true)
	if err != nil {
		return nil, "", err
	}
	defer s.close()
	if s.info.Encoder {
		return nil, "", model.ErrEncoder(s.info.Family)
	}
	p, _, err := score.Settle(window.Policy{Name: "full", BOS: "auto"}, s.tok, false, s.info.Vocab)
	if err != nil {
		return nil, "", err
	}
	var ps []model.Prompt
	heads := make(map[string][]int32)
	none, tokens := 0, 0
	for _, t := range texts {
		head, rest := membership.Halve(t.Text)
		ids, _, err := s.tok.Encode(head)
		if err != nil {
			return nil, "", fmt.Errorf("text %q: %w", t.ID, err)
		}
		tail, _, err := s.tok.Encode(rest)
		if err != nil {
			return nil, "", fmt.Errorf("text %q: %w", t.ID, err)
		}
		ids = append(append([]int32{}, p.PrefixIDs...), ids...)
		n := min(len(tail), c.maxTokens)
		if n == 0 || len(ids) == 0 || s.info.Positions > 0 && len(ids) >= s.info.Positions {
			none++
			continue
		}
		heads[t.ID] = ids
		tokens += n
		ps = append(ps, model.Prompt{ID: t.ID, IDs: ids, MaxTokens: n})
	}
	if none > 0 {
		f.app.note("note: %s without a rest, or with a first half that fills the model, not continued", plural(none, "text"))
	}
	if len(ps) == 0 {
		return nil, "", fault.Inputf("generations", "membership cover: found no text that can be continued among %d", len(texts))
	}
	o := model.GenOptions{MaxTokens: c.maxTokens, Temperature: c.temperature, TopP: c.topP, Samples: c.samples, Seed: f.o.Seed,
		Decode: s.tok.Decode, Vocab: min(s.info.Vocab, s.tok.VocabSize())}
	if o.EOS, err = endIDs(s, "auto"); err != nil {
		return nil, "", err
	}
	if err := f.model.load(ctx, f.app, s); err != nil {
		return nil, "", err
	}
	f.app.note("note: generating %d continuations of %s", c.samples*len(ps), plural(len(ps), "text"))
	meter := progress.New(f.app.stderr, f.app.meterMode(), "generating", int64(tokens*c.samples))
	defer func() { meter.Close() }()
	o.Progress = func(n int) { meter.Add(int64(n)) }
	out := make(map[string][]string)
	err = s.model.Generate(ctx, ps, o, func(g model.Generation) error {
		t, err := continuation(s.tok, heads[g.ID], g, nil)
		if err != nil {
			return err
		}
		out[g.ID] = append(out[g.ID], t)
		return nil
	})
	return out, s.digests.Weights, err
}
