package jinja

type tester func(in *interp, v value, a actual) bool

// testTable are Jinja's tests. Those with an argument take it in a.pos[0].
var testTable = map[string]tester{
	"defined":   func(_ *interp, v value, _ actual) bool { return !isUndefined(v) },
	"undefined": func(_ *interp, v value, _ actual) bool { return isUndefined(v) },
	"none":      func(_ *interp, v value, _ actual) bool { return v == nil },
	"true":      func(_ *interp, v value, _ actual) bool { return v == true },
	"false":     func(_ *interp, v value, _ actual) bool { return v == false },
	"boolean":   func(_ *interp, v value, _ actual) bool { return typeName(v) == "bool" },
	"integer":   func(_ *interp, v value, _ actual) bool { return typeName(v) == "int" },
	"float":     func(_ *interp, v value, _ actual) bool { return typeName(v) == "float" },
	"number": func(_ *interp, v value, _ actual) bool {
		_, _, _, ok := number(v)
		return ok
	},
	"string": func(_ *interp, v value, _ actual) bool {
		_, ok := text(v)
		return ok
	},
	"mapping": func(_ *interp, v value, _ actual) bool { return isDict(v) },
	"sequence": func(_ *interp, v value, _ actual) bool {
		l, ok := v.(*list)
		return countable(v) && !(ok && (l.kind == "generator" || l.kind == "dict view"))
	},
	"iterable": func(_ *interp, v value, _ actual) bool { return countable(v) },
	"callable": func(_ *interp, v value, _ actual) bool {
		t := typeName(v)
		return t == "function" || t == "LoopContext" || t == "Undefined"
	},
	"escaped": func(_ *interp, v value, _ actual) bool { return typeName(v) == "Markup" },
	"odd": func(in *interp, v value, _ actual) bool {
		return in.equal(in.integersOrFloats("%", v, int64(2)), int64(1))
	},
	"even": func(in *interp, v value, _ actual) bool {
		return in.equal(in.integersOrFloats("%", v, int64(2)), int64(0))
	},
	"divisibleby": func(in *interp, v value, a actual) bool {
		return in.equal(in.integersOrFloats("%", v, in.only("divisibleby", a)), int64(0))
	},
	"lower": func(in *interp, v value, _ actual) bool { return strMethods["islower"](in, in.str(v), actual{}).(bool) },
	"upper": func(in *interp, v value, _ actual) bool { return strMethods["isupper"](in, in.str(v), actual{}).(bool) },
	"sameas": func(in *interp, v value, a actual) bool {
		x := in.only("sameas", a)
		return typeName(x) == typeName(v) && in.equal(v, x)
	},
	"in": func(in *interp, v value, a actual) bool { return in.contains(in.only("in", a), v) },
	"eq": comparison("=="), "equalto": comparison("=="), "==": comparison("=="),
	"ne": comparison("!="), "!=": comparison("!="),
	"lt": comparison("<"), "lessthan": comparison("<"), "<": comparison("<"),
	"le": comparison("<="), "<=": comparison("<="),
	"gt": comparison(">"), "greaterthan": comparison(">"), ">": comparison(">"),
	"ge": comparison(">="), ">=": comparison(">="),
}

func comparison(op string) tester {
	return func(in *interp, v value, a actual) bool { return in.compare(op, v, in.only(op, a)) }
}

func (in *interp) only(what string, a actual) value {
	in.want(what, a, 1, 1)
	return a.pos[0]
}

func isUndefined(v value) bool {
	_, ok := v.(undefined)
	return ok
}

// countable values have a length and can be iterated. An undefined one does too.
func countable(v value) bool {
	switch v.(type) {
	case *list, *dict, string, markup, undefined:
		return true
	}
	return false
}
