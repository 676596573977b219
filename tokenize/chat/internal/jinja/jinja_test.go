package jinja

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// snippets.json holds what transformers 5.23.0 with jinja2 3.1.6 makes of small
// sources (testdata/make_expected.py).
func TestSnippets(t *testing.T) {
	b, err := os.ReadFile("../../testdata/snippets.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Now   time.Time
		Cases []struct {
			Source, Error string
			Text          *string
		}
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Cases) < 100 {
		t.Fatalf("%d cases", len(f.Cases))
	}
	for _, c := range f.Cases {
		got, err := renderAt(c.Source, f.Now)
		switch {
		case c.Text == nil && err == nil:
			t.Errorf("%s\n gave %q, want %s", c.Source, got, c.Error)
		case c.Text != nil && err != nil:
			t.Errorf("%s\n gave error %v, want %q", c.Source, err, *c.Text)
		case c.Text != nil && got != *c.Text:
			t.Errorf("%s\n gave %q\nwant  %q", c.Source, got, *c.Text)
		}
	}
}

func renderAt(source string, now time.Time) (string, error) {
	tm, err := Compile(source)
	if err != nil {
		return "", err
	}
	return tm.Render(Env{Now: now, Vars: map[string]any{"messages": []any{}, "tools": nil, "documents": nil, "add_generation_prompt": false}})
}

// Templates that would loop, grow or recurse without end stop with one error, and
// the memory that they took is bounded.
func TestLimits(t *testing.T) {
	double := "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(1000) %}{% set ns.x = "
	for name, source := range map[string]string{
		"loops in loops":        "{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
		"output":                "{% set r = range(100000) %}{% for a in r %}{% for b in r %}" + strings.Repeat("x", 1000) + "{% endfor %}{% endfor %}",
		"macro without end":     "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"caller without end":    "{% macro f() %}{{ caller() }}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{% call f() %}{% endcall %}",
		"recursive loop":        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
		"doubling by ~":         double + "ns.x ~ ns.x %}{% endfor %}",
		"doubling by +":         double + "ns.x + ns.x %}{% endfor %}",
		"doubling a list":       "{% set ns = namespace(x=[1]) %}{% for i in range(1000) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
		"replace":               double + "ns.x.replace('a', ns.x) %}{% endfor %}",
		"replace by a chain":    "{% set x = 'aaaaaaaaaaaaaaaa' %}{{ x" + strings.Repeat(".replace('a', x)", 60) + " }}",
		"filter replace":        double + "ns.x | replace('a', ns.x) %}{% endfor %}",
		"join":                  double + "([ns.x] * 100) | join(ns.x) %}{% endfor %}",
		"repetition":            "{{ 'a' * 1000000000000 }}",
		"repetition of a list":  "{{ [1, 2] * 9223372036854775807 }}",
		"repetition, twice":     "{{ ('a' * 100000000) * 100000000 }}",
		"width":                 "{{ '%1000000000d' % 1 }}",
		"indent":                "{{ 'a\nb' | indent(2000000000) }}",
		"ljust":                 "{{ 'a'.ljust(2000000000) }}",
		"tojson indent":         "{{ [[[]]] | tojson(indent=2000000000) }}",
		"slices":                "{{ [1] | slice(2000000000) }}",
		"batch":                 "{{ [1] | batch(2000000000, 'x') }}",
		"repr of a shared list": "{% set ns = namespace(x=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
		"tojson of shared":      "{% set ns = namespace(x=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
		"equal of shared":       "{% set ns = namespace(x=[], y=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
		"deep value":            "{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
		"a long sum":            "{{ " + strings.Repeat("1+", 200000) + "1 }}",
		"brackets":              "{{ " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }}",
		"not":                   "{{ " + strings.Repeat("not ", 100000) + "1 }}",
		"minus":                 "{{ " + strings.Repeat("-", 100000) + "1 }}",
		"ifs":                   strings.Repeat("{% if 1 %}", 50000) + strings.Repeat("{% endif %}", 50000),
		"too long":              strings.Repeat("x", 2<<20),
		"a chain of strips":     "{% set x = 'a' * 100000000 %}{% for i in range(100000) %}{% set y = x.strip() %}{% endfor %}",
		"searching":             "{% set x = 'a' * 100000000 %}{% for i in range(100000) %}{% if 'b' in x %}{% endif %}{% endfor %}",
		"strip set":             "{% set x = 'a' * 10000000 %}{% set y = 'b' * 1000000 ~ 'a' %}{{ x.strip(y) }}",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := renderAt(source, time.Time{})
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("rendered, want an error")
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("took %v", d)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 6<<30 {
				t.Errorf("allocated %d MB", n>>20)
			}
			if strings.Count(err.Error(), "\n") > 0 || len(err.Error()) > 300 {
				t.Errorf("error %q, want one line", err)
			}
			t.Log(err)
		})
	}
}

// What filters return is read once, is true and has no length, as in Jinja: `if x |
// select` is no question of whether there is anything (jinja2 3.1.6).
func TestGenerators(t *testing.T) {
	const empty = "{% set g = [] | select %}"
	for source, want := range map[string]string{
		empty + "{{ 'yes' if g else 'no' }}":                                              "yes",
		empty + "{{ 'yes' if g | list else 'no' }}":                                       "no",
		"{% set g = [1, 2] | map('string') %}{{ g | join }}{{ g | join }}":                "12",
		"{{ [1, 2] | select | list | length }}{{ {'a': 1}.items() | length }}":            "21",
		"{{ [1] | select is sequence }}{{ [1] | select is iterable }}":                    "FalseTrue",
		"{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}":                    "a1",
		"{{ ([1, 2] | map('string') | reverse)[0] }}{{ range(3)[1] }}{{ 2 in range(3) }}": "21True",
	} {
		got, err := renderAt(source, time.Time{})
		if err != nil || got != want {
			t.Errorf("%s gave %q, %v, want %q", source, got, err, want)
		}
	}
	for _, source := range []string{"{{ [1] | select | length }}", "{{ [1] | select | tojson }}", "{{ [1] | map('string') | last }}", "{{ ([1] | select)[1:] }}", "{{ [1] | select }}", "{{ ([1] | select) + [1] }}", "{{ 5[1:] }}"} {
		if got, err := renderAt(source, time.Time{}); err == nil {
			t.Errorf("%s gave %q, want an error", source, got)
		}
	}
}

// What could reach beyond the template does not exist.
func TestRefusals(t *testing.T) {
	for _, source := range []string{
		"{% include '/etc/passwd' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}", "{% block x %}{% endblock %}",
		"{{ open('/etc/passwd') }}", "{{ ''.__class__.__mro__ }}", "{{ range.__globals__.x }}", "{{ lipsum() }}", "{{ [1] | random }}", "{{ self }}{{ self.x }}",
		"{{ 'a'.encode() }}", "{{ messages.append(1) }}", "{{ messages.__class__.x }}", "{{ messages | attr('__class__') | attr('x') }}",
	} {
		if got, err := renderAt(source, time.Time{}); err == nil {
			t.Errorf("%s gave %q, want an error", source, got)
		}
	}
	_, err := renderAt("{{ strftime_now('%d') }}", time.Time{})
	if !errors.Is(err, ErrNoDate) {
		t.Errorf("without a date: %v", err)
	}
	var raised *Raised
	if _, err := renderAt("{{ raise_exception('no system turns') }}", time.Time{}); !errors.As(err, &raised) || raised.Text != "no system turns" {
		t.Errorf("raised: %v", err)
	}
}

func FuzzRender(f *testing.F) {
	b, err := os.ReadFile("../../testdata/snippets.json")
	if err != nil {
		f.Fatal(err)
	}
	var s struct{ Cases []struct{ Source string } }
	if err := json.Unmarshal(b, &s); err != nil {
		f.Fatal(err)
	}
	for _, c := range s.Cases {
		f.Add(c.Source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tm, err := Compile(source)
		if err != nil {
			return
		}
		_, _ = tm.Render(Env{Limits: Limits{Steps: 1e5, Bytes: 1 << 20, Output: 1 << 16}, Vars: map[string]any{"messages": []any{Pairs{{"role", "user"}, {"content", "x"}}}}})
	})
}
