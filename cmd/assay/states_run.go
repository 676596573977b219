package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/internal/fault"
	"assay/model"
	"assay/model/bench"
	"assay/model/score"
	"assay/model/states"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/tokenize"
)

func (f *statesFlags) run(ctx context.Context, a *app, args []string) error {
	if err := f.settle(args); err != nil {
		return err
	}
	if f.from != "" {
		return f.runFrom(ctx, a)
	}
	path := f.text
	if f.ids != "" {
		path, f.cols.IDs = f.ids, true
	}
	src, err := items.Open(path, f.cols)
	if err != nil {
		return err
	}
	in, err := f.input(src, args[0])
	if err != nil {
		return err
	}
	a.warnNoSIMD()
	s, err := f.model.open(ctx, args[0], f.text != "")
	if err != nil {
		return err
	}
	defer s.close()
	d, err := model.Describe(s.ck, f.model.acceptKeys...)
	if err != nil {
		return err
	}
	if err := f.cut(src.Len()); err != nil {
		return err
	}
	f.o.Positions, f.o.Of = s.info.Positions, s.identity()
	if s.tok != nil {
		f.o.Encoder = s.tok
	}
	p, err := states.Prepare(in, d.Spec, &f.o)
	if err != nil {
		return err
	}
	if f.plan {
		return f.printPlan(a, p, bench.EstimateTime(s.info, p.Tokens, cmp.Or(min(s.info.Positions, 512), 512)))
	}
	if err := f.model.load(ctx, a, s); err != nil {
		return err
	}
	var meter *progress.Meter
	defer func() { meter.Close() }()
	o := states.RunOptions{Out: f.out, Resume: f.resume, SaveEvery: f.saveEvery, Made: statesMade(s),
		Start: func(tokens int64) {
			a.forecast(s, tokens)
			meter = progress.New(a.stderr, a.meterMode(), "states", tokens)
		},
		Progress: func(n int64) { meter.Add(n) }}
	var rep *states.Report
	var scored *score.Report
	if f.trace == "" {
		rep, err = states.Run(ctx, s.model, in, p, o)
	} else {
		rep, scored, err = states.RunTraced(ctx, s.model, in, p, o, score.Options{Positions: f.o.Positions, TwoSided: s.info.Encoder, Of: f.o.Of, Out: f.trace, Made: s.made()})
	}
	if err != nil {
		return err
	}
	return printStates(a, rep, scored)
}

func (f *statesFlags) templated() bool { return f.chat.template != "" && f.chat.template != "none" }

// input puts the documents into a chat template where one is asked for. The rendered
// text holds its own BOS, and its special tokens are read as such.
func (f *statesFlags) input(src *items.Source, ckpt string) (states.Input, error) {
	if !f.templated() {
		return src, nil
	}
	file, err := f.model.tokenizerFile(ckpt)
	if err != nil {
		return nil, err
	}
	t := states.Templated{Input: src, System: f.system}
	if t.Template, t.Options, err = f.chat.open(file); err != nil {
		return nil, err
	}
	f.model.specials = tokenize.SpecialsParse
	if f.o.Policy.BOS == "auto" {
		f.o.Policy.BOS = "never"
	}
	f.o.Template, err = t.Digest()
	return t, err
}

// cut resolves --shard i/n into documents floor(i N / n) to floor((i+1) N / n).
func (f *statesFlags) cut(docs int) error {
	if f.shard == "" {
		return nil
	}
	a, b, ok := strings.Cut(f.shard, "/")
	i, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || n < 1 || i < 0 || i >= n || n > docs {
		return fault.Usagef("states: --shard %q: want i/n with i from 0 to n-1 and n at most the %d documents", f.shard, docs)
	}
	f.o.From, f.o.To = i*docs/n, (i+1)*docs/n
	return nil
}

// settle checks the flags that no package can.
func (f *statesFlags) settle(args []string) error {
	switch {
	case f.from == "" && len(args) != 1:
		return fault.Usagef("states: want one checkpoint, found %d arguments", len(args))
	case f.from != "" && len(args) > 0:
		return fault.Usagef("states --from: takes vectors, not a checkpoint: found %q", args[0])
	case (f.from != "") != (f.labels != ""):
		return fault.Usagef("states: --from and --labels go together")
	case f.templated() && f.text == "":
		return fault.Usagef("states: --template %s: takes --text", f.chat.template)
	case !f.templated() && (f.system != "" || f.chat.date != "" || len(f.chat.vars) > 0 || f.o.Span == states.SpanTemplate):
		return fault.Usagef("states: --system, --span template and the --template-... flags need --template auto or FILE")
	case f.dtype != "f32" && f.dtype != "bf16":
		return fault.Usagef("states: --dtype: found %q, want f32 or bf16", f.dtype)
	case f.o.Cells < 1:
		return fault.Usagef("states: --cells: found %d, want 1 or more", f.o.Cells)
	case f.lens && f.lensPositions < 1:
		return fault.Usagef("states: --lens-positions: found %d, want 1 or more", f.lensPositions)
	case f.saveEvery <= 0:
		return fault.Usagef("states: --save-every: found %v, want above 0", f.saveEvery)
	case f.out == "" && !f.plan:
		return fault.Usagef("states: no output, want -o FILE.safetensors, or --plan")
	case f.out != "" && !strings.HasSuffix(f.out, ".safetensors"):
		return fault.Usagef("states: -o %s: want a name that ends in .safetensors", f.out)
	}
	for i, p := range f.o.Pools {
		if kind, ok := strings.CutSuffix(p, ":column"); ok && f.from == "" {
			f.o.Pools[i] = kind + ":" + f.text + f.ids
		}
	}
	f.o.BF16, f.o.Label = f.dtype == "bf16", f.cols.Label
	if f.lens {
		f.o.Lens = f.lensPositions
	}
	if f.project != "" {
		var err error
		if f.o.Project, err = states.OpenDirections(f.project); err != nil {
			return err
		}
	}
	if f.strata != "" {
		f.o.Strata = strings.Split(f.strata, ",")
	}
	f.cols.Extra = states.StrataColumns(f.o.Strata)
	f.o.Extra = f.cols.Extra
	return f.checkOut()
}

// checkOut refuses to write over a file; an interrupted one resumes.
func (f *statesFlags) checkOut() error {
	if f.plan {
		return nil
	}
	if _, err := os.Stat(f.out); err == nil {
		return fault.Usagef("states: %s exists, want a new name", f.out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.Retryf("io", "states: %w", err)
	}
	return nil
}

func (f *statesFlags) runFrom(ctx context.Context, a *app) error {
	f.cols.Labels = true
	src, err := items.Open(f.labels, f.cols)
	if err != nil {
		return err
	}
	x, err := states.OpenVectors(f.from)
	if err != nil {
		return err
	}
	defer x.Close()
	p, err := states.PrepareVectors(src, x, &f.o)
	if err != nil {
		return err
	}
	if f.plan {
		return f.printPlan(a, p, bench.Cost{})
	}
	b := thisBuild()
	var meter *progress.Meter
	defer func() { meter.Close() }()
	rep, err := states.RunVectors(ctx, x, p, states.RunOptions{Out: f.out, Resume: f.resume, SaveEvery: f.saveEvery,
		Start:    func(rows int64) { meter = progress.New(a.stderr, a.meterMode(), "vectors", rows) },
		Progress: func(n int64) { meter.Add(n) },
		Made:     trace.StatesMade{Program: b.Program, Version: b.Version, Commit: b.Commit}})
	if err != nil {
		return err
	}
	return printStates(a, rep, nil)
}

func statesMade(s *session) trace.StatesMade {
	m := s.made()
	return trace.StatesMade{Program: m.Program, Version: m.Version, Commit: m.Commit, Backend: m.Backend, Device: m.Device,
		Warnings: m.Warnings, Quantised: s.digests.Quant != ""}
}
