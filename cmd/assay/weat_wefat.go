package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/latent/weat"
	"assay/probes"

	"github.com/spf13/cobra"
)

// wefatFlags are the flags of `assay wefat`.
type wefatFlags struct {
	app *app
	weatSource
	o        weat.Options
	lists    []string
	property string
	sets     string
	rows     string
	out      string
}

func newWefat(a *app) *cobra.Command {
	f := wefatFlags{app: a, o: weat.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "wefat [CKPT] [--vectors FILE] [--list NAME] [--property FILE --sets FILE]",
		Short: "Correlate the association of single words with a property of the world",
		Long: `wefat scores single words against two attribute sets (the word embedding factual
association test) and correlates the scores with a property: the share of women in
50 occupations (US Bureau of Labor Statistics 2015) or among bearers of 50 names
(US Census 1990), or the user's own: --property is a CSV with the columns word and
value, --sets a test file whose A and B are used. The result is descriptive (tier C):
the words of a list were not drawn at random.`,
		Example: `  assay wefat --vectors glove.840B.300d.txt.gz
  assay wefat --vectors v.bin --property pay.csv --sets mine.yaml --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	fl := cmd.Flags()
	f.weatSource.register(fl)
	registerWeatOptions(fl, &f.o)
	fl.StringSliceVar(&f.lists, "list", nil, "built-in list: occupations, names (default both)")
	fl.StringVar(&f.property, "property", "", "the user's words and values (.csv)")
	fl.StringVar(&f.sets, "sets", "", "test file whose attribute sets A and B --property is scored against")
	fl.StringVar(&f.rows, "rows", "", "write score and value of every word to this .csv")
	outputFlag(cmd, &f.out, "write the results as JSON to this file too")
	return cmd
}

func (f *wefatFlags) load() ([]weat.WEFATList, error) {
	if (f.property == "") != (f.sets == "") {
		return nil, fault.Usagef("wefat: --property and --sets belong together: found one of them")
	}
	if f.property != "" && len(f.lists) > 0 {
		return nil, fault.Usagef("wefat: found --list and --property, want one of them")
	}
	if f.property == "" {
		all, err := weat.WEFATLists()
		if err != nil || len(f.lists) == 0 {
			return all, err
		}
		var out []weat.WEFATList
		for _, name := range f.lists {
			i := slices.IndexFunc(all, func(l weat.WEFATList) bool { return l.Name == name })
			if i < 0 {
				return nil, fault.Usagef("--list: found %q, want occupations or names", name)
			}
			out = append(out, all[i])
		}
		return out, nil
	}
	tests, err := oneTests(f.sets)
	if err != nil {
		return nil, err
	}
	if len(tests) != 1 {
		return nil, fault.Usagef("--sets %s: found %d tests, want one", f.sets, len(tests))
	}
	file, err := os.Open(f.property)
	if err != nil {
		return nil, fault.Inputf("no-file", "--property: %w", err)
	}
	defer file.Close()
	words, values, err := weat.ReadProperty(file, f.property)
	if err != nil {
		return nil, err
	}
	return []weat.WEFATList{{Name: f.property, Property: "property", A: tests[0].A, B: tests[0].B, Words: words, Values: values}}, nil
}

func (f *wefatFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.settle(args); err != nil {
		return err
	}
	if err := f.o.Validate(); err != nil {
		return err
	}
	lists, err := f.load()
	if err != nil {
		return err
	}
	var extra []string
	for _, l := range lists {
		extra = slices.Concat(extra, l.Words, l.A.Words, l.B.Words)
	}
	f.centre = "none" // scores are of raw vectors
	defer f.weatSource.close()
	reps, err := f.open(cmd.Context(), f.app, args, nil, extra)
	if err != nil {
		return err
	}
	var results []probes.Result
	var rows [][]string
	for _, l := range lists {
		for _, r := range reps {
			o := f.o
			o.Rep, o.Inputs = r.name, r.inputs
			res, err := weat.RunWEFAT(l, r.space, f.loss, o)
			if err != nil {
				return err
			}
			for _, n := range r.notes {
				res.Warnings = append(res.Warnings, probes.Warning{Code: n.Code, Text: n.Text})
			}
			results = append(results, res)
			if f.rows != "" {
				c, err := weat.WEFAT(l, r.space, f.loss)
				if err != nil {
					return err
				}
				rows = append(rows, wefatRows(l.Name, r.name, c)...)
			}
		}
	}
	if f.rows != "" {
		if err := writeFile(f.rows, func(w io.Writer) error {
			return writeTable(w, []string{"list", "rep", "word", "score", "value", "tail_log10", "tail_log10_holm", "status", "reason"}, rows)
		}); err != nil {
			return err
		}
	}
	return f.app.results(results, f.out)
}

// wefatRows lists every word with its upper tail over relabelled attributes, and
// the same adjusted over the words of the list.
func wefatRows(list, rep string, c weat.Correlation) (rows [][]string) {
	holm := c.Holm()
	for i, s := range c.Scores {
		rows = append(rows, []string{list, rep, s.Word, fmt.Sprint(s.Score), fmt.Sprint(c.Values[i]), fmt.Sprint(s.Tail.Log10P), fmt.Sprint(holm[i]), "ok", ""})
	}
	for _, l := range c.Lost {
		rows = append(rows, []string{list, rep, l.Word, "", "", "", "", "undefined", string(l.Why)})
	}
	return rows
}

func newWeatLists(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "lists",
		Short:   "List the built-in tests and WEFAT lists with their published results",
		Example: "  assay weat lists",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			tests, err := weat.Caliskan()
			if err != nil {
				return err
			}
			wefat, err := weat.WEFATLists()
			if err != nil {
				return err
			}
			doc := weatLists(tests, wefat)
			return a.print(doc, func(w io.Writer) error {
				rows := [][]string{{"name", "X", "Y", "A", "B", "words", "published d, p (GloVe)"}}
				for _, t := range doc.Tests {
					rows = append(rows, []string{t.Name, t.X, t.Y, t.A, t.B, t.Sizes, t.Published})
				}
				for _, l := range doc.Lists {
					rows = append(rows, []string{"wefat " + l.Name, l.Property, "", l.A, l.B, fmt.Sprint(l.Words), ""})
				}
				return show.Table(w, rows)
			})
		},
	}
}

type listedTest struct {
	Name      string `json:"name"`
	X         string `json:"X"`
	Y         string `json:"Y"`
	A         string `json:"A"`
	B         string `json:"B"`
	Sizes     string `json:"words"`
	Published string `json:"published"`
}

type listedProperty struct {
	Name     string `json:"name"`
	Property string `json:"property"`
	A        string `json:"A"`
	B        string `json:"B"`
	Words    int    `json:"words"`
}

type listedAll struct {
	Tests []listedTest     `json:"tests"`
	Lists []listedProperty `json:"wefat"`
}

func weatLists(tests []weat.Test, wefat []weat.WEFATList) (doc listedAll) {
	for _, t := range tests {
		l := listedTest{Name: "weat" + t.ID, X: t.X.Name, Y: t.Y.Name, A: t.A.Name, B: t.B.Name,
			Sizes: fmt.Sprintf("%d/%d, %d/%d", len(t.X.Words), len(t.Y.Words), len(t.A.Words), len(t.B.Words))}
		for set, p := range t.Published {
			if l.Published == "" || set == "glove840b" {
				l.Published = p.D + ", " + p.P
			}
		}
		doc.Tests = append(doc.Tests, l)
	}
	for _, l := range wefat {
		doc.Lists = append(doc.Lists, listedProperty{l.Name, l.Property, l.A.Name, l.B.Name, len(l.Words)})
	}
	return doc
}
