package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
)

// ManifestSchema is the schema of manifests.
const ManifestSchema = "assay.bundle/1"

// Manifest describes a bundle.
type Manifest struct {
	Schema     string           `json:"schema"`
	EvidenceID string           `json:"evidence_id"`
	Title      string           `json:"title"`
	Program    Program          `json:"program"`
	Plan       string           `json:"plan"`   // digest
	Sealed     string           `json:"sealed"` // digest of the seal that was checked; "" = not sealed
	Created    string           `json:"created"`
	Models     []ModelEntry     `json:"models"`
	Inputs     []InputEntry     `json:"inputs"`
	Traces     []TraceEntry     `json:"traces"`
	States     []StatesEntry    `json:"states"`
	Warnings   []probes.Warning `json:"warnings"`
	Files      []FileEntry      `json:"files"`
}

// Program is the binary that made the bundle.
type Program struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Commit     string   `json:"commit"`
	Dirty      bool     `json:"dirty"`
	Go         string   `json:"go"`
	Platform   string   `json:"platform"`
	Tags       []string `json:"tags"`
	Experiment string   `json:"experiment"`
	Digest     string   `json:"digest"` // of the executable file
}

// Model is what a checkpoint is.
type Model struct {
	Weights      string           `json:"weights"` // digests
	Config       string           `json:"config"`
	Tokenizer    string           `json:"tokenizer,omitempty"`
	Architecture string           `json:"architecture"`
	Parameters   int64            `json:"parameters"`
	Vocab        int              `json:"vocabulary"`
	Layers       int              `json:"layers"`
	Width        int              `json:"width"`
	Files        []FileEntry      `json:"files"`
	Warnings     []probes.Warning `json:"warnings,omitempty"`
}

// ModelEntry is a checkpoint of the plan under its role.
type ModelEntry struct {
	Role string `json:"role"`
	Path string `json:"path,omitempty"` // as the plan has it; empty where only traces were given
	Model
}

// InputEntry is a data input with its files.
type InputEntry struct {
	Name  string      `json:"name"`
	Kind  string      `json:"kind"`
	Files []InputFile `json:"files"`
	// Excerpt is how the first file begins, where the plan allows the report to quote.
	Excerpt string `json:"excerpt,omitempty"`
}

// InputFile is one file of an input.
type InputFile struct {
	Source string `json:"source"` // as the plan has it
	Path   string `json:"path"`   // in the bundle; "" = not copied
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// TraceEntry is one forward pass over one text.
type TraceEntry struct {
	Path  string   `json:"path"`
	Run   string   `json:"run"`
	Role  string   `json:"role"`
	Data  string   `json:"data"`
	Tests []string `json:"tests"` // that read it
	Docs  int64    `json:"docs"`
	Rows  int64    `json:"rows"`
	Given bool     `json:"given,omitempty"` // made elsewhere

	Policy     string            `json:"policy"`
	Status     map[string]int64  `json:"status"` // documents by what became of them
	Backend    string            `json:"backend"`
	Device     string            `json:"device"`
	Invariance *trace.Invariance `json:"invariance"` // largest difference that batch mates made
	Warnings   []probes.Warning  `json:"warnings"`
}

// StatesEntry is one forward pass whose hidden states were kept.
type StatesEntry struct {
	Path  string   `json:"path"`
	Run   string   `json:"run"`
	Role  string   `json:"role"`
	Data  string   `json:"data"`
	Tests []string `json:"tests"`
	Docs  int64    `json:"docs"`

	Backend    string                  `json:"backend"`
	Device     string                  `json:"device"`
	Invariance *trace.StatesInvariance `json:"invariance"`
	Warnings   []probes.Warning        `json:"warnings"`
}

// FileEntry is one file of the bundle. Content is the digest that stands for the
// file's in the evidence identity, where the file holds times.
type FileEntry struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Content string `json:"content,omitempty"`
	Kind    string `json:"kind,omitempty"`
}

// Kinds of files. Evidence enters the evidence identity.
const (
	KindPlan     = "plan"
	KindInput    = "input"
	KindTrace    = "trace"
	KindStates   = "states"
	KindGens     = "gens"
	KindResult   = "result"
	KindSummary  = "summary"
	KindFigure   = "figure"
	KindReport   = "report"
	KindScript   = "script"
	KindVolatile = "volatile"
)

func isEvidence(kind string) bool {
	return slices.Contains([]string{KindPlan, KindInput, KindTrace, KindStates, KindGens, KindResult}, kind)
}

// kindOfFile is the kind that a path in a bundle has; "" = no bundle holds such a file.
func kindOfFile(path string) string {
	switch path {
	case "plan.yaml":
		return KindPlan
	case "report.html":
		return KindReport
	case "reproduce.sh":
		return KindScript
	case "results/summary.csv":
		return KindSummary
	case "environment.json", "timing.json", "log.jsonl":
		return KindVolatile
	}
	dir, rest, ok := strings.Cut(path, "/")
	if !ok || rest == "" || strings.Contains(rest, "/") {
		return ""
	}
	return map[string]string{"inputs": KindInput, "traces": KindTrace, "states": KindStates, "gens": KindGens,
		"results": KindResult, "figures": KindFigure}[dir]
}

// EvidenceID is the hex SHA-256 of the lines "sha256, two spaces, path, newline"
// sorted by path, over the files that are evidence. The content digest of a trace
// stands for the file's, because its header holds times.
func EvidenceID(files []FileEntry) string {
	var kept []FileEntry
	for _, f := range files {
		if isEvidence(f.Kind) {
			kept = append(kept, f)
		}
	}
	slices.SortFunc(kept, func(a, b FileEntry) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range kept {
		d := f.SHA256
		if f.Content != "" {
			d = f.Content
		}
		fmt.Fprintf(h, "%s  %s\n", d, f.Path)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// JSON is the manifest's file.
func (m *Manifest) JSON() ([]byte, error) { return indented(m) }

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return b.Bytes(), nil
}

// maxManifest and maxFiles bound what a bundle may claim.
const (
	maxManifest = 64 << 20
	maxFiles    = 100_000
)

// ReadManifest reads a manifest strictly.
func ReadManifest(r io.Reader) (*Manifest, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, fault.Inputf("malformed", "manifest.json: %w", err)
	}
	if len(b) > maxManifest {
		return nil, fault.Inputf("malformed", "manifest.json: found more than %d bytes", maxManifest)
	}
	var m Manifest
	if err := strictJSON(b, &m); err != nil {
		return nil, fault.Inputf("malformed", "manifest.json: %w", err)
	}
	switch {
	case m.Schema != ManifestSchema:
		return nil, fault.Inputf("malformed", "manifest.json: schema: found %.60q, want %q", m.Schema, ManifestSchema)
	case len(m.Files) > maxFiles:
		return nil, fault.Inputf("malformed", "manifest.json: found %d files, want at most %d", len(m.Files), maxFiles)
	}
	return &m, nil
}

// strictJSON decodes one document with known fields only and nothing after it.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("found something after the document")
	}
	return nil
}

// sums is the file SHA256SUMS: every file of the bundle but itself.
func sums(files []FileEntry, manifest []byte) []byte {
	lines := []string{fmt.Sprintf("%s  manifest.json", strings.TrimPrefix(digestOf(manifest), "sha256:"))}
	for _, f := range files {
		lines = append(lines, fmt.Sprintf("%s  %s", f.SHA256, f.Path))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return []byte(strings.Join(lines, "\n") + "\n")
}
