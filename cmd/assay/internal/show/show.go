// Package show is how assay prints: JSON documents, aligned tables and strings
// that come from the other party. It holds no statistics.
//
// Rules of the user interface:
//   - results on standard output, everything else on standard error;
//   - errors are lower case, without a full stop: one "error:" line, then "hint:" lines;
//   - a number never stands without its unit and, for a p-value, its null;
//   - control, bidirectional and zero-width characters of untrusted strings are
//     shown as \u{...}, and long strings are cut.
package show

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"assay/internal/visible"
)

// maxText is the length, in code points, at which an untrusted string is cut.
const maxText = 2000

// Text returns s with every character that could move the cursor, hide text or
// reorder it replaced by \u{hex}. Line feeds become spaces, invalid UTF-8 U+FFFD.
func Text(s string) string { return visible.Text(s, maxText) }

// JSON writes v as one indented document with a final newline and no HTML escaping.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Table writes rows of cells in aligned columns, indented by two spaces.
func Table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = Text(c)
		}
		fmt.Fprintf(tw, "  %s\n", strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// Wrap writes text in lines of at most width columns, each after indent.
func Wrap(w io.Writer, text, indent string, width int) error {
	line := indent
	for _, word := range strings.Fields(Text(text)) {
		if len(line) > len(indent) && len(line)+1+len(word) > width {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// Number prints x with six significant digits.
func Number(x float64) string { return fmt.Sprintf("%.6g", x) }

// Bytes prints n in binary units.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, i := float64(n)/1024, 0
	for x >= 1024 && i < len(units)-1 {
		x, i = x/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", x, units[i])
}
