package jinja

import (
	"fmt"
	"strings"
)

// maxRange is the longest range that Jinja's sandbox makes.
const maxRange = 100000

// globals are the functions that stand beside the variables. lipsum is random and
// left out.
var globals = map[string]func(in *interp, a actual) value{
	"range": func(in *interp, a actual) value {
		in.want("range", a, 1, 3)
		start, stop, step := 0, in.intArg("range", a.pos[0]), 1
		if len(a.pos) > 1 {
			start, stop = stop, in.intArg("range", a.pos[1])
		}
		if len(a.pos) > 2 {
			if step = in.intArg("range", a.pos[2]); step == 0 {
				in.fail("range: step must not be zero")
			}
		}
		n := 0
		switch {
		case step > 0 && stop > start:
			n = (stop - start + step - 1) / step
		case step < 0 && stop < start:
			n = (start - stop - step - 1) / -step
		}
		if n > maxRange {
			in.fail("range: %d numbers, want at most %d", n, maxRange)
		}
		in.room(n)
		l := &list{kind: "range"}
		for i := range n {
			l.items = append(l.items, int64(start+i*step))
		}
		return l
	},
	"dict":      func(in *interp, a actual) value { return in.toDict("dict", a) },
	"namespace": namespaceOf,
	"cycler": func(in *interp, a actual) value {
		if len(a.pos) == 0 || len(a.names) > 0 {
			in.fail("cycler: want at least one value")
		}
		i := 0
		ns := &namespace{newDict()}
		current := func() { ns.d.set("current", a.pos[i]) }
		current()
		ns.d.set("next", function{"cycler.next", func(*interp, actual) value {
			v := a.pos[i]
			i = (i + 1) % len(a.pos)
			current()
			return v
		}})
		ns.d.set("reset", function{"cycler.reset", func(*interp, actual) value {
			i = 0
			current()
			return nil
		}})
		return ns
	},
	"joiner": func(in *interp, a actual) value {
		in.want("joiner", a, 0, 1, "sep")
		sep, used := a.arg(0, "sep", ", "), false
		return function{"joiner", func(*interp, actual) value {
			if !used {
				used = true
				return ""
			}
			return sep
		}}
	},
	"raise_exception": func(in *interp, a actual) value {
		in.want("raise_exception", a, 1, 1, "message")
		panic(&Raised{in.str(a.arg(0, "message", nil))})
	},
	"strftime_now": func(in *interp, a actual) value {
		in.want("strftime_now", a, 1, 1, "format")
		f := in.textArg("strftime_now", a.arg(0, "format", nil))
		if in.now.IsZero() {
			panic(&dateError{RuntimeError{in.line, "the template asks for today's date (strftime_now), and none is given"}})
		}
		return in.strftime(f)
	},
}

func namespaceOf(in *interp, a actual) value {
	d := in.toDict("namespace", a)
	for _, k := range d.keys {
		if s, ok := text(k); ok {
			in.attrName(s)
		}
	}
	return &namespace{d}
}

// toDict is Python's dict(...).
func (in *interp) toDict(what string, a actual) *dict {
	if len(a.pos) > 1 {
		in.fail("%s: found %d arguments, want at most 1", what, len(a.pos))
	}
	d := newDict()
	if len(a.pos) == 1 {
		in.defined(a.pos[0])
		if o, ok := a.pos[0].(*dict); ok {
			d = in.copyDict(o)
		} else {
			for _, p := range in.items(a.pos[0]) {
				kv := in.items(p)
				if len(kv) != 2 || !d.set(kv[0], kv[1]) {
					in.fail("%s: want pairs of a key and a value", what)
				}
			}
		}
	}
	in.room(3 * (len(d.keys) + len(a.names)))
	for _, n := range a.names {
		d.set(n, a.named[n])
	}
	return d
}

// strftime is Python's, in the C locale and without a time zone.
func (in *interp) strftime(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		bare := format[i] == '-' && i+1 < len(format) // glibc: no padding
		if bare {
			i++
		}
		layouts := map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'y': "06", 'b': "Jan", 'h': "Jan", 'B': "January",
			'a': "Mon", 'A': "Monday", 'p': "PM", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", 'e': "_2", 'j': "002",
			'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05"}
		c := format[i]
		layout, ok := layouts[c]
		s := ""
		switch {
		case ok:
			s = in.now.Format(layout)
		case c == '%':
			s = "%"
		case c == 'n':
			s = "\n"
		case c == 't':
			s = "\t"
		case c == 'f':
			s = fmt.Sprintf("%06d", in.now.Nanosecond()/1000)
		case c == 'Z' || c == 'z': // a naive time has no zone
		case c == 'w':
			s = fmt.Sprint(int(in.now.Weekday()))
		case c == 'u':
			s = fmt.Sprint((int(in.now.Weekday())+6)%7 + 1)
		default:
			in.fail("strftime_now: %%%c is not supported", c)
		}
		if bare {
			if t := strings.TrimLeft(s, "0 "); t != "" {
				s = t
			} else {
				s = "0"
			}
		}
		b.WriteString(s)
	}
	return b.String()
}
