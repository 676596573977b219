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
	"unicode/utf8"
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

// Width is the number of columns that results are made to fit.
const Width = 100

// roomy is the least width of a last column of text beside the others.
const roomy = 30

// Columns writes rows like Table, the last cell wrapped to width: beside the others
// where there is room for it, else on lines of its own under them. Columns that are
// empty below their heading are left out.
func Columns(w io.Writer, rows [][]string, width int) error {
	rows = withText(rows)
	if len(rows) == 0 {
		return nil
	}
	last := len(rows[0]) - 1
	wide, left := make([]int, last), 2
	for i := range wide {
		for _, r := range rows {
			wide[i] = max(wide[i], utf8.RuneCountInString(r[i]))
		}
		left += wide[i] + 2
	}
	for _, r := range rows {
		var b strings.Builder
		b.WriteString("  ")
		for i, c := range r[:last] {
			b.WriteString(c + strings.Repeat(" ", wide[i]+2-utf8.RuneCountInString(c)))
		}
		head, indent := b.String(), strings.Repeat(" ", left)
		if width-left < roomy { // under the row
			if _, err := fmt.Fprintln(w, strings.TrimRight(head, " ")); err != nil {
				return err
			}
			head, indent = "      ", "      "
			if r[last] == "" {
				continue
			}
		}
		if err := wrap(w, r[last], head, indent, width); err != nil {
			return err
		}
	}
	return nil
}

// withText makes every cell safe and leaves out columns without content; the last
// column stays.
func withText(rows [][]string) [][]string {
	if len(rows) == 0 {
		return nil
	}
	out := make([][]string, len(rows))
	for i := range rows[0] {
		empty := i < len(rows[0])-1 && len(rows) > 1
		for _, r := range rows[1:] {
			empty = empty && r[i] == ""
		}
		if empty {
			continue
		}
		for k, r := range rows {
			out[k] = append(out[k], Text(r[i]))
		}
	}
	return out
}

// Wrap writes text in lines of at most width columns, each after indent.
func Wrap(w io.Writer, text, indent string, width int) error {
	return wrap(w, Text(text), indent, indent, width)
}

// wrap writes head and then text; lines after the first begin with indent.
func wrap(w io.Writer, text, head, indent string, width int) error {
	line, start := head, true
	for _, word := range strings.Fields(text) {
		if !start && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
			line, start = indent, true
		}
		if !start {
			line += " "
		}
		line, start = line+word, false
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
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
