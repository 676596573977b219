package bundle

import (
	"bytes"
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

// Levels of a verification, in order.
const (
	LevelFiles      = "files"
	LevelStatistics = "statistics"
	LevelScores     = "scores"
)

// VerifyOptions say what to check.
type VerifyOptions struct {
	Tests   []Test
	Program Program
	Level   string            // the last level; "" = scores where there are checkpoints, else statistics
	Ckpt    map[string]string // role to folder
	Input   map[string]string // name to file, for inputs that were not copied
	Seed    string            // of the sample; "" = the fixed choice
	Sample  int               // documents scored again of each trace
	Backend string
	Report  func(w io.Writer, m *Manifest, p *Plan, os []Outcome) error
	Figures func(r probes.Result) [][]byte
	Note    func(format string, args ...any)
}

// Report is what a verification found.
type Report struct {
	EvidenceID string    `json:"evidence_id"`
	Levels     []Level   `json:"levels"`
	Findings   []Finding `json:"findings"`
	Failed     int       `json:"failed"`
	Checked    []string  `json:"checked"`
	NotChecked []string  `json:"not_checked"`
	Samples    []Sample  `json:"samples,omitempty"`
	Seed       string    `json:"seed,omitempty"`
}

// Level is a level with its outcome.
type Level struct {
	Name string `json:"level"`
	Pass bool   `json:"pass"`
	What string `json:"what"`
}

// Finding is one thing that differs.
type Finding struct {
	Level string `json:"level"`
	Path  string `json:"path"`
	Text  string `json:"text"`
}

const maxFindings = 100

func (r *Report) find(level, path, format string, args ...any) {
	if r.Failed++; len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, Finding{level, path, fmt.Sprintf(format, args...)})
	}
}

func (r *Report) skip(format string, args ...any) {
	r.NotChecked = append(r.NotChecked, fmt.Sprintf(format, args...))
}

// level closes a level that began with failed findings.
func (r *Report) level(name string, failed int, what string, args ...any) bool {
	r.Levels = append(r.Levels, Level{name, r.Failed == failed, fmt.Sprintf(what, args...)})
	return r.Failed == failed
}

// verification is a bundle under examination.
type verification struct {
	dir  string
	root *os.Root
	m    *Manifest
	p    *Plan
	w    *Work
	e    Engine
	o    VerifyOptions
	rep  *Report
}

// Verify checks a bundle without trusting it. An error means that it could not be
// examined (class Input for an unreadable manifest); what differs is in the report.
func Verify(ctx context.Context, dir string, e Engine, o VerifyOptions) (*Report, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Retryf("io", "verify: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Inputf("no-file", "verify: %w", err)
	}
	defer root.Close()
	v := &verification{dir: dir, root: root, e: e, o: o, rep: &Report{Findings: []Finding{}, Checked: []string{}, NotChecked: []string{}}}
	raw, err := v.read("manifest.json", maxManifest)
	if err != nil {
		return nil, fault.Inputf("manifest", "verify: manifest.json: %w", err)
	}
	if v.m, err = ReadManifest(bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	for role := range o.Ckpt {
		if !slices.ContainsFunc(v.m.Models, func(m ModelEntry) bool { return m.Role == role }) {
			return nil, fault.Usagef("verify: --ckpt %s: the bundle has no such role%s", role, nearest(role, v.roles()))
		}
	}
	for n := range o.Input {
		if !slices.ContainsFunc(v.m.Inputs, func(e InputEntry) bool { return e.Name == n }) {
			return nil, fault.Usagef("verify: --input %s: the bundle has no such input%s", n, nearest(n, v.inputs()))
		}
	}
	v.rep.EvidenceID = v.m.EvidenceID
	if err := v.files(raw); err != nil {
		return nil, err
	}
	if v.rep.Failed > 0 || o.Level == LevelFiles {
		v.rep.skip("statistics and scores")
		return v.rep, nil
	}
	ok, err := v.statistics(ctx)
	if err != nil {
		return nil, err
	}
	if !ok || o.Level == LevelStatistics {
		v.rep.skip("scores")
		return v.rep, nil
	}
	return v.rep, v.scores(ctx)
}

func (v *verification) roles() []string {
	var out []string
	for _, m := range v.m.Models {
		out = append(out, m.Role)
	}
	return out
}

func (v *verification) inputs() []string {
	var out []string
	for _, e := range v.m.Inputs {
		out = append(out, e.Name)
	}
	return out
}

// read reads a regular file of the bundle.
func (v *verification) read(name string, limit int64) ([]byte, error) {
	st, err := v.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, fmt.Errorf("found %s of %d bytes, want a regular file of at most %d", st.Mode().Type(), st.Size(), limit)
	}
	f, err := v.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// files checks that everything listed is there and unchanged, and nothing else is.
func (v *verification) files(raw []byte) error {
	failed := v.rep.Failed
	found, err := list(v.root)
	if err != nil {
		return err
	}
	listed := map[string]bool{"manifest.json": true, "SHA256SUMS": true}
	folded := map[string]string{}
	for _, f := range v.m.Files {
		if why := unsafePath(f.Path); why != "" {
			v.rep.find(LevelFiles, f.Path, "%s", why)
			continue
		}
		if listed[f.Path] || folded[strings.ToLower(f.Path)] != "" {
			v.rep.find(LevelFiles, f.Path, "listed twice, or its name differs from another's by case only")
			continue
		}
		listed[f.Path], folded[strings.ToLower(f.Path)] = true, f.Path
		v.file(f, found)
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		if !listed[path] {
			v.rep.find(LevelFiles, path, "unlisted-file: the manifest does not list it")
		}
	}
	want := sums(v.m.Files, raw)
	if have, err := v.read("SHA256SUMS", maxManifest); err != nil {
		v.rep.find(LevelFiles, "SHA256SUMS", "%v", err)
	} else if !bytes.Equal(have, want) {
		v.rep.find(LevelFiles, differingLine(have, want), "SHA256SUMS and manifest.json do not agree: one of them was changed")
	}
	if id := EvidenceID(v.m.Files); id != v.m.EvidenceID {
		v.rep.find(LevelFiles, "manifest.json", "evidence_id: found %s, the files give %s", v.m.EvidenceID, id)
	}
	if v.rep.Failed == failed {
		v.plan()
	}
	if v.rep.Failed == failed {
		for _, t := range v.m.Traces {
			if err := v.trace(t); err != nil {
				return err
			}
		}
		for _, t := range v.m.States {
			v.states(t)
		}
	}
	v.rep.level(LevelFiles, failed, "%d files, %d traces: digests, structure and laws of probability", len(v.m.Files), len(v.m.Traces))
	v.rep.Checked = append(v.rep.Checked, fmt.Sprintf("the digests of %d files and the laws of %d traces", len(v.m.Files), len(v.m.Traces)))
	return nil
}

// differingLine names the file of the first line in which two SHA256SUMS differ.
func differingLine(a, b []byte) string {
	la, lb := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range lb {
		if i >= len(la) || la[i] != lb[i] {
			if len(lb[i]) > 66 {
				return "SHA256SUMS (" + lb[i][66:] + ")"
			}
			break
		}
	}
	return "SHA256SUMS"
}

// unsafePath says why no bundle may hold a path.
func unsafePath(path string) string {
	switch {
	case !fs.ValidPath(path) || strings.Contains(path, "\\") || strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "found an unsafe path"
	case kindOfFile(path) == "":
		return "found a path that no bundle has"
	}
	return ""
}

func (v *verification) file(f FileEntry, found map[string]fs.FileMode) {
	mode, ok := found[f.Path]
	switch {
	case !ok:
		v.rep.find(LevelFiles, f.Path, "missing")
		return
	case !mode.IsRegular():
		v.rep.find(LevelFiles, f.Path, "found %s, want a regular file", modeWords(mode))
		return
	case f.Kind != kindOfFile(f.Path):
		v.rep.find(LevelFiles, f.Path, "kind: found %.40q, want %q", f.Kind, kindOfFile(f.Path))
		return
	}
	in, err := v.root.Open(f.Path)
	if err != nil {
		v.rep.find(LevelFiles, f.Path, "%v", err)
		return
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(h, in)
	sum := hex.EncodeToString(h.Sum(nil))
	switch {
	case err != nil:
		v.rep.find(LevelFiles, f.Path, "%v", err)
	case n != f.Bytes:
		v.rep.find(LevelFiles, f.Path, "found %d bytes, want %d", n, f.Bytes)
	case sum != f.SHA256:
		v.rep.find(LevelFiles, f.Path, "SHA-256: found %s, want %s", sum, f.SHA256)
	}
}

func modeWords(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return m.Type().String()
}

// plan reads the plan of the bundle and rebuilds the work from the manifest.
func (v *verification) plan() {
	raw, err := v.read("plan.yaml", maxPlan)
	if err == nil && digestOf(raw) != v.m.Plan {
		err = fmt.Errorf("digest: found %s, the manifest says %s", digestOf(raw), v.m.Plan)
	}
	if err == nil {
		v.p, err = Parse(bytes.NewReader(raw), v.dir, v.o.Tests)
	}
	if err != nil {
		v.rep.find(LevelFiles, "plan.yaml", "%v", err)
		return
	}
	v.w = &Work{Plan: v.p, Models: v.m.Models, Inputs: v.m.Inputs, tests: v.o.Tests, source: map[string]string{}}
	for _, n := range slices.Sorted(maps.Keys(v.p.Inputs)) {
		if in := v.p.Inputs[n]; !in.IsModel() && !slices.ContainsFunc(v.m.Inputs, func(e InputEntry) bool { return e.Name == n && len(e.Files) > 0 }) {
			v.rep.find(LevelFiles, "manifest.json", "input %s of the plan is not listed", n)
		}
	}
	for _, e := range v.m.Inputs {
		for _, f := range e.Files {
			i := slices.IndexFunc(v.m.Files, func(x FileEntry) bool { return x.Path == f.Path })
			if f.Path != "" && (i < 0 || v.m.Files[i].SHA256 != f.SHA256) {
				v.rep.find(LevelFiles, f.Path, "input %s: its digest and that of the file list differ", e.Name)
			}
		}
	}
	for _, t := range v.m.States {
		v.w.Passes = append(v.w.Passes, &Shared{Pass: Pass{Run: t.Run, Place: Place{Role: t.Role}}, Path: t.Path, Data: t.Data, Tests: t.Tests})
	}
	for _, t := range v.m.Traces {
		v.w.Passes = append(v.w.Passes, &Shared{Pass: Pass{Run: t.Run, Place: Place{Role: t.Role}}, Path: t.Path, Data: t.Data, Tests: t.Tests})
	}
}

// trace runs the checks of a trace that need no model.
func (v *verification) trace(t TraceEntry) error {
	path := filepath.Join(v.dir, filepath.FromSlash(t.Path))
	if kindOfFile(t.Path) != KindTrace {
		v.rep.find(LevelFiles, t.Path, "no trace of a bundle")
		return nil
	}
	rep, err := trace.Check(path, 3)
	if err != nil {
		if f := fault.As(err); f != nil && f.Class == fault.Retry && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		v.rep.find(LevelFiles, t.Path, "%v", err)
		return nil
	}
	for _, f := range rep.Findings {
		v.rep.find(LevelFiles, t.Path, "%s", f)
	}
	for _, s := range rep.NotChecked {
		v.rep.skip("%s: %s", t.Path, s)
	}
	r, err := trace.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	h := r.Header()
	if h.Run != t.Run {
		v.rep.find(LevelFiles, t.Path, "run: found %s, the manifest says %s", h.Run, t.Run)
	}
	for _, name := range []string{t.Path, strings.TrimSuffix(t.Path, ".parquet") + ".docs.parquet"} {
		content, err := traceContent(filepath.Join(v.dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		i := slices.IndexFunc(v.m.Files, func(f FileEntry) bool { return f.Path == name })
		if i < 0 || v.m.Files[i].Content != content {
			v.rep.find(LevelFiles, name, "content digest: the manifest and the rows differ")
		}
	}
	for _, m := range v.m.Models {
		if m.Role == t.Role && m.Weights != "" && m.Weights != h.Of.Checkpoint.Weights {
			v.rep.find(LevelFiles, t.Path, "weights: found %s, the manifest says %s for %s", h.Of.Checkpoint.Weights, m.Weights, t.Role)
		}
	}
	return nil
}

// states checks a states file against its own digests and the manifest.
func (v *verification) states(t StatesEntry) {
	if kindOfFile(t.Path) != KindStates {
		v.rep.find(LevelFiles, t.Path, "no states of a bundle")
		return
	}
	path := filepath.Join(v.dir, filepath.FromSlash(t.Path))
	s, err := trace.OpenStates(path)
	if err != nil {
		v.rep.find(LevelFiles, t.Path, "%v", err)
		return
	}
	h := s.Header()
	s.Close()
	if h.Run != t.Run {
		v.rep.find(LevelFiles, t.Path, "run: found %s, the manifest says %s", h.Run, t.Run)
	}
	content, err := statesContent(path)
	i := slices.IndexFunc(v.m.Files, func(f FileEntry) bool { return f.Path == t.Path })
	if err != nil || i < 0 || v.m.Files[i].Content != content {
		v.rep.find(LevelFiles, t.Path, "content digest: the manifest and the file differ")
	}
	for _, m := range v.m.Models {
		if m.Role == t.Role && m.Weights != "" && m.Weights != h.Of.Checkpoint.Weights {
			v.rep.find(LevelFiles, t.Path, "weights: found %s, the manifest says %s for %s", h.Of.Checkpoint.Weights, m.Weights, t.Role)
		}
	}
}
