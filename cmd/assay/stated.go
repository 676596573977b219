package main

import (
	"context"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"assay/cmd/assay/internal/progress"
	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/model"
	"assay/model/states"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/probes"

	"github.com/spf13/pflag"
)

// stater gives commands states: a states file is opened, a checkpoint is run on
// labelled texts first by the code of `assay states` and the file kept in a cache
// under the digest of its identity, so that the same work is never done twice and
// never mistaken for other work.
type stater struct {
	statesFlags
	app      *app
	cache    string
	save     string
	noVerify bool
}

// register adds the flags of a command that reads states or makes them.
func (s *stater) register(fl *pflag.FlagSet) {
	s.dtype, s.saveEvery = "f32", saveStates
	s.o.Policy.Name = "full"
	fl.StringVar(&s.text, "text", "", "labelled texts (.jsonl, .jsonl.gz or .csv): makes the states of a checkpoint; with states, their texts and sources for the controls")
	fl.StringVar(&s.cols.Label, "label", "label", "with a checkpoint: column of labels")
	fl.StringVar(&s.cols.Topic, "topic", "topic", "with a checkpoint: column of topics")
	fl.StringVar(&s.cols.Source, "source", "source", "column of sources")
	fl.StringVar(&s.cols.Family, "family", "family", "with a checkpoint: column of families")
	fl.StringVar(&s.cols.Pair, "pair", "pair", "with a checkpoint: column of pairs")
	fl.StringVar(&s.o.Span, "span", states.SpanText, "with a checkpoint: token positions that count: "+strings.Join(states.Spans(), ", "))
	fl.StringVar(&s.o.Policy.BOS, "bos", "auto", "with a checkpoint: auto, always, never or id:N")
	fl.IntVar(&s.o.Sample, "sample", 512, "with a checkpoint: units per label whose rows are kept at every layer")
	fl.IntVar(&s.o.Cells, "cells", 128, "with a checkpoint: target number of cells")
	fl.StringVar(&s.o.Keep, "keep", "", "with a checkpoint: layers whose rows are kept for every document (default: all up to 4 GiB)")
	fl.StringVar(&s.save, "save-states", "", "with a checkpoint: keep the states under this name (.safetensors) instead of in the cache")
	fl.StringVar(&s.cache, "cache", "", "folder of states made on the way (default: the user's cache folder)")
	fl.BoolVar(&s.noVerify, "no-verify", false, "do not check the content digest of a states file (the result says so)")
	s.model.register(fl)
}

// saveStates is how much work a killed process may lose.
const saveStates = 10 * time.Minute

// givenTap is the tap of vectors that another program made.
const givenTap = "given"

// tap sets tap and pool of states that are made from a view's name, tap.pool.
func (s *stater) view(name string) {
	s.o.Taps, s.o.Pools, s.o.Layers = []string{model.TapResidPost}, []string{"mean"}, "all"
	if tap, pool, ok := strings.Cut(name, "."); ok {
		s.o.Taps, s.o.Pools = []string{tap}, []string{pool}
	}
}

// isStates tells states files from checkpoints: a .safetensors file whose header says so.
func isStates(path string) bool {
	if !strings.HasSuffix(path, ".safetensors") {
		return false
	}
	kind, err := sniffSafetensors(path)
	return err == nil && kind == kindStates
}

// open opens path, or makes the states of the checkpoint there.
func (s *stater) open(ctx context.Context, path string, seed uint64, view string) (*latent.File, error) {
	k, err := detect(path)
	switch {
	case err != nil:
		return nil, err
	case k == kindTrace:
		return nil, fault.Usagef("%s: is a trace, want states or a checkpoint", path)
	case k == kindStates || strings.HasSuffix(path, ".safetensors") && s.text == "":
		return latent.Open(path, !s.noVerify)
	case s.text == "":
		return nil, fault.Usagef("%s: is not a file of states, want one or --text FILE", path).
			Hint("assay states %s --text items.jsonl -o s.safetensors makes one; with --text this command does so itself", path)
	}
	out, err := s.make(ctx, path, seed, view)
	if err == nil && s.app.states != nil {
		err = errPlanned
	}
	if err != nil {
		return nil, err
	}
	return latent.Open(out, true)
}

func (s *stater) make(ctx context.Context, path string, seed uint64, view string) (string, error) {
	s.app.warnNoSIMD()
	s.view(view)
	s.o.Seed, s.o.Label = seed, s.cols.Label
	s.cols.ID = "id"
	if s.strata != "" {
		s.o.Strata = strings.Split(s.strata, ",")
	}
	s.cols.Extra = states.StrataColumns(s.o.Strata)
	s.o.Extra = s.cols.Extra
	src, err := items.Open(s.text, s.cols)
	if err != nil {
		return "", err
	}
	sess, err := s.model.open(ctx, path, true)
	if err != nil {
		return "", err
	}
	defer sess.close()
	d, err := model.Describe(sess.ck, s.model.acceptKeys...)
	if err != nil {
		return "", err
	}
	o := s.o // Prepare settles the policy of this checkpoint
	o.Positions, o.Of, o.Encoder = sess.info.Positions, sess.identity(), sess.tok
	p, err := states.Prepare(src, d.Spec, &o)
	if err != nil {
		return "", err
	}
	h, err := p.States.Describe(trace.StatesHeader{Of: p.Of})
	if err != nil {
		return "", err
	}
	run := h.Run
	out := s.save
	if r := s.app.states; r != nil { // an audit plans, names and shares states
		r.run, r.text, r.docs, r.tokens, r.weights = run, p.Of.Text, src.Len(), p.Tokens, p.Of.Checkpoint.Weights
		longest := max(1, int(p.Tokens)/max(1, src.Len()))
		r.flop, r.memory = sess.info.FLOP(longest)*float64(p.Tokens), d.Forecast(longest, s.model.batch).Total()
		if out = r.out; out == "" {
			return "", errPlanned
		}
	} else if out == "" {
		dir, err := cacheFolder(s.cache, "states")
		if err != nil {
			return "", err
		}
		out = filepath.Join(dir, run+".safetensors")
	}
	if f, err := trace.OpenStatesWith(out, trace.StatesOptions{NoVerify: true}); err == nil {
		same := f.Header().Run == run
		f.Close()
		if same {
			s.app.note("note: %s was run on these texts before: using %s", path, out)
			return out, nil
		}
		return "", fault.Usagef("%s: holds states of another run, want a new name", out)
	}
	s.app.note("note: running %s on %s", path, plural(src.Len(), "document"))
	if err := s.model.load(ctx, s.app, sess); err != nil {
		return "", err
	}
	var meter *progress.Meter
	defer func() { meter.Close() }()
	_, err = states.Run(ctx, sess.model, src, p, states.RunOptions{Out: out, Resume: true, SaveEvery: s.saveEvery, Made: statesMade(sess),
		Start:    func(tokens int64) { meter = progress.New(s.app.stderr, s.app.meterMode(), "states", tokens) },
		Progress: func(n int64) { meter.Add(n); s.app.states.add(n) }})
	if err != nil {
		return "", interruptedHint(err)
	}
	return out, nil
}

// layerMeter shows how many layers are done; close it before printing.
func (a *app) layerMeter(what string, s latent.States, view, layers string, times int64) *progress.Meter {
	o := aqi.Default()
	o.View, o.Layers = view, layers
	return progress.NewOf(a.stderr, a.meterMode(), what, "layers", (aqi.Steps(s, o)-1)*times)
}

// sources are what states were made of, for a result: the checkpoint where one was
// run, and the texts.
func (s *stater) sources(f *latent.File, role, path string) []probes.Input {
	var out []probes.Input
	in := f.Info()
	if path != in.Path {
		out = append(out, probes.Input{Role: role, Path: path, Digest: in.Checkpoint})
	}
	if s.text != "" {
		out = append(out, probes.Input{Role: "texts", Path: s.text, Digest: in.Text})
	}
	return out
}

// settle refuses flags that the arguments leave no use for.
func (s *stater) settle(paths []string) error {
	made := 0
	for _, p := range paths {
		if !isStates(p) {
			made++
		}
	}
	switch {
	case s.save == "":
	case made != 1:
		return fault.Usagef("--save-states: found %d checkpoints, want one", made)
	case !strings.HasSuffix(s.save, ".safetensors"):
		return fault.Usagef("--save-states: found %q, want a name that ends in .safetensors", s.save)
	}
	return nil
}

// side reads what the controls need beside the states: texts and sources of every
// document. It refuses texts that are not those of the states.
func (s *stater) side(f *latent.File) ([]aqi.Item, error) {
	if s.text == "" {
		return nil, nil
	}
	src, err := items.Open(s.text, items.Columns{ID: "id", Label: s.cols.Label, Topic: s.cols.Topic, Source: s.cols.Source, Family: s.cols.Family, Pair: s.cols.Pair})
	if err != nil {
		return nil, err
	}
	docs, err := f.Docs()
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, docs.Len())
	for i, id := range docs.ID {
		at[id] = i
	}
	in := f.Info()
	labels := in.Labels
	texts := len(in.Views) == 0 || in.Views[0].Tap != givenTap // vectors made elsewhere carry no digest of a text
	var out []aqi.Item
	for it, err := range src.Items() {
		if err != nil {
			return nil, err
		}
		i, ok := at[it.ID]
		if !ok {
			return nil, fault.Inputf("items", "%s:%d: document %q: not in %s, want the texts that the states were made of", s.text, it.Line, it.ID, in.Path)
		}
		if sum := sha256.Sum256([]byte(it.Text)); texts && i < len(docs.TextSHA) && !slices.Equal(sum[:8], docs.TextSHA[i][:]) {
			return nil, fault.Inputf("items", "%s:%d: document %q: the text differs from that of %s, want the texts that the states were made of", s.text, it.Line, it.ID, in.Path)
		}
		have := ""
		if l := docs.Label[i]; l >= 0 {
			have = labels[l]
		}
		if it.HasLabel && it.Label != have {
			return nil, fault.Inputf("items", "%s:%d: document %q: label %q, and %q in %s, want the same", s.text, it.Line, it.ID, it.Label, have, in.Path).
				Hint("--label names the column that the states were labelled by")
		}
		delete(at, it.ID)
		out = append(out, aqi.Item{ID: it.ID, Text: it.Text, Source: it.Source})
	}
	for _, id := range docs.ID {
		if _, left := at[id]; left {
			return nil, fault.Inputf("items", "%s: no row with id %q, want one for every document of %s", s.text, id, in.Path)
		}
	}
	return out, nil
}
