package jinja

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

func (in *interp) eval(x expr) value {
	defer in.deeper()()
	in.step(1)
	switch x := x.(type) {
	case *constant:
		return x.v
	case *name:
		if v, ok := in.scope.get(x.id); ok {
			return v
		}
		return undefined{fmt.Sprintf("%q is undefined", x.id)}
	case *getattr:
		v := in.eval(x.of)
		in.line = x.at()
		return in.attribute(v, x.attr)
	case *getitem:
		v := in.eval(x.of)
		if s, ok := x.key.(*slice); ok {
			return in.slice(v, s)
		}
		k := in.eval(x.key)
		in.line = x.at()
		return in.item(v, k)
	case *call:
		fn := in.eval(x.fn)
		a := in.actual(x.args)
		in.line = x.at()
		return in.call(fn, a)
	case *filter:
		v := in.eval(x.of)
		return in.filter(x, v)
	case *test:
		v := in.eval(x.of)
		a := in.actual(x.args)
		in.line = x.at()
		return in.test(x.name)(in, v, a)
	case *unary:
		v := in.eval(x.x)
		in.line = x.at()
		return in.unary(x.op, v)
	case *binary:
		return in.binary(x)
	case *compare:
		a := in.eval(x.first)
		for i, op := range x.ops {
			b := in.eval(x.rest[i])
			in.line = x.at()
			if !in.compare(op, a, b) {
				return false
			}
			a = b
		}
		return true
	case *conditional:
		if truth(in.eval(x.cond)) {
			return in.eval(x.then)
		}
		if x.other != nil {
			return in.eval(x.other)
		}
		return undefined{"the inline if-expression evaluated to false and no else section was defined"}
	case *sequence:
		in.room(len(x.items))
		l := &list{items: make([]value, len(x.items)), tuple: x.tuple}
		for i, y := range x.items {
			l.items[i] = in.eval(y)
		}
		return l
	case *mapping:
		in.room(3 * len(x.keys))
		d := newDict()
		for i, k := range x.keys {
			key := in.eval(k)
			if !d.set(key, in.eval(x.vals[i])) {
				in.fail("a %s cannot be a key", typeName(key))
			}
		}
		return d
	case *concat:
		return in.concat(x)
	}
	in.fail("a slice outside []")
	return nil
}

// apply runs filters whose innermost operand is v.
func (in *interp) apply(x expr, v value) value {
	f, ok := x.(*filter)
	if !ok {
		return v
	}
	if f.of != nil {
		v = in.apply(f.of, v)
	}
	return in.filter(f, v)
}

func (in *interp) filter(f *filter, v value) value {
	a := in.actual(f.args)
	in.line = f.at()
	return in.filterOf(f.name)(in, v, a)
}

// filterOf looks a filter up when it is used: one that stands in a branch not
// taken may be unknown, as in Jinja.
func (in *interp) filterOf(name string) filterFunc {
	f, ok := in.filters[name]
	if !ok {
		in.fail("filter %q: unknown", name)
	}
	return f
}

func (in *interp) test(name string) tester {
	t, ok := in.tests[name]
	if !ok {
		in.fail("test %q: unknown", name)
	}
	return t
}

func (in *interp) actual(a args) actual {
	var out actual
	for _, x := range a.pos {
		out.pos = append(out.pos, in.eval(x))
	}
	if a.star != nil {
		out.pos = append(out.pos, in.items(in.eval(a.star))...)
	}
	for i, n := range a.names {
		out.names, out.named = append(out.names, n), with(out.named, n, in.eval(a.named[i]))
	}
	if a.dstars != nil {
		d, ok := in.eval(a.dstars).(*dict)
		if !ok {
			in.fail("** wants a dictionary")
		}
		for i, k := range d.keys {
			n, ok := text(k)
			if !ok || slices.Contains(out.names, n) {
				in.fail("argument %v twice, or not a name", k)
			}
			out.names, out.named = append(out.names, n), with(out.named, n, d.at(i))
		}
	}
	in.room(len(out.pos) + len(out.names))
	return out
}

func (in *interp) call(fn value, a actual) value {
	in.step(1)
	switch f := fn.(type) {
	case function:
		return f.call(in, a)
	case *loop:
		if f.again == nil {
			in.fail("loop: the loop is not recursive")
		}
		if len(a.pos) != 1 || len(a.names) > 0 {
			in.fail("loop: want one argument")
		}
		return f.again(a.pos[0])
	}
	in.defined(fn)
	in.fail("a %s is not callable", typeName(fn))
	return nil
}

// defined fails for an undefined value, with the reason why it is one.
func (in *interp) defined(v value) {
	if u, ok := v.(undefined); ok {
		in.fail("%s", u.what)
	}
}

// attribute is x.name: an attribute, else a key.
func (in *interp) attribute(v value, name string) value {
	in.defined(v)
	if m, ok := in.method(v, name); ok {
		return m
	}
	if d, ok := v.(*dict); ok {
		if x, ok := d.get(name); ok {
			return x
		}
	}
	return undefined{fmt.Sprintf("a %s has no attribute %q", typeName(v), name)}
}

// method is a method or attribute of a value itself, if it has that.
func (in *interp) method(v value, name string) (value, bool) {
	switch v := v.(type) {
	case *namespace:
		return v.d.get(name)
	case *loop:
		return v.attr(in, name), true
	}
	if u, ok := unsafeNames[typeName(v)]; ok && slices.Contains(u, name) {
		return undefined{fmt.Sprintf("%s.%s: refused, it changes the value", typeName(v), name)}, true
	}
	if strings.HasPrefix(name, "__") && !isDict(v) {
		return undefined{fmt.Sprintf("attribute %q: refused", name)}, true
	}
	if m, ok := methodTable[methodType(v)][name]; ok {
		return function{name, func(in *interp, a actual) value { return m(in, v, a) }}, true
	}
	if slices.Contains(missingNames[methodType(v)], name) {
		in.fail("%s.%s: not supported here", typeName(v), name)
	}
	return nil, false
}

func isDict(v value) bool {
	_, ok := v.(*dict)
	return ok
}

func methodType(v value) string {
	switch t := typeName(v); t {
	case "Markup":
		return "str"
	case "tuple":
		return "list"
	default:
		return t
	}
}

// item is x[k].
func (in *interp) item(v, k value) value {
	in.defined(v)
	switch o := v.(type) {
	case *dict:
		if x, ok := o.get(k); ok {
			return x
		}
	case *list:
		if i, ok := index(k, len(o.items)); ok && (o.kind == "" || o.kind == "range") {
			return o.items[i]
		}
	default:
		if s, ok := text(v); ok {
			in.step(len(s) / 64)
			if i, ok := index(k, utf8.RuneCountInString(s)); ok {
				return like(v, string([]rune(s)[i]))
			}
		}
	}
	if n, ok := text(k); ok {
		if m, ok := in.method(v, n); ok {
			return m
		}
	}
	if s, ok := text(k); ok {
		return undefined{fmt.Sprintf("a %s has no attribute %q", typeName(v), s)}
	}
	return undefined{fmt.Sprintf("a %s has no such element", typeName(v))}
}

// index turns a key into a position of n, negative ones from the end.
func index(k value, n int) (int, bool) {
	i, _, float, ok := number(k)
	if !ok || float {
		return 0, false
	}
	if i < 0 {
		i += int64(n)
	}
	return int(i), i >= 0 && i < int64(n)
}

// like gives s the type of string that v has.
func like(v value, s string) value {
	if _, ok := v.(markup); ok {
		return markup(s)
	}
	return s
}

func (in *interp) slice(v value, s *slice) value {
	in.defined(v)
	var at [3]*int64
	for i, x := range []expr{s.start, s.stop, s.step} {
		if x == nil {
			continue
		}
		k := in.eval(x)
		in.line = s.at()
		if k == nil {
			continue
		}
		n, _, float, ok := number(k)
		if !ok || float {
			return undefined{"slice indices must be integers or none"}
		}
		at[i] = &n
	}
	if str, ok := text(v); ok {
		in.alloc(5 * len(str))
		r := []rune(str)
		out := make([]rune, 0, len(r))
		for _, i := range in.indices(at, len(r)) {
			out = append(out, r[i])
		}
		return like(v, string(out))
	}
	l, ok := v.(*list)
	if !ok || l.kind != "" && l.kind != "range" {
		in.fail("a %s has no slices", typeName(v))
	}
	out := &list{tuple: l.tuple, kind: l.kind}
	for _, i := range in.indices(at, len(l.items)) {
		out.items = append(out.items, l.items[i])
	}
	return out
}

// indices are the positions of a Python slice of a sequence of n.
func (in *interp) indices(at [3]*int64, n int) []int {
	step := int64(1)
	if at[2] != nil {
		step = *at[2]
	}
	if step == 0 {
		in.fail("slice step cannot be zero")
	}
	low, high := int64(0), int64(n)
	if step < 0 {
		low, high = -1, int64(n)-1
	}
	bound := func(p *int64, otherwise int64) int64 {
		if p == nil {
			return otherwise
		}
		i := *p
		if i < 0 {
			i += int64(n)
		}
		return max(low, min(high, i))
	}
	in.room(n)
	var out []int
	if step > 0 {
		for i, end := bound(at[0], low), bound(at[1], high); i < end; {
			out = append(out, int(i))
			if i > math.MaxInt64-step {
				break
			}
			i += step
		}
		return out
	}
	for i, end := bound(at[0], high), bound(at[1], low); i > end; {
		out = append(out, int(i))
		if i < math.MinInt64-step {
			break
		}
		i += step
	}
	return out
}

func (in *interp) unary(op string, v value) value {
	if op == "not" {
		return !truth(v)
	}
	in.defined(v)
	i, f, float, ok := number(v)
	switch {
	case !ok:
		in.fail("unary %s: found a %s, want a number", op, typeName(v))
	case float && op == "-":
		return -f
	case float:
		return f
	case op == "-":
		if i == math.MinInt64 {
			in.fail("unary -: an integer out of range")
		}
		return -i
	}
	return i
}

// concat is ~: without autoescaping Jinja joins the texts, whatever was escaped.
func (in *interp) concat(c *concat) value {
	n := 0
	parts := make([]string, len(c.items))
	for i, x := range c.items {
		parts[i] = in.str(in.eval(x))
		n += len(parts[i])
	}
	in.alloc(n)
	return strings.Join(parts, "")
}

// escape replaces the five characters that markupsafe does.
func (in *interp) escape(s string) string {
	in.alloc(5 * len(s))
	return html.EscapeString(s)
}

func (in *interp) compare(op string, a, b value) bool {
	switch op {
	case "==":
		return in.equal(a, b)
	case "!=":
		return !in.equal(a, b)
	case "in":
		return in.contains(b, a)
	case "not in":
		return !in.contains(b, a)
	}
	in.defined(a)
	in.defined(b)
	if nan(a) || nan(b) {
		return false
	}
	c := in.order(a, b)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

func nan(v value) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

func (in *interp) contains(box, x value) bool {
	switch b := box.(type) {
	case *dict:
		if _, ok := hashKey(x); !ok {
			if _, undef := x.(undefined); undef {
				return false
			}
			in.fail("in: a %s cannot be a key", typeName(x))
		}
		_, ok := b.get(x)
		return ok
	case *list:
		for _, y := range in.items(b) {
			if in.equal(x, y) {
				return true
			}
		}
		return false
	case undefined:
		return false
	}
	if s, ok := text(box); ok {
		sub, ok := text(x)
		if !ok {
			in.fail("in: found a %s to look for in a string, want a string", typeName(x))
		}
		in.step(len(s) / 64)
		return strings.Contains(s, sub)
	}
	in.fail("in: a %s cannot be searched", typeName(box))
	return false
}
