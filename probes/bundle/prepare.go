package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
)

// Work is a plan with everything that is known before a model runs.
type Work struct {
	Plan   *Plan
	Models []ModelEntry
	Inputs []InputEntry
	Jobs   []Job
	Passes []*Shared

	tests  []Test
	source map[string]string // files of inputs: path in the bundle to path on disk
}

// Shared is a forward pass with the tests that read its trace.
type Shared struct {
	Pass
	Path  string // in the bundle: of a trace, or of states
	Data  string
	Tests []string
	Given string // trace made elsewhere
}

// Prepare digests every input, opens every checkpoint and plans the forward
// passes: one for each distinct measurement.
func Prepare(ctx context.Context, p *Plan, tests []Test, e Engine) (*Work, error) {
	w := &Work{Plan: p, tests: tests, source: map[string]string{}}
	for _, n := range slices.Sorted(maps.Keys(p.Inputs)) {
		in := p.Inputs[n]
		if in.IsModel() {
			if err := w.model(ctx, n, in, e); err != nil {
				return nil, fmt.Errorf("input %s: %w", n, err)
			}
			continue
		}
		if err := w.input(n, in, e); err != nil {
			return nil, fmt.Errorf("input %s: %w", n, err)
		}
	}
	w.Jobs = w.jobs(func(n string) Place { return Place{Role: n, Path: w.source[w.mainFile(n)]} })
	return w, w.passes(ctx, e)
}

func (w *Work) model(ctx context.Context, n string, in Input, e Engine) error {
	m := ModelEntry{Role: n, Path: in.Checkpoint}
	if in.Checkpoint != "" {
		var err error
		if m.Model, err = e.Model(ctx, w.Plan.Path(in.Checkpoint)); err != nil {
			return err
		}
	}
	w.Models = append(w.Models, m)
	return nil
}

func (w *Work) input(n string, in Input, e Engine) error {
	kind, path := in.Data()
	files, err := e.Files(kind, w.Plan.Path(path))
	if err != nil {
		return err
	}
	entry := InputEntry{Name: n, Kind: kind}
	for i, f := range files {
		source := path
		if i > 0 {
			source = filepath.ToSlash(filepath.Join(filepath.Dir(filepath.FromSlash(path)), filepath.Base(f.Path)))
		}
		size, sum, err := digestFile(f.Path)
		if err != nil {
			return err
		}
		name := "inputs/" + n + f.Ending
		w.source[name] = f.Path
		entry.Files = append(entry.Files, InputFile{Source: source, Path: name, Bytes: size, SHA256: sum})
	}
	w.Inputs = append(w.Inputs, entry)
	return nil
}

// mainFile is the path in the bundle of an input's first file.
func (w *Work) mainFile(n string) string {
	i := slices.IndexFunc(w.Inputs, func(e InputEntry) bool { return e.Name == n })
	return w.Inputs[i].Files[0].Path
}

// digestFile reads a regular file to its end.
func digestFile(path string) (size int64, sum string, err error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, "", fault.Usagef("%s: no such file", path)
	case err != nil:
		return 0, "", fault.Retryf("io", "%w", err)
	case !st.Mode().IsRegular():
		return 0, "", fault.Usagef("%s: found %s, want a regular file", path, st.Mode().Type())
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, "", fault.Retryf("io", "%w", err)
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, "", fault.Retryf("io", "%s: %w", path, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// jobs resolves every test; where says where a data input lies.
func (w *Work) jobs(where func(name string) Place) []Job {
	p := w.Plan
	var out []Job
	for i, t := range p.Tests {
		kind := w.tests[slices.IndexFunc(w.tests, func(x Test) bool { return x.Name == t.Test })]
		j := Job{Item: t, Number: i + 1, Files: map[string]Place{}, Kinds: map[string]string{}, Flags: map[string][]string{}, Inputs: map[string][]string{}, Seed: p.Seed}
		for slot, n := range t.Data {
			j.Files[slot] = where(n)
			j.Kinds[slot], _ = p.Inputs[n].Data()
		}
		for _, f := range kind.Flags(t.Name) {
			s, ok := t.Settings[f.Name]
			if !ok {
				continue
			}
			values := s.Values
			if f.Input {
				values, j.Inputs[f.Name] = nil, s.Values
				for _, v := range s.Values {
					if _, ok := p.Inputs[v]; !ok { // one of the flag's own words
						values = append(values, v)
						continue
					}
					values = append(values, where(v).Path)
				}
			}
			j.Flags[f.Name] = values
		}
		j.Reads = kind.Reads(t, j.Kinds)
		j.Model = w.place(t.On)
		for _, r := range t.Refs {
			j.Others = append(j.Others, w.place(r))
		}
		out = append(out, j)
	}
	return out
}

// place is a checkpoint, or a role of which only traces are given (empty path).
func (w *Work) place(role string) Place {
	pl := Place{Role: role, Ckpt: true}
	if c := w.Plan.Inputs[role].Checkpoint; c != "" {
		pl.Path = w.Plan.Path(c)
	}
	return pl
}

// passes plans the forward passes and shares equal ones.
func (w *Work) passes(ctx context.Context, e Engine) error {
	byRun := map[string]*Shared{}
	names := map[string]bool{}
	for _, j := range w.Jobs {
		if !j.Reads.passes() {
			for _, pl := range append([]Place{j.Model}, j.Others...) {
				if pl.Path == "" {
					return fault.Usagef("test %s: %s needs a checkpoint, input %s has only traces", j.ID, j.Test, pl.Role)
				}
			}
			continue
		}
		for _, pl := range append([]Place{j.Model}, j.Others...) {
			data, given := j.DataName(), ""
			if j.Reads == ReadsTrace {
				given = w.Plan.Inputs[pl.Role].Trace[data]
			}
			if data == "" {
				return fault.Usagef("test %s: %s needs data", j.ID, strings.TrimSpace(j.Test+" "+j.Name))
			}
			if pl.Path == "" && given == "" {
				return fault.Usagef("test %s: input %s has no checkpoint and no trace of %s", j.ID, pl.Role, data)
			}
			var p Pass
			var err error
			if pl.Path != "" {
				if p, err = e.Pass(ctx, j, pl); err != nil {
					return fmt.Errorf("test %s: %w", j.ID, err)
				}
			}
			if given != "" {
				if err := w.given(w.Plan.Path(given), &p); err != nil {
					return fmt.Errorf("input %s: trace of %s: %w", pl.Role, data, err)
				}
			}
			p.Job, p.Place = j, pl
			s := byRun[p.Run]
			if s == nil {
				s = &Shared{Pass: p, Data: data, Path: uniqueName(names, j.Reads, pl.Role, data)}
				if given != "" {
					s.Given = w.Plan.Path(given)
				}
				byRun[p.Run] = s
				w.Passes = append(w.Passes, s)
			}
			s.Moments, s.TopK = s.Moments || p.Moments, max(s.TopK, p.TopK)
			if !slices.Contains(s.Tests, j.ID) {
				s.Tests = append(s.Tests, j.ID)
			}
		}
	}
	return nil
}

func uniqueName(names map[string]bool, r Reads, role, data string) string {
	base, ext := "traces/"+role+"-"+data, ".parquet"
	if r == ReadsStates {
		base, ext = "states/"+role+"-"+data, ".safetensors"
	}
	path := base + ext
	for i := 2; names[path]; i++ {
		path = fmt.Sprintf("%s.%d%s", base, i, ext)
	}
	names[path] = true
	return path
}

// given checks a trace made elsewhere against the pass that it stands for; p is
// empty where there is no checkpoint to compare with.
func (w *Work) given(path string, p *Pass) error {
	r, err := trace.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	if !strings.HasSuffix(path, ".parquet") || !r.HasTokens() {
		return fault.Usagef("%s: want a Parquet trace with its token table", path)
	}
	h := r.Header()
	if p.Run == "" {
		*p = Pass{Run: h.Run, Text: h.Of.Text, Docs: int(h.Counts.Docs), Weights: h.Of.Checkpoint.Weights, Tokenizer: h.Of.Tokenizer.Digest}
		return nil
	}
	if p.Run == h.Run {
		return nil
	}
	for _, f := range []struct{ field, found, want string }{
		{"weights", h.Of.Checkpoint.Weights, p.Weights}, {"tokenizer", h.Of.Tokenizer.Digest, p.Tokenizer}, {"text", h.Of.Text, p.Text}, {"run", h.Run, p.Run},
	} {
		if f.found != f.want {
			return fault.Inputf("mismatch", "%s: %s: found %s, want %s", path, f.field, f.found, f.want)
		}
	}
	return nil
}

// Tokens is the work of all passes that have to run here.
func (w *Work) Tokens() (n int64) {
	for _, s := range w.Passes {
		if s.Given == "" {
			n += s.Tokens
		}
	}
	return n
}

// traceOf is the trace that a test reads of a role.
func (w *Work) traceOf(role, id string) string {
	for _, s := range w.Passes {
		if s.Place.Role == role && slices.Contains(s.Tests, id) {
			return s.Path
		}
	}
	for _, s := range w.Passes { // two roles may be one checkpoint and share a pass
		if slices.Contains(s.Tests, id) && w.weights(s.Place.Role) == w.weights(role) {
			return s.Path
		}
	}
	return ""
}

func (w *Work) weights(role string) string {
	for _, m := range w.Models {
		if m.Role == role {
			return m.Weights
		}
	}
	return ""
}

// evidence are the jobs as they run on the bundle in dir.
func (w *Work) evidence(dir string) []Job {
	jobs := w.jobs(func(n string) Place {
		if w.Plan.Bundle.Inputs == "digest" {
			return Place{Role: n, Path: w.source[w.mainFile(n)]}
		}
		return Place{Role: n, Path: w.mainFile(n)}
	})
	for i := range jobs {
		j := &jobs[i]
		j.Dir = dir
		if !j.Reads.passes() {
			continue
		}
		j.Model = Place{Role: j.On, Path: w.traceOf(j.On, j.ID)}
		for k := range j.Others {
			j.Others[k] = Place{Role: j.Others[k].Role, Path: w.traceOf(j.Others[k].Role, j.ID)}
		}
	}
	return jobs
}

// paths replaces the paths of this machine in what a test says.
func (w *Work) paths(dir string) *rewrite {
	r := &rewrite{}
	r.add(dir+string(filepath.Separator), "")
	for _, m := range w.Models {
		if m.Path != "" {
			r.add(w.Plan.Path(m.Path), m.Role)
		}
	}
	for _, e := range w.Inputs {
		for _, f := range e.Files {
			r.add(w.source[f.Path], f.Source)
		}
	}
	if w.Plan.dir != "" && w.Plan.dir != "." {
		r.add(w.Plan.dir+string(filepath.Separator), "")
	}
	return r
}

// warnings are the caveats of the bundle itself.
func (w *Work) warnings(prog Program, sealed bool) []probes.Warning {
	out := []probes.Warning{}
	if !sealed {
		out = append(out, probes.Warning{Code: "not-sealed", Text: "the plan and the digests of its inputs were not exchanged as a seal before scoring"})
	}
	if prog.Dirty {
		out = append(out, probes.Warning{Code: "dirty-build", Text: "the program was built from a tree with changes that no commit holds"})
	}
	if w.Plan.Bundle.Inputs == "digest" && len(w.Inputs) > 0 {
		out = append(out, probes.Warning{Code: "input-not-copied", Text: "data inputs are not in the bundle: whoever verifies it needs them too"})
	}
	for _, s := range w.Passes {
		if s.Given != "" {
			out = append(out, probes.Warning{Code: "given-trace", Text: s.Path + " was made elsewhere and handed in"})
		}
	}
	return out
}
