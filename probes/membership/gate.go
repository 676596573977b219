package membership

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"assay/internal/fault"
	"assay/probes/stat"
)

// Text is one labelled text for the gate: its words, or without text the token
// ids of the trace.
type Text struct {
	ID, Group string
	Label     int
	Text      string
	IDs       []int32
}

// Outcome of the gate.
type GateOutcome string

// The three outcomes. Only Clean allows tier B.
const (
	Confounded   GateOutcome = "confounded"   // members and non-members differ without the model
	Clean        GateOutcome = "clean"        // a difference above .60 is ruled out at one-sided 95 %
	Inconclusive GateOutcome = "inconclusive" // neither
)

// GateOptions of the shift test. The zero value is seed "1" and 99 permutations.
type GateOptions struct {
	Seed         string // orders the folds: SHA-256(seed ":" key)
	Permutations int    // 0 = 99
	Workers      int    // 0 = all cores. Never changes a result
}

// GateResult says whether labels can be told without the model.
type GateResult struct {
	Outcome     GateOutcome `json:"outcome"`
	AUC         float64     `json:"blind_auc"` // the larger of the two models'
	SE          float64     `json:"se"`        // the larger of DeLong's and the permutation's
	CI          [2]float64  `json:"ci"`
	DeLong      float64     `json:"se_delong"`
	PermSD      float64     `json:"sd_permuted"`
	P           float64     `json:"p_permutation"` // of the larger AUC, (1+hits)/(1+B)
	Words       float64     `json:"auc_words"`
	Nuisance    float64     `json:"auc_nuisance"`
	Members     int         `json:"label_1"`
	Non         int         `json:"label_0"`
	Underpower  bool        `json:"underpowered"` // under 200 of a class
	Top         []Weight    `json:"top"`          // 20 words that tell most
	Duplicates  [][2]string `json:"near_duplicates"`
	Fold        []int       `json:"-"` // of every text, 0..4
	Blind       []float64   `json:"-"` // out-of-fold score of the better model
	permuted    []float64
	permutedPer [2][]float64
}

// Weight is a word with its mean standardised coefficient over the folds.
type Weight struct {
	Word   string  `json:"word"`
	Weight float64 `json:"weight"`
}

const (
	folds      = 5
	perClass   = 20
	wantClass  = 200
	gateTol    = 1e-10
	permuteTol = 1e-3
)

// corpus is the raw material of both models.
type corpus struct {
	texts    []Text
	count    [][]entry // ln(1+count) by column
	words    []string  // name of each column
	nuisance [][]float64
	keys     []string // group or id
}

// Gate fits two blind models in five folds, one of words and one of size and form,
// and asks whether either tells members from non-members. Standard errors of
// cross-validated AUCs by DeLong are too small (fold models share data), so the
// labels are permuted by group and the models refitted. Under 20 texts of a class is
// an error. Passing is no proof that there is no shift.
func Gate(texts []Text, o GateOptions) (GateResult, error) {
	if o.Seed == "" {
		o.Seed = "1"
	}
	if o.Permutations == 0 {
		o.Permutations = 99
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	texts, back := byID(texts)
	c, label, err := newCorpus(texts)
	if err != nil {
		return GateResult{}, err
	}
	var r GateResult
	for _, l := range label {
		r.Members += l
	}
	r.Non = len(label) - r.Members
	if r.Members < perClass || r.Non < perClass {
		return r, fault.Inputf("too-few", "membership: gate: found %d members and %d non-members, want at least %d of each", r.Members, r.Non, perClass)
	}
	r.Underpower = r.Members < wantClass || r.Non < wantClass
	r.Fold = c.deal(label, o.Seed)
	words, err := c.cross(c.wordModel, label, r.Fold, gateTol)
	if err != nil {
		return r, err
	}
	form, err := c.cross(c.formModel, label, r.Fold, gateTol)
	if err != nil {
		return r, err
	}
	r.Words, r.Nuisance = words.auc, form.auc
	best, which := words, 0
	if form.auc > words.auc {
		best, which = form, 1
	}
	r.AUC, r.DeLong, r.Blind = best.auc, best.se, best.score
	if err := c.permuteGate(&r, label, o); err != nil {
		return r, err
	}
	_, v := stat.MeanVar(r.permutedPer[which])
	r.PermSD = math.Sqrt(v)
	r.SE = max(r.DeLong, r.PermSD)
	hits := 1.0
	for _, a := range r.permuted {
		if a >= r.AUC-1e-12 {
			hits++
		}
	}
	r.P = hits / float64(len(r.permuted)+1)
	r.CI = LogitInterval(r.AUC, r.SE, .95, min(r.Members, r.Non))
	switch const90 := 1.6448536269514722; {
	case r.AUC-const90*r.SE > .55:
		r.Outcome = Confounded
	case r.AUC+const90*r.SE < .60:
		r.Outcome = Clean
	default:
		r.Outcome = Inconclusive
	}
	r.Top = c.top(label)
	r.Duplicates = nearDuplicates(texts)
	fold, blind := make([]int, len(texts)), make([]float64, len(texts))
	for k, i := range back {
		fold[i], blind[i] = r.Fold[k], r.Blind[k]
	}
	r.Fold, r.Blind = fold, blind
	return r, nil
}

// byID sorts a copy by id, so that the order of the input reaches no number, and
// returns where each text stood.
func byID(texts []Text) (sorted []Text, back []int) {
	back = make([]int, len(texts))
	for i := range back {
		back[i] = i
	}
	slices.SortStableFunc(back, func(a, b int) int { return cmp.Compare(texts[a].ID, texts[b].ID) })
	for _, i := range back {
		sorted = append(sorted, texts[i])
	}
	return sorted, back
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
			return nil, nil, fault.Inputf("labels", "membership: gate: group %q: found members and non-members, want one label per group", key)
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
		row := make([]entry, 0, len(n))
		for j, v := range n {
			row = append(row, entry{j, math.Log1p(v)})
		}
		slices.SortFunc(row, func(a, b entry) int { return cmp.Compare(a.col, b.col) })
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

// deal puts keys of each label, ordered by SHA-256(seed ":" key), into folds in turn.
func (c *corpus) deal(label []int, seed string) []int {
	fold := make(map[string]int)
	for l := range 2 {
		var keys []string
		for i, k := range c.keys {
			if label[i] == l {
				keys = append(keys, k)
			}
		}
		for i, k := range hashOrder(keys, seed) {
			fold[k] = i % folds
		}
	}
	out := make([]int, len(label))
	for i, k := range c.keys {
		out[i] = fold[k]
	}
	return out
}

// hashOrder returns the distinct keys ordered by SHA-256(seed ":" key).
func hashOrder(keys []string, seed string) []string {
	type item struct {
		key  string
		hash [32]byte
	}
	var items []item
	seen := make(map[string]bool)
	for _, k := range keys {
		if !seen[k] {
			seen[k] = true
			items = append(items, item{k, sha256.Sum256([]byte(seed + ":" + k))})
		}
	}
	slices.SortFunc(items, func(a, b item) int { return slices.Compare(a.hash[:], b.hash[:]) })
	out := make([]string, len(items))
	for i, it := range items {
		out[i] = it.key
	}
	return out
}

type crossed struct {
	auc, se float64
	score   []float64
}

// cross fits a model on four folds and scores the fifth, five times. AUC is over
// pairs inside a fold: pooling scores of different models would bias it below .5.
func (c *corpus) cross(model func(label []int, fit, test []int, tol float64) ([]float64, error), label, fold []int, tol float64) (crossed, error) {
	out := crossed{score: make([]float64, len(label))}
	for k := range folds {
		var fit, test []int
		for i, f := range fold {
			if f == k {
				test = append(test, i)
			} else {
				fit = append(fit, i)
			}
		}
		s, err := model(label, fit, test, tol)
		if err != nil {
			return out, err
		}
		for j, i := range test {
			out.score[i] = s[j]
		}
	}
	var err error
	out.auc, out.se, err = withinFolds(out.score, label, fold)
	return out, err
}

// withinFolds averages AUCs of folds with weights n1 n0; DeLong variances add.
func withinFolds(score []float64, label, fold []int) (auc, se float64, err error) {
	total, v := 0.0, 0.0
	for k := range folds {
		var m, n []float64
		for i, f := range fold {
			if f != k {
				continue
			}
			if label[i] == 1 {
				m = append(m, score[i])
			} else {
				n = append(n, score[i])
			}
		}
		if len(m) == 0 && len(n) == 0 {
			continue
		}
		a, s, err := stat.AUC(m, n)
		if err != nil {
			return 0, 0, fault.Inputf("too-few", "membership: gate: fold %d: %w", k+1, err)
		}
		w := float64(len(m)) * float64(len(n))
		total += w
		auc += w * a
		v += w * w * s * s
	}
	return auc / total, math.Sqrt(v) / total, nil
}

// wordModel: words in at least 5 % of the fitted texts, standardised over them.
func (c *corpus) wordModel(label, fit, test []int, tol float64) ([]float64, error) {
	d, col := c.wordDesign(fit)
	w, b, err := logistic(d, targets(label, fit), 1, tol)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(test))
	for k, i := range test {
		out[k] = d.predict(project(c.count[i], col), w, b)
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
func (c *corpus) wordDesign(fit []int) (*design, []int32) {
	p := len(c.words)
	df, sum, sq := make([]int, p), make([]float64, p), make([]float64, p)
	for _, i := range fit {
		for _, e := range c.count[i] {
			df[e.col]++
			sum[e.col] += e.v
		}
	}
	n := float64(len(fit))
	for _, i := range fit {
		for _, e := range c.count[i] {
			m := sum[e.col] / n
			sq[e.col] += (e.v - m) * (e.v - m)
		}
	}
	d := &design{}
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
		col[j] = int32(len(d.mu))
		d.mu, d.inv, d.shift = append(d.mu, m), append(d.inv, 1/sd), append(d.shift, m/sd)
	}
	for _, i := range fit {
		d.rows = append(d.rows, project(c.count[i], col))
	}
	return d, col
}

func project(row []entry, col []int32) []entry {
	out := make([]entry, 0, len(row))
	for _, e := range row {
		if j := col[e.col]; j >= 0 {
			out = append(out, entry{j, e.v})
		}
	}
	return out
}

func (c *corpus) formModel(label, fit, test []int, tol float64) ([]float64, error) {
	d, kept := dense(c.nuisance, fit)
	w, b, err := logistic(d, targets(label, fit), 1, tol)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(test))
	for k, i := range test {
		out[k] = d.predict(denseRow(c.nuisance[i], kept), w, b)
	}
	return out, nil
}

// permuteGate refits both models under labels dealt anew over keys.
func (c *corpus) permuteGate(r *GateResult, label []int, o GateOptions) error {
	keys := hashOrder(c.keys, o.Seed) // an order that the input rows cannot change
	class := make(map[string]int, len(keys))
	for i, k := range c.keys {
		class[k] = label[i]
	}
	r.permuted = make([]float64, o.Permutations)
	r.permutedPer = [2][]float64{make([]float64, o.Permutations), make([]float64, o.Permutations)}
	errs := make([]error, o.Workers)
	var wg sync.WaitGroup
	for w := range o.Workers {
		wg.Go(func() {
			for j := w; j < o.Permutations && errs[w] == nil; j += o.Workers {
				rng := stat.NewRand(0, "gate:"+o.Seed, uint64(j))
				dealt := make(map[string]int, len(keys))
				for i, p := range rng.Perm(len(keys)) {
					dealt[keys[i]] = class[keys[p]]
				}
				l := make([]int, len(label))
				for i, k := range c.keys {
					l[i] = dealt[k]
				}
				fold := c.deal(l, fmt.Sprintf("%s/%d", o.Seed, j))
				a, err := c.cross(c.wordModel, l, fold, permuteTol)
				if err != nil {
					errs[w] = err
					return
				}
				b, err := c.cross(c.formModel, l, fold, permuteTol)
				if err != nil {
					errs[w] = err
					return
				}
				r.permutedPer[0][j], r.permutedPer[1][j], r.permuted[j] = a.auc, b.auc, max(a.auc, b.auc)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// top fits words on all texts and returns the 20 largest coefficients in size.
func (c *corpus) top(label []int) []Weight {
	all := make([]int, len(label))
	for i := range all {
		all[i] = i
	}
	d, col := c.wordDesign(all)
	w, _, err := logistic(d, targets(label, all), 1, 1e-6)
	if err != nil {
		return nil
	}
	var out []Weight
	for old, j := range col {
		if j >= 0 {
			out = append(out, Weight{c.words[old], w[j]})
		}
	}
	slices.SortStableFunc(out, func(a, b Weight) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Weight), math.Abs(a.Weight)), cmp.Compare(a.Word, b.Word))
	})
	return out[:min(20, len(out))]
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
