package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/bundle"
	"assay/tokenize"
	"assay/tokenize/text"
	"assay/weights"
)

// auditEngine runs the commands that a plan asks for inside this process.
type auditEngine struct {
	app      *app
	flags    modelFlags // where checkpoints run
	tests    []auditTest
	sessions map[string]*session
	loaded   *session
	meter    *progress.Meter
	passes   int // forward passes made
}

func newAuditEngine(a *app, tests []auditTest) *auditEngine {
	return &auditEngine{app: a, tests: tests, sessions: map[string]*session{}}
}

func (e *auditEngine) close() {
	for _, s := range e.sessions {
		s.close()
	}
	e.meter.Close()
}

func (e *auditEngine) test(name string) *auditTest {
	return &e.tests[slices.IndexFunc(e.tests, func(t auditTest) bool { return t.Name == name })]
}

// errPlanned ends a command whose request for a trace has been noted.
var errPlanned = errors.New("audit: the request is noted")

// session opens a checkpoint once per way of reading its texts.
func (e *auditEngine) session(ctx context.Context, m modelFlags, path string, tok bool) (*session, error) {
	m = e.onMachine(m)
	key := fmt.Sprintf("%s\x00%v\x00%s\x00%s\x00%q", path, tok, m.tokenizer, m.specials, m.acceptKeys)
	if s := e.sessions[key]; s != nil {
		return s, nil
	}
	s, err := m.open(ctx, path, tok)
	if err != nil {
		return nil, err
	}
	e.sessions[key] = s
	return s, nil
}

// onMachine takes what decides where a checkpoint runs from the audit, what it
// says from the test.
func (e *auditEngine) onMachine(m modelFlags) modelFlags {
	m.backend, m.threads, m.memory, m.weights, m.batch = e.flags.backend, e.flags.threads, e.flags.memory, e.flags.weights, e.flags.batch
	m.acceptKeys = slices.Concat(m.acceptKeys, e.flags.acceptKeys)
	return m
}

// load puts one checkpoint at a time into memory.
func (e *auditEngine) load(ctx context.Context, m modelFlags, s *session) error {
	if e.loaded == s {
		return nil
	}
	if e.loaded != nil {
		e.loaded.model.Close()
		e.loaded.model, e.loaded = nil, nil
	}
	m = e.onMachine(m)
	if err := m.load(ctx, e.app, s); err != nil {
		return err
	}
	e.loaded = s
	return nil
}

// Model describes a checkpoint.
func (e *auditEngine) Model(ctx context.Context, path string) (bundle.Model, error) {
	m := e.flags
	if m.specials == "" {
		m.specials = tokenize.SpecialsNone
	}
	s, err := e.session(ctx, m, path, false)
	if err != nil {
		return bundle.Model{}, err
	}
	out := bundle.Model{Weights: s.digests.Weights, Config: s.info.Config, Architecture: s.info.Family, Parameters: s.info.Params,
		Vocab: s.info.Vocab, Layers: s.info.Layers, Width: s.info.Width}
	if p := s.ck.Tokenizer(); p != "" {
		f, err := tokenize.Read(p)
		if err != nil {
			return out, err
		}
		out.Tokenizer = f.Digest()
	}
	for _, f := range s.ck.Files() {
		out.Files = append(out.Files, bundle.FileEntry{Path: f.Name, Bytes: f.Bytes, SHA256: strings.TrimPrefix(s.digests.Files[f.Name], "sha256:"), Kind: f.Role})
	}
	if out.Files, err = besides(s.ck, out.Files); err != nil {
		return out, err
	}
	for _, w := range s.ck.Warnings() {
		out.Warnings = append(out.Warnings, probes.Warning{Code: w.Code, Text: w.Text})
	}
	for _, w := range s.info.Warnings {
		out.Warnings = append(out.Warnings, probes.Warning{Code: w.Code, Text: w.Text})
	}
	return out, nil
}

// besides adds the small files of a checkpoint's folder that its weights do not need
// but its tokenizer may read. Files that are never read are left out.
func besides(ck *weights.Checkpoint, files []bundle.FileEntry) ([]bundle.FileEntry, error) {
	entries, err := os.ReadDir(ck.Path())
	if err != nil {
		return files, nil // a single file
	}
	for _, d := range entries {
		name := d.Name()
		known := slices.ContainsFunc(files, func(f bundle.FileEntry) bool { return f.Path == name })
		ignored := slices.ContainsFunc(ck.Ignored(), func(s string) bool {
			return s == name || strings.HasPrefix(s, name+" ") || strings.HasPrefix(s, name+":")
		})
		if known || ignored || d.IsDir() {
			continue
		}
		b, err := ck.ReadFile(name, 64<<20)
		if err != nil {
			continue // too large to be a tokenizer's, or gone
		}
		h := sha256.Sum256(b)
		files = append(files, bundle.FileEntry{Path: name, Bytes: int64(len(b)), SHA256: hex.EncodeToString(h[:]), Kind: "other"})
	}
	return files, nil
}

// Files lists an input's file and what belongs to it.
func (e *auditEngine) Files(kind, path string) ([]bundle.SourceFile, error) {
	out := []bundle.SourceFile{{Path: path, Ending: auditEnding(path)}}
	for _, c := range auditCompanions(kind, path) {
		if st, err := os.Stat(c); err == nil && st.Mode().IsRegular() {
			out = append(out, bundle.SourceFile{Path: c, Ending: auditEnding(c)})
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Retryf("io", "%w", err)
		}
	}
	return out, nil
}

// at resolves the places of a job on disk.
func at(j bundle.Job) func(bundle.Place) string {
	return func(p bundle.Place) string {
		if filepath.IsAbs(p.Path) || j.Dir == "" {
			return p.Path
		}
		return filepath.Join(j.Dir, filepath.FromSlash(p.Path))
	}
}

// tracer takes the place of scoring where a command asks for a trace.
type tracer func(ctx context.Context, s *scorer, path string, in score.Input, tok bool, o score.Options) (*trace.Reader, error)

// statesRequest is a command's request for the states of a checkpoint.
type statesRequest struct {
	out                string // file to make; "" = only note what is asked for
	run, text, weights string
	docs               int
	tokens, memory     int64
	flop               float64
	progress           func(int64)
}

func (r *statesRequest) add(n int64) {
	if r != nil && r.progress != nil {
		r.progress(n)
	}
}

// execute runs a command line and returns its results.
func (e *auditEngine) execute(ctx context.Context, argv []string, traces tracer, states *statesRequest) ([]probes.Result, error) {
	var out bytes.Buffer
	a := &app{stdin: bytes.NewReader(nil), stdout: &out, stderr: io.Discard, json: true, quiet: true, progress: "none", traces: traces, states: states}
	root := newRoot(a)
	root.SetArgs(append(slices.Clone(argv), "--json", "--quiet"))
	root.SetOut(&out)
	root.SetErr(io.Discard)
	if err := root.ExecuteContext(ctx); err != nil {
		if errors.Is(err, errPlanned) {
			return nil, err
		}
		return nil, classify(ctx, err)
	}
	var doc struct {
		Results []probes.Result `json:"results"`
	}
	d := json.NewDecoder(&out)
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, fault.Inputf("malformed", "audit: assay %s: its output is no list of results: %w", argv[0], err)
	}
	return doc.Results, nil
}

// request runs a job's command up to its request for a trace or states of one
// checkpoint.
func (e *auditEngine) request(ctx context.Context, j bundle.Job, of bundle.Place, traces tracer, states *statesRequest) error {
	argv := e.test(j.Test).argv(j, at(j), of, nil, true)
	if states != nil {
		argv = append(argv, e.machine()...)
	}
	_, err := e.execute(ctx, argv, traces, states)
	switch {
	case errors.Is(err, errPlanned):
		return nil
	case err == nil:
		return fault.Inputf("empty", "audit: test %s asked nothing of %s", j.ID, of.Role)
	}
	return err
}

// prepare settles the options of a trace.
func (e *auditEngine) prepare(ctx context.Context, s *scorer, path string, in score.Input, tok bool, o *score.Options) (*session, *score.Survey, error) {
	sess, err := e.session(ctx, s.model, path, tok)
	if err != nil {
		return nil, nil, err
	}
	if p, ok := in.(preparer); ok {
		if err := p.prepare(sess); err != nil {
			return nil, nil, err
		}
	}
	sess.measure(o)
	o.PerDocument, o.Redact = false, false
	survey, err := score.Plan(in, o)
	return sess, survey, err
}

// Pass plans the forward pass that a job needs of one checkpoint.
func (e *auditEngine) Pass(ctx context.Context, j bundle.Job, of bundle.Place) (p bundle.Pass, err error) {
	if j.Reads == bundle.ReadsStates {
		var r statesRequest
		if err := e.request(ctx, j, of, noScoring, &r); err != nil {
			return p, err
		}
		return bundle.Pass{Run: r.run, Text: r.text, Docs: r.docs, Tokens: r.tokens, Weights: r.weights, FLOP: r.flop, Memory: r.memory}, nil
	}
	err = e.request(ctx, j, of, func(ctx context.Context, s *scorer, path string, in score.Input, tok bool, o score.Options) (*trace.Reader, error) {
		sess, survey, err := e.prepare(ctx, s, path, in, tok, &o)
		if err != nil {
			return nil, err
		}
		run, err := o.Of.RunDigest()
		if err != nil {
			return nil, err
		}
		window := o.Policy.Window
		if window == 0 || window > 1<<16 {
			window = int(survey.Tokens / int64(max(1, survey.Docs)))
		}
		p = bundle.Pass{Run: run, Text: o.Of.Text, Docs: survey.Docs, Tokens: survey.Tokens, FLOP: sess.info.FLOP(window) * float64(survey.Tokens),
			Weights: o.Of.Checkpoint.Weights, Tokenizer: o.Of.Tokenizer.Digest, Moments: o.Score.Moments, TopK: o.Score.TopK}
		d, err := model.Describe(sess.ck, s.model.acceptKeys...)
		if err != nil {
			return nil, err
		}
		p.Memory = d.Forecast(window, e.flags.batch).Total()
		return nil, errPlanned
	}, nil)
	return p, err
}

// filtered is an input without the documents that keep does not hold.
type filtered struct {
	score.Input
	keep map[string]bool
}

func (f filtered) Len() int { return len(f.keep) }

func (f filtered) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for d, err := range f.Input.Docs() {
			if err == nil && !f.keep[d.ID] {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// Score makes the trace of a pass.
func (e *auditEngine) Score(ctx context.Context, p bundle.Pass, out string, keep map[string]bool) error {
	if p.Job.Reads == bundle.ReadsStates {
		e.app.note("note: states of %s on %s (%d tokens)", p.Place.Role, plural(p.Docs, "document"), p.Tokens)
		e.passes++
		return e.request(ctx, p.Job, p.Place, noScoring, &statesRequest{out: out, progress: e.meter.Add})
	}
	return e.request(ctx, p.Job, p.Place, func(ctx context.Context, s *scorer, path string, in score.Input, tok bool, o score.Options) (*trace.Reader, error) {
		if keep != nil {
			in = filtered{in, keep}
		}
		sess, survey, err := e.prepare(ctx, s, path, in, tok, &o)
		if err != nil {
			return nil, err
		}
		o.Out, o.Score.Moments, o.Score.TopK = out, o.Score.Moments || p.Moments, max(o.Score.TopK, p.TopK)
		if keep == nil {
			e.app.note("note: scoring %s on %s (%d tokens)", p.Place.Role, plural(survey.Docs, "document"), survey.Tokens)
		}
		if err := e.load(ctx, s.model, sess); err != nil {
			return nil, err
		}
		o.Progress = func(n int64) { e.meter.Add(n) }
		e.passes++
		if _, err := score.Run(ctx, sess.model, in, survey, o); err != nil {
			return nil, interruptedHint(err)
		}
		return nil, errPlanned
	}, nil)
}

// noScoring is the tracer of statistics: they come from evidence alone.
func noScoring(_ context.Context, _ *scorer, path string, _ score.Input, _ bool, _ score.Options) (*trace.Reader, error) {
	return nil, fault.Inputf("unplanned", "audit: a test asked to score %s again: its evidence is not complete", path)
}

// Gather lets a checkpoint answer what a probe asks; answers of an earlier start
// are kept.
func (e *auditEngine) Gather(ctx context.Context, j bundle.Job) error {
	argv := e.test(j.Test).argv(j, at(j), j.Model, j.Others, true)
	_, err := e.execute(ctx, append(argv, e.machine()...), noScoring, nil)
	return err
}

// machine are the flags that say where a checkpoint runs.
func (e *auditEngine) machine() []string {
	f := e.flags
	return []string{"--backend=" + f.backend, fmt.Sprintf("--threads=%d", f.threads), "--memory=" + f.memory, "--weights=" + f.weights, fmt.Sprintf("--batch-tokens=%d", f.batch)}
}

// Command is the command line that repeats a job inside the bundle.
func (e *auditEngine) Command(j bundle.Job) []string {
	argv := e.test(j.Test).argv(j, func(p bundle.Place) string {
		if p.Path == "" || p.Ckpt || filepath.IsAbs(p.Path) {
			return bundle.Variable(p.Role)
		}
		return p.Path
	}, j.Model, j.Others, false)
	return append(argv, e.test(j.Test).always...)
}

// Run computes the results of a job from its evidence.
func (e *auditEngine) Run(ctx context.Context, j bundle.Job, figures string) ([]probes.Result, error) {
	t := e.test(j.Test)
	argv := t.argv(j, at(j), j.Model, j.Others, false)
	argv = append(argv, t.always...)
	if t.plot != "" {
		argv = append(argv, "--"+t.plot+"="+filepath.Join(figures, "figure.svg"))
	}
	if j.Reads == bundle.ReadsCheckpoint {
		argv = append(argv, e.machine()...)
	}
	return e.execute(ctx, argv, noScoring, nil)
}

func mapKeys[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }
