package iat

import (
	"strings"

	"assay/internal/fault"
)

// Parsed is what a sampled list says.
type Parsed struct {
	A, B, C, E float64  // counts as in Counts
	Unknown    []string // lines that name an unknown word or group
}

// ParseList reads a sampled answer, one "word - group" a line. Bullets,
// numbers, brackets, quotes and asterisks are stripped, the line is split at
// the first dash or colon between spaces or at its last one, apostrophes and
// case are ignored. A line counts only if word and group are both known.
func ParseList(s Set, text string) Parsed {
	var out Parsed
	word, group := map[string]bool{}, map[string]bool{}
	for i, w := range s.Words {
		word[plain(w)] = s.IsB[i]
	}
	for k, g := range [][]string{s.A, s.B} {
		for _, w := range g {
			group[plain(w)] = k == 1
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		isB, isGroupB, ok := match(line, word, group)
		switch {
		case !ok:
			out.Unknown = append(out.Unknown, line)
		case isGroupB && isB:
			out.A++
		case isGroupB:
			out.B++
		case isB:
			out.C++
		default:
			out.E++
		}
	}
	return out
}

// match tries every separator of a line, the first first: words may hold one.
func match(line string, word, group map[string]bool) (isB, isGroupB, ok bool) {
	line = stripLabel(line)
	for i, r := range line {
		if r != '-' && r != ':' && r != '\u2013' && r != '\u2014' {
			continue
		}
		left, right := plain(line[:i]), plain(line[i+len(string(r)):])
		b, known := word[left]
		g, known2 := group[right]
		if known && known2 {
			return b, g, true
		}
	}
	return false, false, false
}

// stripLabel takes a bullet or a number off the front of a line.
func stripLabel(line string) string {
	line = strings.TrimLeft(line, "-*\u2022( \t")
	digits := strings.TrimLeft(line, "0123456789")
	if len(digits) < len(line) && (strings.HasPrefix(digits, ".") || strings.HasPrefix(digits, ")")) {
		return digits[1:]
	}
	return line
}

// plain is a word without case, brackets, quotes, asterisks and apostrophes.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune("()[]{}\"'*_`\u2018\u2019\u201c\u201d.,", r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
	return strings.Join(strings.Fields(s), " ")
}

// DOfList parses a sampled answer and returns its D. An answer without a group
// (0/0) is an error, to be counted as unusable; with compat it is 0, as the
// authors have it.
func DOfList(s Set, text string, compat bool) (float64, Parsed, error) {
	p := ParseList(s, text)
	if p.A+p.B+p.C+p.E == 0 && !compat {
		return 0, p, fault.Inputf("undefined", "iat: answer: found no line that names a known word and group")
	}
	if p.A+p.B+p.C+p.E == 0 {
		return 0, p, nil
	}
	d, err := Counts(p.A, p.B, p.C, p.E, compat)
	return d, p, err
}
