// Package swap asks whether a model's decision moves when only the group of
// the person changes (Tamkin et al. 2023, arXiv 2312.03689): the same scenario
// is filled with each group, and the answer is the log-odds of yes against no.
//
// For each scenario (question) i the margins are regressed on the group levels,
// beta_i; the effect of a level is the mean of beta_i over questions (logits),
// its standard error their SD over sqrt m. With equal designs this equals the
// fixed effects of a mixed model with random intercepts, whose own standard
// errors are wrong both ways because the effects differ between questions. Two
// p-values are given: Student's t with m-1 degrees of freedom, and sign flips
// over questions; they part when a few questions dominate.
//
// The package refuses unknown template fields and unanswered requests. A
// question that lacks a combination of levels is left out and counted. Effects
// that are zero to rounding have no t: never a small p-value.
package swap

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// Row is one filled scenario and its margin.
type Row struct {
	Question string
	Levels   map[string]string  // attribute to level: race, gender
	Numbers  map[string]float64 // covariates such as age, z-scored over the file
	Y        float64            // ln of P(yes)/P(no)
}

// Base names the reference level of each attribute.
type Base map[string]string

// DefaultBase is white and male, whatever the case of the letters.
func DefaultBase() Base { return Base{"race": "white", "gender": "male"} }

// Coef is one effect.
type Coef struct {
	Name      string
	Value, SE float64 // logits
	T         float64
	DF        int
	LogPTwo   float64   // ln, Student; NaN if Undefined
	Flips     perm.Tail // two-sided sign flips over questions
	Undefined bool      // every question's effect is zero to rounding
	By        []float64 // by question, in the order of Effects.Questions
	Shrunk    []float64 // By drawn to the mean by its reliability
	Variance  float64   // between questions, of the positive part
}

// Effects is a fit.
type Effects struct {
	M          int
	Questions  []string
	Unbalanced []string // questions left out
	Coefs      []Coef   // intercept first
	S2         float64  // pooled residual variance
}

// Options of a fit.
type Options struct {
	Base  Base
	Draws int // sign flips, default 99,999
	Seed  uint64
}

// Fit regresses the margins of each question on the levels, base white male,
// and combines the questions.
func Fit(rows []Row) (Effects, error) { return FitWith(rows, Options{Base: DefaultBase(), Seed: 1}) }

// FitWith is Fit with options. Row order does not matter.
func FitWith(rows []Row, o Options) (Effects, error) {
	d, err := newDesign(rows, o.Base)
	if err != nil {
		return Effects{}, err
	}
	e := Effects{Unbalanced: d.unbalanced, Questions: d.questions, M: len(d.questions)}
	if e.M < 2 {
		return e, fault.Inputf("too-few", "swap: found %d complete questions, want 2 or more; incomplete: %s", e.M, strings.Join(d.unbalanced, ", "))
	}
	k := len(d.names)
	beta := mat.NewDense(e.M, k, nil)
	inv := make([]*mat.SymDense, e.M)
	var rss float64
	df := 0
	for i, q := range d.questions {
		b, s, v, err := d.solve(d.rows[q])
		if err != nil {
			return e, fault.Inputf("near-singular", "swap: question %s: %w", q, err)
		}
		beta.SetRow(i, b)
		rss, df, inv[i] = rss+s, df+len(d.rows[q])-k, v
	}
	if df > 0 {
		e.S2 = rss / float64(df)
	}
	sigma := between(beta, inv, e.S2)
	shrunk := shrink(beta, inv, e.S2, sigma)
	for j, name := range d.names {
		c := Coef{Name: name, DF: e.M - 1, By: mat.Col(nil, j, beta), Shrunk: mat.Col(nil, j, shrunk), Variance: sigma.At(j, j), T: math.NaN(), LogPTwo: math.NaN()}
		v := 0.0
		c.Value, v = stat.MeanVar(c.By)
		c.SE = math.Sqrt(v / float64(e.M))
		zero := 1e-9 * max(1, d.maxAbs)
		if slices.ContainsFunc(c.By, func(b float64) bool { return math.Abs(b) > zero }) {
			c.T = c.Value / c.SE
			_, c.LogPTwo = stat.LogTailStudentT(c.T, float64(c.DF))
			if c.Flips, err = perm.SignFlip(c.By, perm.TwoSided, perm.Options{Draws: o.Draws, Seed: o.Seed}); err != nil {
				return e, err
			}
		} else {
			c.Value, c.SE, c.Undefined, c.Variance = 0, 0, true, 0
		}
		e.Coefs = append(e.Coefs, c)
	}
	return e, nil
}

// design knows the columns and the rows of each complete question.
type design struct {
	names      []string
	attr       []string // attributes, sorted
	levels     map[string][]string
	numbers    []string
	mean, sd   map[string]float64
	rows       map[string][]Row
	questions  []string
	unbalanced []string
	maxAbs     float64
}

func newDesign(rows []Row, base Base) (*design, error) {
	if len(rows) == 0 {
		return nil, fault.Inputf("too-few", "swap: found no rows")
	}
	d := &design{levels: map[string][]string{}, mean: map[string]float64{}, sd: map[string]float64{}, rows: map[string][]Row{}}
	for a := range rows[0].Levels {
		d.attr = append(d.attr, a)
	}
	for n := range rows[0].Numbers {
		d.numbers = append(d.numbers, n)
	}
	slices.Sort(d.numbers)
	// Race before gender, the order of the published tables, then others by name.
	order := map[string]int{"race": -2, "gender": -1}
	slices.SortFunc(d.attr, func(a, b string) int {
		if order[a] != order[b] {
			return order[a] - order[b]
		}
		return strings.Compare(a, b)
	})
	combos := map[string]map[string]int{}
	all := map[string]bool{}
	for i, r := range rows {
		if len(r.Levels) != len(d.attr) || len(r.Numbers) != len(d.numbers) {
			return nil, fault.Inputf("malformed", "swap: row %d: found attributes %v, want %v", i+1, r.Levels, d.attr)
		}
		if math.IsNaN(r.Y) || math.IsInf(r.Y, 0) {
			return nil, fault.Inputf("nonfinite", "swap: row %d: found margin %v, want a finite number", i+1, r.Y)
		}
		d.maxAbs = max(d.maxAbs, math.Abs(r.Y))
		key, err := d.key(r)
		if err != nil {
			return nil, fault.Inputf("malformed", "swap: row %d: %w", i+1, err)
		}
		if combos[r.Question] == nil {
			combos[r.Question] = map[string]int{}
		}
		combos[r.Question][key]++
		all[key] = true
		d.rows[r.Question] = append(d.rows[r.Question], r)
	}
	for q, c := range combos {
		complete := len(c) == len(all)
		for _, n := range c {
			complete = complete && n == 1
		}
		if complete {
			d.questions = append(d.questions, q)
		} else {
			d.unbalanced = append(d.unbalanced, q)
		}
	}
	slices.SortFunc(d.questions, byID)
	slices.SortFunc(d.unbalanced, byID)
	for _, q := range d.questions { // rows in one order, so that sums do not hang on the file's
		slices.SortFunc(d.rows[q], func(a, b Row) int { x, _ := d.key(a); y, _ := d.key(b); return strings.Compare(x, y) })
	}
	return d, d.columns(rows, base)
}

// key identifies a combination of levels and numbers.
func (d *design) key(r Row) (string, error) {
	var b strings.Builder
	for _, a := range d.attr {
		l, ok := r.Levels[a]
		if !ok || l == "" {
			return "", fault.Inputf("malformed", "found no %s", a)
		}
		b.WriteString(a + "=" + l + ";")
		if !slices.Contains(d.levels[a], l) {
			d.levels[a] = append(d.levels[a], l)
		}
	}
	for _, n := range d.numbers {
		v, ok := r.Numbers[n]
		if !ok || math.IsNaN(v) || math.IsInf(v, 0) {
			return "", fault.Inputf("malformed", "found no finite %s", n)
		}
		b.WriteString(n + "=" + strconv.FormatFloat(v, 'g', -1, 64) + ";")
	}
	return b.String(), nil
}

// columns names the coefficients and finds the scale of the numbers.
func (d *design) columns(rows []Row, base Base) error {
	d.names = []string{"intercept"}
	for _, a := range d.attr {
		slices.Sort(d.levels[a])
		at := slices.IndexFunc(d.levels[a], func(l string) bool { return strings.EqualFold(l, base[a]) })
		if at < 0 {
			return fault.Inputf("malformed", "swap: attribute %s: found levels %v, want the base %q among them", a, d.levels[a], base[a])
		}
		d.levels[a] = slices.Delete(d.levels[a], at, at+1)
		d.names = append(d.names, d.levels[a]...)
	}
	for _, n := range d.numbers {
		v := make([]float64, len(rows))
		for i, r := range rows {
			v[i] = r.Numbers[n]
		}
		slices.Sort(v)
		m, s2 := stat.MeanVar(v)
		if s2 == 0 {
			return fault.Inputf("malformed", "swap: %s: found one value, want two or more", n)
		}
		d.mean[n], d.sd[n] = m, math.Sqrt(s2)
		d.names = append(d.names, n)
	}
	return nil
}

func (d *design) vector(r Row) []float64 {
	x := make([]float64, 1, len(d.names))
	x[0] = 1
	for _, a := range d.attr {
		for _, l := range d.levels[a] {
			v := 0.0
			if r.Levels[a] == l {
				v = 1
			}
			x = append(x, v)
		}
	}
	for _, n := range d.numbers {
		x = append(x, (r.Numbers[n]-d.mean[n])/d.sd[n])
	}
	return x
}

// solve fits one question: coefficients, residual sum of squares, (X'X)^-1.
func (d *design) solve(rows []Row) ([]float64, float64, *mat.SymDense, error) {
	n, k := len(rows), len(d.names)
	if n < k {
		return nil, 0, nil, fault.Inputf("too-few", "found %d rows, want %d or more", n, k)
	}
	x, y := mat.NewDense(n, k, nil), mat.NewVecDense(n, nil)
	for i, r := range rows {
		x.SetRow(i, d.vector(r))
		y.SetVec(i, r.Y)
	}
	var qr mat.QR
	qr.Factorize(x)
	var b mat.VecDense
	if err := qr.SolveVecTo(&b, false, y); err != nil {
		return nil, 0, nil, err
	}
	var fit, res mat.VecDense
	fit.MulVec(x, &b)
	res.SubVec(y, &fit)
	var xtx mat.SymDense
	xtx.SymOuterK(1, x.T())
	var chol mat.Cholesky
	if !chol.Factorize(&xtx) {
		return nil, 0, nil, fault.Inputf("near-singular", "found levels that determine each other")
	}
	inv := mat.NewSymDense(k, nil)
	if err := chol.InverseTo(inv); err != nil {
		return nil, 0, nil, err
	}
	return mat.Col(nil, 0, &b), mat.Dot(&res, &res), inv, nil
}

// between is the variance of true effects between questions: the positive part
// of their covariance less what residual noise adds.
func between(beta *mat.Dense, inv []*mat.SymDense, s2 float64) *mat.SymDense {
	m, k := beta.Dims()
	cov := mat.NewSymDense(k, nil)
	means := make([]float64, k)
	for j := range k {
		means[j], _ = stat.MeanVar(mat.Col(nil, j, beta))
	}
	for a := range k {
		for b := a; b < k; b++ {
			var s, noise float64
			for i := range m {
				s += (beta.At(i, a) - means[a]) * (beta.At(i, b) - means[b])
				noise += inv[i].At(a, b)
			}
			cov.SetSym(a, b, s/float64(m-1)-s2*noise/float64(m))
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(cov, true) {
		return cov
	}
	var v mat.Dense
	eig.VectorsTo(&v)
	out := mat.NewSymDense(k, nil)
	for a := range k {
		for b := a; b < k; b++ {
			var s float64
			for j, l := range eig.Values(nil) {
				s += max(0, l) * v.At(a, j) * v.At(b, j)
			}
			out.SetSym(a, b, s)
		}
	}
	return out
}

// shrink draws each question's effects to the mean: Sigma (Sigma + V)^-1.
func shrink(beta *mat.Dense, inv []*mat.SymDense, s2 float64, sigma *mat.SymDense) *mat.Dense {
	m, k := beta.Dims()
	out := mat.NewDense(m, k, nil)
	means := make([]float64, k)
	for j := range k {
		means[j], _ = stat.MeanVar(mat.Col(nil, j, beta))
	}
	for i := range m {
		total := mat.NewDense(k, k, nil)
		dev := mat.NewVecDense(k, nil)
		for a := range k {
			dev.SetVec(a, beta.At(i, a)-means[a])
			for b := range k {
				total.Set(a, b, sigma.At(a, b)+s2*inv[i].At(a, b))
			}
		}
		var w, s mat.VecDense
		row := mat.Row(nil, i, beta)
		if err := w.SolveVec(total, dev); err == nil {
			s.MulVec(sigma, &w)
			for j := range k {
				row[j] = means[j] + s.AtVec(j)
			}
		} // without noise nothing is shrunk
		out.SetRow(i, row)
	}
	return out
}

// byID orders question ids as numbers where both are.
func byID(a, b string) int {
	x, err1 := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	if err1 == nil && err2 == nil {
		return x - y
	}
	return strings.Compare(a, b)
}
