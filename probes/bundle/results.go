package bundle

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Failure is what a test that failed leaves.
type Failure struct {
	Code string   `json:"code"`
	Exit int      `json:"exit"`
	Text string   `json:"text"`
	Hint []string `json:"hint"`
}

// Outcome is a test with its results or its failure.
type Outcome struct {
	Item     Item
	Number   int // from 1, in the order of the plan
	Results  []probes.Result
	Files    []string // of the results, relative to the bundle
	Failure  *Failure
	Figures  []Figure
	Command  []string
	Adjusted [][]float64 // adjusted log10 p of every result's p-values; NaN = outside the family
	InFamily bool
}

// Figure is a drawing in the bundle.
type Figure struct {
	Path string
	SVG  []byte
}

// stem of the files of a test: NN-id.
func stem(number int, id string) string { return fmt.Sprintf("%02d-%s", number, id) }

// resultFiles names the files of n results.
func resultFiles(number int, id string, n int) []string {
	if n == 1 {
		return []string{"results/" + stem(number, id) + ".json"}
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("results/%s.%03d.json", stem(number, id), i+1)
	}
	return out
}

// rewrite replaces the paths of one machine by the bundle's own names.
type rewrite struct{ from, to []string }

func (r *rewrite) add(from, to string) {
	if from != "" && from != "/" && from != "." {
		r.from, r.to = append(r.from, from), append(r.to, to)
	}
}

// text applies the replacements, the longest path first.
func (r *rewrite) text(s string) string {
	idx := make([]int, len(r.from))
	for i := range idx {
		idx[i] = i
	}
	slices.SortStableFunc(idx, func(a, b int) int { return len(r.from[b]) - len(r.from[a]) })
	for _, i := range idx {
		s = strings.ReplaceAll(s, r.from[i], r.to[i])
	}
	return s
}

// json is text over the strings of a JSON document.
func (r *rewrite) json(b []byte) []byte {
	esc := rewrite{}
	for i := range r.from {
		esc.add(jsonText(r.from[i]), jsonText(r.to[i]))
	}
	return []byte(esc.text(string(b)))
}

// jsonText is a string as results hold it, without its quotes.
func jsonText(s string) string {
	b, _ := indented(s) // a string does not fail
	return string(b[1 : len(b)-2])
}

// xml is text over the text of an XML document.
func (r *rewrite) xml(b []byte) []byte {
	esc := rewrite{}
	for i := range r.from {
		var f, t bytes.Buffer
		_ = xml.EscapeText(&f, []byte(r.from[i])) // a buffer does not fail
		_ = xml.EscapeText(&t, []byte(r.to[i]))
		esc.add(f.String(), t.String())
	}
	return []byte(esc.text(string(b)))
}

// canonical is the file of a result.
func canonical(r probes.Result, paths *rewrite) ([]byte, error) {
	b, err := r.JSON()
	if err != nil {
		return nil, fault.Inputf("nonfinite", "result %s: %w", r.Test, err)
	}
	return paths.json(b), nil
}

// readResult reads a result's file; numbers keep their digits.
func readResult(b []byte) (probes.Result, error) {
	var r probes.Result
	err := strictJSON(b, &r)
	return r, err
}

// member is one p-value of the family.
type member struct{ outcome, result, p int }

// Adjust fills the adjusted p-values of the family. A result that combines its own
// p-values into one named "verdict" enters with that one; any other with all of
// its p-values. Results of tier C have none.
func Adjust(os []Outcome, f Family) {
	var ms []member
	var logs []float64
	for i := range os {
		o := &os[i]
		o.InFamily = f.Method != "none" && (f.Over == "all" || o.Item.Primary)
		o.Adjusted = make([][]float64, len(o.Results))
		for j, r := range o.Results {
			o.Adjusted[j] = slices.Repeat([]float64{math.NaN()}, len(r.P))
			if !o.InFamily || r.Verdict.Tier != probes.TierA && r.Verdict.Tier != probes.TierB {
				continue
			}
			verdict := slices.IndexFunc(r.P, func(p probes.PValue) bool { return p.Name == "verdict" })
			for k, p := range r.P {
				if verdict < 0 || k == verdict {
					ms = append(ms, member{i, j, k})
					logs = append(logs, p.Log10P*math.Ln10)
				}
			}
		}
	}
	adjusted := stat.Holm
	if f.Method == "bh" {
		adjusted = stat.BH
	}
	for i, a := range adjusted(logs) {
		m := ms[i]
		os[m.outcome].Adjusted[m.result][m.p] = a / math.Ln10
	}
}

// summary is results/summary.csv: one line per p-value, or per result without one.
func summary(os []Outcome) ([]byte, error) {
	rows := [][]string{{"number", "id", "test", "primary", "tier", "finding", "estimate", "value", "lo", "hi", "level", "unit",
		"p", "log10_p", "log10_p_adjusted", "n", "warnings", "file"}}
	num := func(x float64) string {
		if math.IsNaN(x) {
			return ""
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	for _, o := range os {
		if o.Failure != nil {
			rows = append(rows, []string{fmt.Sprint(o.Number), o.Item.ID, o.Item.Test, fmt.Sprint(o.Item.Primary), "", "error:" + o.Failure.Code,
				"", "", "", "", "", "", "", "", "", "", "", o.Files[0]})
		}
		for j, r := range o.Results {
			row := []string{fmt.Sprint(o.Number), o.Item.ID, r.Test, fmt.Sprint(o.Item.Primary), string(r.Verdict.Tier), r.Verdict.Finding, "", "", "", "", "", ""}
			if len(r.Estimates) > 0 {
				e := r.Estimates[0]
				row[6], row[11] = e.Name, e.Unit
				if e.Value != nil {
					row[7] = num(*e.Value)
				}
				if e.CI != nil {
					row[8], row[9], row[10] = num(e.CI.Lo), num(e.CI.Hi), num(e.CI.Level)
				}
			}
			tail := []string{counts(r.N), codes(r.Warnings), o.Files[j]}
			if len(r.P) == 0 {
				rows = append(rows, slices.Concat(row, []string{"", "", ""}, tail))
			}
			for k, p := range r.P {
				rows = append(rows, slices.Concat(row, []string{p.Name, num(p.Log10P), num(o.Adjusted[j][k])}, tail))
			}
		}
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("bundle: summary: %w", err)
	}
	return b.Bytes(), nil
}

func counts(n map[string]int) string {
	var parts []string
	for k, v := range n {
		parts = append(parts, fmt.Sprintf("%s=%d", k, v))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func codes(ws []probes.Warning) string {
	var out []string
	for _, w := range ws {
		if !slices.Contains(out, w.Code) {
			out = append(out, w.Code)
		}
	}
	return strings.Join(out, " ")
}

// failureOf is what an error leaves in the bundle.
func failureOf(err error, paths *rewrite) *Failure {
	f := &Failure{Code: "io", Exit: int(fault.Retry), Text: paths.text(err.Error()), Hint: []string{}}
	if x := fault.As(err); x != nil {
		f.Code, f.Exit = x.Code, int(x.Class)
		for _, h := range x.Hints {
			f.Hint = append(f.Hint, paths.text(h))
		}
	}
	if f.Exit == int(fault.Usage) || f.Exit == int(fault.Check) {
		f.Exit = int(fault.Input) // in an audit the plan is the input
	}
	return f
}
