package weat

import (
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// Version of the test: raised whenever any number can change.
const Version = 1

// Options configure Run. Start from DefaultOptions.
type Options struct {
	Alpha  float64 // for warnings and the finding, default .05
	Level  float64 // of intervals, default .95
	Seed   uint64  // of draws and resamples, default 1
	Perm   int     // draws where draws are needed, default 99,999
	Boot   int     // BCa resamples, default 9,999; 0 leaves the interval out
	Sample bool    // draw even where a count is possible
	Compat bool    // also report the share of choices strictly above, as older code does
	// Adjust also tests s given the covariates that fail the balance check; if
	// imbalance is the only failure the adjusted p-value counts.
	Adjust bool
	Freq   map[string]float64 // occurrences by word, for the balance check

	Rep     string  // representation: file, input, output, ctx:N, sent:N
	Variant Variant // which variant the scores are of
	// D holds d of this test and representation by variant. Without all three
	// the tier is C: the sign under centring was not looked at.
	D      map[Variant]float64
	Inputs []probes.Input
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{Alpha: .05, Level: .95, Seed: 1, Perm: 99_999, Boot: 9_999, Rep: "file", Variant: Raw}
}

// Validate refuses options out of range.
func (o Options) Validate() error {
	for name, v := range map[string]float64{"alpha": o.Alpha, "level": o.Level} {
		if !(v > 0 && v < 1) {
			return fault.Usagef("weat: %s: found %v, want between 0 and 1", name, v)
		}
	}
	if o.Perm < 99 || o.Perm > 100_000_000 {
		return fault.Usagef("weat: perm: found %d, want 99 to 100,000,000", o.Perm)
	}
	if o.Boot != 0 && (o.Boot < 99 || o.Boot > 10_000_000) {
		return fault.Usagef("weat: boot: found %d, want 0 or 99 to 10,000,000", o.Boot)
	}
	if !slices.Contains(Variants(), o.Variant) {
		return fault.Usagef("weat: variant: found %q, want raw, centred or abtt3", o.Variant)
	}
	return nil
}

// runner keeps tails that several results share: variants of one test have one
// balance, and published tests share attribute lists.
type runner struct {
	o     Options
	tails map[string]perm.Tail
}

func newRunner(o Options) *runner { return &runner{o: o, tails: map[string]perm.Tail{}} }

func (r *runner) tail(x, y []float64, alt perm.Alt, sample bool) (perm.Tail, error) {
	key := fmt.Sprint(len(x), alt, sample, x, y)
	if t, ok := r.tails[key]; ok {
		return t, nil
	}
	t, err := perm.TwoSample(x, y, alt, perm.Options{Sample: sample, Draws: r.o.Perm, Seed: r.o.Seed})
	if err == nil {
		r.tails[key] = t
	}
	return t, err
}

// numbers is everything a result is written from.
type numbers struct {
	target, two, attr perm.Tail
	targets, attrs    Effect
	nct               [2]float64
	boot              Bootstrap
	inf               Influence
	singleX, singleY  Single
	balance           []Balance
	adjusted          *Adjusted
	adjustNote        string
}

// Run turns scores into a result. It is pure: equal scores and options give
// equal bytes.
func Run(sc Scores, o Options) (probes.Result, error) {
	return newRunner(o).run(sc, o)
}

func (r *runner) run(sc Scores, o Options) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	b := newBuilder(sc, o)
	if sc.Undefined != "" {
		return b.undefined(sc.Undefined), nil
	}
	n, err := r.numbers(sc, o)
	if err != nil {
		return probes.Result{}, err
	}
	return b.result(n), nil
}

func (r *runner) numbers(sc Scores, o Options) (numbers, error) {
	x, y, a, b := values(sc.X), values(sc.Y), values(sc.A), values(sc.B)
	n := numbers{targets: Sizes(x, y), attrs: Sizes(a, b)}
	alt := sc.Test.Alt
	var err error
	if n.target, err = r.tail(x, y, alt, o.Sample); err != nil {
		return n, err
	}
	if n.attr, err = r.tail(a, b, alt, o.Sample); err != nil {
		return n, err
	}
	if alt == perm.Greater && len(x) == len(y) && n.targets.D > 0 && n.target.Method != perm.Sample {
		n.two = n.target.Mirrored() // equal groups: the other tail is the same count
	} else if n.two, err = r.tail(x, y, perm.TwoSided, o.Sample); err != nil {
		return n, err
	}
	n.nct[0], n.nct[1] = nctInterval(n.targets, len(x), len(y), o.Level)
	if o.Boot > 0 && !n.targets.Constant && len(x) > 1 && len(y) > 1 {
		n.boot = BCa(x, y, o.Boot, o.Seed, o.Level)
	}
	if n.inf, err = sc.influence(n.targets.D, n.target.Log10P, o.Alpha, alt); err != nil {
		return n, err
	}
	// Descriptive numbers: a coarse bracket serves where a count would take long.
	if n.singleX, n.singleY, err = sc.Single(perm.Options{Nodes: 2e6, MaxBytes: 16 << 20}); err != nil {
		return n, err
	}
	if n.balance, err = r.balance(sc, o); err != nil {
		return n, err
	}
	if o.Adjust && !n.targets.Constant {
		var cov [][]float64
		for _, c := range n.balance {
			if c.Targets && c.Fails {
				cov = append(cov, c.values)
			}
		}
		if len(cov) > 0 {
			adj, err := Adjust(x, y, cov, alt, o.Perm, o.Seed)
			if err != nil {
				n.adjustNote = err.Error()
			} else {
				n.adjusted = &adj
			}
		}
	}
	return n, nil
}

// Balance compares a covariate of the words between two sets.
type Balance struct {
	Name    string // norm, pieces, freq
	Targets bool   // X against Y; else A against B
	D       float64
	Gap     float64 // difference of means
	Tail    perm.Tail
	Holm    float64 // log10 p adjusted over the covariates of these sets
	Fails   bool
	Note    string // why it could not be compared
	values  []float64
}

// balance tests ln|v|, pieces a word and ln frequency, two-sided and exact,
// Holm over the covariates of one pair of sets. A covariate without variation
// cannot confound and takes no part.
func (r *runner) balance(sc Scores, o Options) ([]Balance, error) {
	var out []Balance
	for side, pair := range [][2][]Scored{{sc.X, sc.Y}, {sc.A, sc.B}} {
		from := len(out)
		for _, cov := range covariates(o) {
			p, q, note := cov.of(pair[0]), cov.of(pair[1]), ""
			all := slices.Concat(p, q)
			if slices.ContainsFunc(all, math.IsNaN) {
				note = "not known for every word"
			} else if e := Sizes(p, q); e.Constant {
				continue
			}
			b := Balance{Name: cov.name, Targets: side == 0, D: nan, Gap: nan, Note: note, values: all}
			if note == "" {
				t, err := r.tail(p, q, perm.TwoSided, false)
				if err != nil {
					return nil, err
				}
				b.Tail, b.D, b.Gap = t, effectD(p, q), mean(p)-mean(q)
			}
			out = append(out, b)
		}
		var logs []float64
		for _, b := range out[from:] {
			if b.Note == "" {
				logs = append(logs, b.Tail.Log10P*math.Ln10)
			}
		}
		adj, k := stat.Holm(logs), 0
		for i := from; i < len(out); i++ {
			if out[i].Note == "" {
				out[i].Holm = adj[k] / math.Ln10
				out[i].Fails = out[i].Holm < math.Log10(.05)
				k++
			}
		}
	}
	return out, nil
}

type covariate struct {
	name string
	of   func([]Scored) []float64
}

func covariates(o Options) []covariate {
	out := []covariate{{"norm", logNorms}, {"pieces", func(s []Scored) []float64 {
		v := make([]float64, len(s))
		for i, w := range s {
			v[i] = float64(w.Pieces)
		}
		return v
	}}}
	if o.Freq != nil {
		out = append(out, covariate{"freq", func(s []Scored) []float64 {
			v := make([]float64, len(s))
			for i, w := range s {
				v[i] = nan
				if f := o.Freq[w.Used]; f > 0 {
					v[i] = math.Log(f)
				}
			}
			return v
		}})
	}
	return out
}

// Job is one test in one representation and variant.
type Job struct {
	Rep     string
	Variant Variant
	Scores  Scores
	Inputs  []probes.Input
}

// Corrected is a p-value of a run beside its Holm adjustment over the run.
type Corrected struct {
	Test    string  `json:"test"`
	Rep     string  `json:"rep"`
	Variant Variant `json:"variant"`
	P       string  `json:"p"` // name of the p-value in the result
	Log10P  float64 `json:"log10_p"`
	Holm    float64 `json:"log10_p_holm"`
}

// Document is the JSON form of a run.
type Document struct {
	Schema  string          `json:"schema"`
	Results []probes.Result `json:"results"`
	Holm    []Corrected     `json:"holm"`
}

// Schema identifies Document.
const Schema = "assay.weat/1"

// RunAll turns the jobs of a run into one document: every result knows d of its
// other variants, and Holm runs over all valid p-values.
func RunAll(jobs []Job, o Options) (Document, error) {
	r := newRunner(o)
	ds := map[[2]string]map[Variant]float64{}
	for _, j := range jobs {
		key := [2]string{j.Scores.Test.ID, j.Rep}
		if ds[key] == nil {
			ds[key] = map[Variant]float64{}
		}
		if j.Scores.Undefined == "" {
			ds[key][j.Variant] = effectD(values(j.Scores.X), values(j.Scores.Y))
		}
	}
	doc := Document{Schema: Schema, Results: []probes.Result{}, Holm: []Corrected{}}
	for _, j := range jobs {
		jo := o
		jo.Rep, jo.Variant, jo.D, jo.Inputs = j.Rep, j.Variant, ds[[2]string{j.Scores.Test.ID, j.Rep}], j.Inputs
		res, err := r.run(j.Scores, jo)
		if err != nil {
			return doc, err
		}
		doc.Results = append(doc.Results, res)
		if len(res.P) > 0 { // the headline p; the others of a result repeat its data
			doc.Holm = append(doc.Holm, Corrected{Test: j.Scores.Test.ID, Rep: j.Rep, Variant: j.Variant, P: res.P[0].Name, Log10P: res.P[0].Log10P})
		}
	}
	logs := make([]float64, len(doc.Holm))
	for i, h := range doc.Holm {
		logs[i] = h.Log10P * math.Ln10
	}
	for i, l := range stat.Holm(logs) {
		doc.Holm[i].Holm = l / math.Ln10
	}
	return doc, nil
}
