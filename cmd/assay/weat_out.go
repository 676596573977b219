package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/latent/weat"
	"assay/latent/weat/figure"
	"assay/latent/weat/vecfile"
	"assay/probes"

	"github.com/spf13/pflag"
)

// weatOut names the files of a run. All are written after every number is known.
type weatOut struct {
	out, rows, save      string
	plot, forest, layers string
}

func (o *weatOut) register(fl *pflag.FlagSet) {
	fl.StringVar(&o.rows, "rows", "", "write one row per word, test and variant to this .csv, lost words too")
	fl.StringVar(&o.save, "save-vectors", "", "write the raw word vectors used as word2vec text (one file per representation)")
	fl.StringVar(&o.plot, "plot", "", "draw the scores of every word (.svg; one file per test and representation)")
	fl.StringVar(&o.forest, "plot-forest", "", "draw the effect sizes of all tests with intervals and bounds (.svg)")
	fl.StringVar(&o.layers, "plot-layers", "", "draw effect size by layer (.svg; needs two ctx representations or more)")
}

func (o *weatOut) settle() error {
	for flag, path := range map[string]string{"plot": o.plot, "plot-forest": o.forest, "plot-layers": o.layers} {
		if path != "" && !strings.HasSuffix(path, ".svg") {
			return fault.Usagef("--%s: found %q, want a name ending in .svg", flag, path)
		}
	}
	return nil
}

func (o *weatOut) write(jobs []weat.Job, doc weat.Document, reps []weatRep, tests []weat.Test, loss weat.LossOptions) error {
	if o.rows != "" {
		if err := writeFile(o.rows, func(w io.Writer) error { return writeWeatRows(w, jobs) }); err != nil {
			return err
		}
	}
	if o.plot != "" {
		n := 0
		for _, j := range jobs {
			if j.Variant != jobs[0].Variant || j.Scores.Undefined != "" {
				continue
			}
			if err := writeFile(numbered(o.plot, n), func(w io.Writer) error { return figure.Association(w, j.Scores) }); err != nil {
				return err
			}
			n++
		}
	}
	if o.forest != "" {
		effects := forestOf(jobs, doc)
		if err := writeFile(o.forest, func(w io.Writer) error { return figure.Forest(w, "Effect size d", effects) }); err != nil {
			return err
		}
	}
	if o.layers != "" {
		names, series, bound := layersOf(jobs, doc)
		if len(names) == 0 {
			return fault.Usagef("--plot-layers: found fewer than two ctx representations, want --rep ctx:1 --rep ctx:2 and so on")
		}
		if err := writeFile(o.layers, func(w io.Writer) error { return figure.Layers(w, "Effect size d by layer", names, series, bound) }); err != nil {
			return err
		}
	}
	if o.save != "" {
		if err := o.saveVectors(reps, tests, loss); err != nil {
			return err
		}
	}
	if o.out != "" {
		return writeFile(o.out, func(w io.Writer) error { return show.JSON(w, doc) })
	}
	return nil
}

func (o *weatOut) saveVectors(reps []weatRep, tests []weat.Test, loss weat.LossOptions) error {
	for i, r := range reps {
		words, err := runWords(tests, nil, r.space, loss)
		if err != nil {
			return err
		}
		err = writeFile(numbered(o.save, i), func(w io.Writer) error {
			_, err := vecfile.Write(w, vecfile.W2V, words, r.space)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func writeWeatRows(w io.Writer, jobs []weat.Job) error {
	num := func(x float64) string {
		if math.IsNaN(x) {
			return ""
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	var rows [][]string
	for _, j := range jobs {
		for _, r := range j.Scores.RowTable() {
			rows = append(rows, []string{j.Scores.Test.ID, j.Rep, string(j.Variant), r.Set, r.Word, r.Used, num(r.Score), num(r.LogNorm),
				strconv.Itoa(r.Pieces), r.Status, r.Reason})
		}
	}
	return writeTable(w, []string{"test", "rep", "variant", "set", "word", "used", "score [cosine]", "ln_norm", "pieces", "status", "reason"}, rows)
}

func writeTable(w io.Writer, head []string, rows [][]string) error {
	c := csv.NewWriter(w)
	if err := c.WriteAll(append([][]string{head}, rows...)); err != nil {
		return err
	}
	return c.Error()
}

// estimateNamed finds an estimate of a result; nil if it has none or is undefined.
func estimateNamed(r *probes.Result, name string) *probes.Estimate {
	for i := range r.Estimates {
		if e := &r.Estimates[i]; e.Name == name && e.Value != nil {
			return e
		}
	}
	return nil
}

func estimateValue(r *probes.Result, name string) float64 {
	if e := estimateNamed(r, name); e != nil {
		return *e.Value
	}
	return math.NaN()
}

func estimateLimits(r *probes.Result, name string) (lo, hi float64) {
	if e := estimateNamed(r, name); e != nil && e.CI != nil {
		return e.CI.Lo, e.CI.Hi
	}
	return math.NaN(), math.NaN()
}

func weatLabel(t weat.Test) string {
	if t.Name == "" {
		return t.ID
	}
	return t.ID + " " + t.Name
}

// forestOf lists the defined results; jobs and results stand in one order.
func forestOf(jobs []weat.Job, doc weat.Document) []figure.Effect {
	var out []figure.Effect
	for i, j := range jobs {
		r := &doc.Results[i]
		if j.Scores.Undefined != "" || j.Variant != jobs[0].Variant || estimateNamed(r, "d") == nil {
			continue
		}
		lo, hi := estimateLimits(r, "d")
		out = append(out, figure.Effect{Label: weatLabel(j.Scores.Test) + " (" + j.Rep + ")", D: estimateValue(r, "d"), Lo: lo, Hi: hi,
			Bound: estimateValue(r, "d_bound"), Hollow: r.Verdict.Tier == probes.TierC})
	}
	return out
}

// layersOf collects d of the first variant by layer, one series a test.
func layersOf(jobs []weat.Job, doc weat.Document) (names []string, series [][]figure.LayerPoint, bound float64) {
	at := map[string]int{}
	for i, j := range jobs {
		layer, isCtx := strings.CutPrefix(j.Rep, "ctx:")
		n, err := strconv.Atoi(layer)
		if !isCtx || err != nil || j.Variant != jobs[0].Variant {
			continue
		}
		r := &doc.Results[i]
		k, ok := at[j.Scores.Test.ID]
		if !ok {
			k = len(names)
			at[j.Scores.Test.ID] = k
			names, series = append(names, weatLabel(j.Scores.Test)), append(series, nil)
		}
		lo, hi := estimateLimits(r, "d")
		series[k] = append(series[k], figure.LayerPoint{Layer: n, D: estimateValue(r, "d"), Lo: lo, Hi: hi})
		if b := estimateValue(r, "d_bound"); b > bound {
			bound = b
		}
	}
	for _, s := range series {
		slices.SortFunc(s, func(a, b figure.LayerPoint) int { return a.Layer - b.Layer })
		if len(s) < 2 {
			return nil, nil, 0
		}
	}
	return names, series, bound
}

// showWeat prints one result in full, or a table of many with what needs saying.
func showWeat(w io.Writer, doc weat.Document, full bool) error {
	if full || len(doc.Results) == 1 {
		return showFull(w, doc.Results)
	}
	rows := [][]string{{"test", "rep", "variant", "d [sd]", "95 % limits", "bound", "log10 p", "Holm", "finding"}}
	var others []*probes.Result
	holm := 0
	for i := range doc.Results {
		r := &doc.Results[i]
		if r.Test != "weat" {
			others = append(others, r)
			continue
		}
		lo, hi := estimateLimits(r, "d")
		row := []string{fmt.Sprint(r.Settings["id"]), fmt.Sprint(r.Settings["rep"]), fmt.Sprint(r.Settings["variant"]), fixed4(estimateValue(r, "d")),
			limits4(lo, hi), fixed3(estimateValue(r, "d_bound")), "", "", string(r.Verdict.Tier) + " " + r.Verdict.Finding}
		if tail := estimateValue(r, "tail_target_log10"); !math.IsNaN(tail) {
			row[6] = "(" + fixed4(tail) + ")"
		}
		if len(r.P) > 0 && holm < len(doc.Holm) {
			row[6], row[7] = fixed4(r.P[0].Log10P), fixed4(doc.Holm[holm].Holm)
			holm++
		}
		rows = append(rows, row)
	}
	if err := show.Table(w, rows); err != nil {
		return err
	}
	if err := show.Wrap(w, "d in standard deviations of s; bound is the largest d these set sizes allow; log10 p is of the p-value that the tier allows, Holm the same adjusted over the run; in brackets, tier C, no p-value but the share of choices of X among the target words that reach the observed sum. --full prints every number.", "  ", show.Width); err != nil {
		return err
	}
	for _, r := range others {
		line := fmt.Sprintf("%v (%v, %v) %s:", r.Settings["id"], r.Settings["rep"], r.Settings["variant"], r.Test)
		for k, e := range r.Estimates {
			if e.Value == nil {
				continue
			}
			if k > 0 {
				line += ","
			}
			line += " " + e.Name + " " + show.Number(*e.Value) + " " + e.Unit
			if e.CI != nil {
				line += fmt.Sprintf(" [%s, %s] %g%%", show.Number(e.CI.Lo), show.Number(e.CI.Hi), 100*e.CI.Level)
			}
		}
		if err := show.Wrap(w, line, "  ", show.Width); err != nil {
			return err
		}
	}
	return showWeatNotes(w, doc.Results)
}

// showWeatNotes prints each verdict's limits once and each warning once, with
// the results it belongs to.
func showWeatNotes(w io.Writer, rs []probes.Result) error {
	for i := range rs {
		if rs[i].Settings["variant"] == rs[0].Settings["variant"] && rs[i].Test != "weat.related" {
			n := rs[i].N
			if err := show.Wrap(w, fmt.Sprintf("%v (%v, n %d+%d words, %d+%d attributes): %s", rs[i].Settings["id"], rs[i].Settings["rep"], n["x"], n["y"], n["a"], n["b"], rs[i].Verdict.Says), "  ", show.Width); err != nil {
				return err
			}
		}
	}
	if err := show.Wrap(w, "does not say: "+rs[0].Verdict.DoesNotSay, "  ", show.Width); err != nil {
		return err
	}
	var order []probes.Warning
	where := map[probes.Warning][]string{}
	for i := range rs {
		id := fmt.Sprintf("%v %v %v", rs[i].Settings["id"], rs[i].Settings["rep"], rs[i].Settings["variant"])
		for _, x := range rs[i].Warnings {
			if where[x] == nil {
				order = append(order, x)
			}
			where[x] = append(where[x], id)
		}
	}
	for _, x := range order {
		if err := show.Wrap(w, fmt.Sprintf("warning %s (%s): %s", x.Code, shortList(where[x]), x.Text), "  ", show.Width); err != nil {
			return err
		}
	}
	return nil
}

func showFull(w io.Writer, rs []probes.Result) error {
	for i := range rs {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := show.Result(w, &rs[i]); err != nil {
			return err
		}
	}
	return nil
}

func fixed3(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}

func fixed4(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'f', 4, 64)
}

func limits4(lo, hi float64) string {
	if math.IsNaN(lo) || math.IsNaN(hi) {
		return ""
	}
	return fixed4(lo) + ", " + fixed4(hi)
}

// shortList lists at most four names and counts the rest.
func shortList(names []string) string {
	if len(names) <= 4 {
		return joined(names)
	}
	return fmt.Sprintf("%s and %d more", joined(names[:3]), len(names)-3)
}
