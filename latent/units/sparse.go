package units

import (
	"context"
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/geom"
	"assay/latent/internal/logit"
	"assay/latent/internal/par"
	"assay/latent/internal/report"
	"assay/probes"
)

// SparseOptions of Sparse. The names in JSON are those of the long flags, with _ for -.
type SparseOptions struct {
	Groups   []string `json:"groups"` // two; nil = the two labels of the file
	NoStrata bool     `json:"no_strata"`
	View     string   `json:"view"` // "" = resid_post.mean
	Layers   string   `json:"layers"`
	Screen   int      `json:"screen"` // 64: units that pass the screening inside a fold
	Gamma    float64  `json:"gamma"`  // 3: of the minimax concave penalty; above 1
	Folds    int      `json:"folds"`  // 5, outer and inner
	Level    float64  `json:"level"`
	Side     aqi.Side `json:"-"`
	Seed     uint64   `json:"seed"`
	Workers  int      `json:"-"` // 0 = one per core; changes no number

	Progress func(layers int64) `json:"-"` // if not nil, called after every layer
}

// DefaultSparse returns the standard probe.
func DefaultSparse() SparseOptions {
	return SparseOptions{Layers: "all", Screen: 64, Gamma: 3, Folds: 5, Level: .95, Seed: 1}
}

// Validate reports the first option out of range.
func (o SparseOptions) Validate() error {
	switch {
	case o.Screen < 1 || o.Screen > 4096:
		return fault.Usagef("units: screen: %d, want 1 to 4096", o.Screen)
	case !(o.Gamma > 1) || math.IsInf(o.Gamma, 0):
		return fault.Usagef("units: gamma: %v, want above 1", o.Gamma)
	case o.Folds < 2:
		return fault.Usagef("units: folds: %d, want at least 2", o.Folds)
	case !(o.Level > .5 && o.Level < 1):
		return fault.Usagef("units: level: %v, want between .5 and 1", o.Level)
	}
	return nil
}

// Sparse asks whether few units are enough: a logistic probe with the minimax
// concave penalty (Zhang 2010), which leaves most weights at 0 and large ones
// unshrunk. Units are screened, penalties chosen and weights fitted inside the
// training folds alone; the AUROC is of held-out rows, scores of different folds
// never pooled. Always tier C: no randomisation is run.
func Sparse(ctx context.Context, s latent.States, o SparseOptions) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	ao := aqi.Default()
	ao.Groups, ao.NoStrata, ao.Side, ao.Seed, ao.Workers = o.Groups, o.NoStrata, o.Side, o.Seed, o.Workers
	ao.View, ao.Layers, ao.Folds = o.View, o.Layers, o.Folds
	gate, err := aqi.Judge(ctx, s, ao)
	if err != nil {
		return probes.Result{}, err
	}
	sc, err := newScreen(s, ScreenOptions{Groups: o.Groups, NoStrata: o.NoStrata, View: o.View, Layers: o.Layers, Folds: o.Folds, Seed: o.Seed, Workers: o.Workers})
	if err != nil {
		return probes.Result{}, err
	}
	if len(sc.d.Groups) != 2 {
		return probes.Result{}, fault.Usagef("units: sparse probe: %d groups, want 2", len(sc.d.Groups))
	}
	b := report.New("probe.sparse", Version, o.Seed)
	b.Input("states", sc.in)
	var layers []int
	for _, k := range sc.layers {
		layers = append(layers, sc.v.Layers[k])
	}
	b.Settings = map[string]any{"groups": sc.d.Groups, "view": sc.v.Name(), "span": sc.v.Span, "layers": layers, "screen": o.Screen,
		"gamma": o.Gamma, "folds": o.Folds, "level": o.Level, "strata": len(sc.d.Strata), "checks": gate.Checks}
	b.N["rows"], b.N["layers"] = len(sc.docs), len(layers)
	for _, w := range gate.Warnings {
		b.Warn(w.Code, "%s", w.Text)
	}
	best, at, few := math.Inf(-1), 0, 0.0
	for _, k := range sc.layers {
		if err := ctx.Err(); err != nil {
			return probes.Result{}, err
		}
		p, err := sc.sparse(k, o)
		if err != nil {
			return probes.Result{}, err
		}
		p.estimates(b, sc.v.Name(), sc.v.Layers[k], o)
		if o.Progress != nil {
			o.Progress(1)
		}
		if p.cv.AUROC > best {
			best, at, few = p.cv.AUROC, sc.v.Layers[k], p.mean
		}
	}
	if sc.sample {
		b.Warn("sampled", "%d documents of the sample", len(sc.docs))
	}
	if len(layers) > 1 {
		b.Warn("layer-chosen", "the sentence names the best of %d layers", len(layers))
	}
	b.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive",
		Says:       fmt.Sprintf("At layer %d a probe of %.1f units (mean over folds) tells the groups apart with held-out AUROC %.3f.", at, few, best),
		DoesNotSay: "That these units cause anything, that no other units would do as well, or that they carry the meaning of the label and not topic, length or words.",
	}
	return b.Done(), nil
}

// sparseProbe is one layer, cross-fitted.
type sparseProbe struct {
	cv      logit.CV
	used    [][]int // by fold: units with a weight
	mean    float64 // number of them
	picked  map[int]int
	penalty []float64
}

func (p *sparseProbe) estimates(b *report.Builder, view string, layer int, o SparseOptions) {
	name := func(what string) string { return fmt.Sprintf("sparse.%s@%s.%d", what, view, layer) }
	q := 1.959963984540054
	b.CI(name("auroc"), p.cv.AUROC, "fraction", fmt.Sprintf("logistic probe with minimax concave penalty, %d units screened inside each fold, %d folds; jackknife over units with folds fixed", o.Screen, o.Folds),
		"", &probes.CI{Lo: math.Max(0, p.cv.AUROC-q*p.cv.SE), Hi: math.Min(1, p.cv.AUROC+q*p.cv.SE), Level: .95})
	b.Add(name("units"), p.mean, "units", "with a weight, mean over folds", "")
	var all []int
	for u, n := range p.picked {
		if n == len(p.used) {
			all = append(all, u)
		}
	}
	b.Add(name("stable"), float64(len(all)), "units", "with a weight in every fold", "")
	slices.Sort(all)
	for _, u := range all[:min(8, len(all))] {
		b.Add(fmt.Sprintf("sparse.stable@%s.%d.%d", view, layer, u), 1, "fraction", "unit with a weight in every fold", "")
	}
}

// sparse cross-fits one layer.
func (sc *screen) sparse(k int, o SparseOptions) (*sparseProbe, error) {
	x, docs, err := sc.rows(k)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(docs, sc.docs) {
		return nil, fault.Inputf("bad-states-file", "units: layer %d: other documents than layer %d, want the same", sc.v.Layers[k], sc.v.Layers[sc.layers[0]])
	}
	rows := geom.Collect(x)
	for i := range rows.N {
		for j, v := range rows.Row(i) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fault.Inputf("nonfinite", "units: layer %d row %d unit %d: %v, want a finite value", sc.v.Layers[k], i, j, v)
			}
		}
	}
	y := make([]float64, len(docs))
	labels, unit := make([]int, len(docs)), make([]int, len(docs))
	for i, l := range sc.label {
		y[i], labels[i] = float64(l), int(l)
		unit[i] = sc.d.Unit(docs[i])
		if sc.d.Form != geom.Pairs {
			unit[i] = unit[i]*2 + int(l)
		}
	}
	p := &sparseProbe{used: make([][]int, o.Folds), picked: map[int]int{}, penalty: make([]float64, o.Folds)}
	score := make([]float64, len(docs))
	par.For(o.Folds, o.Workers, func(f int) {
		var train, test []int
		for i := range docs {
			if sc.fold[i] == f {
				test = append(test, i)
			} else {
				train = append(train, i)
			}
		}
		m := fitSparse(rows, y, train, sc.innerFolds(train, o.Folds), o)
		p.penalty[f] = m.lambda
		for j, w := range m.w {
			if w != 0 {
				p.used[f] = append(p.used[f], m.unit[j])
			}
		}
		for _, i := range test {
			score[i] = m.score(rows.Row(i))
		}
	})
	for _, us := range p.used {
		p.mean += float64(len(us)) / float64(o.Folds)
		for _, u := range us {
			p.picked[u]++
		}
	}
	p.cv, err = logit.Rank(score, labels, sc.fold, unit)
	return p, err
}

// innerFolds deals the training rows again, whole units together.
func (sc *screen) innerFolds(train []int, folds int) []int {
	docs := make([]int, len(train))
	for k, i := range train {
		docs[k] = sc.docs[i]
	}
	return foldsOf(sc.d, docs, folds, sc.o.Seed+1)
}

// MCP is the proximal step of the minimax concave penalty at step 1: soft(z, l)
// / (1 - 1/gamma) up to gamma l, z beyond.
func MCP(z, l, gamma float64) float64 {
	switch a := math.Abs(z); {
	case a <= l:
		return 0
	case a <= gamma*l:
		return math.Copysign(a-l, z) / (1 - 1/gamma)
	}
	return z
}

// sparseModel is a fitted probe: weights of the screened units.
type sparseModel struct {
	unit   []int
	mean   []float64
	scale  []float64
	w      []float64
	b      float64
	lambda float64
}

func (m *sparseModel) score(row []float64) float64 {
	s := m.b
	for j, u := range m.unit {
		s += m.w[j] * (row[u] - m.mean[j]) * m.scale[j]
	}
	return s
}

// penalties is how many penalties are tried, from the one that leaves no weight
// down to a twentieth of it.
const penalties = 10

// fitSparse screens on the training rows, chooses the penalty by the held-out
// loss of the inner folds (each with its own screening) and fits.
func fitSparse(x geom.Dense, y []float64, train, inner []int, o SparseOptions) *sparseModel {
	full := screened(x, y, train, o.Screen)
	top := full.most(x, y, train)
	grid := make([]float64, penalties)
	for i := range grid {
		grid[i] = top * math.Pow(.05, float64(i)/(penalties-1))
	}
	loss := make([]float64, penalties)
	for g := range slices.Max(inner) + 1 {
		var in, out []int
		for k, i := range train {
			if inner[k] == g {
				out = append(out, i)
			} else {
				in = append(in, i)
			}
		}
		if !bothLabels(y, in) {
			continue
		}
		m := screened(x, y, in, o.Screen)
		m.path(x, y, in, grid, o.Gamma, func(k int) {
			for _, i := range out {
				s := m.score(x.Row(i))
				loss[k] += math.Max(s, 0) + math.Log1p(math.Exp(-math.Abs(s))) - y[i]*s
			}
		})
	}
	best := 0 // the largest penalty wins ties
	for k, l := range loss {
		if l < loss[best] {
			best = k
		}
	}
	full.path(x, y, train, grid[:best+1], o.Gamma, func(int) {})
	full.lambda = grid[best]
	return full
}

func bothLabels(y []float64, idx []int) bool {
	n := 0.0
	for _, i := range idx {
		n += y[i]
	}
	return n > 0 && n < float64(len(idx))
}

// screened keeps the units whose standardised difference of means is largest in
// rows idx; ties go to the smaller unit. Units are scaled to standard deviation 2,
// so that the logistic loss has curvature at most 1 in each.
func screened(x geom.Dense, y []float64, idx []int, keep int) *sparseModel {
	type unit struct {
		at         int
		mean, sd   float64
		difference float64
	}
	us := make([]unit, x.W)
	var n [2]float64
	for _, i := range idx {
		n[int(y[i])]++
	}
	for j := range us {
		var sum [2]float64
		for _, i := range idx {
			sum[int(y[i])] += x.Row(i)[j]
		}
		u := unit{at: j, mean: (sum[0] + sum[1]) / (n[0] + n[1])}
		for _, i := range idx {
			d := x.Row(i)[j] - u.mean
			u.sd += d * d
		}
		u.sd = math.Sqrt(u.sd / (n[0] + n[1]))
		if u.sd > 1e-12*math.Abs(u.mean) {
			u.difference = math.Abs(sum[1]/n[1]-sum[0]/n[0]) / u.sd
		}
		us[j] = u
	}
	slices.SortStableFunc(us, func(a, b unit) int {
		switch {
		case a.difference > b.difference:
			return -1
		case a.difference < b.difference:
			return 1
		}
		return a.at - b.at
	})
	m := &sparseModel{}
	for _, u := range us[:min(keep, len(us))] {
		if !(u.difference > 0) {
			break
		}
		m.unit, m.mean, m.scale = append(m.unit, u.at), append(m.mean, u.mean), append(m.scale, 2/u.sd)
	}
	m.w = make([]float64, len(m.unit))
	m.b = math.Log(n[1] / n[0])
	return m
}

// most is the smallest penalty that leaves every weight at 0.
func (m *sparseModel) most(x geom.Dense, y []float64, idx []int) float64 {
	p := 1 / (1 + math.Exp(-m.b))
	most := 0.0
	for j, u := range m.unit {
		g := 0.0
		for _, i := range idx {
			g += (y[i] - p) * (x.Row(i)[u] - m.mean[j]) * m.scale[j]
		}
		most = math.Max(most, math.Abs(g)/float64(len(idx)))
	}
	return most
}

// path fits each penalty from the weights of the one before, by cyclic descent
// over units: each step majorises the loss by curvature 1 and takes MCP's step.
func (m *sparseModel) path(x geom.Dense, y []float64, idx []int, grid []float64, gamma float64, each func(k int)) {
	n := float64(len(idx))
	z := geom.NewDense(len(m.unit), len(idx))
	for j, u := range m.unit {
		for k, i := range idx {
			z.Row(j)[k] = (x.Row(i)[u] - m.mean[j]) * m.scale[j]
		}
	}
	f, r := make([]float64, len(idx)), make([]float64, len(idx)) // score, and label less its probability
	for k := range f {
		f[k] = m.b
	}
	shift := func(d float64, row []float64) {
		for k, i := range idx {
			if row == nil {
				f[k] += d
			} else {
				f[k] += d * row[k]
			}
			r[k] = y[i] - 1/(1+math.Exp(-f[k]))
		}
	}
	shift(0, nil)
	for k, l := range grid {
		for range 200 {
			step := 0.0 // intercept: curvature at most 1/4
			for _, v := range r {
				step += 4 * v / n
			}
			m.b += step
			shift(step, nil)
			moved := math.Abs(step)
			for j := range m.unit {
				row := z.Row(j)
				g := 0.0
				for k, v := range r {
					g += v * row[k]
				}
				w := MCP(m.w[j]+g/n, l, gamma)
				if d := w - m.w[j]; d != 0 {
					m.w[j] = w
					shift(d, row)
					moved = math.Max(moved, math.Abs(d))
				}
			}
			if moved < 1e-6 {
				break
			}
		}
		each(k)
	}
}
