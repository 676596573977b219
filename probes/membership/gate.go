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
	Confounded   GateOutcome = "confounded"   // the two labels differ without the model
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
	Underpower  bool        `json:"underpowered"`    // under 200 of a class
	Top         []Weight    `json:"top"`             // 20 words that tell most
	Duplicates  [][2]string `json:"near_duplicates"` // label 1, label 0
	Fold        []int       `json:"-"`               // of every text, 0..4
	Blind       []float64   `json:"-"`               // out-of-fold score of the better model
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

// Gate fits two blind models in five folds, one of words and one of size and form,
// and asks whether either tells label 1 from label 0. Standard errors of
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
	if o.Permutations < 2 {
		return GateResult{}, fault.Usagef("membership: gate: found %d permutations, want at least 2", o.Permutations)
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
		return r, fault.Inputf("too-few", "membership: gate: found %d texts with label 1 and %d with label 0, want at least %d of each", r.Members, r.Non, perClass)
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

// telling names the n words with the largest coefficients.
func (r *GateResult) telling(n int) string {
	var out []string
	for _, w := range r.Top[:min(n, len(r.Top))] {
		out = append(out, w.Word)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, " ")
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
	w, _, err := stat.Logistic(d, targets(label, all), 1, 1e-6)
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
