package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of one rendering. Zero fields take the values of Default.
type Limits struct {
	Steps  int64 // nodes evaluated, iterations, and one for each 64 bytes of text worked on
	Bytes  int64 // text and list items made, over the whole rendering
	Output int64 // bytes of the result
}

// Default are limits far above what a chat of 16 MiB needs.
func Default() Limits { return Limits{Steps: 20e6, Bytes: 512 << 20, Output: 16 << 20} }

// maxSource is the most bytes of a template. Those of published models have 17 KB at most.
const maxSource = 1 << 20

// maxDepth bounds calls inside calls and expressions inside expressions.
const maxDepth = 2000

// SyntaxError is a source that does not compile.
type SyntaxError struct {
	Line int
	Text string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// RuntimeError is a rendering that Jinja would refuse too, or that needs what this
// package has not.
type RuntimeError struct {
	Line int
	Text string
}

func (e *RuntimeError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// Raised is an error that the template itself raised by raise_exception.
type Raised struct{ Text string }

func (e *Raised) Error() string { return e.Text }

// LimitError is a rendering that was stopped.
type LimitError struct {
	Line  int
	What  string
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("line %d: stopped after %d %s", e.Line, e.Limit, e.What)
}

// Template is a compiled source. It may be rendered by many goroutines at once.
type Template struct {
	body []stmt
}

// fail stops a compilation; compile recovers it.
func fail(line int, format string, args ...any) {
	panic(&SyntaxError{line, fmt.Sprintf(format, args...)})
}

// Compile parses a source. Its error is a *SyntaxError.
func Compile(source string) (t *Template, err error) {
	if len(source) > maxSource {
		return nil, &SyntaxError{1, fmt.Sprintf("%d bytes, want at most %d", len(source), maxSource)}
	}
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(*SyntaxError)
			if !ok {
				panic(p)
			}
			t, err = nil, e
		}
	}()
	p := &parser{toks: lex(source)}
	body, _ := p.body()
	return &Template{body}, nil
}

// Env is what a template sees beside its own names.
type Env struct {
	Vars map[string]any // values as From takes them
	// Now is what strftime_now formats. Where it is zero the call is an error: a
	// rendering must not depend on the day.
	Now    time.Time
	Limits Limits
}

// ErrNoDate is in the chain of a RuntimeError when a template asks for the date
// and Env has none.
var ErrNoDate = errors.New("the template asks for today's date")

type dateError struct{ RuntimeError }

func (e *dateError) Unwrap() error { return ErrNoDate }

// Render runs the template.
func (t *Template) Render(env Env) (out string, err error) {
	in := &interp{limits: env.Limits, now: env.Now, out: &strings.Builder{}, filters: filterTable, tests: testTable}
	d := Default()
	if in.limits.Steps == 0 {
		in.limits.Steps = d.Steps
	}
	if in.limits.Bytes == 0 {
		in.limits.Bytes = d.Bytes
	}
	if in.limits.Output == 0 {
		in.limits.Output = d.Output
	}
	defer func() {
		if p := recover(); p != nil {
			switch e := p.(type) {
			case *RuntimeError, *LimitError, *Raised, *dateError:
				out, err = "", e.(error)
			default:
				panic(p)
			}
		}
	}()
	s := newScope(nil)
	for k, f := range globals {
		s.vars[k] = function{k, f}
	}
	for k, v := range env.Vars {
		x, err := from(v, 0)
		if err != nil {
			return "", fmt.Errorf("variable %q: %w", k, err)
		}
		s.vars[k] = x
	}
	in.scope = newScope(s)
	in.run(t.body)
	return in.out.String(), nil
}

// from turns values as encoding/json makes them (also Pairs, int, []string) into the
// interpreter's.
func from(v any, depth int) (value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case nil, bool, int64, float64, string:
		return v, nil
	case int:
		return int64(v), nil
	case []any:
		l := &list{}
		for _, x := range v {
			y, err := from(x, depth+1)
			if err != nil {
				return nil, err
			}
			l.items = append(l.items, y)
		}
		return l, nil
	case Pairs:
		d := newDict()
		for _, p := range v {
			y, err := from(p.Value, depth+1)
			if err != nil {
				return nil, err
			}
			d.set(p.Key, y)
		}
		return d, nil
	}
	return nil, fmt.Errorf("found a %T, want a JSON value", v)
}

// Pairs is a dictionary in its order.
type Pairs []Pair

// Pair is one entry of Pairs.
type Pair struct {
	Key   string
	Value any
}
