package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"assay/probes"
	"assay/probes/bundle"
)

// sample is an audit with a result of each kind of content and a failed test.
func sample() (*bundle.Manifest, *bundle.Plan, []bundle.Outcome) {
	r := probes.Result{Schema: probes.Schema, Test: "palimpsest.query", N: map[string]int{"units": 1500}, Settings: map[string]any{"perm": 9999, "design": "uniform"},
		Inputs:    []probes.Input{{Role: "suspect", Path: "traces/a.parquet", Digest: "sha256:00"}},
		Estimates: []probes.Estimate{{Name: "rho", Value: probes.Value(0.32719), Unit: "rank correlation", CI: &probes.CI{Lo: .27835, Hi: .37435, Level: .95}, Method: "Spearman"}, {Name: "gap", Unit: "nats"}},
		P:         []probes.PValue{{Name: "verdict", Log10P: -30.0876, Method: "exact", Null: "no dependence on the order"}},
		Checks:    []probes.Check{{Name: "drift", Value: .1, Limit: .5, Pass: true, Text: "of the order"}},
		Series:    []probes.Series{{Name: "bins", Columns: []string{"pos", "mean"}, Units: []string{"% of run", "nats"}, Labels: []string{"first"}, Rows: [][]float64{{5, -.25}}}},
		Verdict:   probes.Verdict{Tier: probes.TierB, Finding: "order_dependence", Says: "it depends on the order", DoesNotSay: "by which path"},
		Warnings:  []probes.Warning{{Code: "ref-unchecked", Text: "nobody checked it"}}}
	outs := []bundle.Outcome{
		{Number: 1, Item: bundle.Item{ID: "pal", Test: "palimpsest", Primary: true, Note: "a note"}, Results: []probes.Result{r}, Files: []string{"results/01-pal.json"},
			Command: []string{"palimpsest", "query"}, Figures: []bundle.Figure{{Path: "figures/01-pal-1.svg", SVG: Figures(r)[0]}}},
		{Number: 2, Item: bundle.Item{ID: "gh", Test: "ghost"}, Files: []string{"results/02-gh.error.json"}, Failure: &bundle.Failure{Code: "no-file", Exit: 3, Text: "it is gone", Hint: []string{"find it"}}},
	}
	p := &bundle.Plan{Family: bundle.Family{Method: "holm", Over: "primary", Level: .01}}
	bundle.Adjust(outs, p.Family)
	m := &bundle.Manifest{Title: "Toy", EvidenceID: strings.Repeat("ab", 32), Created: "2026-01-01T00:00:00Z", Plan: "sha256:11",
		Models:   []bundle.ModelEntry{{Role: "suspect", Path: "ck", Model: bundle.Model{Weights: "sha256:" + strings.Repeat("cd", 32), Architecture: "gpt_neox", Parameters: 1119360, Layers: 3}}},
		Inputs:   []bundle.InputEntry{{Name: "order", Kind: "transcript", Excerpt: "begins", Files: []bundle.InputFile{{Source: "o.npy", Path: "inputs/order.npy", Bytes: 12, SHA256: "ef"}}}},
		Traces:   []bundle.TraceEntry{{Path: "traces/a.parquet", Run: "12", Docs: 10, Status: map[string]int64{"ok": 9, "no-tokens": 1}, Warnings: []probes.Warning{{Code: "w", Text: "t"}}}},
		Warnings: []probes.Warning{{Code: "not-sealed", Text: "no seal"}},
		Files:    []bundle.FileEntry{{Path: "plan.yaml", Bytes: 3, SHA256: "aa"}}}
	return m, p, outs
}

func render(t *testing.T, m *bundle.Manifest, p *bundle.Plan, outs []bundle.Outcome) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, m, p, outs); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// element is a start tag of a page with its text.
type element struct {
	name string
	attr map[string]string
	text string
}

// parse reads a page as XML, which it is but for its document type and the meta
// elements.
func parse(t *testing.T, s string) []element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(closeVoid(strings.Replace(s, "<!DOCTYPE html>", "", 1))))
	d.Entity = xml.HTMLEntity
	var out []element
	var stack []int
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("the page does not parse: %v", err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			e := element{name: x.Name.Local, attr: map[string]string{}}
			for _, a := range x.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			stack = append(stack, len(out))
			out = append(out, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			for _, i := range stack {
				out[i].text += string(x)
			}
		}
	}
}

// closeVoid closes meta elements, the only void ones of the page.
func closeVoid(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "<meta ")
		if i < 0 {
			return b.String() + s
		}
		j := i + strings.Index(s[i:], ">")
		b.WriteString(s[:j] + "/>")
		s = s[j+1:]
	}
}

func TestPage(t *testing.T) {
	m, p, outs := sample()
	s := render(t, m, p, outs)
	m, p, outs = sample()
	if again := render(t, m, p, outs); again != s {
		t.Error("two pages of one audit differ")
	}
	for _, want := range []string{"0.32719", "0.27835 to 0.37435 (95 %)", "-30.09", "units 1500", "no dependence on the order", "it depends on the order", "by which path",
		"ref-unchecked", "no-file", "it is gone", "1,119,360", "sha256:cdcdcdcdcdcdcdcd", "Holm", "find it", "undefined", "assay palimpsest query", "partial-trace", "a note"} {
		if !strings.Contains(s, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	els := parse(t, s)
	level, ids := 0, map[string]bool{}
	for _, e := range els {
		if id := e.attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("id %q appears twice", id)
			}
			ids[id] = true
		}
	}
	for i, e := range els {
		switch e.name {
		case "html":
			if e.attr["lang"] != "en" {
				t.Error("no language")
			}
		case "h1", "h2", "h3", "h4":
			n := int(e.name[1] - '0')
			if n > level+1 {
				t.Errorf("heading %q follows level %d", e.text, level)
			}
			level = n
		case "table":
			if els[i+1].name != "caption" || strings.TrimSpace(els[i+1].text) == "" {
				t.Error("a table without a caption")
			}
		case "th":
			if e.attr["scope"] == "" {
				t.Errorf("th %q without scope", e.text)
			}
		case "a":
			if h := e.attr["href"]; !strings.HasPrefix(h, "#") || !ids[h[1:]] {
				t.Errorf("link to %q", h)
			}
		case "svg":
			if e.attr["role"] != "img" || els[i+1].name != "title" || els[i+1].text == "" || els[i+2].name != "desc" {
				t.Error("a figure without role, title and description")
			}
		case "script", "img", "link", "iframe", "object", "details", "form":
			t.Errorf("the page holds <%s>", e.name)
		}
	}
	if n := strings.Count(s, "<h1"); n != 1 {
		t.Errorf("%d h1", n)
	}
}

// poison puts s into every string below v, map values included.
func poison(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Kind() == reflect.Pointer {
			poison(v.Elem(), s)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				poison(v.Field(i), s)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			poison(v.Index(i), s)
		}
	case reflect.String:
		v.SetString(s)
	}
}

// Whatever strings hold, the page has no element of theirs, and shows nothing that
// hides or reorders text.
func TestHostileStrings(t *testing.T) {
	plain := map[string]bool{}
	m, p, outs := sample()
	for _, e := range parse(t, render(t, m, p, outs)) {
		plain[e.name] = true
	}
	for _, s := range []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "'\"><svg onload=x>", "</title></style><script>x</script>", "a\x00b\x1b[2J", "\u202egnp.exe\u2066\u200b",
		"{{.CSS}}", "javascript:alert(1)", "]]><!--", "\xff\xfe", strings.Repeat("x", 10<<20)} {
		m, p, outs := sample()
		poison(reflect.ValueOf(m), s)
		poison(reflect.ValueOf(&outs), s)
		for i := range outs {
			for j := range outs[i].Results {
				r := &outs[i].Results[j]
				r.Settings, r.N = map[string]any{s: s}, map[string]int{s: 1}
			}
			outs[i].Figures = []bundle.Figure{{Path: s, SVG: []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1" onload="x"><script>alert(1)</script><text onclick="x" style="fill:url(http://x)">` +
				strings.NewReplacer("&", "&amp;", "<", "&lt;", "\x00", "", "\x1b", "", "\xff\xfe", "").Replace(s) + `</text><a href="http://x"><path d="M0,0"/></a><foreignObject><p>x</p></foreignObject></svg>`)}}
		}
		page := render(t, m, p, outs)
		if len(page) > 5<<20 {
			t.Errorf("%.20q: page of %d bytes", s, len(page))
		}
		for _, e := range parse(t, page) {
			if !plain[e.name] {
				t.Errorf("%.20q: the page holds <%s>", s, e.name)
			}
			for a := range e.attr {
				if strings.HasPrefix(a, "on") || a == "src" {
					t.Errorf("%.20q: <%s> has %s", s, e.name, a)
				}
			}
			if h, ok := e.attr["href"]; ok && !strings.HasPrefix(h, "#") {
				t.Errorf("%.20q: href %.40q", s, h)
			}
		}
		if i := strings.IndexFunc(page, func(r rune) bool { return r == 0 || r == 0x1b || r == 0x202e || r == 0x2066 || r == 0x200b }); i >= 0 {
			t.Errorf("%.20q: the page holds a hidden character at byte %d", s, i)
		}
		if strings.Contains(page, "url(") {
			t.Errorf("%.20q: the page holds url(", s)
		}
	}
}

func TestInlineRefuses(t *testing.T) {
	for _, s := range []string{"", "<p>x</p>", "<svg>", "no XML", `<svg><path d="&undefined;"/></svg>`} {
		if got, err := inline([]byte(s), "f", "t", "d"); err == nil {
			t.Errorf("inline(%q) = %q", s, got)
		}
	}
	got, err := inline([]byte(`<?xml version="1.0"?><svg viewBox="0 0 9 9" width="9pt"><g transform="scale(1, -1)"><path d="M0,0L1,1" style="fill:none;stroke:#D55E00;stroke-width:2"/></g></svg>`), "f", "a<b", "d")
	const want = `<svg viewBox="0 0 9 9" role="img" aria-labelledby="f-t f-d"><title id="f-t">a&lt;b</title><desc id="f-d">d</desc><g transform="scale(1, -1)"><path d="M0,0L1,1" style="fill:none;stroke:var(--c2);stroke-width:2"></path></g></svg>`
	if err != nil || got != want {
		t.Errorf("inline = %s, %v", got, err)
	}
}

func TestFigures(t *testing.T) {
	r := probes.Result{Estimates: []probes.Estimate{{Name: "a", Value: probes.Value(1), Unit: "nats"}}}
	if Figures(r) != nil {
		t.Error("a figure without an interval")
	}
	r.Estimates = append(r.Estimates, probes.Estimate{Name: "b", Value: probes.Value(math.NaN()), Unit: "nats", CI: &probes.CI{Lo: 0, Hi: math.Inf(1)}},
		probes.Estimate{Name: "c<", Value: probes.Value(2), Unit: "nats", CI: &probes.CI{Lo: 2, Hi: 2}}, probes.Estimate{Name: "d", Value: probes.Value(2), Unit: "1", CI: &probes.CI{Lo: 1, Hi: 3}})
	fs := Figures(r)
	if len(fs) != 1 || !bytes.Contains(fs[0], []byte("c&lt;")) || bytes.Contains(fs[0], []byte(">d<")) || bytes.Contains(fs[0], []byte("NaN")) {
		t.Errorf("%d figures: %s", len(fs), fs)
	}
}

func FuzzInline(f *testing.F) {
	f.Add([]byte(`<svg viewBox="0 0 1 1"><script>x</script><text>a</text></svg>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := inline(b, "f", "t", "d")
		if err != nil {
			return
		}
		d := xml.NewDecoder(strings.NewReader(s))
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			if e, ok := tok.(xml.StartElement); ok && !slices.Contains(append([]string{"title", "desc"}, svgElements...), e.Name.Local) {
				t.Errorf("kept <%s>", e.Name.Local)
			}
		}
	})
}
