package weat

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
)

//go:embed data/weat_words.json
var caliskanJSON []byte

//go:embed data/wefat_data.json
var wefatJSON []byte

// Caliskan returns the ten tests of Caliskan, Bryson and Narayanan (2017). All
// are one-sided: their direction was fixed by the human test before.
func Caliskan() ([]Test, error) {
	return readTests(bytes.NewReader(caliskanJSON), "caliskan", perm.Greater)
}

// Builtin resolves a name of built-in tests: "caliskan:1-10", "caliskan:6,8",
// "weat1" ... "weat10", or "weat1..weat10".
func Builtin(name string) ([]Test, error) {
	all, err := Caliskan()
	if err != nil {
		return nil, err
	}
	bad := func() error {
		return fault.Usagef("weat: tests: found %q, want caliskan:1-10, weat1 to weat10, or a file", name).
			Hint("ranges and lists: caliskan:1-3,9 or weat1..weat5")
	}
	list, ok := strings.CutPrefix(name, "caliskan:")
	if !ok {
		if !strings.HasPrefix(name, "weat") {
			return nil, bad()
		}
		list = strings.ReplaceAll(strings.ReplaceAll(name, "weat", ""), "..", "-")
	}
	var out []Test
	taken := map[int]bool{}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		lo, err1 := strconv.Atoi(from)
		hi, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || lo < 1 || hi > len(all) || lo > hi {
			return nil, bad()
		}
		for i := lo; i <= hi; i++ {
			if taken[i] {
				return nil, bad()
			}
			taken[i] = true
			out = append(out, all[i-1])
		}
	}
	return out, nil
}

// WEFATList is a single-word association with a property of the world.
type WEFATList struct {
	Name, Property string
	A, B           Set // female and male terms
	Words          []string
	Values         []float64
}

// WEFATLists returns the two published lists: 50 occupations with the share of
// women among the employed (US Bureau of Labor Statistics 2015, lines weighted
// by employment) and 50 androgynous names with the share of women (US Census
// 1990).
func WEFATLists() ([]WEFATList, error) {
	var doc struct {
		A, B        []string
		Occupations []struct {
			Word  string
			Value float64 `json:"percent_women_weighted"`
		}
		Names []struct {
			Word  string
			Value float64 `json:"percent_women"`
		}
	}
	if err := json.Unmarshal(wefatJSON, &doc); err != nil {
		return nil, fmt.Errorf("weat: built-in lists: %w", err)
	}
	a, b := Set{Name: "female terms", Words: doc.A}, Set{Name: "male terms", Words: doc.B}
	occ := WEFATList{Name: "occupations", Property: "percent women", A: a, B: b}
	for _, o := range doc.Occupations {
		occ.Words, occ.Values = append(occ.Words, o.Word), append(occ.Values, o.Value)
	}
	names := WEFATList{Name: "names", Property: "percent women", A: a, B: b}
	for _, o := range doc.Names {
		names.Words, names.Values = append(names.Words, o.Word), append(names.Values, o.Value)
	}
	return []WEFATList{occ, names}, nil
}
