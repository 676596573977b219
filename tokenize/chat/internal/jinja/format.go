package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// format is Python's s % v.
func (in *interp) format(s string, v value) string {
	vals := []value{v}
	if l, ok := v.(*list); ok && l.tuple {
		vals = l.items
	}
	_, byName := v.(*dict)
	used := 0
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			j := strings.IndexByte(s[i:], '%')
			if j < 0 {
				j = len(s) - i
			}
			b.WriteString(s[i : i+j])
			i += j - 1
			continue
		}
		i++
		var x value
		named := false
		if i < len(s) && s[i] == '(' {
			end := strings.IndexByte(s[i:], ')')
			d, ok := v.(*dict)
			if end < 0 || !ok {
				in.fail("%%: format requires a mapping")
			}
			if x, ok = d.get(s[i+1 : i+end]); !ok {
				in.fail("%%: no key %q", s[i+1:i+end])
			}
			named = true
			i += end + 1
		}
		from := i
		for i < len(s) && strings.IndexByte("#0- +123456789.", s[i]) >= 0 {
			i++
		}
		if i >= len(s) {
			in.fail("%%: incomplete format")
		}
		flags := s[from:i]
		if s[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if !named {
			if used >= len(vals) {
				in.fail("%%: not enough arguments for format string")
			}
			x = vals[used]
			used++
		}
		b.WriteString(in.verb(flags, s[i], x))
	}
	if used < len(vals) && !byName {
		in.fail("%%: not all arguments converted during string formatting")
	}
	in.alloc(b.Len())
	return b.String()
}

// verb formats one value; flags are those of C.
func (in *interp) verb(flags string, verb byte, x value) string {
	width, prec, _ := strings.Cut(strings.TrimLeft(flags, "#0- +"), ".")
	for _, n := range []string{width, prec} {
		if w, err := strconv.Atoi(n); n != "" && (err != nil || w > 1000) {
			in.fail("%%: width %.20s: want at most 1000", n)
		}
	}
	in.defined(x)
	switch verb {
	case 's', 'r':
		s := in.str(x)
		if verb == 'r' {
			var b strings.Builder
			in.repr(&b, x, 0)
			s = b.String()
		}
		in.alloc(len(s))
		return fmt.Sprintf("%"+strings.ReplaceAll(flags, "0", zeroInside(flags))+"s", s)
	case 'd', 'i', 'u', 'x', 'X', 'o':
		i, f, float, ok := number(x)
		if !ok || float && verb != 'd' && verb != 'i' && verb != 'u' {
			in.fail("%%%c: found a %s, want a number", verb, typeName(x))
		}
		if float {
			i = int64(f)
		}
		if verb == 'i' || verb == 'u' {
			verb = 'd'
		}
		return fmt.Sprintf("%"+flags+string(rune(verb)), i)
	case 'f', 'F', 'e', 'E', 'g', 'G':
		_, f, _, ok := number(x)
		if !ok {
			in.fail("%%%c: found a %s, want a number", verb, typeName(x))
		}
		if verb == 'F' {
			verb = 'f'
		}
		if verb|0x20 == 'g' && !strings.Contains(flags, ".") {
			flags += ".6"
		}
		return fmt.Sprintf("%"+flags+string(rune(verb)), f)
	}
	in.fail("%%%c: not supported", verb)
	return ""
}

// zeroInside keeps the digit 0 of a width such as 10 and drops the flag 0, which
// means nothing for strings in Python and zeros in Go.
func zeroInside(flags string) string {
	if strings.HasPrefix(strings.TrimLeft(flags, "#- +"), "0") {
		return ""
	}
	return "0"
}

// braces is str.format for plain fields: {}, {0}, {name} and {{ }}.
func (in *interp) braces(s string, a actual) string {
	var b strings.Builder
	next := 0
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "{{"), strings.HasPrefix(s[i:], "}}"):
			b.WriteByte(s[i])
			i += 2
		case s[i] == '{':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				in.fail("format: a field has no end")
			}
			field := s[i+1 : i+end]
			i += end + 1
			var x value
			n, err := strconv.Atoi(field)
			switch {
			case field == "":
				n, err = next, nil
				next++
				fallthrough
			case err == nil:
				if n < 0 || n >= len(a.pos) {
					in.fail("format: no argument %d", n)
				}
				x = a.pos[n]
			default:
				v, ok := a.named[field]
				if !ok {
					in.fail("format: field %q: want {}, {0} or the name of an argument; more is not supported", field)
				}
				x = v
			}
			t := in.str(x)
			in.alloc(len(t))
			b.WriteString(t)
		case s[i] == '}':
			in.fail("format: a single }")
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b.WriteRune(r)
			i += n
		}
	}
	in.alloc(b.Len())
	return b.String()
}
