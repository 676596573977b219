package jinja

import (
	"slices"
	"strings"
)

// expression reads what Jinja's parse_expression reads, conditionals included.
func (p *parser) expression() expr {
	defer p.deeper()()
	x := p.or()
	for p.cur().is("if") {
		at := p.here()
		p.next()
		c := &conditional{line: at, cond: p.or(), then: x}
		if p.skip("else") {
			c.other = p.expression()
		}
		x = c
	}
	return x
}

func (p *parser) or() expr  { return p.left(p.and, "or") }
func (p *parser) and() expr { return p.left(p.not, "and") }

// left reads operands of sub joined by operators of one precedence, from the left.
func (p *parser) left(sub func() expr, ops ...string) expr {
	x := sub()
	for (p.cur().kind == tokOp || p.cur().kind == tokName) && slices.Contains(ops, p.cur().text) {
		at := p.here()
		op := p.next().text
		x = &binary{at, op, x, sub()}
	}
	return x
}

func (p *parser) not() expr {
	at := p.here()
	if p.skip("not") {
		defer p.deeper()()
		return &unary{at, "not", p.not()}
	}
	return p.comparison()
}

func (p *parser) comparison() expr {
	c := &compare{line: p.here(), first: p.sum()}
	for {
		t := p.cur()
		op := ""
		switch {
		case t.kind == tokOp && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			op = p.next().text
		case t.is("in"):
			op = p.next().text
		case t.is("not") && p.peek().is("in"):
			p.next()
			p.next()
			op = "not in"
		}
		if op == "" {
			break
		}
		c.ops, c.rest = append(c.ops, op), append(c.rest, p.sum())
	}
	if len(c.ops) == 0 {
		return c.first
	}
	return c
}

func (p *parser) sum() expr { return p.left(p.concat, "+", "-") }

func (p *parser) concat() expr {
	c := &concat{p.here(), []expr{p.product()}}
	for p.skip("~") {
		c.items = append(c.items, p.product())
	}
	if len(c.items) == 1 {
		return c.items[0]
	}
	return c
}

func (p *parser) product() expr { return p.left(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.left(func() expr { return p.unary(true) }, "**") }

func (p *parser) unary(filters bool) expr {
	at := p.here()
	var x expr
	if t := p.cur(); t.is("-") || t.is("+") {
		defer p.deeper()()
		p.next()
		x = &unary{at, t.text, p.unary(false)}
	} else {
		x = p.primary()
	}
	x = p.postfix(x)
	if filters {
		x = p.filterExpr(x)
	}
	return x
}

func (p *parser) primary() expr {
	at := p.here()
	switch t := p.cur(); t.kind {
	case tokName:
		p.next()
		switch t.text {
		case "true", "True":
			return &constant{at, true}
		case "false", "False":
			return &constant{at, false}
		case "none", "None":
			return &constant{at, nil}
		}
		for _, m := range p.used {
			m[t.text] = true
		}
		return &name{at, t.text}
	case tokString:
		var b strings.Builder
		for p.cur().kind == tokString {
			b.WriteString(p.next().text)
		}
		return &constant{at, b.String()}
	case tokInt:
		p.next()
		return &constant{at, t.int}
	case tokFloat:
		p.next()
		return &constant{at, t.num}
	}
	switch {
	case p.skip("("):
		x := p.tupleUntil(true, ")")
		p.want(")")
		return x
	case p.skip("["):
		return &sequence{at, p.items("]"), false}
	case p.skip("{"):
		m := &mapping{line: at}
		for !p.skip("}") {
			if len(m.keys) > 0 {
				p.want(",")
				if p.skip("}") {
					break
				}
			}
			m.keys = append(m.keys, p.expression())
			p.want(":")
			m.vals = append(m.vals, p.expression())
		}
		return m
	}
	p.fail("found %s, want a value", p.found())
	return nil
}

// items reads expressions between commas up to the closing bracket.
func (p *parser) items(end string) []expr {
	var xs []expr
	for !p.skip(end) {
		if len(xs) > 0 {
			p.want(",")
			if p.skip(end) {
				break
			}
		}
		xs = append(xs, p.expression())
	}
	return xs
}

func (p *parser) tuple(cond bool) expr { return p.tupleUntil(cond, "") }

// tupleUntil reads one expression, or several between commas as a tuple. A
// bracketed one (end ")") may be empty.
func (p *parser) tupleUntil(cond bool, end string) expr {
	defer p.deeper()()
	at := p.here()
	sub := p.expression
	if !cond {
		sub = p.or
	}
	ends := func() bool {
		k := p.cur().kind
		return k == tokVarEnd || k == tokBlockEnd || k == tokEOF || p.cur().is(")") || end != "" && p.cur().is(end)
	}
	var xs []expr
	comma := false
	for !ends() {
		xs = append(xs, sub())
		if !p.skip(",") {
			break
		}
		comma = true
	}
	if comma {
		return &sequence{at, xs, true}
	}
	if len(xs) == 1 {
		return xs[0]
	}
	if end != ")" {
		p.fail("found %s, want a value", p.found())
	}
	return &sequence{at, nil, true}
}

// postfix reads .name, [key] and (args) after a value.
func (p *parser) postfix(x expr) expr {
	for {
		at := p.here()
		switch {
		case p.skip("."):
			if t := p.cur(); t.kind == tokInt {
				p.next()
				x = &getitem{at, x, &constant{at, t.int}}
				continue
			}
			x = &getattr{at, x, p.ident()}
		case p.skip("["):
			x = &getitem{at, x, p.subscript(at)}
		case p.cur().is("("):
			x = &call{at, x, p.args()}
		default:
			return x
		}
	}
}

func (p *parser) subscript(at line) expr {
	var xs []expr
	for {
		xs = append(xs, p.subscribed(at))
		if !p.skip(",") {
			break
		}
	}
	p.want("]")
	if len(xs) > 1 {
		return &sequence{at, xs, true}
	}
	return xs[0]
}

func (p *parser) subscribed(at line) expr {
	var parts [3]expr
	n := 0
	colon := false
	for ; n < 3; n++ {
		if !p.cur().is(":") && !p.cur().is("]") && !p.cur().is(",") {
			parts[n] = p.expression()
		}
		if n < 2 && p.skip(":") {
			colon = true
			continue
		}
		break
	}
	if !colon {
		if parts[0] == nil {
			p.fail("found %s, want an index", p.found())
		}
		return parts[0]
	}
	return &slice{at, parts[0], parts[1], parts[2]}
}

func (p *parser) args() args {
	var a args
	p.want("(")
	first := true
	for !p.skip(")") {
		if !first {
			p.want(",")
			if p.skip(")") {
				break
			}
		}
		first = false
		switch {
		case p.skip("*"):
			a.star = p.expression()
		case p.skip("**"):
			a.dstars = p.expression()
		case p.cur().kind == tokName && p.peek().is("="):
			n := p.next().text
			p.next()
			if slices.Contains(a.names, n) {
				p.fail("argument %q twice", n)
			}
			a.names, a.named = append(a.names, n), append(a.named, p.expression())
		default:
			if len(a.names) > 0 || a.star != nil || a.dstars != nil {
				p.fail("a positional argument after a named one")
			}
			a.pos = append(a.pos, p.expression())
		}
	}
	return a
}

func (p *parser) filterExpr(x expr) expr {
	for {
		switch t := p.cur(); {
		case t.is("|"):
			x = p.filters(x, false)
		case t.is("is"):
			x = p.test(x)
		case t.is("("):
			x = &call{p.here(), x, p.args()}
		default:
			return x
		}
	}
}

// filters reads | name(args) | ...; inline means that the first bar is left out.
func (p *parser) filters(x expr, inline bool) expr {
	for inline || p.cur().is("|") {
		if !inline {
			p.next()
		}
		inline = false
		f := &filter{line: p.here(), of: x, name: p.dotted()}
		if p.cur().is("(") {
			f.args = p.args()
		}
		x = f
	}
	return x
}

func (p *parser) dotted() string {
	n := p.ident()
	for p.skip(".") {
		n += "." + p.ident()
	}
	return n
}

func (p *parser) test(x expr) expr {
	t := &test{line: p.here(), of: x}
	p.want("is")
	negated := p.skip("not")
	if p.cur().kind == tokOp { // is == 1
		p.fail("found %s, want a test", p.found())
	}
	t.name = p.dotted()
	switch c := p.cur(); {
	case c.is("("):
		t.args = p.args()
	case c.kind == tokName && !slices.Contains([]string{"else", "or", "and", "is", "if", "in", "not"}, c.text),
		c.kind == tokString, c.kind == tokInt, c.kind == tokFloat, c.is("["), c.is("{"):
		t.args.pos = []expr{p.postfix(p.primary())}
	}
	if p.cur().is("is") {
		p.fail("tests cannot be chained with is")
	}
	if negated {
		return &unary{t.line, "not", t}
	}
	return t
}
