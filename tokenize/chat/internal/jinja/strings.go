package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

var strMethods = map[string]method{
	"strip":      trimmer("strip", true, true),
	"lstrip":     trimmer("lstrip", true, false),
	"rstrip":     trimmer("rstrip", false, true),
	"startswith": affix("startswith", strings.HasPrefix),
	"endswith":   affix("endswith", strings.HasSuffix),
	"find":       finder("find", strings.Index, false),
	"index":      finder("index", strings.Index, true),
	"rfind":      finder("rfind", strings.LastIndex, false),
	"rindex":     finder("rindex", strings.LastIndex, true),
	"isspace":    class("isspace", isSpace),
	"isdigit":    class("isdigit", unicode.IsDigit),
	"isnumeric":  class("isnumeric", unicode.IsNumber),
	"isalpha":    class("isalpha", unicode.IsLetter),
	"islower":    cased("islower", unicode.IsLower, unicode.IsUpper),
	"isupper":    cased("isupper", unicode.IsUpper, unicode.IsLower),
	"upper":      str("upper", func(_ *interp, s string, _ actual) value { return upper(s) }, 0, 0),
	"lower":      str("lower", func(_ *interp, s string, _ actual) value { return lower(s) }, 0, 0),
	"capitalize": str("capitalize", func(_ *interp, s string, _ actual) value { return capitalize(s) }, 0, 0),
	"title":      str("title", func(_ *interp, s string, _ actual) value { return title(s) }, 0, 0),
	"swapcase": str("swapcase", func(_ *interp, s string, _ actual) value {
		return strings.Map(func(r rune) rune {
			if unicode.IsUpper(r) {
				return unicode.ToLower(r)
			}
			return unicode.ToUpper(r)
		}, s)
	}, 0, 0),
	"count": str("count", func(in *interp, s string, a actual) value {
		part, _, ok := in.within(s, a, 1)
		if !ok {
			return int64(0)
		}
		return int64(strings.Count(part, in.textArg("count", a.pos[0])))
	}, 1, 3),
	"replace": str("replace", func(in *interp, s string, a actual) value {
		return in.replace(s, a.arg(0, "old", nil), a.arg(1, "new", nil), in.intArg("replace", a.arg(2, "count", int64(-1))))
	}, 2, 3, "count"),
	"removeprefix": str("removeprefix", func(in *interp, s string, a actual) value {
		return strings.TrimPrefix(s, in.textArg("removeprefix", a.pos[0]))
	}, 1, 1),
	"removesuffix": str("removesuffix", func(in *interp, s string, a actual) value {
		return strings.TrimSuffix(s, in.textArg("removesuffix", a.pos[0]))
	}, 1, 1),
	"split":  str("split", func(in *interp, s string, a actual) value { return in.split(s, a, false) }, 0, 2, "sep", "maxsplit"),
	"rsplit": str("rsplit", func(in *interp, s string, a actual) value { return in.split(s, a, true) }, 0, 2, "sep", "maxsplit"),
	"splitlines": str("splitlines", func(in *interp, s string, a actual) value {
		return in.strings(lines(s, truth(a.arg(0, "keepends", false))))
	}, 0, 1, "keepends"),
	"partition": str("partition", func(in *interp, s string, a actual) value {
		sep := in.separator(a.pos[0])
		before, after, ok := strings.Cut(s, sep)
		if !ok {
			sep = ""
		}
		in.alloc(len(s))
		return &list{items: []value{before, sep, after}, tuple: true}
	}, 1, 1),
	"rpartition": str("rpartition", func(in *interp, s string, a actual) value {
		sep := in.separator(a.pos[0])
		in.alloc(len(s))
		i := strings.LastIndex(s, sep)
		if i < 0 {
			return &list{items: []value{"", "", s}, tuple: true}
		}
		return &list{items: []value{s[:i], sep, s[i+len(sep):]}, tuple: true}
	}, 1, 1),
	"join": str("join", func(in *interp, s string, a actual) value {
		var parts []string
		for _, v := range in.items(a.pos[0]) {
			parts = append(parts, in.textArg("join", v))
		}
		return in.join(parts, s)
	}, 1, 1),
	"format": func(in *interp, v value, a actual) value {
		s, _ := text(v)
		in.alloc(len(s))
		return like(v, in.braces(s, a))
	},
	"ljust": str("ljust", func(in *interp, s string, a actual) value { return s + in.padding("ljust", s, a) }, 1, 2),
	"rjust": str("rjust", func(in *interp, s string, a actual) value { return in.padding("rjust", s, a) + s }, 1, 2),
	"zfill": str("zfill", func(in *interp, s string, a actual) value {
		pad := in.padding("zfill", s, actual{pos: []value{a.pos[0], "0"}})
		if s != "" && (s[0] == '-' || s[0] == '+') {
			return s[:1] + pad + s[1:]
		}
		return pad + s
	}, 1, 1),
}

func (in *interp) separator(v value) string {
	s := in.textArg("separator", v)
	if s == "" {
		in.fail("separator: empty")
	}
	return s
}

func (in *interp) padding(what, s string, a actual) string {
	fill := in.textArg(what, a.arg(1, "", " "))
	if utf8.RuneCountInString(fill) != 1 {
		in.fail("%s: want one character to fill with", what)
	}
	n := max(0, in.intArg(what, a.pos[0])-utf8.RuneCountInString(s))
	in.product(len(fill), int64(n), 1)
	return strings.Repeat(fill, n)
}

func (in *interp) join(parts []string, sep string) string {
	n := len(sep) * max(0, len(parts)-1)
	for _, p := range parts {
		n += len(p)
	}
	in.alloc(n)
	return strings.Join(parts, sep)
}

// split is split or rsplit.
func (in *interp) split(s string, a actual, right bool) value {
	most := in.intArg("split", a.arg(1, "maxsplit", int64(-1)))
	sep := a.arg(0, "sep", nil)
	if sep == nil {
		return in.strings(fields(s, most, right))
	}
	t := in.separator(sep)
	if most < 0 {
		in.room(strings.Count(s, t) + 1)
		return in.strings(strings.Split(s, t))
	}
	if !right {
		in.room(min(most, strings.Count(s, t)) + 1)
		return in.strings(strings.SplitN(s, t, most+1))
	}
	var parts []string
	for ; most > 0; most-- {
		i := strings.LastIndex(s, t)
		if i < 0 {
			break
		}
		in.room(1)
		in.step(len(s) / 64)
		parts, s = append(parts, s[i+len(t):]), s[:i]
	}
	parts = append(parts, s)
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return in.strings(parts)
}

// fields splits at runs of white space, at most most times.
func fields(s string, most int, right bool) []string {
	if most < 0 {
		return strings.FieldsFunc(s, isSpace)
	}
	var parts []string
	if right {
		for s = strings.TrimRightFunc(s, isSpace); s != ""; most-- {
			i := strings.LastIndexFunc(s, isSpace)
			if i < 0 || most == 0 {
				parts = append(parts, s)
				break
			}
			_, n := utf8.DecodeRuneInString(s[i:])
			parts = append(parts, s[i+n:])
			s = strings.TrimRightFunc(s[:i], isSpace)
		}
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		return parts
	}
	for s = strings.TrimLeftFunc(s, isSpace); s != ""; most-- {
		i := strings.IndexFunc(s, isSpace)
		if i < 0 || most == 0 {
			return append(parts, s)
		}
		parts = append(parts, s[:i])
		s = strings.TrimLeftFunc(s[i:], isSpace)
	}
	return parts
}

// lines is str.splitlines.
func lines(s string, keep bool) []string {
	var out []string
	for s != "" {
		i := strings.IndexFunc(s, func(r rune) bool { return strings.ContainsRune("\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029", r) })
		if i < 0 {
			return append(out, s)
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		if keep {
			out = append(out, s[:i+n])
		} else {
			out = append(out, s[:i])
		}
		s = s[i+n:]
	}
	return out
}

// upper and lower are Python's: the sharp s becomes SS, a sigma at the end its own form.
func upper(s string) string { return cases.Upper(language.Und).String(s) }
func lower(s string) string { return cases.Lower(language.Und, cases.HandleFinalSigma(true)).String(s) }

func capitalize(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToTitle(r)) + strings.ToLower(s[n:])
}

// title is str.title: a letter behind one that is not is the beginning of a word.
func title(s string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		was := inside
		inside = unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}
