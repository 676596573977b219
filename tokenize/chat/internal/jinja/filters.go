package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type filterFunc func(in *interp, v value, a actual) value

// filterTable are Jinja's filters. Left out: those that are random (random), for
// HTML pages (urlize, xmlattr, striptags, forceescape, urlencode) or for people
// (pprint, filesizeformat, wordwrap, truncate, center).
var filterTable = map[string]filterFunc{
	"abs": func(in *interp, v value, a actual) value {
		i, f, float, ok := number(v)
		switch {
		case !ok:
			in.fail("abs: found a %s, want a number", typeName(v))
		case float:
			return math.Abs(f)
		case i < 0:
			return in.unary("-", i)
		}
		return i
	},
	"attr": func(in *interp, v value, a actual) value {
		n := in.textArg("attr", in.only("attr", a))
		in.defined(v)
		if m, ok := in.method(v, n); ok {
			return m
		}
		return undefined{"a " + typeName(v) + " has no attribute " + strconv.Quote(n)}
	},
	"batch":      batch,
	"capitalize": textFilter(capitalize),
	"count":      length,
	"d":          defaultFilter,
	"default":    defaultFilter,
	"dictsort":   dictsort,
	"e":          escapeFilter,
	"escape":     escapeFilter,
	"first": func(in *interp, v value, a actual) value {
		if x := in.items(v); len(x) > 0 {
			return x[0]
		}
		return undefined{"no first item, sequence was empty"}
	},
	"float": func(in *interp, v value, a actual) value {
		in.defined(v)
		if _, f, _, ok := number(v); ok {
			return f
		}
		if s, ok := text(v); ok {
			if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
				return f
			}
		}
		return a.arg(0, "default", 0.0)
	},
	"format": func(in *interp, v value, a actual) value {
		if len(a.names) > 0 {
			d := newDict()
			for _, n := range a.names {
				d.set(n, a.named[n])
			}
			return in.format(in.str(v), d)
		}
		return in.format(in.str(v), &list{items: a.pos, tuple: true})
	},
	"groupby": groupby,
	"indent":  indent,
	"int":     intFilter,
	"items": func(in *interp, v value, a actual) value {
		if isUndefined(v) {
			return generator(nil)
		}
		d, ok := v.(*dict)
		if !ok {
			in.fail("items: found a %s, want a mapping", typeName(v))
		}
		return generator(in.pairs(d).items)
	},
	"join": func(in *interp, v value, a actual) value {
		in.want("join", a, 0, 2, "d", "attribute")
		var parts []string
		by := a.arg(1, "attribute", nil)
		for _, x := range in.items(v) {
			if by != nil {
				x = in.path(x, by)
			}
			parts = append(parts, in.str(x))
		}
		return in.join(parts, in.str(a.arg(0, "d", "")))
	},
	"last": func(in *interp, v value, a actual) value {
		if typeName(v) == "generator" {
			in.fail("last: a generator has none: make a list of it")
		}
		if x := in.items(v); len(x) > 0 {
			return x[len(x)-1]
		}
		return undefined{"no last item, sequence was empty"}
	},
	"length": length,
	"list": func(in *interp, v value, a actual) value {
		x := in.items(v)
		in.room(len(x))
		return &list{items: append([]value{}, x...)}
	},
	"lower": textFilter(lower),
	"map":   mapFilter,
	"max":   extreme("max", 1),
	"min":   extreme("min", -1),
	"reject": func(in *interp, v value, a actual) value {
		return in.choose(v, a, false, false)
	},
	"rejectattr": func(in *interp, v value, a actual) value { return in.choose(v, a, true, false) },
	"replace": func(in *interp, v value, a actual) value {
		in.want("replace", a, 2, 3, "old", "new", "count")
		n := -1
		if c := a.arg(2, "count", nil); c != nil {
			n = in.intArg("replace", c)
		}
		return in.replace(in.str(v), in.str(a.arg(0, "old", nil)), in.str(a.arg(1, "new", nil)), n)
	},
	"reverse": func(in *interp, v value, a actual) value {
		if s, ok := text(v); ok {
			in.alloc(5 * len(s))
			r := []rune(s)
			for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
				r[i], r[j] = r[j], r[i]
			}
			return string(r)
		}
		l := &list{kind: "generator"}
		if typeName(v) == "generator" { // has no reverse order of its own: Jinja makes a list
			l.kind = ""
		}
		x := in.items(v)
		in.room(len(x))
		l.items = make([]value, len(x))
		for i, y := range x {
			l.items[len(x)-1-i] = y
		}
		return l
	},
	"round": round,
	"safe": func(in *interp, v value, a actual) value {
		return markup(in.str(v))
	},
	"select":     func(in *interp, v value, a actual) value { return in.choose(v, a, false, true) },
	"selectattr": func(in *interp, v value, a actual) value { return in.choose(v, a, true, true) },
	"slice":      sliceFilter,
	"sort":       sortFilter,
	"string":     func(in *interp, v value, a actual) value { return like(v, in.str(v)) },
	"sum": func(in *interp, v value, a actual) value {
		in.want("sum", a, 0, 2, "attribute", "start")
		by, total := a.arg(0, "attribute", nil), a.arg(1, "start", int64(0))
		for _, x := range in.items(v) {
			if by != nil {
				x = in.path(x, by)
			}
			total = in.binary(&binary{line(in.line), "+", &constant{0, total}, &constant{0, x}})
		}
		return total
	},
	"title":  textFilter(titleWords),
	"tojson": tojson,
	"trim": func(in *interp, v value, a actual) value {
		in.want("trim", a, 0, 1, "chars")
		return like(v, in.trim(in.str(v), a.arg(0, "chars", nil), true, true))
	},
	"unique": unique,
	"upper":  textFilter(upper),
	"wordcount": func(in *interp, v value, a actual) value {
		return int64(len(strings.FieldsFunc(in.str(v), func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r) })))
	},
}

// textFilter is a filter of the characters of str(v).
func textFilter(f func(s string) string) filterFunc {
	return func(in *interp, v value, a actual) value {
		s := in.str(v)
		in.alloc(2 * len(s))
		return like(v, f(s))
	}
}

func length(in *interp, v value, a actual) value {
	switch v := v.(type) {
	case *list:
		if v.kind == "generator" {
			in.fail("length: a generator has none: make a list of it")
		}
		return int64(len(v.items))
	case *dict:
		return int64(len(v.keys))
	case undefined:
		return int64(0)
	}
	s, ok := text(v)
	if !ok {
		in.fail("length: a %s has no length", typeName(v))
	}
	in.step(len(s) / 64)
	return int64(utf8.RuneCountInString(s))
}

func defaultFilter(in *interp, v value, a actual) value {
	in.want("default", a, 0, 2, "default_value", "boolean")
	if isUndefined(v) || truth(a.arg(1, "boolean", false)) && !truth(v) {
		return a.arg(0, "default_value", "")
	}
	return v
}

func escapeFilter(in *interp, v value, a actual) value {
	if m, ok := v.(markup); ok {
		return m
	}
	return markup(in.escape(in.str(v)))
}

func indent(in *interp, v value, a actual) value {
	in.want("indent", a, 0, 3, "width", "first", "blank")
	pad := ""
	switch w := a.arg(0, "width", int64(4)).(type) {
	case string:
		pad = w
	default:
		n := max(0, in.intArg("indent", w))
		in.alloc(n)
		pad = strings.Repeat(" ", n)
	}
	s := in.textArg("indent", v)
	first, blank := truth(a.arg(1, "first", false)), truth(a.arg(2, "blank", false))
	ls := strings.Split(s, "\n")
	if !blank { // splitlines drops the empty line at the end; Jinja adds it first
		ls = lines(s+"\n", false)
	}
	in.product(len(pad)+1, int64(len(ls)), 1)
	in.alloc(len(s))
	var b strings.Builder
	for i, l := range ls {
		if i > 0 {
			b.WriteByte('\n')
			if l != "" || blank {
				b.WriteString(pad)
			}
		} else if first {
			b.WriteString(pad)
		}
		b.WriteString(l)
	}
	return like(v, b.String())
}

func intFilter(in *interp, v value, a actual) value {
	in.want("int", a, 0, 2, "default", "base")
	in.defined(v)
	base := in.intArg("int", a.arg(1, "base", int64(10)))
	i, f, float, ok := number(v)
	if ok && !float {
		return i
	}
	if s, isText := text(v); isText {
		s = strings.TrimFunc(s, isSpace)
		if base != 0 && base != 10 {
			s = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "0x"), "0o")
		}
		if n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), base, 64); err == nil {
			return n
		}
		g, err := strconv.ParseFloat(s, 64)
		f, ok = g, err == nil
	}
	if ok && !math.IsNaN(f) && math.Abs(f) < 1<<63 {
		return int64(f)
	}
	return a.arg(0, "default", int64(0))
}

func round(in *interp, v value, a actual) value {
	in.want("round", a, 0, 2, "precision", "method")
	i, f, float, ok := number(v)
	if !ok {
		in.fail("round: found a %s, want a number", typeName(v))
	}
	n := in.intArg("round", a.arg(0, "precision", int64(0)))
	if n < -300 || n > 300 {
		in.fail("round: precision %d, want -300 to 300", n)
	}
	switch m := in.str(a.arg(1, "method", "common")); m {
	case "common":
		if !float {
			if n < 0 {
				p := math.Pow(10, float64(-n))
				return int64(math.RoundToEven(float64(i)/p) * p)
			}
			return i
		}
		if n >= 0 {
			g, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', n, 64), 64) // half to even of the exact value, as Python
			if err == nil {
				return g
			}
		}
		p := math.Pow(10, float64(n))
		return math.RoundToEven(f*p) / p
	case "ceil":
		p := math.Pow(10, float64(n))
		return math.Ceil(f*p) / p
	case "floor":
		p := math.Pow(10, float64(n))
		return math.Floor(f*p) / p
	default:
		in.fail("round: method %q, want common, ceil or floor", m)
	}
	return nil
}

// titleWords is Jinja's title, whose words begin behind white space, hyphens and
// opening brackets.
func titleWords(s string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		was := inside
		inside = !isSpace(r) && !strings.ContainsRune("-({[<", r)
		if was || !inside {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}
