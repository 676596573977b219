package model

import (
	"fmt"
	"slices"
	"strings"
)

// FamilyTable returns the families that run as a Markdown table, one row each in
// the order of Families: its model_type, what it covers, and the keys of
// config.json that it honours. Keys that change nothing are not listed; any
// other key is refused.
func FamilyTable() string {
	var b strings.Builder
	b.WriteString("| model_type | what it covers | keys honoured |\n|---|---|---|\n")
	for _, f := range Families() {
		keys := make([]string, len(f.Keys))
		for i, k := range slices.Sorted(slices.Values(f.Keys)) {
			keys[i] = "`" + k + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, cell(f.Says), strings.Join(keys, " "))
	}
	return b.String()
}

// cell keeps a text inside its cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
