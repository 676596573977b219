package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
)

// Options of Run.
type Options struct {
	Program     Program
	Sealed      string // digest of the seal that was checked
	Environment any    // for environment.json
	// Report writes report.html: a pure function of what it is given.
	Report func(w io.Writer, m *Manifest, p *Plan, os []Outcome) error
	// Figures draws a result for which the test itself drew nothing.
	Figures func(r probes.Result) [][]byte
	Now     func() time.Time
	Note    func(format string, args ...any)
}

// Summary is what Run leaves.
type Summary struct {
	Manifest *Manifest
	Outcomes []Outcome
	Class    fault.Class // the worst of the tests that failed; 0 = all done
	Finished bool        // the folder has its final name
}

// state is what an interrupted audit must find again to go on.
type state struct {
	Plan    string `json:"plan"`
	Inputs  Seal   `json:"inputs"`
	Program string `json:"program"`
	Created string `json:"created"`
}

const (
	stateFile = "audit.state.json"
	lockName  = "audit.lock"
)

// Run makes the bundle dir. Work happens in dir.partial; the last step renames it.
// The same call goes on after a stop at any moment and ends with the same evidence.
// A test that fails leaves its error and does not stop the others; where one may
// succeed when tried again, the folder keeps the name dir.partial.
func Run(ctx context.Context, w *Work, dir string, e Engine, o Options) (*Summary, error) {
	r := &run{w: w, dir: dir + ".partial", e: e, o: o}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.lock.Close()
	if err := r.inputs(); err != nil {
		return nil, err
	}
	if err := r.traces(ctx); err != nil {
		return nil, err
	}
	s := &Summary{}
	for _, j := range w.evidence(r.dir) {
		out, err := r.test(ctx, j)
		if err != nil {
			return nil, err
		}
		if f := out.Failure; f != nil {
			s.Class = worse(s.Class, fault.Class(f.Exit))
		}
		s.Outcomes = append(s.Outcomes, out)
	}
	Adjust(s.Outcomes, w.Plan.Family)
	var err error
	if s.Manifest, err = r.finish(s.Outcomes); err != nil {
		return nil, err
	}
	if s.Class == fault.Retry {
		return s, nil
	}
	if err := os.Rename(r.dir, dir); err != nil {
		return nil, fault.Retryf("io", "bundle: %w", err)
	}
	syncDir(filepath.Dir(dir))
	s.Finished = true
	return s, nil
}

// worse orders exit codes: 130, 4, 3, 0.
func worse(a, b fault.Class) fault.Class {
	for _, c := range []fault.Class{fault.Interrupted, fault.Retry, fault.Input} {
		if a == c || b == c {
			return c
		}
	}
	return max(a, b)
}

type run struct {
	w     *Work
	dir   string
	e     Engine
	o     Options
	lock  *os.File
	state state
	files []string // of the bundle so far
}

func (r *run) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// open makes or finds the folder of unfinished work.
func (r *run) open() error {
	for _, d := range []string{"inputs", "traces", "states", "gens", "results", "figures"} {
		if err := os.MkdirAll(r.path(d), 0o755); err != nil {
			return fault.Retryf("io", "bundle: %w", err)
		}
	}
	var err error
	if r.lock, err = os.OpenFile(r.path(lockName), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return fault.Retryf("io", "bundle: %w", err)
	}
	if err := lockFile(r.lock); err != nil {
		r.lock.Close()
		return fault.Retryf("locked", "bundle: another audit works in %s", r.dir)
	}
	want := state{Plan: r.w.Plan.Digest(), Inputs: r.w.Seal(r.o.Program), Program: r.o.Program.Digest, Created: r.o.Now().UTC().Format(time.RFC3339)}
	b, err := os.ReadFile(r.path(stateFile))
	if err == nil && json.Unmarshal(b, &r.state) == nil {
		err = r.resumes(want)
	} else if err == nil || errors.Is(err, fs.ErrNotExist) {
		r.state = want
		if b, err = indented(want); err == nil {
			err = save(r.path(stateFile), b)
		}
	} else {
		err = fault.Retryf("io", "bundle: %w", err)
	}
	if err != nil {
		r.lock.Close()
	}
	return err
}

// resumes refuses to mix two audits in one folder.
func (r *run) resumes(want state) error {
	hint := func(f *fault.Fault) error { return f.Hint("remove %s to begin anew", r.dir) }
	if r.state.Plan != want.Plan {
		return hint(fault.Usagef("bundle: %s: found unfinished work of the plan %s, this one is %s", r.dir, r.state.Plan, want.Plan))
	}
	if r.state.Program != want.Program {
		return hint(fault.Usagef("bundle: %s: the unfinished work was made by another build of the program", r.dir))
	}
	if err := r.state.Inputs.Check(want.Inputs); err != nil {
		return hint(fault.Inputf("changed", "bundle: %s: inputs changed since the work began: %w", r.dir, err))
	}
	return nil
}

// inputs puts the plan and the data into the bundle.
func (r *run) inputs() error {
	if err := r.add("plan.yaml", r.w.Plan.raw); err != nil {
		return err
	}
	for i := range r.w.Inputs {
		for k := range r.w.Inputs[i].Files {
			f := &r.w.Inputs[i].Files[k]
			if r.w.Plan.Bundle.Inputs == "digest" {
				continue
			}
			if err := copyFile(r.path(f.Path), r.w.source[f.Path], f.SHA256); err != nil {
				return err
			}
			r.files = append(r.files, f.Path)
		}
	}
	return nil
}

func (r *run) add(name string, b []byte) error {
	r.files = append(r.files, name)
	return save(r.path(name), b)
}

// traces makes one trace or states file per distinct measurement.
func (r *run) traces(ctx context.Context) error {
	for _, s := range r.w.Passes {
		out := r.path(s.Path)
		if s.isStates() {
			r.files = append(r.files, s.Path)
			if t, err := trace.OpenStates(out); err == nil {
				done := t.Header().Run == s.Run
				t.Close()
				if done {
					continue
				}
			}
			if err := r.score(ctx, s, out); err != nil {
				return err
			}
			continue
		}
		docs := strings.TrimSuffix(s.Path, ".parquet") + ".docs.parquet"
		r.files = append(r.files, s.Path, docs)
		if s.Given != "" {
			for name, from := range map[string]string{docs: strings.TrimSuffix(s.Given, ".parquet") + ".docs.parquet", s.Path: s.Given} {
				_, sum, err := digestFile(from)
				if err != nil {
					return err
				}
				if err := copyFile(r.path(name), from, sum); err != nil {
					return err
				}
			}
			continue
		}
		if t, err := trace.Open(out); err == nil {
			done := t.Header().Run == s.Run && t.HasTokens()
			t.Close()
			if done {
				continue
			}
		}
		if err := r.score(ctx, s, out); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) score(ctx context.Context, s *Shared, out string) error {
	start := r.o.Now()
	if err := r.e.Score(ctx, s.Pass, out, nil); err != nil {
		return err
	}
	r.log("pass", s.Path, r.o.Now().Sub(start))
	return nil
}

// isStates tells states from traces.
func (s *Shared) isStates() bool { return strings.HasSuffix(s.Path, ".safetensors") }

// test runs one test, unless an earlier start of this audit did.
func (r *run) test(ctx context.Context, j Job) (Outcome, error) {
	o := Outcome{Item: j.Item, Number: j.Number, Command: r.e.Command(j)}
	if ok, err := r.earlier(&o); err != nil || ok {
		return o, err
	}
	start := r.o.Now()
	rs, figures, err := r.compute(ctx, j)
	paths := r.w.paths(r.dir)
	if err != nil {
		if ctx.Err() != nil {
			return o, fault.New(fault.Interrupted, "interrupted", "audit: interrupted in test %s", j.ID)
		}
		o.Failure = failureOf(err, paths)
		b, err := indented(o.Failure)
		if err != nil {
			return o, err
		}
		o.Files = []string{"results/" + stem(j.Number, j.ID) + ".error.json"}
		return o, r.add(o.Files[0], b)
	}
	for i, svg := range figures {
		svg = paths.xml(svg)
		name := fmt.Sprintf("figures/%s-%d.svg", stem(j.Number, j.ID), i+1)
		if err := r.add(name, svg); err != nil {
			return o, err
		}
		o.Figures = append(o.Figures, Figure{name, svg})
	}
	o.Files = resultFiles(j.Number, j.ID, len(rs))
	for i := len(rs) - 1; i >= 0; i-- { // the first is written last: it says that all are there
		b, err := canonical(rs[i], paths)
		if err != nil {
			return o, err
		}
		if err := r.add(o.Files[i], b); err != nil {
			return o, err
		}
		res, err := readResult(b)
		if err != nil {
			return o, fmt.Errorf("test %s: %w", j.ID, err)
		}
		o.Results = append([]probes.Result{res}, o.Results...)
	}
	r.log("test", j.ID, r.o.Now().Sub(start))
	return o, nil
}

// compute gathers evidence that is not there yet and runs the test on it.
func (r *run) compute(ctx context.Context, j Job) ([]probes.Result, [][]byte, error) {
	if j.Reads == ReadsEvidence {
		if err := r.e.Gather(ctx, j); err != nil {
			return nil, nil, err
		}
	}
	rs, figures, err := evaluate(ctx, r.e, j, r.o.Figures)
	if err == nil {
		for i := range rs { // a result that cannot be written is the test's failure
			if _, err := rs[i].JSON(); err != nil {
				return nil, nil, fault.Inputf("nonfinite", "%s: %w", rs[i].Test, err)
			}
		}
	}
	return rs, figures, err
}

// evaluate runs a test and collects its figures.
func evaluate(ctx context.Context, e Engine, j Job, draw func(probes.Result) [][]byte) ([]probes.Result, [][]byte, error) {
	tmp, err := os.MkdirTemp("", "assay-figures-")
	if err != nil {
		return nil, nil, fault.Retryf("io", "bundle: %w", err)
	}
	defer os.RemoveAll(tmp)
	rs, err := e.Run(ctx, j, tmp)
	if err != nil {
		return nil, nil, err
	}
	if len(rs) == 0 {
		return nil, nil, fault.Inputf("empty", "test %s: found no result", j.ID)
	}
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return nil, nil, fault.Retryf("io", "bundle: %w", err)
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return len(a.Name()) - len(b.Name()) }) // the main figure has the shortest name
	var figures [][]byte
	for _, f := range entries {
		b, err := os.ReadFile(filepath.Join(tmp, f.Name()))
		if err != nil {
			return nil, nil, fault.Retryf("io", "bundle: %w", err)
		}
		figures = append(figures, b)
	}
	if len(figures) == 0 && draw != nil {
		for _, r := range rs {
			figures = append(figures, draw(r)...)
		}
	}
	return rs, figures, nil
}

// earlier reads the results of an earlier start. An error result is tried again.
func (r *run) earlier(o *Outcome) (bool, error) {
	one := "results/" + stem(o.Number, o.Item.ID) + ".json"
	many, err := filepath.Glob(r.path("results/" + stem(o.Number, o.Item.ID) + ".[0-9][0-9][0-9].json"))
	if err != nil {
		return false, fmt.Errorf("bundle: %w", err)
	}
	slices.Sort(many)
	switch {
	case exists(r.path(one)):
		o.Files = []string{one}
	case len(many) > 0 && strings.HasSuffix(many[0], ".001.json"):
		o.Files = resultFiles(o.Number, o.Item.ID, len(many))
	default:
		return false, nil
	}
	for _, f := range o.Files {
		b, err := os.ReadFile(r.path(f))
		if err != nil {
			return false, fault.Retryf("io", "bundle: %w", err)
		}
		res, err := readResult(b)
		if err != nil {
			return false, fault.Retryf("malformed", "bundle: %s: %w", f, err).Hint("remove the file to compute it again")
		}
		o.Results = append(o.Results, res)
	}
	r.files = append(r.files, o.Files...)
	for i := 1; ; i++ {
		name := fmt.Sprintf("figures/%s-%d.svg", stem(o.Number, o.Item.ID), i)
		b, err := os.ReadFile(r.path(name))
		if err != nil {
			break
		}
		o.Figures = append(o.Figures, Figure{name, b})
		r.files = append(r.files, name)
	}
	return true, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// log notes what was done, with its time; nothing of it is evidence.
func (r *run) log(what, name string, d time.Duration) {
	f, err := os.OpenFile(r.path("log.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return // the log is a convenience
	}
	defer f.Close()
	b, _ := json.Marshal(event{r.o.Now().UTC().Format(time.RFC3339), what, name, d.Seconds()})
	_, _ = f.Write(append(b, '\n'))
}

type event struct {
	Time    string  `json:"time"`
	What    string  `json:"what"`
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}
