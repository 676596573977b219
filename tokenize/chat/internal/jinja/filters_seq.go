package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// path is the value at an attribute such as "function.name" or 0.
func (in *interp) path(v value, by value) value {
	if i, ok := by.(int64); ok {
		return in.item(v, i)
	}
	for part := range strings.SplitSeq(in.textArg("attribute", by), ".") {
		var k value = part
		if i, err := strconv.ParseInt(part, 10, 64); err == nil {
			k = i
		}
		v = in.item(v, k)
	}
	return v
}

// keyed wraps a path and the lower case that sorting ignores.
func (in *interp) keyed(v, by value, caseSensitive bool) value {
	if by != nil {
		v = in.path(v, by)
	}
	if s, ok := text(v); ok && !caseSensitive {
		in.alloc(len(s))
		return strings.ToLower(s)
	}
	return v
}

// sorted returns items in the order of their keys.
func (in *interp) sorted(items []value, key func(v value) value, reverse bool) *list {
	in.room(2 * len(items))
	keys := make([]value, len(items))
	at := make([]int, len(items))
	for i, x := range items {
		keys[i], at[i] = key(x), i
	}
	slices.SortStableFunc(at, func(i, j int) int {
		c := in.order(keys[i], keys[j])
		if reverse {
			return -c
		}
		return c
	})
	l := &list{items: make([]value, len(items))}
	for i, j := range at {
		l.items[i] = items[j]
	}
	return l
}

func sortFilter(in *interp, v value, a actual) value {
	in.want("sort", a, 0, 3, "reverse", "case_sensitive", "attribute")
	by, strict := a.arg(2, "attribute", nil), truth(a.arg(1, "case_sensitive", false))
	keys := []value{by}
	if s, ok := text(by); ok && strings.Contains(s, ",") {
		keys = nil
		for part := range strings.SplitSeq(s, ",") {
			keys = append(keys, part)
		}
	}
	return in.sorted(in.items(v), func(x value) value {
		l := &list{}
		for _, k := range keys {
			l.items = append(l.items, in.keyed(x, k, strict))
		}
		return l
	}, truth(a.arg(0, "reverse", false)))
}

func dictsort(in *interp, v value, a actual) value {
	in.want("dictsort", a, 0, 3, "case_sensitive", "by", "reverse")
	d, ok := v.(*dict)
	if !ok {
		in.defined(v)
		in.fail("dictsort: found a %s, want a mapping", typeName(v))
	}
	part := map[string]int64{"key": 0, "value": 1}
	by, ok := part[in.str(a.arg(1, "by", "key"))]
	if !ok {
		in.fail("dictsort: by: want key or value")
	}
	strict := truth(a.arg(0, "case_sensitive", false))
	return in.sorted(in.pairs(d).items, func(x value) value { return in.keyed(x, by, strict) }, truth(a.arg(2, "reverse", false)))
}

func groupby(in *interp, v value, a actual) value {
	in.want("groupby", a, 1, 3, "attribute", "default", "case_sensitive")
	by, otherwise := a.arg(0, "attribute", nil), a.arg(1, "default", nil)
	strict := truth(a.arg(2, "case_sensitive", false))
	key := func(x value, fold bool) value {
		k := in.path(x, by)
		if isUndefined(k) && otherwise != nil {
			k = otherwise
		}
		if fold {
			return in.keyed(k, nil, strict)
		}
		return k
	}
	out := &list{}
	var last value
	for _, x := range in.sorted(in.items(v), func(x value) value { return key(x, true) }, false).items {
		k := key(x, true)
		if len(out.items) == 0 || !in.equal(k, last) {
			in.room(6)
			out.items = append(out.items, &list{items: []value{key(x, false), &list{}}, tuple: true})
			last = k
		}
		g := out.items[len(out.items)-1].(*list).items[1].(*list)
		g.items = append(g.items, x)
	}
	return out
}

func unique(in *interp, v value, a actual) value {
	in.want("unique", a, 0, 2, "case_sensitive", "attribute")
	by, strict := a.arg(1, "attribute", nil), truth(a.arg(0, "case_sensitive", false))
	seen, out := newDict(), generator(nil)
	for _, x := range in.items(v) {
		k := in.keyed(x, by, strict)
		in.room(4)
		if _, have := seen.get(k); have {
			continue
		}
		if !seen.set(k, true) {
			in.fail("unique: a %s cannot be a key", typeName(k))
		}
		out.items = append(out.items, x)
	}
	return out
}

func batch(in *interp, v value, a actual) value {
	in.want("batch", a, 1, 2, "linecount", "fill_with")
	n, fill := in.intArg("batch", a.arg(0, "linecount", nil)), a.arg(1, "fill_with", nil)
	if n < 1 {
		in.fail("batch: found %d, want at least 1", n)
	}
	items := in.items(v)
	in.room(2 * len(items))
	out := generator(nil)
	for i := 0; i < len(items); i += n {
		l := &list{items: append([]value{}, items[i:min(i+n, len(items))]...)}
		if fill != nil {
			in.room(n - len(l.items))
			for len(l.items) < n {
				l.items = append(l.items, fill)
			}
		}
		out.items = append(out.items, l)
	}
	return out
}

func sliceFilter(in *interp, v value, a actual) value {
	in.want("slice", a, 1, 2, "slices", "fill_with")
	n, fill := in.intArg("slice", a.arg(0, "slices", nil)), a.arg(1, "fill_with", nil)
	if n < 1 {
		in.fail("slice: found %d, want at least 1", n)
	}
	items := in.items(v)
	in.room(3*n + len(items))
	out, from := generator(nil), 0
	for i := range n {
		size := len(items) / n
		if i < len(items)%n {
			size++
		}
		l := &list{items: append([]value{}, items[from:from+size]...)}
		if fill != nil && i >= len(items)%n {
			l.items = append(l.items, fill)
		}
		from += size
		out.items = append(out.items, l)
	}
	return out
}

func extreme(name string, want int) filterFunc {
	return func(in *interp, v value, a actual) value {
		in.want(name, a, 0, 2, "case_sensitive", "attribute")
		by, strict := a.arg(1, "attribute", nil), truth(a.arg(0, "case_sensitive", false))
		var best, key value = undefined{"no aggregated item, sequence was empty"}, nil
		for i, x := range in.items(v) {
			if k := in.keyed(x, by, strict); i == 0 || in.order(k, key) == want {
				best, key = x, k
			}
		}
		return best
	}
}

func mapFilter(in *interp, v value, a actual) value {
	if !truth(v) { // None, too
		return generator(nil)
	}
	items := in.items(v)
	in.room(len(items))
	out := generator(nil)
	by, hasAttr := a.named["attribute"]
	if len(a.pos) == 0 && hasAttr {
		in.want("map", a, 1, 2, "attribute", "default")
		otherwise, has := a.named["default"]
		for _, x := range items {
			y := in.path(x, by)
			if has && isUndefined(y) {
				y = otherwise
			}
			out.items = append(out.items, y)
		}
		return out
	}
	if len(a.pos) == 0 {
		in.fail("map: want a filter or an attribute")
	}
	f := in.filterOf(in.textArg("map", a.pos[0]))
	rest := actual{a.pos[1:], a.names, a.named}
	for _, x := range items {
		out.items = append(out.items, f(in, x, rest))
	}
	return out
}

// choose is select, reject and their attr forms.
func (in *interp) choose(v value, a actual, attr, keep bool) value {
	if !truth(v) { // None, too
		return generator(nil)
	}
	items := in.items(v)
	in.room(len(items))
	pos := a.pos
	var by value
	if attr {
		if len(pos) == 0 {
			in.fail("selectattr: want an attribute")
		}
		by, pos = pos[0], pos[1:]
	}
	passes := func(x value) bool { return truth(x) }
	if len(pos) > 0 {
		t := in.test(in.textArg("select", pos[0]))
		rest := actual{pos[1:], a.names, a.named}
		passes = func(x value) bool { return t(in, x, rest) }
	}
	out := generator(nil)
	for _, x := range items {
		y := x
		if attr {
			y = in.path(x, by)
		}
		in.step(1)
		if passes(y) == keep {
			out.items = append(out.items, x)
		}
	}
	return out
}
