// Package visible makes strings of the other party safe to look at: nothing in them
// can move a cursor, hide text or reorder it.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns s with control, bidirectional, zero-width and separator characters
// replaced by \u{hex}; line feeds and tabs become spaces, invalid UTF-8 U+FFFD.
// It is cut, with an ellipsis, after max code points.
func Text(s string, max int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > max {
			b.WriteString("...")
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError:
			b.WriteRune(utf8.RuneError)
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
