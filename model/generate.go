package model

import (
	"context"
	"slices"

	"assay/internal/fault"
)

// Prompt is what a generation continues.
type Prompt struct {
	ID  string  // names the stream of random numbers; carried to the Generation
	IDs []int32 // at least one, with the prefix (BOS) that the model wants
	// MaxTokens is the number of tokens to generate at most; 0 = GenOptions.MaxTokens,
	// which it may not exceed.
	MaxTokens int
}

// Reasons why a generation ended.
const (
	StopEOS     = "eos"     // an id of GenOptions.EOS, which is the last of IDs
	StopString  = "stop"    // the text holds a string of GenOptions.Stop
	StopLength  = "length"  // GenOptions.MaxTokens
	StopContext = "context" // the model's positions are used up
)

// Generation is one continuation.
type Generation struct {
	ID       string
	Sample   int
	IDs      []int32
	LogProbs []float32 // ln p of each id under the model itself: temperature 1, nothing cut; nats
	Stop     string
	// NearTie is the first step at which the two largest logits were less than
	// NearTieGap apart, -1 if there was none. Behind it another machine's greedy
	// continuation may be another one.
	NearTie int
}

// NearTieGap is the difference of logits below which rounding may decide.
const NearTieGap = 1e-4

// GenOptions say how to continue. The law of a token is that of transformers:
// logits divided by Temperature, then the TopK largest kept (with ties of the last),
// then the fewest whose probability reaches TopP, renormalised.
type GenOptions struct {
	MaxTokens   int     // tokens to generate at most; at least 1
	Temperature float64 // 0 = greedy: the smallest id of the largest logit
	TopK        int     // 0 = all
	TopP        float64 // in (0, 1]; 0 = all
	Samples     int     // continuations of each prompt; 0 = 1
	Seed        uint64  // of the draws: draw i of a continuation depends on (Seed, Prompt.ID, sample, i) alone
	EOS         []int32 // ids that end a continuation
	// Stop are strings that end a continuation once its text, by Decode, holds
	// one, wherever the boundaries of its tokens lie.
	Stop   []string
	Decode func(ids []int32) (string, error)
	Vocab  int // ids from here on (padding of the vocabulary) are never generated; 0 = none
	// Batch is the number of continuations that run at once; 0 = DefaultGenBatch.
	// A batch always has all its rows, so the mates of a continuation change no bit
	// of it; another Batch may change the last ones.
	Batch    int
	Progress func(tokens int) // called with the tokens generated since the last call
}

// DefaultGenBatch is the number of continuations that run at once where
// GenOptions do not say.
const DefaultGenBatch = 16

// genGroup is the number of batches whose prompts are sorted by length together.
const genGroup = 32

func (o *GenOptions) validate(m *Model) error {
	switch {
	case m.spec.Encoder():
		return ErrEncoder(m.spec.Family)
	case m.spec.Head.None:
		return errHeadless()
	case o.MaxTokens < 1:
		return fault.Usagef("model: generate: %d tokens, want at least 1", o.MaxTokens)
	case !(o.Temperature >= 0) || o.Temperature > 1e6:
		return fault.Usagef("model: generate: temperature %v, want 0 (greedy) or above", o.Temperature)
	case o.TopK < 0:
		return fault.Usagef("model: generate: top %d, want 0 (all) or above", o.TopK)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fault.Usagef("model: generate: top-p %v, want a probability, 0 for all", o.TopP)
	case o.Samples < 0:
		return fault.Usagef("model: generate: %d samples, want at least 1", o.Samples)
	case o.Temperature == 0 && o.Samples > 1:
		return fault.Usagef("model: generate: %d greedy samples: they are all the same", o.Samples).Hint("set a temperature above 0")
	case o.Vocab < 0 || o.Vocab > m.spec.Vocab:
		return fault.Usagef("model: generate: vocabulary of %d entries: the output head has %d", o.Vocab, m.spec.Vocab)
	case o.Batch < 0 || o.Batch == 1 || o.Batch > 1<<12:
		return fault.Usagef("model: generate: batch of %d, want 2 to %d", o.Batch, 1<<12)
	case len(o.Stop) > 0 && o.Decode == nil:
		return fault.Usagef("model: generate: stop strings, and nothing that decodes ids")
	case slices.Contains(o.Stop, ""):
		return fault.Usagef("model: generate: an empty stop string")
	case m.stream:
		return fault.Retryf("memory", "model: generate: the weights do not fit into %d MB, and every token would read all of them from disk", m.limit>>20).
			Hint("allow more with --memory, or take --weights %s", WeightsWide16)
	}
	if o.Samples == 0 {
		o.Samples = 1
	}
	if o.Batch == 0 {
		o.Batch = DefaultGenBatch
	}
	return nil
}

func (o *GenOptions) greedy() bool { return o.Temperature == 0 }

// checkPrompts refuses prompts that cannot be continued.
func (m *Model) checkPrompts(ps []Prompt, most int) error {
	for _, p := range ps {
		n := len(p.IDs)
		if n == 0 {
			return fault.Inputf("prompt", "model: generate: prompt %q: no ids", p.ID).Hint("put a BOS in front")
		}
		if m.spec.Positions > 0 && n >= m.spec.Positions {
			return fault.Inputf("window", "model: generate: prompt %q: %d ids, want at most %d: the model has %d positions", p.ID, n, m.spec.Positions-1, m.spec.Positions)
		}
		if p.MaxTokens < 0 || p.MaxTokens > most {
			return fault.Usagef("model: generate: prompt %q: %d tokens, want 0 to %d", p.ID, p.MaxTokens, most)
		}
		for i, id := range p.IDs {
			if id < 0 || int(id) >= m.spec.Vocab {
				return fault.Inputf("id", "model: generate: prompt %q id %d: found %d, want 0 to %d", p.ID, i, id, m.spec.Vocab-1)
			}
		}
	}
	return nil
}

// Generate continues prompts and calls emit in their order, samples of a prompt
// one after the other. A continuation does not depend on the other prompts. Its
// cost is that of scoring the prompt and, for each token, one pass over the weights
// for every GenOptions.Batch continuations.
func (m *Model) Generate(ctx context.Context, ps []Prompt, o GenOptions, emit func(Generation) error) (err error) {
	defer edge("generate", &err)
	if err := o.validate(m); err != nil {
		return err
	}
	if err := m.checkPrompts(ps, o.MaxTokens); err != nil {
		return err
	}
	g := &generator{m: m, o: o, law: law{o.Temperature, o.TopK, o.TopP}}
	if err := g.prepareHead(); err != nil {
		return err
	}
	perGroup := max(1, genGroup*o.Batch/o.Samples)
	for from := 0; from < len(ps); from += perGroup {
		if err := g.group(ctx, ps[from:min(from+perGroup, len(ps))], emit); err != nil {
			return err
		}
	}
	return nil
}

// group continues some prompts. Those whose slots in the cache end at the same
// place run together.
func (g *generator) group(ctx context.Context, ps []Prompt, emit func(Generation) error) error {
	var cs []*continuation
	for _, p := range ps {
		for s := range g.o.Samples {
			cs = append(cs, &continuation{prompt: p, sample: s, order: len(cs), nearTie: -1, ids: slices.Clone(p.IDs), draws: newDraws(g.o.Seed, p.ID, s)})
		}
	}
	sorted := slices.Clone(cs)
	slices.SortStableFunc(sorted, func(a, b *continuation) int { return bucket(len(a.prompt.IDs)) - bucket(len(b.prompt.IDs)) })
	var batches [][]*continuation
	for from := 0; from < len(sorted); {
		P := bucket(len(sorted[from].prompt.IDs))
		to := from
		for to < len(sorted) && to-from < g.o.Batch && bucket(len(sorted[to].prompt.IDs)) == P {
			to++
		}
		batches = append(batches, sorted[from:to])
		from = to
	}
	// The earliest prompt waits least, so that an interruption loses little.
	slices.SortStableFunc(batches, func(a, b []*continuation) int { return a[0].order - b[0].order })
	next := 0
	for _, b := range batches {
		if err := g.run(ctx, bucket(len(b[0].prompt.IDs)), b); err != nil {
			return err
		}
		for next < len(cs) && cs[next].stop != "" {
			if err := emit(cs[next].result()); err != nil {
				return err
			}
			next++
		}
	}
	return nil
}

// continuation is a generation under way.
type continuation struct {
	prompt  Prompt
	sample  int
	order   int
	ids     []int32 // prompt and what was generated
	logs    []float32
	stop    string // "" while it runs
	nearTie int
	draws   draws
}

func (c *continuation) generated() []int32 { return c.ids[len(c.prompt.IDs):] }

func (c *continuation) result() Generation {
	return Generation{ID: c.prompt.ID, Sample: c.sample, IDs: c.generated(), LogProbs: c.logs, Stop: c.stop, NearTie: c.nearTie}
}
