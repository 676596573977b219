package jinja

// Expressions. Each node keeps the line it began on, for messages.
type expr interface{ at() int }

type line int

func (l line) at() int { return int(l) }

type (
	constant struct {
		line
		v value
	}
	name struct {
		line
		id string
	}
	getattr struct {
		line
		of   expr
		attr string
	}
	getitem struct {
		line
		of, key expr
	}
	slice struct {
		line
		start, stop, step expr // nil = none
	}
	call struct {
		line
		fn   expr
		args args
	}
	filter struct {
		line
		of   expr // nil: what a filter block holds
		name string
		args args
	}
	test struct {
		line
		of   expr
		name string
		args args
	}
	unary struct {
		line
		op string
		x  expr
	}
	binary struct {
		line
		op   string
		a, b expr
	}
	compare struct {
		line
		first expr
		ops   []string
		rest  []expr
	}
	conditional struct {
		line
		cond, then, other expr // other nil: undefined
	}
	sequence struct {
		line
		items []expr
		tuple bool
	}
	mapping struct {
		line
		keys, vals []expr
	}
	concat struct {
		line
		items []expr
	}
)

// args of a call: positional, named, *list and **mapping.
type args struct {
	pos    []expr
	names  []string
	named  []expr
	star   expr
	dstars expr
}

// Statements.
type stmt interface{ at() int }

type (
	output struct {
		line
		x expr
	}
	data struct {
		line
		text string
	}
	ifStmt struct {
		line
		conds []expr
		then  [][]stmt
		other []stmt
	}
	forStmt struct {
		line
		target    target
		iter      expr
		cond      expr
		body      []stmt
		empty     []stmt
		recursive bool
	}
	setStmt struct {
		line
		target target
		x      expr
	}
	setBlock struct {
		line
		target target
		filter expr // nil, or filters over the body
		body   []stmt
	}
	withStmt struct {
		line
		targets []target
		vals    []expr
		body    []stmt
	}
	macroStmt struct {
		line
		name string
		sig  signature
		body []stmt
	}
	callStmt struct {
		line
		sig  signature
		call *call
		body []stmt
	}
	filterStmt struct {
		line
		x    expr
		body []stmt
	}
	scopeStmt struct { // {% generation %}
		line
		body []stmt
	}
	breakStmt    struct{ line }
	continueStmt struct{ line }
)

// target of an assignment: a name, an attribute of a namespace, or several targets.
type target struct {
	name, attr string
	several    []target
}

// signature of a macro. Defaults belong to the last parameters.
type signature struct {
	params   []string
	defaults []expr
	// Whether the body takes what the parameters leave over.
	varargs, kwargs, caller bool
}
