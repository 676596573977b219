package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"assay/probes/bundle"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// auditTest is a command that a plan may ask for. The plan's settings are the
// command's own flags, so plan and command line cannot drift.
type auditTest struct {
	bundle.Test
	command func(t bundle.Item, kinds map[string]string) []string // path of the command below assay
	set     []string                                              // flags that the audit sets itself
	scoring []string                                              // flags that only decide how a checkpoint is scored
	plot    string                                                // flag that draws figures
	ref     string                                                // flag of references
	always  []string                                              // arguments of every run
}

// Flags that no plan sets: where the work runs and what is written where.
var auditReserved = []string{"help", "json", "quiet", "progress", "output", "backend", "threads", "memory", "weights", "batch-tokens",
	"cache", "series", "plot", "plot-forest", "plot-layers", "forest", "save-vectors", "text", "ids", "ref", "evidence", "plan", "data"}

// Flags whose values are files: a plan names an input instead.
var auditFiles = []string{"tokenizer", "units-from", "planted", "gens", "labels", "assignment", "lower", "shots", "member-shots", "self",
	"neighbours", "perturbed", "freq", "order", "doc-idx", "sample-idx", "shuffle-idx", "contexts", "templates", "wrap", "states", "reference-words", "suspect", "control", "unseen", "template"}

// Words that some of these flags take instead of a file.
var auditWords = map[string][]string{"templates": {"mention8", "says6"}, "wrap": {"document"}, "template": {"none", "auto"}}

var auditPolicy = []string{"policy", "window", "stride", "context", "bos", "bos-each-window", "seam", "max-tokens"}

func readsTrace(bundle.Item, map[string]string) bundle.Reads { return bundle.ReadsTrace }

// auditTests lists the tests in the order of the schema.
func auditTests() []auditTest {
	fixed := func(path ...string) func(bundle.Item, map[string]string) []string {
		return func(bundle.Item, map[string]string) []string { return path }
	}
	reads := func(r bundle.Reads) func(bundle.Item, map[string]string) bundle.Reads {
		return func(bundle.Item, map[string]string) bundle.Reads { return r }
	}
	tests := []auditTest{
		{Test: bundle.Test{Name: "perplexity", Refs: [2]int{0, 1}, Data: []string{"text", "ids"}, Reads: readsTrace},
			command: fixed("perplexity"), set: []string{"vs", "beside"}, scoring: auditPolicy, ref: "vs"},
		{Test: bundle.Test{Name: "ghost", Refs: [2]int{0, 1}, Data: []string{"ghosts"}, Reads: readsTrace},
			command: func(_ bundle.Item, kinds map[string]string) []string {
				if kinds[""] == "ghosts-external" {
					return []string{"ghost", "external"}
				}
				return []string{"ghost", "test"}
			}, ref: "ref"},
		{Test: bundle.Test{Name: "palimpsest", Refs: [2]int{0, -1}, Data: []string{"transcript"}, Reads: readsTrace},
			command: fixed("palimpsest", "query"), set: []string{"transcript", "suspect", "bmt", "suspect-col", "ref-col", "figure", "correct"}, plot: "plot", ref: "ref",
			always: []string{"--correct=none"}}, // the family of the plan corrects
		{Test: bundle.Test{Name: "membership", Names: []string{"eval", "claim", "infer"}, Refs: [2]int{0, -1}, Data: []string{"labelled", "text", "ids"}, Reads: readsTrace},
			command: func(t bundle.Item, _ map[string]string) []string {
				if t.Name == "" {
					return []string{"membership", "eval"}
				}
				return []string{"membership", t.Name}
			}, scoring: auditPolicy, plot: "plot", ref: "ref"},
		{Test: bundle.Test{Name: "aqi", Refs: [2]int{0, 1}, Data: []string{"items"}, Reads: reads(bundle.ReadsStates)},
			command: fixed("aqi"), set: []string{"items", "table", "plot-layer", "full", "save-states", "no-verify"}, plot: "plot"},
		{Test: bundle.Test{Name: "weat", Data: []string{"wordsets", ""}, Reads: reads(bundle.ReadsCheckpoint)},
			command: fixed("weat"), set: []string{"vectors", "format", "freq", "full", "centre"}, plot: "plot-forest"},
		{Test: bundle.Test{Name: "compare", Refs: [2]int{1, 1}, Data: []string{"", "text", "items"}, Reads: readsOfCompare},
			command: fixed("compare"), set: []string{"require", "scores", "table", "full", "save-states", "no-verify"}},
		{Test: bundle.Test{Name: "probe", NeedName: true, Slotted: true, Refs: [2]int{0, 1}},
			command: func(t bundle.Item, _ map[string]string) []string { return []string{"probe", t.Name} },
			set:     []string{"table", "items", "full", "save-states", "no-verify", "trace", "b"}},
	}
	root := newRoot(&app{stdout: io.Discard, stderr: io.Discard})
	for i := range tests {
		t := &tests[i]
		if t.Name == "probe" {
			var states []string
			t.Names, states = probeNames(root)
			t.Reads = func(t bundle.Item, _ map[string]string) bundle.Reads {
				if slices.Contains(states, t.Name) {
					return bundle.ReadsStates
				}
				return bundle.ReadsEvidence
			}
		}
		t.Flags = func(name string) []bundle.Flag { return t.flags(name) }
	}
	return tests
}

// readsOfCompare: weights without data, scores of texts, states of items.
func readsOfCompare(_ bundle.Item, kinds map[string]string) bundle.Reads {
	switch kinds[""] {
	case "text":
		return bundle.ReadsTrace
	case "items":
		return bundle.ReadsStates
	}
	return bundle.ReadsCheckpoint
}

// probeNames lists the probes that a plan may name: those that answer from evidence
// and, apart, those that read states.
func probeNames(root *cobra.Command) (all, states []string) {
	cmd, _, err := root.Find([]string{"probe"})
	if err != nil {
		return nil, nil
	}
	for _, c := range cmd.Commands() {
		switch {
		case c.Flags().Lookup("evidence") != nil && c.Flags().Lookup("data") != nil:
			all = append(all, c.Name())
		case c.Flags().Lookup("save-states") != nil:
			all, states = append(all, c.Name()), append(states, c.Name())
		}
	}
	return all, states
}

func bundleTests(tests []auditTest) []bundle.Test {
	var out []bundle.Test
	for _, t := range tests {
		out = append(out, t.Test)
	}
	return out
}

// find returns the cobra command of a test, freshly made: setting a flag of it
// changes nothing else.
func (t *auditTest) find(item bundle.Item, kinds map[string]string) (*cobra.Command, []string, error) {
	path := t.command(item, kinds)
	cmd, rest, err := newRoot(&app{stdout: io.Discard, stderr: io.Discard}).Find(path)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("assay has no command %s", strings.Join(path, " "))
	}
	return cmd, path, err
}

// flags are the settings of a test.
func (t *auditTest) flags(name string) []bundle.Flag {
	cmd, _, err := t.find(bundle.Item{Test: t.Name, Name: name}, nil)
	if err != nil {
		return nil
	}
	var flags []bundle.Flag
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		written := f.Name == "rows" && f.Value.Type() == "string" // elsewhere: rows to draw
		if written || slices.Contains(auditReserved, f.Name) || slices.Contains(t.set, f.Name) || f.Hidden {
			return
		}
		repeat := strings.Contains(f.Value.Type(), "Array") || strings.Contains(f.Value.Type(), "Slice")
		flags = append(flags, bundle.Flag{Name: strings.ReplaceAll(f.Name, "-", "_"), Usage: f.Usage, Repeat: repeat,
			Input: slices.Contains(auditFiles, f.Name), Words: auditWords[f.Name],
			Check: func(values []string) error {
				fresh, _, err := t.find(bundle.Item{Test: t.Name, Name: name}, nil)
				if err != nil {
					return err
				}
				for _, v := range values {
					if ext := strings.ToLower(filepath.Ext(v)); f.Name == "tests" && slices.Contains([]string{".json", ".yaml", ".yml"}, ext) {
						return fmt.Errorf("found the file %.60q, want data: the name of an input of kind wordsets", v)
					}
					if err := fresh.Flags().Set(f.Name, v); err != nil {
						return err
					}
				}
				return nil
			}})
	})
	return flags
}

// argv is the command line of a job. model and refs are the evidence (traces or
// checkpoints); scoring says that a checkpoint is to be scored on the data.
func (t *auditTest) argv(j bundle.Job, at func(bundle.Place) string, model bundle.Place, refs []bundle.Place, scoring bool) []string {
	data, kind := j.Files[""], j.Kinds[""]
	out := slices.Clone(t.command(j.Item, formsOf(j)))
	if j.Reads == bundle.ReadsStates {
		return t.statesArgv(out, j, at, model, refs, scoring)
	}
	if t.Name == "compare" && scoring { // both sides are scored alike, one at a time
		return []string{"perplexity", at(model), "--text=" + at(data)}
	}
	flag := func(name, value string) { out = append(out, "--"+name+"="+value) }
	switch t.Name {
	case "ghost":
		out = append(out, strings.TrimSuffix(at(data), ".secrets.json"), at(model))
	case "palimpsest":
		flag("transcript", at(data))
		flag("suspect", at(model))
	case "weat":
		out = append(out, at(model))
		if data.Role != "" {
			flag("tests", at(data))
		}
	case "probe":
		if scoring {
			out = append(out, at(model))
		}
		for _, slot := range slices.Sorted(mapKeys(j.Files)) {
			flag("data", slot+"="+at(j.Files[slot]))
		}
		flag("evidence", at(bundle.Place{Path: "gens/" + j.Stem() + ".jsonl"}))
	default:
		out = append(out, at(model))
		switch {
		case kind == "ids" && scoring:
			flag("ids", at(data))
		case kind == "text" && scoring, t.Name == "membership" && kind != "ids":
			flag("text", at(data))
		}
	}
	for _, r := range refs {
		if t.ref == "" {
			out = append(out, at(r))
			continue
		}
		flag(t.ref, at(r))
	}
	return append(out, t.settings(j, at, len(refs) > 0, scoring)...)
}

// statesArgv is the command line of a test on states: of a checkpoint on the data
// where they have to be made (a second model is another such request), else of files.
func (t *auditTest) statesArgv(out []string, j bundle.Job, at func(bundle.Place) string, model bundle.Place, refs []bundle.Place, making bool) []string {
	var data bundle.Place
	for _, slot := range slices.Sorted(mapKeys(j.Files)) {
		data = j.Files[slot]
	}
	if t.Name == "compare" && making {
		argv := []string{"aqi", at(model), "--text=" + at(data), fmt.Sprintf("--seed=%d", j.Seed)}
		for _, v := range j.Flags["view"] {
			argv = append(argv, "--view="+v)
		}
		return argv
	}
	out = append(out, at(model))
	for _, r := range refs {
		out = append(out, at(r))
	}
	if making || t.Name == "aqi" && len(refs) == 0 { // the controls read the texts
		out = append(out, "--text="+at(data))
	}
	return append(out, t.settings(j, at, len(refs) > 0, making)...)
}

// formsOf are the kinds of a job's data; planted strings that assay did not draw
// are a kind of their own.
func formsOf(j bundle.Job) map[string]string {
	if j.Kinds[""] == "ghosts" && !strings.HasSuffix(j.Files[""].Path, ".secrets.json") {
		return map[string]string{"": "ghosts-external"}
	}
	return j.Kinds
}

// settings are the flags of the plan, in the order of their names.
func (t *auditTest) settings(j bundle.Job, at func(bundle.Place) string, refs, scoring bool) []string {
	var out []string
	for _, key := range slices.Sorted(mapKeys(j.Flags)) {
		name := strings.ReplaceAll(key, "_", "-")
		switch {
		case !scoring && j.Reads == bundle.ReadsTrace && slices.Contains(t.scoring, name):
			continue
		case !refs && (name == "ref-basis" || name == "combine"):
			continue
		}
		for i, v := range j.Flags[key] {
			if names := j.Inputs[key]; names != nil && !slices.Contains(auditWords[name], names[i]) {
				v = at(bundle.Place{Role: names[i], Path: v})
			}
			out = append(out, "--"+name+"="+v)
		}
	}
	if _, set := j.Flags["seed"]; !set && t.hasSeed(j) {
		out = append(out, fmt.Sprintf("--seed=%d", j.Seed))
	}
	return out
}

func (t *auditTest) hasSeed(j bundle.Job) bool {
	cmd, _, err := t.find(j.Item, formsOf(j))
	return err == nil && cmd.Flags().Lookup("seed") != nil
}

// auditEnding is how the name of an input ends in the bundle: what tells readers
// which form the file has.
func auditEnding(path string) string {
	base := strings.ToLower(filepath.Base(path))
	for _, e := range []string{".secrets.json", ".commit.json", ".plants.jsonl", ".docs.parquet", ".jsonl.gz", ".txt.gz"} {
		if strings.HasSuffix(base, e) {
			return e
		}
	}
	ext := filepath.Ext(base)
	if len(ext) < 2 || len(ext) > 12 || strings.Trim(ext[1:], "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return ""
	}
	return ext
}

// auditCompanions are files that belong to an input and lie beside it.
func auditCompanions(kind, path string) []string {
	stem := func(ending string) string { return path[:len(path)-len(ending)] }
	switch ending := auditEnding(path); {
	case kind == "ghosts" && ending == ".secrets.json":
		return []string{stem(ending) + ".commit.json", stem(ending) + ".plants.jsonl"}
	case ending == ".idx":
		return []string{stem(ending) + ".bin"}
	case ending == ".bin":
		return []string{stem(ending) + ".idx", path + ".json"}
	case ending == ".parquet" && kind == "file":
		return []string{stem(ending) + ".docs.parquet"}
	}
	return nil
}
