package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kinds of tokens. Data is text between tags; the begins and ends are those of
// {{ }} and {% %}; comments and raw blocks never leave the lexer as such.
type tokenKind int

const (
	tokData tokenKind = iota
	tokVarBegin
	tokVarEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokInt
	tokFloat
	tokString
	tokOp
	tokEOF
)

type token struct {
	kind tokenKind
	text string // data, name, operator, decoded string
	num  float64
	int  int64
	line int
}

// is reports whether t is an operator or a name of that text.
func (t token) is(text string) bool { return (t.kind == tokOp || t.kind == tokName) && t.text == text }

// lexer cuts a source into tokens by the rules of Jinja's lexer for trim_blocks
// and lstrip_blocks.
type lexer struct {
	src  string
	pos  int
	line int
	out  []token
	// lineStart: what was matched last ended with a line feed, or nothing was.
	lineStart bool
}

func lex(src string) []token {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, line: 1, lineStart: true}
	for l.pos < len(l.src) {
		l.root()
	}
	l.add(token{kind: tokEOF})
	return l.out
}

func (l *lexer) add(t token) {
	t.line = l.line
	l.out = append(l.out, t)
}

// take moves past n bytes.
func (l *lexer) take(n int) string {
	s := l.src[l.pos : l.pos+n]
	l.pos += n
	l.line += strings.Count(s, "\n")
	if s != "" {
		l.lineStart = strings.HasSuffix(s, "\n")
	}
	return s
}

func (l *lexer) fail(format string, args ...any) { fail(l.line, format, args...) }

// root reads data up to the next tag, and the tag.
func (l *lexer) root() {
	rest := l.src[l.pos:]
	at := -1
	for i := 0; i+1 < len(rest); i++ {
		j := strings.IndexByte(rest[i:], '{')
		if j < 0 || i+j+1 >= len(rest) {
			break
		}
		i += j
		if c := rest[i+1]; c == '%' || c == '{' || c == '#' {
			at = i
			break
		}
	}
	if at < 0 {
		l.data(rest, len(rest))
		return
	}
	kind := rest[at+1]
	begin, sign := 2, byte(0)
	if at+2 < len(rest) && (rest[at+2] == '-' || rest[at+2] == '+') {
		begin, sign = 3, rest[at+2]
	}
	text := rest[:at]
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign == 0 && kind != '{':
		text = l.lstrip(text)
	}
	l.data(text, at)
	l.take(begin)
	switch kind {
	case '#':
		l.comment()
	case '{':
		l.add(token{kind: tokVarBegin})
		l.expression("}}", tokVarEnd)
	default:
		if n, ok := rawBegin(l.src[l.pos:]); ok {
			l.take(n)
			l.raw()
			return
		}
		l.add(token{kind: tokBlockBegin})
		l.expression("%}", tokBlockEnd)
	}
}

// lstrip drops the spaces between the start of a line and a tag.
func (l *lexer) lstrip(text string) string {
	at := strings.LastIndexByte(text, '\n') + 1
	if at == 0 && !l.lineStart {
		return text
	}
	if strings.TrimFunc(text[at:], isSpace) == "" {
		return text[:at]
	}
	return text
}

// data emits text and moves past n bytes of the source.
func (l *lexer) data(text string, n int) {
	if text != "" {
		l.add(token{kind: tokData, text: text})
	}
	l.take(n)
}

// closing matches the end of a tag: with a minus it takes the white space behind
// it, otherwise, for all but variables, one line feed. 0 means no match.
func closing(s, end string, trim bool) int {
	switch {
	case strings.HasPrefix(s, "-"+end):
		n := 1 + len(end)
		return n + len(s[n:]) - len(strings.TrimLeftFunc(s[n:], isSpace))
	case trim && strings.HasPrefix(s, "+"+end):
		return 1 + len(end)
	case strings.HasPrefix(s, end):
		n := len(end)
		if trim && strings.HasPrefix(s[n:], "\n") {
			n++
		}
		return n
	}
	return 0
}

func (l *lexer) comment() {
	for i := l.pos; i < len(l.src); i++ {
		if n := closing(l.src[i:], "#}", true); n > 0 {
			l.take(i - l.pos + n)
			return
		}
	}
	l.fail("a comment has no end")
}

func rawBegin(s string) (int, bool) {
	rest := strings.TrimLeftFunc(s, isSpace)
	rest, ok := strings.CutPrefix(rest, "raw")
	if !ok {
		return 0, false
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	n := closing(rest, "%}", false)
	return len(s) - len(rest) + n, n > 0
}

func (l *lexer) raw() {
	for i := l.pos; i < len(l.src); i++ {
		rest, ok := strings.CutPrefix(l.src[i:], "{%")
		if !ok {
			continue
		}
		sign := byte(0)
		if rest != "" && (rest[0] == '-' || rest[0] == '+') {
			sign, rest = rest[0], rest[1:]
		}
		rest, ok = strings.CutPrefix(strings.TrimLeftFunc(rest, isSpace), "endraw")
		if !ok {
			continue
		}
		rest = strings.TrimLeftFunc(rest, isSpace)
		n := closing(rest, "%}", true)
		if n == 0 {
			continue
		}
		text := l.src[l.pos:i]
		switch sign {
		case '-':
			text = strings.TrimRightFunc(text, isSpace)
		case 0:
			text = l.lstrip(text)
		}
		l.data(text, i-l.pos)
		l.take(len(l.src) - l.pos - len(rest) + n)
		return
	}
	l.fail("a raw block has no end")
}

var operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

// expression reads the tokens of a tag up to its end, which does not count inside
// brackets.
func (l *lexer) expression(end string, kind tokenKind) {
	var open []byte
	for l.pos < len(l.src) {
		s := l.src[l.pos:]
		if len(open) == 0 {
			if n := closing(s, end, kind == tokBlockEnd); n > 0 {
				l.add(token{kind: kind})
				l.take(n)
				return
			}
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case isSpace(r):
			l.take(size)
		case r == '\'' || r == '"':
			l.string(s, byte(r))
		case r >= '0' && r <= '9':
			l.number(s)
		case r == '_' || unicode.IsLetter(r):
			n := strings.IndexFunc(s, func(r rune) bool {
				return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
			})
			if n < 0 {
				n = len(s)
			}
			l.add(token{kind: tokName, text: l.take(n)})
		default:
			op := ""
			for _, o := range operators {
				if strings.HasPrefix(s, o) {
					op = o
					break
				}
			}
			switch op {
			case "":
				l.fail("unexpected character %q", r)
			case "(", "[", "{":
				open = append(open, op[0])
			case ")", "]", "}":
				want := map[string]byte{")": '(', "]": '[', "}": '{'}[op]
				if len(open) == 0 || open[len(open)-1] != want {
					l.fail("unexpected %q", op)
				}
				open = open[:len(open)-1]
			}
			l.add(token{kind: tokOp, text: l.take(len(op))})
		}
	}
	l.fail("a tag has no end, want %q", end)
}

func (l *lexer) number(s string) {
	i := 0
	digits := func(ok func(c byte) bool) {
		for i < len(s) && (ok(s[i]) || s[i] == '_' && i+1 < len(s) && ok(s[i+1])) {
			i++
		}
	}
	decimal := func(c byte) bool { return c >= '0' && c <= '9' }
	if s[0] == '0' && len(s) > 2 && strings.ContainsRune("xXoObB", rune(s[1])) {
		i = 2
		digits(func(c byte) bool { return decimal(c) || c|0x20 >= 'a' && c|0x20 <= 'f' })
		l.integer(s[:i], 0)
		return
	}
	digits(decimal)
	float := false
	if i+1 < len(s) && s[i] == '.' && decimal(s[i+1]) {
		float = true
		i++
		digits(decimal)
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		mark := i
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if i < len(s) && decimal(s[i]) {
			float = true
			digits(decimal)
		} else {
			i = mark
		}
	}
	if !float {
		l.integer(s[:i], 10)
		return
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s[:i], "_", ""), 64)
	if err != nil {
		l.fail("number %s: out of range", s[:i])
	}
	l.add(token{kind: tokFloat, num: f})
	l.take(i)
}

func (l *lexer) integer(s string, base int) {
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), base, 64)
	if err != nil {
		l.fail("number %.40s: %v", s, err)
	}
	l.add(token{kind: tokInt, int: n})
	l.take(len(s))
}

// string reads a literal, with Python's escapes.
func (l *lexer) string(s string, quote byte) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case quote:
			l.add(token{kind: tokString, text: b.String()})
			l.take(i + 1)
			return
		case '\\':
			n := l.escape(&b, s[i+1:])
			i += n
		default:
			b.WriteByte(c)
		}
	}
	l.fail("a string has no end")
}

// escape decodes what follows a backslash and returns its length.
func (l *lexer) escape(b *strings.Builder, s string) int {
	if s == "" {
		return 0
	}
	if i := strings.IndexByte(`abfnrtv\'"`, s[0]); i >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v\\'\""[i])
		return 1
	}
	if s[0] == '\n' { // the line goes on
		return 1
	}
	if n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]; n > 0 {
		if len(s) > n {
			if r, err := strconv.ParseUint(s[1:1+n], 16, 32); err == nil && r <= unicode.MaxRune && utf8.ValidRune(rune(r)) {
				b.WriteRune(rune(r))
				return 1 + n
			}
		}
		l.fail("string: bad escape \\%.9s", s)
	}
	if s[0] >= '0' && s[0] <= '7' {
		n, v := 0, 0
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			v = v*8 + int(s[n]-'0')
			n++
		}
		b.WriteRune(rune(v))
		return n
	}
	if s[0] == 'N' {
		l.fail("string: named escapes are not supported")
	}
	b.WriteByte('\\')
	return 0
}

// isSpace is Python's str.isspace for one character.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
