package jinja

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// encoder is json.dumps.
type encoder struct {
	in              *interp
	b               strings.Builder
	ascii, sort     bool
	item, key       string
	indent          string
	multi           bool // one entry per line
	counted, levels int
}

// tojson is transformers' filter of that name: json.dumps without HTML escapes.
func tojson(in *interp, v value, a actual) value {
	in.want("tojson", a, 0, 4, "ensure_ascii", "indent", "separators", "sort_keys")
	e := &encoder{in: in, item: ", ", key: ": ", ascii: truth(a.arg(0, "ensure_ascii", false)), sort: truth(a.arg(3, "sort_keys", false))}
	switch indent := a.arg(1, "indent", nil).(type) {
	case nil:
	case string:
		e.multi, e.indent = true, indent
	default:
		n := in.intArg("indent", indent)
		if n > 64 {
			in.fail("tojson: indent %d, want at most 64", n)
		}
		e.multi, e.indent = true, strings.Repeat(" ", max(0, n))
	}
	if e.multi {
		e.item = ","
	}
	if s := a.arg(2, "separators", nil); s != nil {
		l := in.items(s)
		if len(l) != 2 {
			in.fail("tojson: separators: want two")
		}
		e.item, e.key = in.textArg("separators", l[0]), in.textArg("separators", l[1])
	}
	e.write(v)
	e.count()
	return e.b.String()
}

// count accounts for what was written since the last call.
func (e *encoder) count() {
	e.in.alloc(e.b.Len() - e.counted)
	e.counted = e.b.Len()
}

func (e *encoder) newline() {
	if e.multi {
		e.b.WriteByte('\n')
		for range e.levels {
			e.b.WriteString(e.indent)
		}
	}
	e.count()
}

func (e *encoder) write(v value) {
	in := e.in
	in.step(1)
	if e.levels > maxDepth {
		in.fail("tojson: more than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		e.b.WriteString("null")
	case bool:
		e.b.WriteString(strconv.FormatBool(v))
	case int64:
		e.b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		e.b.WriteString(jsonFloat(v))
	case string:
		e.string(v)
	case markup:
		e.string(string(v))
	case *list:
		if v.kind != "" {
			in.fail("tojson: a %s is not JSON serializable", v.kind)
		}
		e.block('[', ']', len(v.items), func(i int) { e.write(v.items[i]) })
	case *dict:
		order := make([]int, len(v.keys))
		for i := range order {
			order[i] = i
		}
		if e.sort {
			in.step(len(order))
			slices.SortStableFunc(order, func(i, j int) int { return in.order(v.keys[i], v.keys[j]) })
		}
		e.block('{', '}', len(order), func(i int) {
			e.string(e.name(v.keys[order[i]]))
			e.b.WriteString(e.key)
			e.write(v.at(order[i]))
		})
	default:
		in.defined(v)
		in.fail("tojson: a %s is not JSON serializable", typeName(v))
	}
}

// name is a key as a string.
func (e *encoder) name(k value) string {
	switch k := k.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(k)
	case float64:
		return jsonFloat(k)
	}
	return e.in.str(k)
}

func (e *encoder) block(open, shut byte, n int, entry func(i int)) {
	e.b.WriteByte(open)
	if n > 0 {
		e.levels++
		for i := range n {
			if i > 0 {
				e.b.WriteString(e.item)
			}
			e.newline()
			entry(i)
		}
		e.levels--
		e.newline()
	}
	e.b.WriteByte(shut)
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatRepr(f)
}

func (e *encoder) string(s string) {
	e.in.alloc(len(s))
	e.b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			e.b.WriteByte('\\')
			e.b.WriteRune(r)
		case r == '\n':
			e.b.WriteString(`\n`)
		case r == '\r':
			e.b.WriteString(`\r`)
		case r == '\t':
			e.b.WriteString(`\t`)
		case r == '\f':
			e.b.WriteString(`\f`)
		case r == '\b':
			e.b.WriteString(`\b`)
		case r < 0x20 || r > 0x7e && e.ascii && r < 0x10000:
			e.b.WriteString(`\u` + hex(r, 4))
		case e.ascii && r >= 0x10000:
			r -= 0x10000
			e.b.WriteString(`\u` + hex(0xd800+r>>10, 4) + `\u` + hex(0xdc00+r&0x3ff, 4))
		default:
			e.b.WriteRune(r)
		}
	}
	e.b.WriteByte('"')
}
