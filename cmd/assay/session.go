package main

import (
	"context"
	"runtime"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
	"assay/tokenize"
	"assay/weights"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// modelFlags are the flags of every command that runs a model.
type modelFlags struct {
	backend    string
	threads    int
	memory     string
	weights    string
	batch      int
	tokenizer  string
	specials   string
	acceptKeys []string
}

func (m *modelFlags) register(f *pflag.FlagSet) {
	m.registerEngine(f)
	m.registerTokenizer(f)
}

// registerEngine adds the flags of commands that read no text.
func (m *modelFlags) registerEngine(f *pflag.FlagSet) {
	f.StringVar(&m.backend, "backend", "go", "go, or xla:/absolute/path/of/plugin.so")
	f.IntVar(&m.threads, "threads", 0, "cores to use (0 = all)")
	f.StringVar(&m.memory, "memory", "", "memory the process may use, such as 8GiB (default: 85 % of the machine's or container's)")
	f.StringVar(&m.weights, "weights", "auto", "how weights are held: args (float32), wide16 (16 bits), stream (in the file, layer by layer) or auto: the first that fits --memory")
	f.IntVar(&m.batch, "batch-tokens", model.DefaultBatchTokens, "tokens in one batch")
	f.StringArrayVar(&m.acceptKeys, "accept-key", nil, "run although config.json has this key that assay does not know (repeatable; recorded)")
}

func (m *modelFlags) registerTokenizer(f *pflag.FlagSet) {
	f.StringVar(&m.tokenizer, "tokenizer", "", "tokenizer.json to use instead of the checkpoint's own")
	f.StringVar(&m.specials, "specials", tokenize.SpecialsNone, "none: special tokens' strings in a text are plain text; parse: they become the tokens")
}

// session is a checkpoint that is open, verified and loaded.
type session struct {
	path    string
	ck      *weights.Checkpoint
	digests weights.Digests
	model   *model.Model
	info    model.Info
	tok     *tokenize.Tokenizer // nil when not asked for
	backend string
	batch   int
}

// open verifies a checkpoint (digests, finite weights) and opens its tokenizer
// where text has to be read. The model is loaded by load, so that a cached
// result needs no weights in memory.
func (m *modelFlags) open(ctx context.Context, path string, needTokenizer bool) (s *session, err error) {
	ck, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	s = &session{path: path, ck: ck, backend: m.backend, batch: m.batch}
	opened := s // a return of nil clears s before the deferred call
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	d, err := model.Describe(ck, m.acceptKeys...)
	if err != nil {
		return nil, err
	}
	s.info = d.Info
	if needTokenizer {
		if s.tok, err = m.openTokenizer(ck, s.info.Vocab); err != nil {
			return nil, err
		}
	}
	s.digests, err = ck.Scan(ctx, d.Ignorable()...)
	return s, err
}

func (m *modelFlags) openTokenizer(ck *weights.Checkpoint, vocab int) (*tokenize.Tokenizer, error) {
	path := m.tokenizer
	if path == "" {
		path = tokenizerPath(ck)
	}
	return tokenize.Open(path, tokenize.Options{Specials: m.specials, Vocab: vocab})
}

// load reads the weights into the engine. It says when auto leaves them in the file.
func (m *modelFlags) load(ctx context.Context, a *app, s *session) error {
	o, err := m.options()
	if err != nil {
		return err
	}
	s.model, err = model.Load(ctx, s.ck, o)
	if err == nil && m.weights == model.WeightsAuto && s.model.Weights() == model.WeightsStream {
		a.note("note: the weights do not fit the %s allowed (--memory): running layer by layer from the file (--weights stream)", show.Bytes(s.model.Limit()))
	}
	return err
}

func (m *modelFlags) options() (model.Options, error) {
	memory, err := parseBytes(m.memory)
	return model.Options{Backend: m.backend, Threads: m.threads, Memory: memory,
		Weights: m.weights, BatchTokens: m.batch, AcceptKeys: m.acceptKeys}, err
}

func (s *session) close() {
	if s.model != nil {
		s.model.Close()
	}
	if s.tok != nil {
		_ = s.tok.Close()
	}
	_ = s.ck.Close()
}

// identity is the checkpoint's part of a run's identity.
func (s *session) identity() trace.Identity {
	return trace.Identity{Checkpoint: trace.Checkpoint{Weights: s.digests.Weights, Config: s.info.Config,
		Vocab: s.info.Vocab, DType: string(s.digests.DType), Quant: string(s.digests.Quant)}}
}

// made describes this program and machine for a trace header.
func (s *session) made() trace.Made {
	b := thisBuild()
	made := trace.Made{Program: b.Program, Version: b.Version, Commit: b.Commit, Backend: s.backend,
		Device: runtime.GOARCH, Threads: runtime.GOMAXPROCS(0), Batch: s.batch}
	for _, w := range s.ck.Warnings() {
		made.Warnings = append(made.Warnings, trace.Warning{Code: w.Code, Text: w.Text})
	}
	for _, w := range s.info.Warnings {
		made.Warnings = append(made.Warnings, trace.Warning{Code: w.Code, Text: w.Text})
	}
	if s.tok != nil {
		for _, w := range s.tok.Warnings() {
			made.Warnings = append(made.Warnings, trace.Warning{Code: w.Code, Text: w.Text})
		}
	}
	if len(s.info.Accepted) > 0 {
		made.Warnings = append(made.Warnings, trace.Warning{Code: "accepted-key", Text: "config keys accepted although unknown: " + joined(s.info.Accepted)})
	}
	if !model.SIMD {
		made.Warnings = append(made.Warnings, trace.Warning{Code: "no-simd", Text: "this binary was built without GOEXPERIMENT=simd; results hold, speed is a fraction"})
	}
	return made
}

// warnNoSIMD tells once per command that the CPU path is slow.
func (a *app) warnNoSIMD() {
	if !model.SIMD {
		a.note("note: built without GOEXPERIMENT=simd: the CPU path is about 17 times slower (build with make)")
	}
}

// output is the flag that names the file a command writes.
func outputFlag(cmd *cobra.Command, p *string, usage string) {
	cmd.Flags().StringVarP(p, "output", "o", "", usage)
}

// parseBytes reads sizes such as 8GiB, 500MB or plain bytes; "" is 0.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := parseSize(s)
	if err != nil {
		return 0, fault.Usagef("--memory: %w", err)
	}
	return n, nil
}
