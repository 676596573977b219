package membership

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"assay/internal/fault"
	"assay/probes/stat"
)

// corpus is the raw material of both models.
type corpus struct {
	texts    []Text
	count    [][]stat.Entry // ln(1+count) by column
	words    []string       // name of each column
	nuisance [][]float64
	keys     []string // group or id
}

func newCorpus(texts []Text) (*corpus, []int, error) {
	c := &corpus{texts: texts}
	label := make([]int, len(texts))
	column := make(map[string]int32)
	class := make(map[string]int)
	seen := make(map[string]bool)
	for i, t := range texts {
		if t.Label != 0 && t.Label != 1 {
			return nil, nil, fault.Inputf("labels", "membership: gate: text %q: found label %d, want 0 or 1", t.ID, t.Label)
		}
		if seen[t.ID] {
			return nil, nil, fault.Inputf("duplicate", "membership: gate: id %q appears twice", t.ID)
		}
		seen[t.ID] = true
		key := t.ID
		if t.Group != "" {
			key = t.Group
		}
		if l, ok := class[key]; ok && l != t.Label {
			return nil, nil, fault.Inputf("labels", "membership: gate: group %q: found both labels, want one label per group", key)
		}
		class[key] = t.Label
		label[i] = t.Label
		c.keys = append(c.keys, key)
		n := make(map[int32]float64)
		for w := range tokensOf(t) {
			j, ok := column[w]
			if !ok {
				j = int32(len(c.words))
				column[w] = j
				c.words = append(c.words, w)
			}
			n[j]++
		}
		row := make([]stat.Entry, 0, len(n))
		for j, v := range n {
			row = append(row, stat.Entry{Col: j, V: math.Log1p(v)})
		}
		slices.SortFunc(row, func(a, b stat.Entry) int { return cmp.Compare(a.Col, b.Col) })
		c.count = append(c.count, row)
		c.nuisance = append(c.nuisance, form(t))
	}
	return c, label, nil
}

// tokensOf yields lower-case runs of two or more letters, digits and underscores, or
// the token ids when there is no text.
func tokensOf(t Text) func(func(string) bool) {
	return func(yield func(string) bool) {
		if t.Text == "" && t.IDs != nil {
			for _, id := range t.IDs {
				if !yield(fmt.Sprint(id)) {
					return
				}
			}
			return
		}
		for _, w := range strings.FieldsFunc(strings.ToLower(t.Text), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_'
		}) {
			if utf8.RuneCountInString(w) >= 2 && !yield(w) {
				return
			}
		}
	}
}

// form is the second model: bytes, words, share of digits, years 1900-2099, share of
// upper case and of non-ASCII; of ids only their number.
func form(t Text) []float64 {
	if t.Text == "" && t.IDs != nil {
		return []float64{float64(len(t.IDs))}
	}
	var digits, upper, wide, n float64
	for _, r := range t.Text {
		n++
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsUpper(r):
			upper++
		}
		if r >= utf8.RuneSelf {
			wide++
		}
	}
	years := 0.0
	for _, w := range strings.FieldsFunc(t.Text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }) {
		if len(w) == 4 && (w[:2] == "19" || w[:2] == "20") && unicode.IsDigit(rune(w[2])) && unicode.IsDigit(rune(w[3])) {
			years++
		}
	}
	n = max(n, 1)
	return []float64{float64(len(t.Text)), float64(len(strings.Fields(t.Text))), digits / n, years, upper / n, wide / n}
}

// wordModel: words in at least 5 % of the fitted texts, standardised over them.
func (c *corpus) wordModel(label, fit, test []int, tol float64) ([]float64, error) {
	d, col := c.wordDesign(fit)
	w, b, err := stat.Logistic(d, targets(label, fit), 1, tol)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(test))
	for k, i := range test {
		out[k] = d.Predict(project(c.count[i], col), w, b)
	}
	return out, nil
}

func targets(label, fit []int) []float64 {
	y := make([]float64, len(fit))
	for k, i := range fit {
		y[k] = float64(label[i])
	}
	return y
}

// wordDesign returns the design and the new number of each old column, -1 if out.
func (c *corpus) wordDesign(fit []int) (*stat.Design, []int32) {
	p := len(c.words)
	df, sum, sq := make([]int, p), make([]float64, p), make([]float64, p)
	for _, i := range fit {
		for _, e := range c.count[i] {
			df[e.Col]++
			sum[e.Col] += e.V
		}
	}
	n := float64(len(fit))
	for _, i := range fit {
		for _, e := range c.count[i] {
			m := sum[e.Col] / n
			sq[e.Col] += (e.V - m) * (e.V - m)
		}
	}
	d := &stat.Design{}
	col := make([]int32, p)
	for j := range col {
		col[j] = -1
		if float64(df[j]) < .05*n-1e-9 {
			continue
		}
		m := sum[j] / n
		sd := math.Sqrt((sq[j] + float64(len(fit)-df[j])*m*m) / n) // the zeros deviate by m
		if sd < 1e-9 {
			continue
		}
		col[j] = d.AddColumn(m, sd)
	}
	for _, i := range fit {
		d.Rows = append(d.Rows, project(c.count[i], col))
	}
	return d, col
}

func project(row []stat.Entry, col []int32) []stat.Entry {
	out := make([]stat.Entry, 0, len(row))
	for _, e := range row {
		if j := col[e.Col]; j >= 0 {
			out = append(out, stat.Entry{Col: j, V: e.V})
		}
	}
	return out
}

func (c *corpus) formModel(label, fit, test []int, tol float64) ([]float64, error) {
	d, kept := stat.Dense(c.nuisance, fit)
	w, b, err := stat.Logistic(d, targets(label, fit), 1, tol)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(test))
	for k, i := range test {
		out[k] = d.Predict(stat.DenseRow(c.nuisance[i], kept), w, b)
	}
	return out, nil
}

// nearDuplicates lists pairs of a member and a non-member that share more than half
// of the shorter one's runs of 13 words (or ids).
func nearDuplicates(texts []Text) [][2]string {
	const run = 13
	grams := func(t Text) map[uint64]bool {
		var w []string
		if t.Text == "" && t.IDs != nil {
			for x := range tokensOf(t) {
				w = append(w, x)
			}
		} else {
			w = strings.Fields(t.Text)
		}
		out := make(map[uint64]bool)
		for i := 0; i+run <= len(w); i++ {
			h := uint64(14695981039346656037)
			for _, x := range w[i : i+run] {
				for b := range len(x) {
					h = (h ^ uint64(x[b])) * 1099511628211
				}
				h = (h ^ 0xff) * 1099511628211
			}
			out[h] = true
		}
		return out
	}
	owner := make(map[uint64][]int)
	sets := make([]map[uint64]bool, len(texts))
	for i, t := range texts {
		sets[i] = grams(t)
		if t.Label == 1 {
			for h := range sets[i] {
				owner[h] = append(owner[h], i)
			}
		}
	}
	var out [][2]string
	for i, t := range texts {
		if t.Label == 1 {
			continue
		}
		common := make(map[int]int)
		for h := range sets[i] {
			for _, m := range owner[h] {
				common[m]++
			}
		}
		for m, n := range common {
			if 2*n > min(len(sets[i]), len(sets[m])) {
				out = append(out, [2]string{texts[m].ID, t.ID})
			}
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return out
}
