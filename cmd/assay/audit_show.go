package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/model"
	"assay/probes/bundle"
)

// forecast is what an audit will cost.
type forecast struct {
	Tests  int                 `json:"tests"`
	Passes []forecastPass      `json:"passes"`
	Tokens int64               `json:"tokens"`
	FLOP   float64             `json:"flop"`
	Memory int64               `json:"memory_bytes"`
	Disk   int64               `json:"disk_bytes"`
	Models []bundle.ModelEntry `json:"models"`
	Inputs []bundle.InputEntry `json:"inputs"`
}

type forecastPass struct {
	Trace  string   `json:"trace"`
	Role   string   `json:"role"`
	Data   string   `json:"data"`
	Run    string   `json:"run"`
	Docs   int      `json:"docs"`
	Tokens int64    `json:"tokens"`
	FLOP   float64  `json:"flop"`
	Memory int64    `json:"memory_bytes"`
	Tests  []string `json:"tests"`
	Given  bool     `json:"given,omitempty"`
}

// Bytes of a trace per token and per document, as the format takes them.
const (
	traceTokenBytes = 30
	traceDocBytes   = 150
)

func forecastOf(w *bundle.Work) forecast {
	c := forecast{Tests: len(w.Plan.Tests), Models: w.Models, Inputs: w.Inputs, Passes: []forecastPass{}}
	for _, s := range w.Passes {
		c.Passes = append(c.Passes, forecastPass{s.Path, s.Place.Role, s.Data, s.Run, s.Docs, s.Tokens, s.FLOP, s.Memory, s.Tests, s.Given != ""})
		c.Disk += s.Tokens*traceTokenBytes + int64(s.Docs)*traceDocBytes
		if s.Given == "" {
			c.Tokens, c.FLOP, c.Memory = c.Tokens+s.Tokens, c.FLOP+s.FLOP, max(c.Memory, s.Memory)
		}
	}
	if w.Plan.Bundle.Inputs == "copy" {
		for _, e := range w.Inputs {
			for _, f := range e.Files {
				c.Disk += f.Bytes
			}
		}
	}
	return c
}

func showForecast(w io.Writer, c forecast) error {
	rows := [][]string{{"forward pass", "on", "data", "documents", "tokens", "FLOP", "memory", "for tests"}}
	for _, p := range c.Passes {
		note := strings.Join(p.Tests, " ")
		if p.Given {
			note += " (made elsewhere)"
		}
		rows = append(rows, []string{p.Trace, p.Role, p.Data, fmt.Sprint(p.Docs), fmt.Sprint(p.Tokens), fmt.Sprintf("%.2g", p.FLOP), show.Bytes(p.Memory), note})
	}
	if err := show.Table(w, rows); err != nil {
		return err
	}
	rows = [][]string{{""}, {"tests", fmt.Sprint(c.Tests)}, {"in all", fmt.Sprintf("%d passes, %d tokens, %.2g FLOP", len(c.Passes), c.Tokens, c.FLOP)},
		{"memory", show.Bytes(c.Memory)}, {"disk", show.Bytes(c.Disk)}}
	for _, m := range c.Models {
		rows = append(rows, []string{"model " + m.Role, m.Path + " " + m.Weights})
	}
	for _, in := range c.Inputs {
		for _, f := range in.Files {
			rows = append(rows, []string{"input " + in.Name, f.Source + " sha256:" + f.SHA256})
		}
	}
	return show.Table(w, rows)
}

// summary prints what an audit found, one line per result.
func (f *auditFlags) summary(s *bundle.Summary, out string) error {
	type line struct {
		ID      string `json:"id"`
		Test    string `json:"test"`
		Tier    string `json:"tier,omitempty"`
		Finding string `json:"finding,omitempty"`
		Says    string `json:"says,omitempty"`
		Error   string `json:"error,omitempty"`
		File    string `json:"file"`
	}
	if !s.Finished {
		out += ".partial"
	}
	doc := struct {
		Bundle     string `json:"bundle"`
		EvidenceID string `json:"evidence_id"`
		Results    []line `json:"tests"`
	}{out, s.Manifest.EvidenceID, []line{}}
	for _, o := range s.Outcomes {
		if o.Failure != nil {
			doc.Results = append(doc.Results, line{ID: o.Item.ID, Test: o.Item.Test, Error: o.Failure.Text, File: o.Files[0]})
		}
		for i, r := range o.Results {
			doc.Results = append(doc.Results, line{ID: o.Item.ID, Test: r.Test, Tier: string(r.Verdict.Tier), Finding: r.Verdict.Finding, Says: r.Verdict.Says, File: o.Files[i]})
		}
	}
	return f.app.print(doc, func(w io.Writer) error {
		for _, l := range doc.Results {
			text := fmt.Sprintf("%s [tier %s] %s", l.ID, l.Tier, l.Says)
			if l.Error != "" {
				text = fmt.Sprintf("%s [failed] %s", l.ID, l.Error)
			}
			if err := show.Wrap(w, text, "  ", 100); err != nil {
				return err
			}
		}
		return show.Table(w, [][]string{{"report", out + "/report.html"}, {"evidence", doc.EvidenceID}})
	})
}

// thisProgram describes this binary for a manifest.
func thisProgram() bundle.Program {
	b := thisBuild()
	p := bundle.Program{Name: b.Program, Version: b.Version, Commit: b.Commit, Go: b.Go, Platform: b.Platform, Tags: b.Tags, Experiment: b.Experiment}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			p.Dirty = p.Dirty || s.Key == "vcs.modified" && s.Value == "true"
		}
	}
	p.Dirty = p.Dirty || strings.HasSuffix(p.Commit, "-dirty")
	if path, err := os.Executable(); err == nil {
		if f, err := os.Open(path); err == nil {
			defer f.Close()
			h := sha256.New()
			if _, err := io.Copy(h, f); err == nil {
				p.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
			}
		}
	}
	return p
}

// environment describes the machine; host and user only where they were asked for.
func environment(m modelFlags, host bool) map[string]any {
	env := map[string]any{"platform": runtime.GOOS + "/" + runtime.GOARCH, "cores": runtime.NumCPU(), "threads": runtime.GOMAXPROCS(0),
		"memory_limit_bytes": model.MemoryLimit(), "backend": m.backend, "batch_tokens": m.batch, "simd": model.SIMD}
	if host {
		if h, err := os.Hostname(); err == nil {
			env["host"] = h
		}
		if u, err := user.Current(); err == nil {
			env["user"] = u.Username
		}
	}
	return env
}

func passes(n int) string {
	if n == 1 {
		return "1 forward pass"
	}
	return fmt.Sprintf("%d forward passes", n)
}
