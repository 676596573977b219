package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"assay/internal/fault"

	"go.yaml.in/yaml/v3"
)

// PlanSchema is the schema of plans.
const PlanSchema = "assay.audit/1"

// maxPlan bounds a plan file.
const maxPlan = 1 << 20

// Plan is a list of tests on named inputs.
type Plan struct {
	Schema   string             `plan:"schema,required" help:"assay.audit/1"`
	Title    string             `plan:"title" help:"what the audit asks, in one line"`
	Seed     uint64             `plan:"seed" help:"seed of every test that sets none itself (default 1)"`
	Inputs   map[string]Input   `plan:"inputs,required" help:"checkpoints, texts and other data by name; paths are relative to the plan"`
	Defaults map[string]Setting `plan:"defaults" help:"settings of every test that has them and does not set them itself"`
	Tests    []Item             `plan:"tests,required" help:"the tests, in the order of the report"`
	Family   Family             `plan:"family" help:"how p-values are adjusted for their number"`
	Bundle   Layout             `plan:"bundle" help:"what the bundle holds"`

	raw []byte
	dir string
}

// Input is one thing that tests read: exactly one kind of it, or a checkpoint
// with traces that were made elsewhere.
type Input struct {
	Checkpoint string            `plan:"checkpoint" help:"folder of a checkpoint"`
	Trace      map[string]string `plan:"trace" help:"traces of this checkpoint made elsewhere, by the name of the data they score"`
	Text       string            `plan:"text" help:"documents: .txt, .jsonl, .jsonl.gz"`
	IDs        string            `plan:"ids" help:"documents as token ids: .jsonl, .npy, .bin"`
	Transcript string            `plan:"transcript" help:"training transcript: .parquet, .jsonl, .npy"`
	Ghosts     string            `plan:"ghosts" help:"planted strings: NAME.secrets.json with NAME.commit.json beside it, or a set of strings and controls (.json)"`
	Labelled   string            `plan:"labelled" help:"texts with label 1 (claimed) or 0 (control): .jsonl"`
	Items      string            `plan:"items" help:"labelled items: .jsonl, .csv"`
	Wordsets   string            `plan:"wordsets" help:"word lists: .yaml, .json"`
	File       string            `plan:"file" help:"any other file that a setting names"`
	Pos        Pos
}

// kinds lists the kinds of data in the order of the schema; a checkpoint is none.
func (in Input) kinds() map[string]string {
	out := map[string]string{}
	for k, v := range map[string]string{"text": in.Text, "ids": in.IDs, "transcript": in.Transcript, "ghosts": in.Ghosts,
		"labelled": in.Labelled, "items": in.Items, "wordsets": in.Wordsets, "file": in.File} {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// IsModel reports whether the input is a checkpoint or traces of one.
func (in Input) IsModel() bool { return in.Checkpoint != "" || len(in.Trace) > 0 }

// Data returns the kind and the path of a data input.
func (in Input) Data() (kind, path string) {
	for k, v := range in.kinds() {
		return k, v
	}
	return "", ""
}

// Item is one test of the plan.
type Item struct {
	ID       string             `plan:"id,required" help:"unique name: a-z, 0-9 and -, at most 32"`
	Test     string             `plan:"test,required" help:"which test"`
	Name     string             `plan:"name" help:"of a probe, or the form of a test that has several"`
	On       string             `plan:"on,required" help:"the checkpoint that is tested"`
	Refs     []string           `plan:"refs" help:"reference checkpoints"`
	Data     Slots              `plan:"data" help:"the data input, or {slot: input}"`
	Settings map[string]Setting `plan:"settings" help:"the long flags of the command, with _ for -"`
	Primary  bool               `plan:"primary" help:"counts in the family of p-values"`
	Note     string             `plan:"note" help:"free text for the report"`
	Pos      Pos
}

// Setting is the value of a flag, or the values of a repeatable one.
type Setting struct {
	Values []string
	Pos    Pos
}

func (s *Setting) decode(n *yaml.Node) error {
	s.Pos = posOf(n)
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, c := range list {
		if c.Kind != yaml.ScalarNode || c.Tag == "!!null" {
			return posOf(c).errorf("setting: found %s, want a value or a list of values", kindOf(c))
		}
		s.Values = append(s.Values, c.Value)
	}
	return nil
}

// Slots names data inputs by slot; a test with one kind of data has the slot "".
type Slots map[string]string

func (s *Slots) decode(n *yaml.Node) error {
	*s = Slots{}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		(*s)[""] = n.Value
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return posOf(n).errorf("data: found %s, want the name of an input or {slot: input}", kindOf(n))
	}
	for i := 0; i < len(n.Content); i += 2 {
		v := n.Content[i+1]
		if v.Kind != yaml.ScalarNode || v.Tag != "!!str" {
			return posOf(v).errorf("data: %s: found %s, want the name of an input", n.Content[i].Value, kindOf(v))
		}
		(*s)[n.Content[i].Value] = v.Value
	}
	return nil
}

// Family says which p-values are adjusted together.
type Family struct {
	Method string  `plan:"method" help:"holm (default), bh or none"`
	Level  float64 `plan:"level" help:"level of the adjusted verdict (default 0.05)"`
	Over   string  `plan:"over" help:"primary (default: tests marked primary) or all"`
	Pos    Pos
}

// Layout says what the bundle holds.
type Layout struct {
	Inputs       string `plan:"inputs" help:"copy (default) or digest: data inputs are in the bundle, or only their digests"`
	TextInReport string `plan:"text_in_report" help:"none or excerpts (default): whether the report may quote texts"`
	Pos          Pos
}

// Test is what a plan may ask for: one command of the program.
type Test struct {
	Name     string
	Names    []string // forms of the test or names of probes; empty = name is not allowed
	NeedName bool
	Refs     [2]int   // least and most references; most -1 = any number
	Data     []string // kinds of data that fit; "" among them = data may be absent
	Slotted  bool     // data is {slot: input} of any kind
	Flags    func(name string) []Flag
	Reads    func(t Item, kinds map[string]string) Reads
}

// Flag is one setting of a test.
type Flag struct {
	Name   string // with _ for -
	Usage  string
	Input  bool                        // the value is the name of a data input
	Words  []string                    // or one of these
	Repeat bool                        // may have several values
	Check  func(values []string) error // nil = any value
}

// Parse reads a plan strictly and checks it against the tests that there are.
// Errors carry line:column. dir is what relative paths are relative to.
func Parse(r io.Reader, dir string, tests []Test) (*Plan, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxPlan+1))
	if err != nil {
		return nil, fault.Retryf("io", "plan: %w", err)
	}
	if len(raw) > maxPlan {
		return nil, fault.Usagef("plan: found more than %d bytes", maxPlan)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fault.Usagef("plan:1:1: found an empty file")
		}
		return nil, fault.Usagef("plan: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fault.Usagef("plan: found a second document, want one")
	}
	if err := plain(&doc, 0); err != nil {
		return nil, err
	}
	p := &Plan{raw: raw, dir: dir, Seed: 1}
	if err := decode(doc.Content[0], reflect.ValueOf(p).Elem(), "plan"); err != nil {
		return nil, err
	}
	return p, p.validate(tests)
}

// Digest is the SHA-256 of the plan's bytes.
func (p *Plan) Digest() string { return digestOf(p.raw) }

// Raw returns the plan's bytes.
func (p *Plan) Raw() []byte { return p.raw }

func digestOf(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

// Path is where an input's path leads.
func (p *Plan) Path(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(p.dir, filepath.FromSlash(path))
}

var name = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

func (p *Plan) validate(tests []Test) error {
	if p.Schema != PlanSchema {
		return fault.Usagef("plan: schema: found %q, want %q", p.Schema, PlanSchema)
	}
	if err := oneOf(&p.Family.Method, "holm", p.Family.Pos, "family: method", "holm", "bh", "none"); err != nil {
		return err
	}
	if err := oneOf(&p.Family.Over, "primary", p.Family.Pos, "family: over", "primary", "all"); err != nil {
		return err
	}
	if p.Family.Level == 0 {
		p.Family.Level = 0.05
	}
	if !(p.Family.Level > 0 && p.Family.Level < 1) {
		return p.Family.Pos.errorf("family: level: found %g, want a number between 0 and 1", p.Family.Level)
	}
	if err := oneOf(&p.Bundle.Inputs, "copy", p.Bundle.Pos, "bundle: inputs", "copy", "digest"); err != nil {
		return err
	}
	if err := oneOf(&p.Bundle.TextInReport, "excerpts", p.Bundle.Pos, "bundle: text_in_report", "none", "excerpts"); err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(p.Inputs)) {
		if err := p.validateInput(n, p.Inputs[n]); err != nil {
			return err
		}
	}
	if len(p.Tests) == 0 {
		return fault.Usagef("plan: tests: found none, want at least one")
	}
	if len(p.Tests) > 99 {
		return p.Tests[99].Pos.errorf("tests: found %d, want at most 99", len(p.Tests))
	}
	seen, same := map[string]Pos{}, map[string]string{}
	used := map[string]bool{}
	for i := range p.Tests {
		t := &p.Tests[i]
		if !name.MatchString(t.ID) {
			return t.Pos.errorf("id: found %.60q, want 1 to 32 of a-z, 0-9 and -", t.ID)
		}
		if at, twice := seen[t.ID]; twice {
			return t.Pos.errorf("id %q appears twice (first at %s)", t.ID, at)
		}
		seen[t.ID] = t.Pos
		if err := p.validateItem(t, tests, used); err != nil {
			return err
		}
		key := fmt.Sprintf("%s\x00%s\x00%s\x00%q\x00%v\x00%s", t.Test, t.Name, t.On, t.Refs, t.Data, settingsKey(t.Settings))
		if other, twice := same[key]; twice {
			return t.Pos.errorf("test %s is the same as %s", t.ID, other)
		}
		same[key] = t.ID
	}
	for k, s := range p.Defaults {
		if !used[k] {
			return s.Pos.errorf("defaults: %s: no test of this plan has such a setting", k)
		}
	}
	return nil
}

func settingsKey(m map[string]Setting) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%q;", k, m[k].Values)
	}
	return b.String()
}

func oneOf(v *string, def string, at Pos, what string, allowed ...string) error {
	if *v == "" {
		*v = def
	}
	if !slices.Contains(allowed, *v) {
		return at.errorf("%s: found %.60q, want %s", what, *v, strings.Join(allowed, ", "))
	}
	return nil
}

func (p *Plan) validateInput(n string, in Input) error {
	if !name.MatchString(n) {
		return in.Pos.errorf("inputs: found the name %.60q, want 1 to 32 of a-z, 0-9 and -", n)
	}
	kinds := in.kinds()
	switch {
	case in.IsModel() && len(kinds) > 0 || len(kinds) > 1:
		return in.Pos.errorf("input %s: found several kinds, want one", n)
	case !in.IsModel() && len(kinds) == 0:
		return in.Pos.errorf("input %s: found no path, want one of checkpoint, text, ids, transcript, ghosts, labelled, items, wordsets, file", n)
	}
	for data := range in.Trace {
		d, ok := p.Inputs[data]
		if !ok || d.IsModel() {
			return in.Pos.errorf("input %s: trace: %q is no data input of this plan", n, data)
		}
	}
	return nil
}
