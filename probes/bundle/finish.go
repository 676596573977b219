package bundle

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/canon"
	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
)

// finish writes what is made of all results, then the manifest and the sums.
func (r *run) finish(outs []Outcome) (*Manifest, error) {
	sum, err := summary(outs)
	if err != nil {
		return nil, err
	}
	if err := r.add("results/summary.csv", sum); err != nil {
		return nil, err
	}
	if err := r.volatile(); err != nil {
		return nil, err
	}
	for _, j := range r.w.Jobs {
		if j.Reads == ReadsEvidence {
			for _, d := range []string{"gens"} {
				found, _ := filepath.Glob(r.path(d + "/" + j.Stem() + ".*"))
				for _, f := range found {
					if name := d + "/" + filepath.Base(f); !strings.HasSuffix(name, ".partial") {
						r.files = append(r.files, name)
					}
				}
			}
		}
	}
	if err := r.excerpts(); err != nil {
		return nil, err
	}
	m := &Manifest{Schema: ManifestSchema, Title: r.w.Plan.Title, Program: r.o.Program, Plan: r.w.Plan.Digest(), Sealed: r.o.Sealed,
		Created: r.state.Created, Models: r.w.Models, Inputs: r.w.Inputs, Traces: []TraceEntry{}, States: []StatesEntry{}, Warnings: r.w.warnings(r.o.Program, r.o.Sealed != "")}
	if r.w.Plan.Bundle.Inputs == "digest" {
		for i := range m.Inputs {
			m.Inputs[i].Files = slices.Clone(m.Inputs[i].Files)
			for k := range m.Inputs[i].Files {
				m.Inputs[i].Files[k].Path = ""
			}
		}
	}
	if err := r.traceEntries(m); err != nil {
		return nil, err
	}
	if err := r.add("reproduce.sh", Script(r.w, outs)); err != nil {
		return nil, err
	}
	if err := os.Chmod(r.path("reproduce.sh"), 0o755); err != nil {
		return nil, fault.Retryf("io", "bundle: %w", err)
	}
	slices.Sort(r.files)
	r.files = slices.Compact(r.files)
	for _, f := range r.files {
		entry, err := fileEntry(r.dir, f)
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, entry)
	}
	m.EvidenceID = EvidenceID(m.Files)
	var page bytes.Buffer
	if err := r.o.Report(&page, m, r.w.Plan, outs); err != nil {
		return nil, err
	}
	if err := save(r.path("report.html"), page.Bytes()); err != nil {
		return nil, err
	}
	entry, err := fileEntry(r.dir, "report.html")
	if err != nil {
		return nil, err
	}
	m.Files = append(m.Files, entry)
	slices.SortFunc(m.Files, func(a, b FileEntry) int { return strings.Compare(a.Path, b.Path) })
	return m, r.seal(m, outs)
}

// excerpts notes how texts begin.
func (r *run) excerpts() error {
	if r.w.Plan.Bundle.TextInReport == "none" {
		return nil
	}
	for i := range r.w.Inputs {
		e := &r.w.Inputs[i]
		source := r.w.source[e.Files[0].Path]
		if !slices.Contains([]string{"text", "labelled", "items"}, e.Kind) || strings.HasSuffix(source, ".gz") {
			continue
		}
		f, err := os.Open(source)
		if err != nil {
			return fault.Retryf("io", "%w", err)
		}
		b := make([]byte, 240)
		n, err := io.ReadFull(f, b)
		f.Close()
		if err != nil && n == 0 {
			continue
		}
		e.Excerpt = strings.ToValidUTF8(string(b[:n]), "")
	}
	return nil
}

// seal writes the manifest and the sums and removes what no bundle holds. While a
// test may be tried again, the state stays.
func (r *run) seal(m *Manifest, outs []Outcome) error {
	b, err := m.JSON()
	if err != nil {
		return err
	}
	if err := save(r.path("manifest.json"), b); err != nil {
		return err
	}
	if err := save(r.path("SHA256SUMS"), sums(m.Files, b)); err != nil {
		return err
	}
	keep := []string{"manifest.json", "SHA256SUMS"}
	for _, f := range m.Files {
		keep = append(keep, f.Path)
	}
	if slices.ContainsFunc(outs, func(o Outcome) bool { return o.Failure != nil && o.Failure.Exit == int(fault.Retry) }) {
		keep = append(keep, stateFile, lockName)
	}
	return prune(r.dir, keep)
}

func (r *run) traceEntries(m *Manifest) error {
	for _, s := range r.w.Passes {
		if s.isStates() {
			if err := r.statesEntry(m, s); err != nil {
				return err
			}
			continue
		}
		t, err := trace.Open(r.path(s.Path))
		if err != nil {
			return err
		}
		h := t.Header()
		t.Close()
		entry := TraceEntry{Path: s.Path, Run: h.Run, Role: s.Place.Role, Data: s.Data, Tests: s.Tests,
			Docs: h.Counts.Docs, Rows: h.Counts.Rows, Given: s.Given != "", Policy: fmt.Sprintf("%s, window %d", h.Of.Policy.Name, h.Of.Policy.Window),
			Status: h.Counts.Status, Backend: h.Made.Backend, Device: h.Made.Device, Invariance: h.Made.Invariance, Warnings: []probes.Warning{}}
		for _, x := range h.Made.Warnings {
			entry.Warnings = append(entry.Warnings, probes.Warning{Code: x.Code, Text: x.Text})
		}
		m.Traces = append(m.Traces, entry)
	}
	return nil
}

func (r *run) statesEntry(m *Manifest, s *Shared) error {
	t, err := trace.OpenStates(r.path(s.Path))
	if err != nil {
		return err
	}
	defer t.Close()
	h := t.Header()
	entry := StatesEntry{Path: s.Path, Run: h.Run, Role: s.Place.Role, Data: s.Data, Tests: s.Tests, Docs: int64(len(t.Docs().ID)),
		Backend: h.Made.Backend, Device: h.Made.Device, Invariance: h.Made.Invariance, Warnings: []probes.Warning{}}
	for _, x := range h.Made.Warnings {
		entry.Warnings = append(entry.Warnings, probes.Warning{Code: x.Code, Text: x.Text})
	}
	m.States = append(m.States, entry)
	return nil
}

// fileEntry digests one file of a bundle.
func fileEntry(dir, name string) (FileEntry, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	size, sum, err := digestFile(path)
	if err != nil {
		return FileEntry{}, err
	}
	f := FileEntry{Path: name, Bytes: size, SHA256: sum, Kind: kindOfFile(name)}
	switch f.Kind {
	case KindTrace:
		f.Content, err = traceContent(path)
	case KindStates:
		f.Content, err = statesContent(path)
	}
	return f, err
}

// traceContent is the digest of a trace's rows: the header's own for a table
// without optional columns, else of the canonical JSON of all of them.
func traceContent(path string) (string, error) {
	docs := strings.HasSuffix(path, ".docs.parquet")
	t, err := trace.Open(strings.TrimSuffix(strings.TrimSuffix(path, ".parquet"), ".docs") + ".parquet")
	if err != nil {
		return "", err
	}
	defer t.Close()
	c := t.Header().Content
	if docs {
		return c.Docs, nil
	}
	if len(c.Extra) == 0 {
		return c.Tokens, nil
	}
	d, err := canon.Digest(map[string]any{"tokens": c.Tokens, "extra": c.Extra})
	return strings.TrimPrefix(d, "sha256:"), err
}

// statesContent is the SHA-256 of a states file's run and of all bytes behind its
// header: the header holds times.
func statesContent(path string) (string, error) {
	s, err := trace.OpenStates(path)
	if err != nil {
		return "", err
	}
	run := s.Header().Run
	if err := s.Close(); err != nil {
		return "", fault.Retryf("io", "%s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fault.Retryf("io", "%w", err)
	}
	defer f.Close()
	var head [8]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return "", fault.Retryf("io", "%s: %w", path, err)
	}
	if _, err := f.Seek(8+int64(binary.LittleEndian.Uint64(head[:])), io.SeekStart); err != nil {
		return "", fault.Retryf("io", "%s: %w", path, err)
	}
	h := sha256.New()
	fmt.Fprintln(h, run)
	if _, err := io.Copy(h, f); err != nil {
		return "", fault.Retryf("io", "%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// volatile writes what differs between two runs of one audit.
func (r *run) volatile() error {
	env, err := indented(r.o.Environment)
	if err != nil {
		return err
	}
	if err := r.add("environment.json", env); err != nil {
		return err
	}
	r.log("finish", "", 0)
	r.files = append(r.files, "log.jsonl")
	b, err := os.ReadFile(r.path("log.jsonl"))
	if err != nil {
		return fault.Retryf("io", "bundle: %w", err)
	}
	times := map[string]float64{}
	sc := bufio.NewScanner(bytes.NewReader(b)) // lines of our own, short
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) == nil && e.Name != "" {
			times[e.What+" "+e.Name] = e.Seconds
		}
	}
	t, err := indented(map[string]any{"seconds": times})
	if err != nil {
		return err
	}
	return r.add("timing.json", t)
}

// Script is reproduce.sh: the sums first, then one command per test.
func Script(w *Work, outcomes []Outcome) []byte {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Checks the digests of this bundle, then computes every result again from its evidence.\n" +
		"# \"assay verify\" does both and compares. ASSAY names the program where it is not on the path.\n" +
		"set -eu\ncd \"$(dirname \"$0\")\"\nsha256sum -c --quiet SHA256SUMS\n: \"${ASSAY:=assay}\"\n")
	var outside []string
	for _, o := range outcomes {
		for _, a := range o.Command {
			if _, v, ok := strings.Cut(a, "$"); ok && strings.HasPrefix(v, "INPUT_") && !slices.Contains(outside, v) {
				outside = append(outside, v)
			}
		}
	}
	for _, v := range outside {
		fmt.Fprintf(&b, ": \"${%s:?set it to where %s lies}\"\n", v, strings.ToLower(strings.TrimPrefix(v, "INPUT_")))
	}
	passes := slices.SortedFunc(slices.Values(w.Passes), func(a, b *Shared) int { return strings.Compare(a.Path, b.Path) })
	for _, s := range passes {
		fmt.Fprintf(&b, "# %s: %s scored on %s, run %s\n", s.Path, s.Place.Role, s.Data, s.Run)
	}
	for _, o := range outcomes {
		fmt.Fprintf(&b, "\n# %d. %s\n\"$ASSAY\"", o.Number, o.Item.ID)
		for _, a := range o.Command {
			b.WriteString(" " + shellQuote(a))
		}
		b.WriteString(" --json\n")
	}
	return []byte(b.String())
}

// shellQuote quotes an argument; $INPUT_NAME at its end is a variable of ours.
func shellQuote(s string) string {
	if head, v, ok := strings.Cut(s, "$INPUT_"); ok && strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
		if head != "" {
			head = shellQuote(head)
		}
		return head + "\"$INPUT_" + v + "\""
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,%+@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
