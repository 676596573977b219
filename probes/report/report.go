// Package report writes an audit as one page that a person can read: a self-contained
// HTML file without scripts and without anything from outside.
//
// It answers, in this order: what was found, what that does not show, what was
// tested, each test with its numbers, how good the measurement was, how to check it.
// It computes nothing: every number stands in a result, and no p-value is shown
// without its n and its null hypothesis.
//
// Strings of the other party (names, ids, texts) are escaped by html/template and
// freed of characters that hide or reorder text; figures are rewritten to shapes and
// text (inline). Contrast follows WCAG 2 (palette).
package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/internal/visible"
	"assay/probes"
	"assay/probes/bundle"
)

// Bounds of the page.
const (
	maxShown   = 300     // code points of a string of the other party
	maxSays    = 2000    // of a sentence of a result
	maxRows    = 200     // of a table
	maxFigures = 3 << 20 // bytes of all figures
)

//go:embed page.html
var page string

//go:embed page.css
var css string

// view is the page as the template reads it.
type view struct {
	CSS                        template.CSS
	Title, Created, EvidenceID string
	Sealed                     bool
	Program, PlanDigest        string
	Tests                      []testView
	NotShown, Missing          []string
	Models                     []modelView
	Inputs                     []inputView
	Traces                     []traceView
	Warnings                   []warning
	Files                      []fileView
	MoreFiles                  int
	Family                     string
	Tiers                      []badge
}

type badge struct{ Letter, Words, Class string }

type warning struct{ Code, Text string }

type testView struct {
	Number                 int
	ID, Anchor, Test, Note string
	Primary                bool
	Failure                *failureView
	Results                []resultView
	Command                string
}

type failureView struct {
	Code, Text string
	Hints      []string
}

type resultView struct {
	Anchor, Name, File      string
	Badge                   badge
	Codes                   []string
	Variant                 string
	Finding, Question, Says string
	DoesNotSay              string
	Nulls                   []string
	Headline                row
	N                       string
	Estimates, PValues      []row
	Checks                  []checkView
	Warnings                []warning
	Figures                 []figureView
	Series                  []seriesView
	Settings                [][2]string
	Inputs                  [][2]string
	Seed                    uint64
}

type row struct{ Name, Value, Interval, Unit, Method, Raw, Adjusted, N string }

type checkView struct{ Name, Value, Limit, Outcome, Text string }

type figureView struct {
	SVG     template.HTML
	Caption string
	Path    string
	Label   string
}

type seriesView struct {
	Name    string
	Head    []string
	Rows    [][]string
	More    int
	File    string
	HasName bool
}

type modelView struct{ Role, Path, Architecture, Parameters, Weights, Full, Tokenizer string }

type inputView struct{ Name, Kind, Source, Bytes, Digest, Copied, Excerpt string }

type traceView struct{ Path, Role, Data, Docs, Rows, Policy, Device, Invariance, Run, Notes string }

type fileView struct{ Path, Bytes, SHA256 string }

// Write writes the page: equal input gives equal bytes.
func Write(w io.Writer, m *bundle.Manifest, p *bundle.Plan, os []bundle.Outcome) error {
	t, err := template.New("page").Funcs(template.FuncMap{"v": func(s string) string { return visible.Text(s, maxShown) },
		"says": func(s string) string { return visible.Text(s, maxSays) }}).Parse(page)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	v := viewOf(m, p, os)
	clean(reflect.ValueOf(&v).Elem())
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fault.Retryf("io", "report: %w", err)
	}
	return nil
}

// clean makes every string of the view safe to look at; styles and figures are made
// here.
func clean(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clean(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			clean(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			clean(v.Index(i))
		}
	case reflect.String:
		if t := v.Type(); t != reflect.TypeFor[template.CSS]() && t != reflect.TypeFor[template.HTML]() {
			v.SetString(visible.Text(v.String(), maxSays))
		}
	}
}

func viewOf(m *bundle.Manifest, p *bundle.Plan, os []bundle.Outcome) view {
	v := view{CSS: template.CSS(variables() + css), Title: m.Title, Created: m.Created, EvidenceID: m.EvidenceID, Sealed: m.Sealed != "", PlanDigest: m.Plan,
		Program: strings.TrimSpace(fmt.Sprintf("%s %s (%s), %s, %s", m.Program.Name, m.Program.Version, m.Program.Commit, m.Program.Go, m.Program.Platform)),
		Tiers:   []badge{badgeOf(probes.TierA), badgeOf(probes.TierB), badgeOf(probes.TierC)}}
	if v.Title == "" {
		v.Title = "Audit"
	}
	for _, w := range m.Warnings {
		v.Warnings = append(v.Warnings, warning(w))
	}
	v.Family = family(p, os)
	size := 0
	for i := range os {
		v.Tests = append(v.Tests, testOf(&os[i], &size))
	}
	v.missing(m, os)
	v.tested(m)
	for _, f := range m.Files[:min(len(m.Files), maxRows)] {
		v.Files = append(v.Files, fileView{f.Path, fmt.Sprint(f.Bytes), f.SHA256})
	}
	v.MoreFiles = len(m.Files) - len(v.Files)
	return v
}

func badgeOf(t probes.Tier) badge {
	return badge{string(t), tierWords(t), strings.ToLower(string(t))}
}

// family says in words how p-values were adjusted.
func family(p *bundle.Plan, os []bundle.Outcome) string {
	n := 0
	for _, o := range os {
		for _, ps := range o.Adjusted {
			for _, x := range ps {
				if !math.IsNaN(x) {
					n++
				}
			}
		}
	}
	switch {
	case p.Family.Method == "none":
		return "No p-value is adjusted for the number of tests."
	case n == 0:
		return "No p-value is in the family that is adjusted for the number of tests."
	}
	method := map[string]string{"holm": "Holm's method (family-wise error)", "bh": "the method of Benjamini and Hochberg (false discovery rate)"}[p.Family.Method]
	which := map[string]string{"primary": "tests marked primary", "all": "all tests"}[p.Family.Over]
	return fmt.Sprintf("Adjusted values are by %s over %d p-values of %s, level %g. A result that combines its own p-values enters with the combined one.", method, n, which, p.Family.Level)
}

// missing lists what is not shown and what is missing.
func (v *view) missing(m *bundle.Manifest, os []bundle.Outcome) {
	for _, o := range os {
		if o.Failure != nil {
			v.Missing = append(v.Missing, fmt.Sprintf("Test %s failed (%s).", o.Item.ID, o.Failure.Code))
		}
		for _, r := range o.Results {
			if s := limits(r.Verdict.DoesNotSay); s != "" {
				s = fmt.Sprintf("%s does not show %s", o.Item.ID, s)
				if !slices.Contains(v.NotShown, s) {
					v.NotShown = append(v.NotShown, s)
				}
			}
		}
	}
	for _, t := range m.Traces {
		unscored := t.Docs - t.Status["ok"]
		if unscored > 0 {
			v.Missing = append(v.Missing, fmt.Sprintf("partial-trace: %d of %d documents of %s could not be scored.", unscored, t.Docs, t.Path))
		}
	}
	if m.Sealed == "" {
		v.Missing = append(v.Missing, "The plan was not sealed: nothing shows that tests and data were fixed before anyone had scored.")
	}
}

// limits is a does_not_say as the rest of a sentence that begins "it does not say".
func limits(s string) string {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	for _, p := range []string{"It does not say ", "it does not say "} {
		s = strings.TrimPrefix(s, p)
	}
	return s
}

// tested fills what was tested and how well.
func (v *view) tested(m *bundle.Manifest) {
	for _, x := range m.Models {
		mv := modelView{Role: x.Role, Path: x.Path, Architecture: x.Architecture, Weights: short(x.Weights), Full: x.Weights, Tokenizer: short(x.Tokenizer)}
		if x.Parameters > 0 {
			mv.Parameters = fmt.Sprintf("%s, %d layers, width %d, vocabulary %d", thousands(x.Parameters), x.Layers, x.Width, x.Vocab)
		}
		if x.Path == "" {
			mv.Path = "traces made elsewhere"
		}
		v.Models = append(v.Models, mv)
	}
	for _, x := range m.Inputs {
		for i, f := range x.Files {
			in := inputView{Name: x.Name, Kind: x.Kind, Source: f.Source, Bytes: thousands(f.Bytes), Digest: short("sha256:" + f.SHA256), Copied: "not copied"}
			if f.Path != "" {
				in.Copied = f.Path
			}
			if i == 0 {
				in.Excerpt = visible.Text(x.Excerpt, 120)
			}
			v.Inputs = append(v.Inputs, in)
		}
	}
	for _, t := range m.Traces {
		tv := traceView{Path: t.Path, Role: t.Role, Data: t.Data, Docs: thousands(t.Docs), Rows: thousands(t.Rows), Policy: t.Policy, Run: short(t.Run),
			Device: strings.TrimSpace(t.Backend + " " + t.Device), Invariance: "not measured"}
		if t.Invariance != nil {
			tv.Invariance = fmt.Sprintf("%.1e nats over %d tokens", t.Invariance.MaxAbs, t.Invariance.N)
		}
		var notes []string
		for _, w := range t.Warnings {
			notes = append(notes, w.Code+": "+w.Text)
		}
		if t.Given {
			notes = append(notes, "made elsewhere")
		}
		tv.Notes = strings.Join(notes, "; ")
		v.Traces = append(v.Traces, tv)
	}
	for _, t := range m.States {
		tv := traceView{Path: t.Path, Role: t.Role, Data: t.Data, Docs: thousands(t.Docs), Rows: "states", Run: short(t.Run),
			Device: strings.TrimSpace(t.Backend + " " + t.Device), Invariance: "not measured"}
		if t.Invariance != nil {
			tv.Invariance = fmt.Sprintf("%.1e of a vector's size over %d vectors", t.Invariance.MaxRel, t.Invariance.N)
		}
		var notes []string
		for _, w := range t.Warnings {
			notes = append(notes, w.Code+": "+w.Text)
		}
		tv.Notes = strings.Join(notes, "; ")
		v.Traces = append(v.Traces, tv)
	}
}

func testOf(o *bundle.Outcome, size *int) testView {
	t := testView{Number: o.Number, ID: o.Item.ID, Anchor: "test-" + o.Item.ID, Test: strings.TrimSpace(o.Item.Test + " " + o.Item.Name), Note: o.Item.Note, Primary: o.Item.Primary,
		Command: "assay " + strings.Join(o.Command, " ")}
	if f := o.Failure; f != nil {
		t.Failure = &failureView{f.Code, f.Text, f.Hint}
	}
	for j := range o.Results {
		rv := resultOf(o, j)
		if j == 0 {
			rv.Figures = figuresOf(o, &o.Results[0], size)
		}
		t.Results = append(t.Results, rv)
	}
	return t
}

func resultOf(o *bundle.Outcome, j int) resultView {
	r := &o.Results[j]
	v := resultView{Anchor: fmt.Sprintf("result-%s-%d", o.Item.ID, j+1), Name: r.Test, Badge: badgeOf(r.Verdict.Tier), Finding: strings.NewReplacer("_", " ", "-", " ").Replace(r.Verdict.Finding),
		Question: question(r.Test), Says: r.Verdict.Says, DoesNotSay: limits(r.Verdict.DoesNotSay), N: counts(r.N), Seed: r.Seed}
	if len(o.Files) > j {
		v.File = o.Files[j]
	}
	if len(o.Results) > 1 {
		v.Name = fmt.Sprintf("%s, result %d of %d", r.Test, j+1, len(o.Results))
	}
	var form []string
	for _, k := range []string{"name", "rep", "variant"} {
		if x, ok := r.Settings[k].(string); ok && len(o.Results) > 1 {
			form = append(form, x)
		}
	}
	v.Variant = strings.Join(form, ", ")
	for _, e := range r.Estimates {
		v.Estimates = append(v.Estimates, row{Name: e.Name, Value: number(e.Value), Interval: intervalText(e.CI), Unit: e.Unit, Method: e.Method, N: v.N})
	}
	head := -1
	for k, p := range r.P {
		x := row{Name: p.Name, Raw: fmt.Sprintf("%.2f", p.Log10P), Method: p.Method, N: v.N, Adjusted: "not in the family"}
		if len(o.Adjusted) > j && len(o.Adjusted[j]) > k && !math.IsNaN(o.Adjusted[j][k]) {
			x.Adjusted = fmt.Sprintf("%.2f", o.Adjusted[j][k])
		}
		if head < 0 || p.Name == "verdict" {
			head = k
		}
		v.PValues = append(v.PValues, x)
		if p.Null != "" && !slices.Contains(v.Nulls, p.Null) {
			v.Nulls = append(v.Nulls, p.Null)
		}
	}
	v.Headline = row{Raw: "none", Adjusted: "none"}
	if len(v.Estimates) > 0 {
		e := v.Estimates[0]
		v.Headline.Name, v.Headline.Value, v.Headline.Interval, v.Headline.Unit = e.Name, e.Value, e.Interval, e.Unit
	}
	if head >= 0 {
		v.Headline.Raw, v.Headline.Adjusted = v.PValues[head].Raw, v.PValues[head].Adjusted
	}
	for _, c := range r.Checks {
		v.Checks = append(v.Checks, checkView{c.Name, fmt.Sprintf("%.4g", c.Value), fmt.Sprintf("%.4g", c.Limit), map[bool]string{true: "holds", false: "fails"}[c.Pass], c.Text})
	}
	for _, w := range r.Warnings {
		if !slices.Contains(v.Warnings, warning(w)) {
			v.Warnings = append(v.Warnings, warning(w))
		}
		if !slices.Contains(v.Codes, w.Code) {
			v.Codes = append(v.Codes, w.Code)
		}
	}
	for _, s := range r.Series {
		v.Series = append(v.Series, seriesOf(s, v.File))
	}
	for _, k := range slices.Sorted(maps.Keys(r.Settings)) {
		b, err := json.Marshal(r.Settings[k])
		if err != nil {
			b = []byte(fmt.Sprint(r.Settings[k]))
		}
		v.Settings = append(v.Settings, [2]string{k, string(b)})
	}
	for _, in := range r.Inputs {
		v.Inputs = append(v.Inputs, [2]string{in.Role, strings.TrimSpace(in.Path + " " + in.Digest)})
	}
	return v
}

func figuresOf(o *bundle.Outcome, r *probes.Result, size *int) []figureView {
	var out []figureView
	for i, f := range o.Figures {
		label := fmt.Sprintf("Figure %d.%d", o.Number, i+1)
		fv := figureView{Path: f.Path, Label: label, Caption: fmt.Sprintf("%s. n: %s.", r.Test, counts(r.N))}
		if *size += len(f.SVG); *size <= maxFigures {
			id := fmt.Sprintf("f%d-%d", o.Number, i+1)
			svg, err := inline(f.SVG, id, label+" of test "+o.Item.ID, "The numbers stand in the tables of this test. "+r.Verdict.Says)
			if err == nil {
				fv.SVG = template.HTML(svg)
			}
		}
		out = append(out, fv)
	}
	return out
}

func seriesOf(s probes.Series, file string) seriesView {
	v := seriesView{Name: s.Name, File: file, HasName: len(s.Labels) == len(s.Rows) && len(s.Labels) > 0}
	for i, c := range s.Columns {
		if i < len(s.Units) && s.Units[i] != "" && s.Units[i] != "1" {
			c += " (" + s.Units[i] + ")"
		}
		v.Head = append(v.Head, c)
	}
	for i, r := range s.Rows {
		if i == maxRows {
			v.More = len(s.Rows) - maxRows
			break
		}
		var cells []string
		if v.HasName {
			cells = append(cells, s.Labels[i])
		}
		for _, x := range r {
			cells = append(cells, fmt.Sprintf("%.6g", x))
		}
		v.Rows = append(v.Rows, cells)
	}
	return v
}

func number(x *float64) string {
	if x == nil {
		return "undefined"
	}
	return fmt.Sprintf("%.5g", *x)
}

func intervalText(c *probes.CI) string {
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%.5g to %.5g (%g %%)", c.Lo, c.Hi, c.Level*100)
}

func counts(n map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", strings.ReplaceAll(k, "_", " "), n[k]))
	}
	return strings.Join(parts, ", ")
}

// short keeps the first 16 hex digits of a digest.
func short(d string) string {
	head, hex, ok := strings.Cut(d, ":")
	if !ok {
		head, hex = "", d
	} else {
		head += ":"
	}
	return head + hex[:min(16, len(hex))]
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
