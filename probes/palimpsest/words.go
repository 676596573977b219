package palimpsest

import (
	"iter"
	"unicode"
	"unicode/utf8"
)

// words yields the maximal runs of letters and digits of s, case kept.
func words(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := -1
		for i, w := 0, 0; i <= len(s); i += w {
			var r rune
			if i < len(s) {
				r, w = utf8.DecodeRuneInString(s[i:])
			} else {
				r, w = ' ', 1
			}
			switch in := unicode.IsLetter(r) || unicode.IsDigit(r); {
			case in && start < 0:
				start = i
			case !in && start >= 0:
				if !yield(s[start:i]) {
					return
				}
				start = -1
			}
		}
	}
}
