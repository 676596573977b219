package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unsafeNames are the methods that ImmutableSandboxedEnvironment refuses.
var unsafeNames = map[string][]string{
	"list": {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"},
	"dict": {"clear", "pop", "popitem", "setdefault", "update"},
}

// missingNames are methods that Python has and this package has not.
var missingNames = map[string][]string{
	"str": {"casefold", "center", "encode", "expandtabs", "format_map", "isalnum", "isascii", "isdecimal", "isidentifier", "isprintable", "istitle",
		"maketrans", "translate", "unescape", "striptags"},
	"dict":  {"fromkeys"},
	"int":   {"bit_length", "bit_count", "conjugate", "to_bytes", "real", "imag", "numerator", "denominator"},
	"bool":  {"bit_length", "conjugate", "to_bytes", "real", "imag", "numerator", "denominator"},
	"float": {"is_integer", "hex", "conjugate", "real", "imag", "as_integer_ratio"},
}

type method func(in *interp, v value, a actual) value

var methodTable = map[string]map[string]method{
	"dict": dictMethods,
	"list": listMethods,
	"str":  strMethods,
}

// arg is argument i, by place or name; missing gives otherwise.
func (a actual) arg(i int, name string, otherwise value) value {
	if i < len(a.pos) {
		return a.pos[i]
	}
	if v, ok := a.named[name]; ok {
		return v
	}
	return otherwise
}

// want checks the number of arguments and their names.
func (in *interp) want(what string, a actual, least, most int, names ...string) {
	n := len(a.pos)
	for _, k := range a.names {
		if !slices.Contains(names, k) {
			in.fail("%s: unexpected argument %q", what, k)
		}
		n++
	}
	if n < least || n > most {
		in.fail("%s: found %d arguments, want %d to %d", what, n, least, most)
	}
}

func (in *interp) textArg(what string, v value) string {
	in.defined(v)
	s, ok := text(v)
	if !ok {
		in.fail("%s: found a %s, want a string", what, typeName(v))
	}
	return s
}

func (in *interp) intArg(what string, v value) int {
	in.defined(v)
	i, _, float, ok := number(v)
	if !ok || float {
		in.fail("%s: found a %s, want an integer", what, typeName(v))
	}
	return int(max(-1<<31, min(1<<31-1, i)))
}

var dictMethods = map[string]method{
	"get": func(in *interp, v value, a actual) value {
		in.want("get", a, 1, 2)
		if x, ok := v.(*dict).get(a.pos[0]); ok {
			return x
		}
		return a.arg(1, "", nil)
	},
	"items": func(in *interp, v value, a actual) value {
		in.want("items", a, 0, 0)
		l := in.pairs(v.(*dict))
		l.kind = "dict view"
		return l
	},
	"keys": func(in *interp, v value, a actual) value {
		in.want("keys", a, 0, 0)
		d := v.(*dict)
		in.room(len(d.keys))
		return &list{items: slices.Clone(d.keys), kind: "dict view"}
	},
	"values": func(in *interp, v value, a actual) value {
		in.want("values", a, 0, 0)
		d := v.(*dict)
		in.room(len(d.keys))
		l := &list{kind: "dict view"}
		for i := range d.keys {
			l.items = append(l.items, d.at(i))
		}
		return l
	},
	"copy": func(in *interp, v value, a actual) value {
		in.want("copy", a, 0, 0)
		return in.copyDict(v.(*dict))
	},
}

func (in *interp) pairs(d *dict) *list {
	in.room(4 * len(d.keys))
	l := &list{}
	for i, k := range d.keys {
		l.items = append(l.items, &list{items: []value{k, d.at(i)}, tuple: true})
	}
	return l
}

func (in *interp) copyDict(d *dict) *dict {
	in.room(3 * len(d.keys))
	c := newDict()
	for i, k := range d.keys {
		c.set(k, d.at(i))
	}
	return c
}

var listMethods = map[string]method{
	"count": func(in *interp, v value, a actual) value {
		in.want("count", a, 1, 1)
		n := int64(0)
		for _, x := range v.(*list).items {
			if in.equal(x, a.pos[0]) {
				n++
			}
		}
		return n
	},
	"index": func(in *interp, v value, a actual) value {
		in.want("index", a, 1, 1)
		for i, x := range v.(*list).items {
			if in.equal(x, a.pos[0]) {
				return int64(i)
			}
		}
		in.fail("index: the value is not in the list")
		return nil
	},
	"copy": func(in *interp, v value, a actual) value {
		l := v.(*list)
		in.room(len(l.items))
		return &list{items: slices.Clone(l.items), tuple: l.tuple}
	},
}

// str makes a method of a function of the characters; the result has the type of
// string that the value had.
func str(name string, f func(in *interp, s string, a actual) value, least, most int, names ...string) method {
	return func(in *interp, v value, a actual) value {
		s, _ := text(v)
		in.step(1 + len(s)/16)
		in.want(name, a, least, most, names...)
		r := f(in, s, a)
		if t, ok := r.(string); ok {
			in.alloc(len(t))
			return like(v, t)
		}
		return r
	}
}

// trimmer is strip, lstrip or rstrip.
func trimmer(name string, left, right bool) method {
	return str(name, func(in *interp, s string, a actual) value {
		return in.trim(s, a.arg(0, "", nil), left, right)
	}, 0, 1)
}

func (in *interp) trim(s string, chars value, left, right bool) string {
	cut := isSpace
	if chars != nil {
		set := in.textArg("strip", chars)
		cut = func(r rune) bool {
			in.step(1 + len(set)/16)
			return strings.ContainsRune(set, r)
		}
	}
	if left {
		s = strings.TrimLeftFunc(s, cut)
	}
	if right {
		s = strings.TrimRightFunc(s, cut)
	}
	return s
}

// affix is startswith or endswith.
func affix(name string, has func(s, t string) bool) method {
	return str(name, func(in *interp, s string, a actual) value {
		s, _, ok := in.within(s, a, 1)
		if !ok {
			return false
		}
		if l, isList := a.pos[0].(*list); isList && l.tuple {
			for _, t := range l.items {
				if has(s, in.textArg(name, t)) {
					return true
				}
			}
			return false
		}
		return has(s, in.textArg(name, a.pos[0]))
	}, 1, 3)
}

// within is s[start:end] of the arguments from i on, and where it begins, in
// characters; false where start lies behind the end.
func (in *interp) within(s string, a actual, i int) (string, int, bool) {
	if len(a.pos) <= i {
		return s, 0, true
	}
	in.alloc(4 * len(s))
	r := []rune(s)
	at := func(v value, otherwise int) int {
		if v == nil {
			return otherwise
		}
		n := in.intArg("start", v)
		if n < 0 {
			n = max(0, n+len(r))
		}
		return n
	}
	start, end := at(a.pos[i], 0), min(len(r), at(a.arg(i+1, "", nil), len(r)))
	if start > end {
		return "", 0, false
	}
	return string(r[start:end]), start, true
}

// finder is find, index, rfind or rindex.
func finder(name string, find func(s, t string) int, must bool) method {
	return str(name, func(in *interp, s string, a actual) value {
		sub := in.textArg(name, a.pos[0])
		part, start, ok := in.within(s, a, 1)
		i := -1
		if ok {
			i = find(part, sub)
		}
		if i < 0 {
			if must {
				in.fail("%s: substring not found", name)
			}
			return int64(-1)
		}
		return int64(start + utf8.RuneCountInString(part[:i]))
	}, 1, 3)
}

// class is a test that all characters pass, of which there must be one.
func class(name string, ok func(r rune) bool) method {
	return str(name, func(_ *interp, s string, _ actual) value {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0
	}, 0, 0)
}

// cased is islower or isupper: at least one cased character, none of the other case.
func cased(name string, want, never func(r rune) bool) method {
	return str(name, func(_ *interp, s string, _ actual) value {
		return strings.IndexFunc(s, want) >= 0 && strings.IndexFunc(s, func(r rune) bool { return never(r) || unicode.IsTitle(r) }) < 0
	}, 0, 0)
}

func (in *interp) strings(parts []string) value {
	in.room(len(parts))
	l := &list{}
	for _, p := range parts {
		l.items = append(l.items, p)
	}
	return l
}

func (in *interp) replace(s string, old, with value, count int) string {
	o, w := in.textArg("replace", old), in.textArg("replace", with)
	n := strings.Count(s, o)
	if count >= 0 {
		n = min(n, count)
	}
	in.step(len(s) / 16)
	if more := len(w) - len(o); more > 0 {
		in.product(more, int64(n), 1)
	}
	in.alloc(len(s))
	return strings.Replace(s, o, w, count)
}
