package jinja

import (
	"math"
	"math/bits"
	"strings"
)

func (in *interp) binary(x *binary) value {
	a := in.eval(x.a)
	switch x.op {
	case "and":
		if !truth(a) {
			return a
		}
		return in.eval(x.b)
	case "or":
		if truth(a) {
			return a
		}
		return in.eval(x.b)
	}
	b := in.eval(x.b)
	in.line = x.at()
	if s, ok := text(a); ok && x.op == "%" {
		return like(a, in.format(s, b))
	}
	in.defined(a)
	in.defined(b)
	if v, ok := in.sequences(x.op, a, b); ok {
		return v
	}
	return in.integersOrFloats(x.op, a, b)
}

// integersOrFloats is an operation on two numbers.
func (in *interp) integersOrFloats(op string, a, b value) value {
	in.defined(a)
	in.defined(b)
	i, f, float, ok := number(a)
	j, g, gloat, ok2 := number(b)
	if !ok || !ok2 {
		in.fail("%s: unsupported operands %s and %s", op, typeName(a), typeName(b))
	}
	if !float && !gloat && op != "/" && !(op == "**" && j < 0) {
		return in.integers(op, i, j)
	}
	return in.floats(op, f, g)
}

// sequences are + and * of strings and lists.
func (in *interp) sequences(op string, a, b value) (value, bool) {
	if op == "*" {
		if _, _, _, ok := number(a); ok {
			a, b = b, a
		}
		n, _, float, ok := number(b)
		if !ok || float {
			return nil, false
		}
		n = max(0, n)
		if s, ok := text(a); ok {
			in.product(len(s), n, 1)
			return like(a, strings.Repeat(s, int(n))), true
		}
		l, ok := a.(*list)
		if !ok || l.kind != "" {
			return nil, false
		}
		in.product(len(l.items), n, 16)
		out := &list{items: make([]value, 0, len(l.items)*int(n)), tuple: l.tuple}
		for range n {
			if len(l.items) == 0 {
				break
			}
			out.items = append(out.items, l.items...)
		}
		return out, true
	}
	if op != "+" {
		return nil, false
	}
	s, ok := text(a)
	t, ok2 := text(b)
	if ok && ok2 {
		_, am := a.(markup)
		_, bm := b.(markup)
		if am != bm {
			if am {
				t = in.escape(t)
			} else {
				s = in.escape(s)
			}
		}
		in.alloc(len(s) + len(t))
		if am || bm {
			return markup(s + t), true
		}
		return s + t, true
	}
	l, ok := a.(*list)
	m, ok2 := b.(*list)
	if ok && ok2 && l.tuple == m.tuple && l.kind == "" && m.kind == "" {
		in.room(len(l.items) + len(m.items))
		return &list{items: append(append(make([]value, 0, len(l.items)+len(m.items)), l.items...), m.items...), tuple: l.tuple}, true
	}
	return nil, false
}

// product counts n times size units of bytes bytes before they are made.
func (in *interp) product(size int, n int64, bytes uint64) {
	hi, lo := bits.Mul64(uint64(size)*bytes, uint64(n))
	if hi != 0 || lo > math.MaxInt32*64 {
		lo = math.MaxInt32 * 64
	}
	if n > math.MaxInt32 {
		lo = math.MaxInt32 * 64
	}
	in.alloc(int(lo))
}

func (in *interp) integers(op string, i, j int64) value {
	over := func() value {
		in.fail("%s: an integer out of range", op)
		return nil
	}
	switch op {
	case "+":
		if s := i + j; (s > i) == (j > 0) {
			return s
		}
		return over()
	case "-":
		if s := i - j; (s < i) == (j > 0) {
			return s
		}
		return over()
	case "*":
		if i == 0 || j == 0 {
			return int64(0)
		}
		if p := i * j; p/j == i && !(i == -1 && j == math.MinInt64) && !(j == -1 && i == math.MinInt64) {
			return p
		}
		return over()
	case "//", "%":
		if j == 0 {
			in.fail("%s: division by zero", op)
		}
		if i == math.MinInt64 && j == -1 {
			return over()
		}
		q, r := i/j, i%j
		if r != 0 && (r < 0) != (j < 0) {
			q, r = q-1, r+j
		}
		if op == "//" {
			return q
		}
		return r
	}
	out := int64(1) // **, j >= 0
	if i == 0 || i == 1 || i == -1 {
		switch {
		case j == 0 || i == 1:
			return int64(1)
		case i == 0:
			return int64(0)
		case j%2 == 0:
			return int64(1)
		}
		return int64(-1)
	}
	for range j {
		out = in.integers("*", out, i).(int64)
	}
	return out
}

func (in *interp) floats(op string, f, g float64) value {
	switch op {
	case "+":
		return f + g
	case "-":
		return f - g
	case "*":
		return f * g
	case "**":
		if f == 0 && g < 0 {
			in.fail("**: zero to a negative power")
		}
		if f < 0 && g != math.Trunc(g) {
			in.fail("**: complex numbers are not supported")
		}
		return math.Pow(f, g)
	}
	if g == 0 {
		in.fail("%s: division by zero", op)
	}
	if op == "/" {
		return f / g
	}
	// Python's float_divmod.
	mod := math.Mod(f, g)
	div := (f - mod) / g
	if mod != 0 {
		if (g < 0) != (mod < 0) {
			mod += g
			div--
		}
	} else {
		mod = math.Copysign(0, g)
	}
	if op == "%" {
		return mod
	}
	if div == 0 {
		return math.Copysign(0, f/g)
	}
	floor := math.Floor(div)
	if div-floor > 0.5 {
		floor++
	}
	return floor
}
