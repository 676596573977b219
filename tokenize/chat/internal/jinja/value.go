package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// value is a Python value: nil (None), bool, int64, float64, string, markup,
// *list, *dict, *namespace, *loop, function or undefined.
type value any

// markup is a string that escape or safe returned.
type markup string

// undefined is what a name, a key or an attribute that does not exist gives.
type undefined struct{ what string }

type list struct {
	items []value
	tuple bool
	// kind is what else than a list or a tuple it is: "generator", "dict view",
	// "range". A generator is true, has no length, and is read once.
	kind string
}

func generator(items []value) *list { return &list{items: items, kind: "generator"} }

// dict keeps the order in which keys were set. Numbers that are equal are one key.
type dict struct {
	keys []value
	vals map[value]value
}

func newDict() *dict { return &dict{vals: map[value]value{}} }

// hashKey is the form under which a key is found; false if it has none here.
func hashKey(k value) (value, bool) {
	switch k := k.(type) {
	case nil, string, int64:
		return k, true
	case bool:
		return toInt(k), true
	case float64:
		if i := int64(k); float64(i) == k {
			return i, true
		}
		return k, true
	case markup:
		return string(k), true
	}
	return nil, false
}

func (d *dict) get(k value) (value, bool) {
	h, ok := hashKey(k)
	if !ok {
		return nil, false
	}
	v, ok := d.vals[h]
	return v, ok
}

func (d *dict) set(k, v value) bool {
	h, ok := hashKey(k)
	if !ok {
		return false
	}
	if _, have := d.vals[h]; !have {
		d.keys = append(d.keys, k)
	}
	d.vals[h] = v
	return true
}

func (d *dict) at(i int) value {
	h, _ := hashKey(d.keys[i])
	return d.vals[h]
}

// namespace is the one thing that a template may change.
type namespace struct{ d *dict }

// function is a method, a global or a macro.
type function struct {
	name string
	call func(in *interp, a actual) value
}

// actual are the arguments of one call.
type actual struct {
	pos   []value
	names []string
	named map[string]value
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// truth is Python's bool().
func truth(v value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case *list:
		return v.kind == "generator" || len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// typeName is what Python calls the type of v.
func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case markup:
		return "Markup"
	case *list:
		switch {
		case v.kind != "":
			return v.kind
		case v.tuple:
			return "tuple"
		}
		return "list"
	case *dict:
		return "dict"
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	case function:
		return "function"
	}
	return "Undefined"
}

// text returns v as a string of characters, if it is one.
func text(v value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case markup:
		return string(v), true
	}
	return "", false
}

// number returns v as a number: an integer, or a float.
func number(v value) (i int64, f float64, float, ok bool) {
	switch v := v.(type) {
	case bool:
		return toInt(v), float64(toInt(v)), false, true
	case int64:
		return v, float64(v), false, true
	case float64:
		return 0, v, true, true
	}
	return 0, 0, false, false
}

// equal is Python's ==.
func (in *interp) equal(a, b value) bool {
	in.step(1)
	if x, ok := text(a); ok {
		y, ok := text(b)
		return ok && x == y
	}
	if i, f, float, ok := number(a); ok {
		j, g, gloat, ok := number(b)
		switch {
		case !ok:
			return false
		case float || gloat:
			return f == g
		}
		return i == j
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *list:
		b, ok := b.(*list)
		if ok && a == b {
			return true
		}
		if !ok || a.tuple != b.tuple || a.kind != b.kind || a.kind == "generator" || len(a.items) != len(b.items) {
			return false
		}
		for i := range a.items {
			if !in.equal(a.items[i], b.items[i]) {
				return false
			}
		}
		return true
	case *dict:
		b, ok := b.(*dict)
		if !ok || len(a.keys) != len(b.keys) {
			return false
		}
		for i, k := range a.keys {
			v, ok := b.get(k)
			if !ok || !in.equal(a.at(i), v) {
				return false
			}
		}
		return true
	case *namespace:
		b, ok := b.(*namespace)
		return ok && a == b
	}
	return false
}

// order is Python's < between two values: -1, 0, 1; an error where there is none.
func (in *interp) order(a, b value) int {
	in.step(1)
	if x, ok := text(a); ok {
		if y, ok := text(b); ok {
			return strings.Compare(x, y)
		}
	}
	if i, f, float, ok := number(a); ok {
		if j, g, gloat, ok := number(b); ok {
			switch {
			case float || gloat:
				return sign(f < g, f > g)
			default:
				return sign(i < j, i > j)
			}
		}
	}
	if a, ok := a.(*list); ok {
		if b, ok := b.(*list); ok && a.tuple == b.tuple && a.kind == "" && b.kind == "" {
			for i := range min(len(a.items), len(b.items)) {
				if !in.equal(a.items[i], b.items[i]) {
					return in.order(a.items[i], b.items[i])
				}
			}
			return sign(len(a.items) < len(b.items), len(a.items) > len(b.items))
		}
	}
	in.defined(a)
	in.defined(b)
	in.fail("%s and %s cannot be compared", typeName(a), typeName(b))
	return 0
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// str is Python's str(v), which is what a tag prints.
func (in *interp) str(v value) string {
	switch v := v.(type) {
	case string:
		return v
	case markup:
		return string(v)
	case undefined:
		return ""
	}
	var b strings.Builder
	in.repr(&b, v, 0)
	return b.String()
}

// repr writes Python's repr(v).
func (in *interp) repr(b *strings.Builder, v value, depth int) {
	in.step(1)
	if depth > maxDepth {
		in.fail("a value holds more than %d levels", maxDepth)
	}
	from := b.Len()
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(floatRepr(v))
	case string:
		in.alloc(len(v))
		quote(b, v)
	case undefined:
		b.WriteString("Undefined")
	case markup:
		in.alloc(len(v))
		b.WriteString("Markup(")
		quote(b, string(v))
		b.WriteByte(')')
	case *list:
		if v.kind != "" {
			in.fail("a %s has no text", v.kind)
		}
		open, shut := "[", "]"
		if v.tuple {
			open, shut = "(", ")"
			if len(v.items) == 1 {
				shut = ",)"
			}
		}
		b.WriteString(open)
		for i, x := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			in.repr(b, x, depth+1)
		}
		b.WriteString(shut)
		return
	case *dict:
		b.WriteByte('{')
		for i, k := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			in.repr(b, k, depth+1)
			b.WriteString(": ")
			in.repr(b, v.at(i), depth+1)
		}
		b.WriteByte('}')
		return
	default:
		in.fail("%s: has no text", typeName(v))
	}
	in.alloc(b.Len() - from)
}

// floatRepr is Python's repr of a float: the shortest digits that read back.
func floatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		s := strconv.FormatFloat(f, 'e', -1, 64) // 1e-05, two digits at least, as in Python
		return s
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.ContainsRune(s, '.') {
		s += ".0"
	}
	return s
}

// quote writes Python's repr of a string.
func quote(b *strings.Builder, s string) {
	q := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		q = '"'
	}
	b.WriteRune(q)
	for _, r := range s {
		switch {
		case r == q || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			b.WriteString(`\x` + hex(r, 2))
		case r < 0x10000:
			b.WriteString(`\u` + hex(r, 4))
		default:
			b.WriteString(`\U` + hex(r, 8))
		}
	}
	b.WriteRune(q)
}

func hex(r rune, n int) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", max(0, n-len(s))) + s
}
