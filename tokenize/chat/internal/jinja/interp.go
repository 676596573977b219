package jinja

import (
	"fmt"
	"strings"
	"time"
)

// scope is the variables of a body; what is not there is looked up in its parent.
type scope struct {
	vars   map[string]value
	parent *scope
}

func newScope(parent *scope) *scope { return &scope{map[string]value{}, parent} }

func (s *scope) get(name string) (value, bool) {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// interp is one rendering.
type interp struct {
	limits       Limits
	steps, bytes int64
	depth        int
	line         int
	now          time.Time
	scope        *scope
	out          *strings.Builder
	filters      map[string]filterFunc // the tables: filters and tests name each other
	tests        map[string]tester
}

// flow is how a body ended.
type flow int

const (
	flowOn flow = iota
	flowBreak
	flowContinue
)

func (in *interp) fail(format string, args ...any) {
	panic(&RuntimeError{in.line, fmt.Sprintf(format, args...)})
}

// step counts work before it is done.
func (in *interp) step(n int) {
	if in.steps += int64(n); in.steps > in.limits.Steps {
		panic(&LimitError{in.line, "steps", in.limits.Steps})
	}
}

// alloc counts bytes before they are taken.
func (in *interp) alloc(n int) {
	if n < 0 {
		n = 0
	}
	in.step(n / 64)
	if in.bytes += int64(n); in.bytes > in.limits.Bytes || in.bytes < 0 {
		panic(&LimitError{in.line, "bytes of values", in.limits.Bytes})
	}
}

// room counts n items of a list.
func (in *interp) room(n int) {
	in.step(n)
	in.alloc(16 * n)
}

// deeper counts recursion; call the result when it ends.
func (in *interp) deeper() func() {
	if in.depth++; in.depth > maxDepth {
		panic(&LimitError{in.line, "levels of calls", maxDepth})
	}
	return func() { in.depth-- }
}

func (in *interp) write(s string) {
	in.step(1 + len(s)/64)
	if int64(in.out.Len()+len(s)) > in.limits.Output {
		panic(&LimitError{in.line, "bytes of output", in.limits.Output})
	}
	in.out.WriteString(s)
}

// capture runs f and returns what it writes.
func (in *interp) capture(f func()) string {
	out := in.out
	in.out = &strings.Builder{}
	defer func() { in.out = out }()
	f()
	in.alloc(in.out.Len())
	return in.out.String()
}

// inner runs f in a scope of its own below parent.
func (in *interp) inner(parent *scope, f func()) {
	old := in.scope
	in.scope = newScope(parent)
	in.alloc(128)
	defer func() { in.scope = old }()
	f()
}

func (in *interp) run(body []stmt) flow {
	defer in.deeper()()
	for _, s := range body {
		in.line = s.at()
		in.step(1)
		if f := in.exec(s); f != flowOn {
			return f
		}
	}
	return flowOn
}

func (in *interp) exec(s stmt) flow {
	switch s := s.(type) {
	case *data:
		in.write(s.text)
	case *output:
		in.write(in.str(in.eval(s.x)))
	case *ifStmt:
		for i, c := range s.conds {
			if truth(in.eval(c)) {
				return in.run(s.then[i])
			}
		}
		return in.run(s.other)
	case *forStmt:
		in.loop(s, in.eval(s.iter), 1)
	case *setStmt:
		in.assign(s.target, in.eval(s.x))
	case *setBlock:
		var text value
		in.inner(in.scope, func() { text = in.capture(func() { in.run(s.body) }) })
		if s.filter != nil {
			text = in.apply(s.filter, text)
		}
		in.assign(s.target, text)
	case *withStmt:
		vals := make([]value, len(s.vals))
		for i, x := range s.vals {
			vals[i] = in.eval(x)
		}
		var f flow
		in.inner(in.scope, func() {
			for i, t := range s.targets {
				in.assign(t, vals[i])
			}
			f = in.run(s.body)
		})
		return f
	case *macroStmt:
		in.scope.vars[s.name] = in.macro(s.name, s.sig, s.body)
	case *callStmt:
		a := in.actual(s.call.args)
		a.names, a.named = append(a.names, "caller"), with(a.named, "caller", in.macro("caller", s.sig, s.body))
		in.write(in.str(in.call(in.eval(s.call.fn), a)))
	case *filterStmt:
		var text value
		in.inner(in.scope, func() { text = in.capture(func() { in.run(s.body) }) })
		in.write(in.str(in.apply(s.x, text)))
	case *scopeStmt:
		in.inner(in.scope, func() { in.run(s.body) })
	case *breakStmt:
		return flowBreak
	case *continueStmt:
		return flowContinue
	}
	return flowOn
}

func with(m map[string]value, k string, v value) map[string]value {
	if m == nil {
		m = map[string]value{}
	}
	m[k] = v
	return m
}

func (in *interp) assign(t target, v value) {
	switch {
	case t.several != nil:
		items := in.items(v)
		if len(items) != len(t.several) {
			in.fail("found %d values to unpack, want %d", len(items), len(t.several))
		}
		for i, u := range t.several {
			in.assign(u, items[i])
		}
	case t.attr != "":
		ns, _ := in.scope.get(t.name)
		n, ok := ns.(*namespace)
		if !ok {
			in.fail("%s.%s: found a %s, want a namespace to assign to", t.name, t.attr, typeName(ns))
		}
		in.attrName(t.attr)
		in.alloc(64)
		n.d.set(t.attr, v)
	default:
		in.scope.vars[t.name] = v
	}
}

func (in *interp) attrName(s string) {
	if strings.HasPrefix(s, "_") {
		in.fail("attribute %q: names that begin with an underscore are refused", s)
	}
}

// items lists what Python's iteration of v gives.
func (in *interp) items(v value) []value {
	switch v := v.(type) {
	case *list:
		in.step(len(v.items))
		items := v.items
		if v.kind == "generator" {
			v.items = nil
		}
		return items
	case *dict:
		in.step(len(v.keys))
		return v.keys
	case undefined:
		return nil
	}
	if s, ok := text(v); ok {
		in.room(len(s))
		out := make([]value, 0, len(s))
		for _, r := range s {
			out = append(out, string(r))
		}
		return out
	}
	in.fail("a %s cannot be iterated", typeName(v))
	return nil
}

// loop is the variable of that name.
type loop struct {
	items []value
	i     int // of the item
	depth int
	again func(v value) value // recursive loops
	last  value               // of changed
	any   bool
}

func (in *interp) loop(s *forStmt, over value, depth int) {
	items := in.items(over)
	parent := in.scope
	if s.cond != nil {
		in.room(len(items))
		var keep []value
		for _, x := range items {
			in.inner(parent, func() {
				in.assign(s.target, x)
				if truth(in.eval(s.cond)) {
					keep = append(keep, x)
				}
			})
		}
		items = keep
	}
	if len(items) == 0 {
		if s.empty != nil {
			in.inner(parent, func() { in.run(s.empty) })
		}
		return
	}
	l := &loop{items: items, depth: depth}
	if s.recursive {
		l.again = func(v value) value {
			defer in.deeper()()
			var out string
			old := in.scope
			in.scope = parent
			out = in.capture(func() { in.loop(s, v, depth+1) })
			in.scope = old
			return out
		}
	}
	for i, x := range items {
		in.step(1)
		l.i = i
		var f flow
		in.inner(parent, func() {
			in.scope.vars["loop"] = l
			in.assign(s.target, x)
			f = in.run(s.body)
		})
		if f == flowBreak {
			return
		}
	}
}

func (l *loop) attr(in *interp, name string) value {
	n := len(l.items)
	at := func(i int) value {
		if i < 0 || i >= n {
			return undefined{"there is no such item in the loop"}
		}
		return l.items[i]
	}
	switch name {
	case "index":
		return int64(l.i + 1)
	case "index0":
		return int64(l.i)
	case "revindex":
		return int64(n - l.i)
	case "revindex0":
		return int64(n - l.i - 1)
	case "first":
		return l.i == 0
	case "last":
		return l.i == n-1
	case "length":
		return int64(n)
	case "depth":
		return int64(l.depth)
	case "depth0":
		return int64(l.depth - 1)
	case "previtem":
		return at(l.i - 1)
	case "nextitem":
		return at(l.i + 1)
	case "cycle":
		i := l.i
		return function{"loop.cycle", func(in *interp, a actual) value {
			if len(a.pos) == 0 {
				in.fail("loop.cycle: want something to cycle through")
			}
			return a.pos[i%len(a.pos)]
		}}
	case "changed":
		return function{"loop.changed", func(in *interp, a actual) value {
			now := &list{items: a.pos, tuple: true}
			same := l.any && in.equal(l.last, now)
			l.last, l.any = now, true
			return !same
		}}
	}
	return undefined{fmt.Sprintf("loop has no attribute %q", name)}
}

// macro is a function that renders body in a scope below the one it was made in.
func (in *interp) macro(name string, sig signature, body []stmt) value {
	home := in.scope
	return function{name, func(in *interp, a actual) value {
		defer in.deeper()()
		at := in.line
		var out string
		in.inner(home, func() {
			in.bind(name, sig, a)
			out = in.capture(func() { in.run(body) })
		})
		in.line = at
		return out
	}}
}

// bind assigns the arguments of a macro to its parameters.
func (in *interp) bind(name string, sig signature, a actual) {
	vars := in.scope.vars
	rest := newDict()
	used := map[string]bool{}
	for i, p := range sig.params {
		v, named := a.named[p]
		switch d := i - (len(sig.params) - len(sig.defaults)); {
		case i < len(a.pos):
			if named {
				in.fail("macro %s: two values for argument %q", name, p)
			}
			vars[p] = a.pos[i]
		case named:
			vars[p], used[p] = v, true
		case d >= 0:
			vars[p] = in.eval(sig.defaults[d])
		default:
			vars[p] = undefined{fmt.Sprintf("parameter %q was not given", p)}
		}
	}
	for _, n := range a.names {
		if n == "caller" && (sig.caller || !used[n]) {
			if !sig.caller {
				in.fail("macro %s: takes no caller", name)
			}
			vars[n] = a.named[n]
			continue
		}
		if !used[n] {
			if !sig.kwargs {
				in.fail("macro %s: unexpected argument %q", name, n)
			}
			rest.set(n, a.named[n])
		}
	}
	if sig.caller && vars["caller"] == nil {
		vars["caller"] = undefined{"the macro was called without a body"}
	}
	if sig.kwargs {
		vars["kwargs"] = rest
	}
	if over := len(a.pos) - len(sig.params); over > 0 && !sig.varargs {
		in.fail("macro %s: found %d arguments, want at most %d", name, len(a.pos), len(sig.params))
	}
	if sig.varargs {
		vars["varargs"] = &list{items: append([]value{}, a.pos[min(len(a.pos), len(sig.params)):]...), tuple: true}
	}
}
