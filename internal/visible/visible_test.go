package visible

import "testing"

// Code points by hand from the Unicode tables: U+202E is a bidirectional override,
// U+200B zero width, U+2028 a line separator.
func TestText(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{"plain", 300, "plain"},
		{"a\u202eb", 300, `a\u{202e}b`},
		{"a\u200bb\u2028c", 300, `a\u{200b}b\u{2028}c`},
		{"x\x00\x1b[2Jy", 300, `x\u{0}\u{1b}[2Jy`},
		{"a\nb\tc", 300, "a b c"},
		{"bad\xff", 300, "bad\ufffd"},
		{"0123456789", 4, "0123..."},
	} {
		if got := Text(c.in, c.max); got != c.want {
			t.Errorf("Text(%q, %d) = %q, want %q", c.in, c.max, got, c.want)
		}
	}
}
