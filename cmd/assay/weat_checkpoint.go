package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/model"
	"assay/model/embed"
	"assay/model/score"
	"assay/model/trace/window"
	"assay/probes"
	"assay/tokenize"

	"github.com/spf13/pflag"
)

// weatCheckpoint are the flags of representations of a checkpoint.
type weatCheckpoint struct {
	model     modelFlags
	pool      string
	space     string
	templates string
	contexts  string
	bos       string
	seat      bool // sentences: templates of whole sentences
}

func (c *weatCheckpoint) register(fl *pflag.FlagSet) {
	fl.StringVar(&c.pool, "pool", "", "how a word's pieces become one vector: mean (default of input, output and sent), last (default of ctx), first or mean-unit")
	fl.StringVar(&c.space, "space", "yes", "cut words of input and output after a space (yes), bare (no), or each way (both)")
	fl.StringVar(&c.templates, "templates", "", "contexts of every word: mention8 (default of ctx), says6 (default of sent), or a file of lines that hold {w}")
	fl.StringVar(&c.contexts, "contexts", "", "contexts of single words instead: .jsonl with word, prompt")
	fl.StringVar(&c.bos, "bos", "auto", "ids in front of a context: auto (as the tokenizer's template has it), always, never or id:N")
	c.model.register(fl)
}

// says6 are sentences for any noun, in the style of the sentence encoder tests.
func says6() []string {
	return []string{"This is {w}.", "That is {w}.", "Here is {w}.", "There is {w}.", "It is about {w}.", "Someone mentions {w}."}
}

// place is one representation that was asked for.
type place struct {
	rep   string // as named in results
	kind  string // input, output, ctx or sent
	space embed.Space
	layer embed.Layer
}

func (c *weatCheckpoint) places(reps []string, info model.Info) ([]place, error) {
	if len(reps) == 0 {
		reps = []string{"input", "ctx:50%"}
	}
	var out []place
	for _, rep := range reps {
		kind, layer, hasLayer := strings.Cut(rep, ":")
		p := place{rep: rep, kind: kind}
		switch {
		case (rep == "input" || rep == "output") && !c.seat:
		case (kind == "ctx" && !c.seat || kind == "sent") && hasLayer:
			var err error
			if p.layer, err = embed.ParseLayer(layer, info.Layers); err != nil {
				return nil, err
			}
			p.rep = kind + ":" + p.layer.String()
		default:
			return nil, fault.Usagef("--rep: found %q, want input, output, ctx:LAYER or sent:LAYER (seat: sent:LAYER alone)", rep)
		}
		if slices.ContainsFunc(out, func(o place) bool { return o.rep == p.rep }) {
			return nil, fault.Usagef("--rep: found %s twice", p.rep)
		}
		if p.space = embed.Space(c.space); c.space == "both" {
			p.space = embed.Spaced
		}
		out = append(out, p)
		if c.space == "both" && !hasLayer { // a word in a context follows what stands before it
			out = append(out, place{rep: rep + ":bare", kind: kind, space: embed.Bare})
		}
	}
	return out, nil
}

func (c *weatCheckpoint) settle() error {
	if c.space != string(embed.Spaced) && c.space != string(embed.Bare) && c.space != "both" {
		return fault.Usagef("--space: found %q, want yes, no or both", c.space)
	}
	if !slices.Contains([]string{"", "mean", "last", "first", "mean-unit"}, c.pool) {
		return fault.Usagef("--pool: found %q, want mean, last, first or mean-unit", c.pool)
	}
	if c.contexts != "" && c.templates != "" {
		return fault.Usagef("weat: found --contexts and --templates, want one of them")
	}
	return nil
}

func (c *weatCheckpoint) poolOr(def weat.Pool) weat.Pool {
	if c.pool == "" {
		return def
	}
	return weat.Pool(c.pool)
}

// openCheckpoint loads a checkpoint and reads the representations asked for.
func (s *weatSource) openCheckpoint(ctx context.Context, a *app, path string, tests []weat.Test, extra []string) ([]weatRep, error) {
	c := &s.ck
	if err := c.settle(); err != nil {
		return nil, err
	}
	a.warnNoSIMD()
	sess, err := c.model.open(ctx, path, false)
	if err != nil {
		return nil, err
	}
	s.shut = sess.close // matrices and pieces are read while tests run
	if sess.tok, err = c.model.openTokenizer(sess.ck, sess.info.Vocab); err != nil {
		return nil, err
	}
	places, err := c.places(s.reps, sess.info)
	if err != nil {
		return nil, err
	}
	reference, err := s.reference()
	if err != nil {
		return nil, err
	}
	under := planned(tests, extra, s.loss)
	words := planned(nil, slices.Concat(under, reference), weat.LossOptions{})
	contexts := map[string][]weat.Context{}
	for _, p := range places {
		if p.kind == "ctx" || p.kind == "sent" {
			if contexts[p.kind], err = c.contextsOf(p.kind, under, words, !sess.info.Encoder); err != nil {
				return nil, err
			}
		}
	}
	if err := c.model.load(ctx, a, sess); err != nil {
		return nil, err
	}
	inputs := []probes.Input{
		{Role: "checkpoint", Path: path, Digest: sess.digests.Weights},
		{Role: "tokenizer", Path: sess.tok.Path(), Digest: sess.tok.Digest()},
	}
	byPlace := map[string]weatRep{}
	for kind, cs := range contexts {
		reps, err := s.contextual(ctx, sess, kind, places, cs, tests, slices.Concat(extra, reference))
		if err != nil {
			return nil, err
		}
		for _, r := range reps {
			byPlace[r.name] = r
		}
	}
	var out []weatRep
	for _, p := range places {
		r, ok := byPlace[p.rep]
		if !ok {
			if r, err = s.matrix(sess, p); err != nil {
				return nil, err
			}
			if p.kind == "output" && sess.info.Tied && !s.foldNorm && slices.ContainsFunc(out, func(r weatRep) bool { return r.name == "input" }) {
				a.note("note: input and output embeddings are one tensor: output left out")
				continue
			}
		}
		r.inputs = slices.Concat(inputs, r.inputs)
		for _, w := range sess.made().Warnings {
			r.notes = append(r.notes, weat.Note{Code: w.Code, Text: w.Text})
		}
		out = append(out, r)
	}
	return out, nil
}

// planned lists the words that need a vector, each once: those of the tests and
// what else they may be looked up by.
func planned(tests []weat.Test, extra []string, o weat.LossOptions) []string {
	var out []string
	seen := map[string]bool{}
	add := func(words []string) {
		for _, w := range words {
			keys, _ := o.Keys(w)
			for _, k := range keys {
				if !seen[k] {
					seen[k] = true
					out = append(out, k)
				}
			}
		}
	}
	for _, t := range tests {
		for _, set := range []weat.Set{t.X, t.Y, t.A, t.B} {
			add(set.Words)
		}
	}
	add(extra)
	return out
}

// matrix is a token matrix as a representation.
func (s *weatSource) matrix(sess *session, p place) (weatRep, error) {
	words, err := embed.NewWords(sess.model, p.kind, sess.tok, p.space)
	if err != nil {
		return weatRep{}, err
	}
	pool := s.ck.poolOr(weat.PoolMean)
	r := weatRep{name: p.rep, settings: map[string]any{"pool": string(pool), "policy": words.Policy(), "centred_on": fmt.Sprintf("%d rows of the matrix", words.Rows())}}
	var src weat.Source = words
	if s.foldNorm && p.kind == "output" {
		gain, err := sess.model.FinalGain()
		if err != nil {
			return weatRep{}, err
		}
		if gain == nil {
			return weatRep{}, fault.Usagef("--fold-norm: found no gain of a final norm that scales the columns of the output matrix, want a model with one")
		}
		wide := make([]float64, len(gain))
		for i, g := range gain {
			wide[i] = float64(g)
		}
		if src, err = weat.Fold(words, wide); err != nil {
			return weatRep{}, err
		}
		r.settings["fold_norm"] = true
	}
	raw, err := weat.NewEmbedding(src, pool, weat.Shift{})
	if err != nil {
		return weatRep{}, err
	}
	r.space = raw
	if sess.info.Tied {
		r.notes = append(r.notes, weat.Note{Code: "tied-embeddings", Text: "input and output embeddings are one tensor"})
	}
	shift := onceEach(func(v weat.Variant) (weat.Shift, error) { return weat.ShiftOf(src, v) })
	r.after = func(v weat.Variant) (weat.Space, error) {
		sh, err := shift(v)
		if err != nil {
			return nil, err
		}
		return weat.NewEmbedding(src, pool, sh)
	}
	r.score = r.scoreAfter
	r.pool = sync.OnceValues(words.Whole)
	return r, nil
}

// contextsOf expands templates or reads the user's contexts.
func (c *weatCheckpoint) contextsOf(kind string, under, words []string, causal bool) ([]weat.Context, error) {
	if c.contexts != "" {
		all, err := readNamed(c.contexts, weat.ReadContexts)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(x weat.Context) bool { return !slices.Contains(words, x.Word) })
		if len(all) == 0 {
			return nil, fault.Inputf("bad-template", "--contexts %s: found no context of a word of the tests", c.contexts)
		}
		return all, nil
	}
	templates, causal := weat.Mention8(), causal && kind == "ctx"
	switch c.templates {
	case "":
		if kind == "sent" {
			templates = says6()
		}
	case "mention8":
	case "says6":
		templates = says6()
	default:
		f, err := os.Open(c.templates)
		if err != nil {
			return nil, fault.Inputf("no-file", "--templates: %w", err)
		}
		defer f.Close()
		if templates, err = weat.ReadTemplates(f, c.templates); err != nil {
			return nil, err
		}
	}
	if err := weat.CheckTemplates(templates, under, causal); err != nil {
		return nil, err
	}
	return weat.Plan(templates, words), nil
}

// contextual reads all layers of one kind in one pass.
func (s *weatSource) contextual(ctx context.Context, sess *session, kind string, places []place, cs []weat.Context, tests []weat.Test, extra []string) ([]weatRep, error) {
	policy, _, err := score.Settle(window.Policy{Name: "full", BOS: s.ck.bos}, sess.tok, false, sess.info.Vocab)
	if err != nil {
		return nil, err
	}
	read := embed.Read{Pool: s.ck.poolOr(weat.PoolLast), Sentence: kind == "sent", Prefix: policy.PrefixIDs,
		Limit: sess.info.Positions, Vocab: sess.info.Vocab}
	if sess.info.Encoder {
		read.Suffix = score.Suffix(sess.tok, false)
	}
	if read.Sentence {
		read.Pool = s.ck.poolOr(weat.PoolMean)
	}
	for _, p := range places {
		if p.kind == kind {
			read.Layers = append(read.Layers, p.layer)
		}
	}
	states, lost, err := embed.States(ctx, sess.model, sess.tok, cs, read)
	if err != nil {
		return nil, err
	}
	var notes []weat.Note
	if len(lost) > 0 {
		names := make([]string, len(lost))
		for i, l := range lost {
			names[i] = l.Word + " (" + l.Decoded + ")"
		}
		notes = append(notes, weat.Note{Code: "piece-mismatch", Text: "pieces that do not decode to the word: " + joined(names)})
	}
	var out []weatRep
	for _, p := range places {
		if p.kind != kind {
			continue
		}
		st := states[p.layer]
		words, err := runWords(tests, extra, st, s.loss)
		if err != nil {
			return nil, err
		}
		r := statesRep(p.rep, st, words, read.Sentence, s.centre)
		r.notes = append(r.notes, notes...)
		r.settings["pool"], r.settings["contexts_total"], r.settings["prefix_ids"] = string(read.Pool), len(cs), fmt.Sprint(policy.PrefixIDs)
		if sess.info.Encoder {
			r.settings["suffix_ids"] = fmt.Sprint(read.Suffix)
		}
		out = append(out, r)
	}
	return out, nil
}

// statesRep is states of words as a representation, centred on the words given.
func statesRep(name string, st *weat.States, words []string, sentences bool, centre string) weatRep {
	shift := onceEach(func(v weat.Variant) (weat.Shift, error) { return weat.WordShift(st, words, v) })
	scoreStates := weat.ScoreStates
	if sentences {
		scoreStates = weat.ScoreSentences
	}
	return weatRep{name: name, space: st, states: st, shift: shift, notes: centredOnRun(len(words), centre),
		settings: map[string]any{"centre": centre, "centred_on": fmt.Sprintf("%d words of the run", len(words))},
		score: func(t weat.Test, v weat.Variant, o weat.LossOptions) (weat.Scores, error) {
			sh, err := shift(v)
			if err != nil {
				return weat.Scores{}, err
			}
			return scoreStates(t, st, sh, o)
		}}
}

var _ embed.Tokenizer = (*tokenize.Tokenizer)(nil)
