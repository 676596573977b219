package weat

import (
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
)

const flowers = `{"note": "n", "tests": [{"id": 7, "name": "t", "alt": "greater",
 "X": {"name": "F", "words": ["aster", "no"], "listed_but_not_used_here": ["rose"]}, "Y": {"words": ["ant", "null"]},
 "A": {"words": ["love"]}, "B": {"words": ["war"]}, "published": {"glove": {"d": "1.5", "p": "1e-7"}}}]}`

const flowersYAML = `
tests:
  - id: 7
    name: t
    alt: greater
    X: {name: F, words: [aster, no], listed_but_not_used_here: [rose]}
    Y:
      words:
        - ant
        - "null"
    A: {words: [love]}
    B: {words: [war]}
    published: {glove: {d: 1.5, p: 1e-7}}
`

const flowersSEAT = `{"targ1": {"category": "F", "examples": ["aster", "no"]}, "targ2": {"category": "", "examples": ["ant", "null"]},
 "attr1": {"category": "", "examples": ["love"]}, "attr2": {"category": "", "examples": ["war"]}}`

func TestReadTests(t *testing.T) {
	for name, text := range map[string]string{"json": flowers, "yaml": flowersYAML, "seat": flowersSEAT} {
		tests, err := ReadTests(strings.NewReader(text), "dir/sent-7.jsonl")
		if err != nil || len(tests) != 1 {
			t.Fatalf("%s: %d tests, %v", name, len(tests), err)
		}
		got := tests[0]
		if !slices.Equal(got.X.Words, []string{"aster", "no"}) || !slices.Equal(got.Y.Words, []string{"ant", "null"}) || got.X.Name != "F" {
			t.Errorf("%s: %+v", name, got)
		}
		if name == "seat" {
			if got.ID != "sent-7" || got.Alt != perm.TwoSided {
				t.Errorf("seat: id %q, alt %v", got.ID, got.Alt)
			}
			continue
		}
		if got.ID != "7" || got.Alt != perm.Greater || got.Published["glove"].D != "1.5" || !slices.Equal(got.X.Unused, []string{"rose"}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	two, err := ReadTests(strings.NewReader(strings.Replace(flowers, `"alt": "greater",`, "", 1)), "f")
	if err != nil || two[0].Alt != perm.TwoSided {
		t.Errorf("without alt: %v, %v; want two-sided", two[0].Alt, err)
	}
}

func TestReadTestsRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"not json":      `{"tests": [`,
		"trailing":      flowers + "{}",
		"unknown field": strings.Replace(flowers, `"name": "t"`, `"nam": "t"`, 1),
		"repeated key":  strings.Replace(flowers, `"name": "t"`, `"id": 8`, 1),
		"no tests":      `{"tests": []}`,
		"no id":         strings.Replace(flowers, `"id": 7, `, "", 1),
		"alt":           strings.Replace(flowers, "greater", "less", 1),
		"empty word":    strings.Replace(flowers, `"love"`, `" "`, 1),
		"null word":     strings.Replace(flowers, `"love"`, `null`, 1),
		"list word":     strings.Replace(flowers, `"love"`, `["love"]`, 1),
		"empty set":     strings.Replace(flowers, `["love"]`, `[]`, 1),
		"words scalar":  strings.Replace(flowers, `["love"]`, `"love"`, 1),
		"no set":        strings.Replace(flowers, `"A": {"words": ["love"]},`, "", 1),
		"same id":       `{"tests": [` + strings.TrimSuffix(strings.TrimPrefix(flowers, `{"note": "n", "tests": [`), "]}") + "," + strings.TrimPrefix(flowers, `{"note": "n", "tests": [`),
		"yaml alias":    "tests: &a\n  - *a\n",
		"yaml twice":    "tests: []\ntests: []\n",
		"yaml tab":      "\ttests: []",
		"two documents": flowersYAML + "\n---\n" + flowersYAML,
		"deep":          strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"seat extra":    strings.Replace(flowersSEAT, `"targ1"`, `"x": 1, "targ1"`, 1),
	} {
		_, err := ReadTests(strings.NewReader(text), "sets.json")
		if f := fault.As(err); f == nil || f.Class != fault.Input || f.Code != "bad-wordsets" {
			t.Errorf("%s: %v, want an input fault bad-wordsets", name, err)
		} else if !strings.Contains(err.Error(), "sets.json") {
			t.Errorf("%s: %v does not name the file", name, err)
		}
	}
}

func TestBuiltin(t *testing.T) {
	for name, want := range map[string][]string{"caliskan:1-3,9": {"1", "2", "3", "9"}, "weat7": {"7"}, "weat9..weat10": {"9", "10"}} {
		tests, err := Builtin(name)
		var ids []string
		for _, x := range tests {
			ids = append(ids, x.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("%s: %v, %v; want %v", name, ids, err, want)
		}
	}
	for _, name := range []string{"", "weat", "weat0", "weat11", "caliskan:", "caliskan:3-1", "caliskan:1,1", "flowers.json"} {
		if _, err := Builtin(name); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("%q: %v, want a usage fault", name, err)
		}
	}
	all, err := Caliskan()
	if err != nil || len(all) != 10 {
		t.Fatalf("%d tests, %v", len(all), err)
	}
	sizes := [][4]int{{25, 25, 25, 25}, {25, 25, 25, 25}, {32, 32, 25, 25}, {16, 16, 25, 25}, {16, 16, 8, 8}, {8, 8, 8, 8}, {8, 8, 8, 8}, {8, 8, 8, 8}, {6, 6, 7, 7}, {8, 8, 8, 8}}
	for i, x := range all { // sizes from tables 1 and 2 of Caliskan et al.
		if got := [4]int{len(x.X.Words), len(x.Y.Words), len(x.A.Words), len(x.B.Words)}; got != sizes[i] || x.Alt != perm.Greater {
			t.Errorf("test %s: sizes %v, alt %v; want %v, greater", x.ID, got, x.Alt, sizes[i])
		}
		if err := x.Validate(false); err != nil {
			t.Error(err)
		}
	}
	lists, err := WEFATLists()
	if err != nil || len(lists) != 2 || len(lists[0].Words) != 50 || len(lists[1].Words) != 50 || len(lists[0].A.Words) != 8 {
		t.Errorf("WEFAT lists %v, %v", lists, err)
	}
}

func FuzzReadTests(f *testing.F) {
	for _, s := range []string{flowers, flowersYAML, flowersSEAT, "", "{", "[]", "a: b", "tests: [{id: 1}]", "- &x [*x]", "\xef\xbb\xbf{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tests, err := ReadTests(strings.NewReader(s), "f")
		if err == nil && len(tests) == 0 {
			t.Fatal("no tests and no error")
		}
		for _, x := range tests {
			if err == nil && (x.ID == "" || len(x.X.Words) == 0 || len(x.B.Words) == 0) {
				t.Fatalf("accepted %+v", x)
			}
		}
	})
}
