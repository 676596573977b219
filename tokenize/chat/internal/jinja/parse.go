package jinja

import "slices"

// maxNesting bounds brackets in brackets and blocks in blocks of a source.
const maxNesting = 400

type parser struct {
	toks  []token
	i     int
	depth int
	loops int
	used  []map[string]bool // names that the macros being parsed mention
}

func (p *parser) cur() token  { return p.toks[p.i] }
func (p *parser) peek() token { return p.toks[min(p.i+1, len(p.toks)-1)] }

func (p *parser) next() token {
	t := p.toks[p.i]
	if t.kind != tokEOF {
		p.i++
	}
	return t
}

func (p *parser) here() line { return line(p.cur().line) }

func (p *parser) skip(text string) bool {
	if p.cur().is(text) {
		p.i++
		return true
	}
	return false
}

func (p *parser) want(text string) {
	if !p.skip(text) {
		p.fail("found %s, want %q", p.found(), text)
	}
}

func (p *parser) found() string {
	t := p.cur()
	switch t.kind {
	case tokEOF:
		return "the end of the template"
	case tokVarEnd, tokBlockEnd:
		return "the end of the tag"
	case tokData, tokVarBegin, tokBlockBegin:
		return "text"
	case tokInt, tokFloat:
		return "a number"
	case tokString:
		return "a string"
	}
	return "\"" + t.text + "\""
}

func (p *parser) fail(format string, args ...any) { fail(p.cur().line, format, args...) }

func (p *parser) ident() string {
	if p.cur().kind != tokName {
		p.fail("found %s, want a name", p.found())
	}
	return p.next().text
}

// deeper counts nesting; call the result when the construct ends.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxNesting {
		p.fail("more than %d levels of nesting", maxNesting)
	}
	return func() { p.depth-- }
}

// body reads statements up to a tag that begins with one of ends; the tag's name
// has been read then. Without ends it reads to the end of the source.
func (p *parser) body(ends ...string) (out []stmt, end string) {
	defer p.deeper()()
	for {
		at := p.here()
		switch t := p.next(); t.kind {
		case tokEOF:
			if len(ends) > 0 {
				p.fail("found the end of the template, want {%% %s %%}", ends[len(ends)-1])
			}
			return out, ""
		case tokData:
			out = append(out, &data{at, t.text})
		case tokVarBegin:
			x := p.tuple(true)
			if p.cur().kind != tokVarEnd {
				p.fail("found %s, want }}", p.found())
			}
			p.next()
			out = append(out, &output{at, x})
		case tokBlockBegin:
			if n := p.cur(); n.kind == tokName && slices.Contains(ends, n.text) {
				p.next()
				return out, n.text
			}
			out = append(out, p.statement())
		}
	}
}

func (p *parser) endTag() {
	if p.cur().kind != tokBlockEnd {
		p.fail("found %s, want %%}", p.found())
	}
	p.next()
}

// block is endTag, a body, and the end of the closing tag.
func (p *parser) block(end string) []stmt {
	p.endTag()
	b, _ := p.body(end)
	p.endTag()
	return b
}

func (p *parser) statement() stmt {
	at := p.here()
	switch tag := p.ident(); tag {
	case "if":
		return p.ifTag(at)
	case "for":
		return p.forTag(at)
	case "set":
		return p.setTag(at)
	case "with":
		s := &withStmt{line: at}
		for p.cur().kind != tokBlockEnd {
			if len(s.targets) > 0 {
				p.want(",")
			}
			s.targets = append(s.targets, p.target(false, ""))
			p.want("=")
			s.vals = append(s.vals, p.expression())
		}
		s.body = p.block("endwith")
		return s
	case "macro":
		s := &macroStmt{line: at, name: p.ident()}
		s.sig, s.body = p.callable("endmacro")
		return s
	case "call":
		s := &callStmt{line: at}
		sig := p.signature()
		c, ok := p.expression().(*call)
		if !ok {
			p.fail("call: want a call")
		}
		s.call = c
		s.sig, s.body = p.callableBody(sig, "endcall")
		return s
	case "filter":
		s := &filterStmt{line: at}
		s.x = p.filters(nil, true)
		s.body = p.block("endfilter")
		return s
	case "generation":
		return &scopeStmt{at, p.block("endgeneration")}
	case "break", "continue":
		if p.loops == 0 {
			p.fail("%s outside a loop", tag)
		}
		p.endTag()
		if tag == "break" {
			return &breakStmt{at}
		}
		return &continueStmt{at}
	case "include", "import", "from", "extends", "block":
		p.fail("tag %q: templates of other files are not read", tag)
	default:
		p.fail("tag %q: unknown", tag)
	}
	return nil
}

func (p *parser) ifTag(at line) stmt {
	s := &ifStmt{line: at}
	for {
		s.conds = append(s.conds, p.tuple(false))
		p.endTag()
		b, end := p.body("elif", "else", "endif")
		s.then = append(s.then, b)
		if end == "else" {
			s.other = p.block("endif")
			return s
		}
		if end == "endif" {
			p.endTag()
			return s
		}
	}
}

func (p *parser) forTag(at line) stmt {
	s := &forStmt{line: at, target: p.target(false, "in")}
	p.want("in")
	s.iter = p.tupleUntil(false, "recursive")
	if p.skip("if") {
		s.cond = p.expression()
	}
	s.recursive = p.skip("recursive")
	p.endTag()
	p.loops++
	body, end := p.body("else", "endfor")
	p.loops--
	s.body = body
	if end == "else" {
		s.empty = p.block("endfor")
	} else {
		p.endTag()
	}
	return s
}

func (p *parser) setTag(at line) stmt {
	t := p.target(true, "=")
	if p.skip("=") {
		s := &setStmt{at, t, p.tuple(true)}
		p.endTag()
		return s
	}
	s := &setBlock{line: at, target: t, filter: p.filters(nil, false)}
	s.body = p.block("endset")
	return s
}

// target reads what is assigned to. Several stand between commas, in brackets or
// not, and stop before the operator or name end.
func (p *parser) target(attr bool, end string) target {
	defer p.deeper()()
	var ts []target
	comma := false
	for {
		if p.skip("(") {
			t := p.target(false, ")")
			p.want(")")
			ts = append(ts, t)
		} else {
			n := p.ident()
			switch n {
			case "true", "false", "none", "True", "False", "None", "loop":
				p.fail("cannot assign to %q", n)
			}
			t := target{name: n}
			if attr && p.skip(".") {
				t.attr = p.ident()
			}
			ts = append(ts, t)
		}
		if end == "" || !p.skip(",") {
			break
		}
		comma = true
		if p.cur().is(end) {
			break
		}
	}
	if len(ts) == 1 && !comma {
		return ts[0]
	}
	return target{several: ts}
}

// callable reads (a, b=1), the body and what the body takes beyond its parameters.
func (p *parser) callable(end string) (signature, []stmt) {
	if !p.cur().is("(") {
		p.fail("found %s, want (", p.found())
	}
	return p.callableBody(p.signature(), end)
}

func (p *parser) callableBody(s signature, end string) (signature, []stmt) {
	p.used = append(p.used, map[string]bool{})
	loops := p.loops
	p.loops = 0
	body := p.block(end)
	p.loops = loops
	names := p.used[len(p.used)-1]
	p.used = p.used[:len(p.used)-1]
	s.varargs, s.kwargs, s.caller = names["varargs"], names["kwargs"], names["caller"]
	return s, body
}

func (p *parser) signature() signature {
	var s signature
	if !p.skip("(") {
		return s
	}
	for !p.skip(")") {
		if len(s.params) > 0 {
			p.want(",")
		}
		n := p.ident()
		if slices.Contains(s.params, n) {
			p.fail("parameter %q twice", n)
		}
		s.params = append(s.params, n)
		if p.skip("=") {
			s.defaults = append(s.defaults, p.expression())
		} else if len(s.defaults) > 0 {
			p.fail("a parameter without default after one with it")
		}
	}
	return s
}
