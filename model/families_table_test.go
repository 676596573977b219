package model

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var readme = flag.Bool("readme", false, "write the table of families into README.md, between its two markers")

// The table has a row of three cells for each family, with no key twice; where
// the README has a place for it, it holds this very table.
func TestFamilyTable(t *testing.T) {
	table := FamilyTable()
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	if len(lines) != 2+len(Families()) {
		t.Fatalf("%d lines for %d families", len(lines), len(Families()))
	}
	names := map[string]bool{}
	for i, f := range Families() {
		cells := strings.Split(lines[i+2], " | ")
		if len(cells) != 3 || cells[0] != "| `"+f.Name+"`" || !strings.HasSuffix(cells[2], " |") {
			t.Errorf("%s: row %q", f.Name, lines[i+2])
		}
		if names[f.Name] || f.Says == "" || len(f.Keys) == 0 {
			t.Errorf("%s: twice, or without a description or keys", f.Name)
		}
		names[f.Name] = true
		keys := slices.Clone(f.Keys)
		slices.Sort(keys)
		if k := slices.Compact(keys); len(k) != len(f.Keys) {
			t.Errorf("%s: a key stands twice in %v", f.Name, f.Keys)
		}
		for _, k := range f.Keys {
			if !strings.Contains(cells[2], "`"+k+"`") {
				t.Errorf("%s: row lacks %q", f.Name, k)
			}
		}
	}
	const from, to = "<!-- families -->", "<!-- /families -->"
	name := filepath.Join("..", "README.md")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), from)
	have, tail, ended := strings.Cut(rest, to)
	switch {
	case !ok:
		t.Errorf("README.md has no %s", from)
	case !ended:
		t.Errorf("README.md: %s without %s", from, to)
	case *readme:
		if err := os.WriteFile(name, []byte(head+from+"\n"+table+to+tail), 0o644); err != nil {
			t.Error(err)
		}
	case strings.TrimSpace(have) == "":
		t.Error("README.md has no table: go test ./model -run FamilyTable -readme")
	case strings.TrimSpace(have) != strings.TrimSpace(table):
		t.Errorf("README.md holds another table of families than the code: go test ./model -run FamilyTable -readme")
	}
}
