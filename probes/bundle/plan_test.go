package bundle

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"assay/internal/fault"
)

// toyTests are tests with a few settings each.
func toyTests() []Test {
	flags := func(string) []Flag {
		return []Flag{{Name: "policy"}, {Name: "stride", Check: func(v []string) error {
			var n int
			if _, err := fmt.Sscan(v[0], &n); err != nil {
				return fmt.Errorf("found %q, want a number", v[0])
			}
			return nil
		}}, {Name: "labels", Input: true, Words: []string{"none"}}, {Name: "tag", Repeat: true}}
	}
	reads := func(Item, map[string]string) Reads { return ReadsTrace }
	return []Test{
		{Name: "perplexity", Refs: [2]int{0, 1}, Data: []string{"text", "ids"}, Flags: flags, Reads: reads},
		{Name: "compare", Refs: [2]int{1, 1}, Data: []string{"", "text"}, Flags: flags, Reads: reads},
		{Name: "probe", NeedName: true, Names: []string{"iat", "bbq"}, Slotted: true, Flags: flags, Reads: reads},
	}
}

const goodPlan = `schema: assay.audit/1
title: toy
inputs:
  suspect: {checkpoint: a}
  base: {checkpoint: b, trace: {wiki: t.parquet}}
  wiki: {text: w.jsonl}
  words: {wordsets: w.yaml}
  lab: {file: l.csv}
defaults: {policy: full}
tests:
  - {id: ppl, test: perplexity, on: suspect, refs: [base], data: wiki, settings: {stride: 5, labels: lab, tag: [x, y]}, primary: true}
  - {id: cmp, test: compare, on: suspect, refs: [base]}
  - {id: yn, test: probe, name: iat, on: suspect, data: {wordsets: words}, note: "a: b"}
family: {method: bh, level: 0.01, over: all}
bundle: {inputs: digest, text_in_report: none}
`

func TestParse(t *testing.T) {
	p, err := Parse(strings.NewReader(goodPlan), "/plans", toyTests())
	if err != nil {
		t.Fatal(err)
	}
	x := p.Tests[0]
	if p.Seed != 1 || x.Settings["policy"].Values[0] != "full" || x.Settings["stride"].Values[0] != "5" || len(x.Settings["tag"].Values) != 2 ||
		x.Data[""] != "wiki" || !x.Primary || p.Tests[2].Data["wordsets"] != "words" || p.Family.Level != .01 || p.Path("a") != "/plans/a" {
		t.Errorf("parsed %+v", p)
	}
}

// Every fault names line and column and, where there is one, the nearest name.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "title: toy", "titel: toy", `plan:2:1: unknown key "titel": did you mean "title"?`},
		{"unknown key of a test", "primary: true", "primry: true", `did you mean "primary"?`},
		{"repeated key", "title: toy", "title: toy\ntitle: toy", `plan:3:1: key "title" appears twice (first in line 2)`},
		{"key no string", "title: toy", "1: toy", "plan:2:1: found the key"},
		{"anchor", "{checkpoint: a}", "&x {checkpoint: a}", "anchor or alias"},
		{"cycle", "{checkpoint: a}", "&x {checkpoint: *x}", "plan"},
		{"tag", "title: toy", "title: !!binary dG95", "found the tag"},
		{"merge", "title: toy", "<<: {title: toy}", "plan:2:1"},
		{"wrong type", "title: toy", "title: [toy]", "title: found a list, want a string"},
		{"schema", "assay.audit/1", "assay.audit/2", "want \"assay.audit/1\""},
		{"missing key", "schema: assay.audit/1\n", "", `key "schema" is missing`},
		{"unknown test", "test: compare", "test: compair", `did you mean "compare"?`},
		{"unknown role", "on: suspect, refs: [base]}", "on: suspekt, refs: [base]}", `did you mean "suspect"?`},
		{"unknown setting", "stride: 5", "strid: 5", `plan:11:90: test ppl: perplexity has no setting "strid": did you mean "stride"?`},
		{"setting of a wrong form", "stride: 5", "stride: many", `stride: found "many", want a number`},
		{"setting twice", "stride: 5", "stride: [5, 6]", "found 2 values, want one"},
		{"setting null", "stride: 5", "stride: null", "want a value"},
		{"file that is no input", "labels: lab", "labels: l.csv", "want the name of a data input"},
		{"data of a wrong kind", "data: wiki,", "data: words,", "input words is wordsets, want text or ids"},
		{"data is a checkpoint", "data: wiki,", "data: base,", "is a checkpoint, want text or ids"},
		{"data missing", "data: wiki, ", "", "data is missing"},
		{"slot where none is", "data: wiki,", "data: {x: wiki},", "takes the name of one input"},
		{"no slot", "data: {wordsets: words}", "data: words", "takes {slot: input}"},
		{"own reference", "on: suspect, refs: [base]}", "on: suspect, refs: [suspect]}", "is tested and its own reference"},
		{"too many references", "refs: [base], data: wiki", "refs: [base, base], data: wiki", "reference base appears twice"},
		{"too few references", "on: suspect, refs: [base]}", "on: suspect}", "found 0 references, want at least 1"},
		{"same id", "id: cmp", "id: ppl", `id "ppl" appears twice`},
		{"bad id", "id: cmp", "id: <script>", "want 1 to 32 of a-z, 0-9 and -"},
		{"same test", "  - {id: cmp, test: compare, on: suspect, refs: [base]}", "  - {id: cmp, test: compare, on: suspect, refs: [base]}\n  - {id: c2, test: compare, on: suspect, refs: [base]}", "is the same as cmp"},
		{"two kinds", "{text: w.jsonl}", "{text: w.jsonl, ids: w.npy}", "found several kinds"},
		{"no kind", "{text: w.jsonl}", "{}", "found no path"},
		{"trace of nothing", "trace: {wiki:", "trace: {wikki:", "is no data input"},
		{"probe name", "name: iat", "name: iats", `did you mean "iat"?`},
		{"no probe name", "name: iat, ", "", "needs a name"},
		{"name where none is", "test: compare,", "test: compare, name: x,", "takes no name"},
		{"family", "method: bh", "method: bonferroni", "want holm, bh, none"},
		{"level", "level: 0.01", "level: 7", "between 0 and 1"},
		{"default nobody has", "policy: full", "polici: full", "no test of this plan has such a setting"},
		{"second document", "bundle: {inputs: digest, text_in_report: none}", "---\nx: 1", "second document"},
		{"not YAML", "title: toy", "title: 'toy", "plan: "},
		{"empty", goodPlan, "", "empty file"},
		{"no tests", goodPlan[strings.Index(goodPlan, "tests:"):strings.Index(goodPlan, "family:")], "tests: []\n", "plan"},
		{"deep", "title: toy", "title: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "levels"},
		{"a megabyte", "title: toy", "title: " + strings.Repeat("x", 1<<20), "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(goodPlan, c.old, c.new, 1)
			if text == goodPlan {
				t.Fatal("the replacement changes nothing")
			}
			_, err := Parse(strings.NewReader(text), "", toyTests())
			if f := fault.As(err); f == nil || f.Class != fault.Usage || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want usage with %q", err, c.want)
			}
		})
	}
}

func TestJSONSchema(t *testing.T) {
	b, err := JSONSchema(toyTests())
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Required   []string
		Properties map[string]struct {
			Items struct{ AllOf []any }
		}
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(s.Required) != "[schema inputs tests]" || len(s.Properties) != 8 || len(s.Properties["tests"].Items.AllOf) != 3 {
		t.Errorf("required %v, %d properties, %d rules", s.Required, len(s.Properties), len(s.Properties["tests"].Items.AllOf))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(goodPlan))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(strings.NewReader(string(b)), "", toyTests())
		if err == nil && (p.Schema != PlanSchema || len(p.Tests) == 0) {
			t.Errorf("accepted %q", b)
		}
		if err != nil && fault.As(err) == nil {
			t.Errorf("unclassified error %v", err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schema":"assay.bundle/1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ReadManifest(strings.NewReader(string(b))); err != nil && fault.As(err) == nil {
			t.Errorf("unclassified error %v", err)
		}
	})
}
