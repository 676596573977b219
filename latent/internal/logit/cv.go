package logit

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"assay/internal/fault"
	"assay/latent/geom"
	"assay/latent/internal/par"
)

// Lambdas is the penalty grid, 1e-4 to 1e2.
func Lambdas() []float64 { return []float64{1e2, 1e1, 1, 1e-1, 1e-2, 1e-3, 1e-4} }

// Options of a cross-validation. The zero value searches Lambdas.
type Options struct {
	Lambda  float64 // fixed penalty; 0 = choose by the inner folds
	Raw     bool    // do not standardise
	Workers int     // 0 = one per core; changes no number
}

// CV is a cross-validated probe.
type CV struct {
	AUROC  float64
	SE     float64 // jackknife over units inside each label, folds fixed
	DF     int
	Score  []float64 // held-out, comparable inside a fold only
	Wins   []float64 // by fold: pairs ordered rightly, ties half
	Pairs  []float64 // by fold: positives times negatives
	Lambda []float64 // by fold
}

// tolerance of the gradient norm; the loss is a mean, so this is 1e-10 per row.
const tolerance = 1e-10

// CrossValidate fits on all folds but one and scores that one. y is 0 or 1;
// fold and inner give each row's outer and inner fold, rows of one unit sharing
// theirs; unit numbers units for the jackknife. A fold without rows of both
// labels contributes nothing; none at all is an error.
func CrossValidate(ctx context.Context, x geom.Rows, y, fold, inner, unit []int, o Options) (CV, error) {
	cv := CV{Score: make([]float64, x.Len())}
	folds := slices.Max(fold) + 1
	cv.Lambda = make([]float64, folds)
	errs := make([]error, folds)
	// With more rows than dimensions each fold holds a copy of its rows; beyond
	// 128 MB of them folds run one after the other.
	workers := o.Workers
	if x.Width() <= x.Len() && x.Len()*x.Width() > 1<<24 {
		workers = 1
	}
	par.For(folds, workers, func(f int) {
		if errs[f] = ctx.Err(); errs[f] == nil {
			errs[f] = oneFold(x, y, fold, inner, f, o, &cv)
		}
	})
	for _, err := range errs {
		if err != nil {
			return cv, err
		}
	}
	cv.Wins, cv.Pairs = make([]float64, folds), make([]float64, folds)
	return cv, cv.rank(y, fold, unit)
}

func oneFold(x geom.Rows, y, fold, inner []int, f int, o Options, cv *CV) error {
	var train, test []int
	for i := range y {
		if fold[i] == f {
			test = append(test, i)
		} else {
			train = append(train, i)
		}
	}
	if len(test) == 0 || !both(y, train) {
		return nil
	}
	z := standardise(x, train, o.Raw)
	tr, te, err := coordinates(z, train, test, o.Workers)
	if err != nil {
		return err
	}
	lambda := o.Lambda
	grid := Lambdas()
	if lambda == 0 {
		loss := make([]float64, len(grid))
		n := slices.Max(inner) + 1
		part := make([][]float64, n)
		par.For(n, o.Workers, func(g int) {
			part[g] = innerLoss(tr, y, inner, train, g, grid)
		})
		for _, p := range part {
			for k, v := range p {
				loss[k] += v
			}
		}
		best := 0 // the largest penalty wins ties
		for k := range loss {
			if loss[k] < loss[best] {
				best = k
			}
		}
		lambda = grid[best]
		grid = grid[:best+1]
	} else {
		grid = []float64{lambda}
	}
	w, b := path(tr, labels(y, train), grid, func(int, []float64, float64) {})
	for k, i := range test {
		cv.Score[i] = dot(te.Row(k), w) + b
	}
	cv.Lambda[f] = lambda
	return nil
}

func both(y, idx []int) bool {
	n := 0
	for _, i := range idx {
		n += y[i]
	}
	return n > 0 && n < len(idx)
}

func labels(y, idx []int) []float64 {
	out := make([]float64, len(idx))
	for k, i := range idx {
		out[k] = float64(y[i])
	}
	return out
}

// path fits each penalty from the solution of the one before and returns the last.
func path(t geom.Dense, y []float64, grid []float64, each func(k int, w []float64, b float64)) (w []float64, b float64) {
	q := problem{t: t, y: y, energy: make([]float64, t.W)}
	for i := range t.N {
		for k, v := range t.Row(i) {
			q.energy[k] += v * v / float64(t.N)
		}
	}
	w = make([]float64, t.W)
	for k, l := range grid {
		q.lambda = l
		b = q.fit(w, b, tolerance)
		each(k, w, b)
	}
	return w, b
}

// innerLoss is the held-out log loss of inner fold g for each penalty.
func innerLoss(t geom.Dense, y, inner, train []int, g int, grid []float64) []float64 {
	var in, out []int
	for k, i := range train {
		if inner[i] == g {
			out = append(out, k)
		} else {
			in = append(in, k)
		}
	}
	loss := make([]float64, len(grid))
	yy := make([]int, len(train))
	for k, i := range train {
		yy[k] = y[i]
	}
	if len(out) == 0 || !both(yy, in) {
		return loss
	}
	sub := geom.Collect(geom.Subset(t, in))
	path(sub, labels(yy, in), grid, func(k int, w []float64, b float64) {
		for _, i := range out {
			f := dot(t.Row(i), w) + b
			loss[k] += softplus(f) - float64(yy[i])*f
		}
	})
	return loss
}

// standardise centres by the training mean and divides by the training standard
// deviation (divisor n); constant dimensions become 0.
func standardise(x geom.Rows, train []int, raw bool) geom.Rows {
	if raw {
		return x
	}
	w := x.Width()
	m := geom.Mean(geom.Subset(x, train), 1)
	by, buf := make([]float64, w), make([]float64, w)
	for _, i := range train {
		x.At(i, buf)
		for j, v := range buf {
			by[j] += (v - m[j]) * (v - m[j])
		}
	}
	for j := range by {
		sd := math.Sqrt(by[j] / float64(len(train)))
		by[j] = 0
		if sd > 1e-12*math.Abs(m[j]) {
			by[j] = 1 / sd
		}
	}
	return geom.ScaleDims(geom.Shift(x, m), by)
}

// coordinates returns training and test rows in a basis in which inner products
// with training rows are kept: the rows themselves, or with more dimensions than
// rows the eigenbasis of their Gram matrix.
func coordinates(z geom.Rows, train, test []int, workers int) (tr, te geom.Dense, err error) {
	n := len(train)
	if z.Width() <= n {
		return geom.Collect(geom.Subset(z, train)), geom.Collect(geom.Subset(z, test)), nil
	}
	g := geom.Gram(geom.Subset(z, append(slices.Clone(train), test...)), nil, workers)
	k := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			k.SetSym(i, j, g.Row(i)[j])
		}
	}
	var e mat.EigenSym
	if !e.Factorize(k, true) {
		return tr, te, fault.Inputf("nonfinite", "logit: eigenvectors of %d rows did not converge, want finite rows", n)
	}
	val := e.Values(nil)
	var u mat.Dense
	e.VectorsTo(&u)
	first := 0
	for first < n && val[first] <= 1e-11*val[n-1] {
		first++
	}
	r := n - first
	if r == 0 { // all training rows are one point: a coordinate that tells nothing
		return geom.NewDense(n, 1), geom.NewDense(len(test), 1), nil
	}
	tr, te = geom.NewDense(n, r), geom.NewDense(len(test), r)
	for c := range r {
		s := math.Sqrt(val[first+c])
		for i := range n {
			tr.Row(i)[c] = u.At(i, first+c) * s
		}
	}
	if len(test) == 0 {
		return tr, te, nil
	}
	// A test row's coordinate is z.(Z'u)/s.
	proj := mat.NewDense(n, r, nil)
	for c := range r {
		s := math.Sqrt(val[first+c])
		for i := range n {
			proj.Set(i, c, u.At(i, first+c)/s)
		}
	}
	kt := mat.NewDense(len(test), n, nil)
	for i := range test {
		for j := range n {
			kt.Set(i, j, g.Row(n + i)[j])
		}
	}
	mat.NewDense(len(test), r, te.Data).Mul(kt, proj)
	return tr, te, nil
}

// ScoreFold fits on rows with fold 1 and scores rows with fold 0 at a fixed penalty.
func ScoreFold(x geom.Rows, y, fold []int, lambda float64, workers int) ([]float64, error) {
	cv := CV{Score: make([]float64, x.Len()), Lambda: make([]float64, 1)}
	err := oneFold(x, y, fold, nil, 0, Options{Lambda: lambda, Workers: workers}, &cv)
	return cv.Score, err
}

// Weights fits all rows at a fixed penalty and returns the weights in the
// features' own scale (standardised weights over the standard deviation).
func Weights(x geom.Rows, y []int, lambda float64, workers int) ([]float64, error) {
	n, w := x.Len(), x.Width()
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	z := standardise(x, all, false)
	out := make([]float64, w)
	buf := make([]float64, w)
	tr, _, err := coordinates(z, all, nil, workers)
	if err != nil {
		return nil, err
	}
	b, _ := path(tr, labels(y, all), []float64{lambda}, func(int, []float64, float64) {})
	scale := standardScale(z, w)
	if tr.W == w && w <= n {
		for j := range out {
			out[j] = b[j] * scale[j]
		}
		return out, nil
	}
	// Weights lie in the span of the rows: w = Z' c with Z w = T b, c = T (T'T)^-1 b.
	energy := make([]float64, tr.W)
	for i := range n {
		for k, v := range tr.Row(i) {
			energy[k] += v * v
		}
	}
	for i := range n {
		c := 0.0
		for k, v := range tr.Row(i) {
			c += v * b[k] / energy[k]
		}
		z.At(i, buf)
		for j, v := range buf {
			out[j] += c * v
		}
	}
	for j := range out {
		out[j] *= scale[j]
	}
	return out, nil
}

// standardScale is 1/sd of each feature, read off the transform itself.
func standardScale(z geom.Rows, w int) []float64 {
	if s, ok := z.(interface{ Scale() []float64 }); ok {
		return s.Scale()
	}
	out := make([]float64, w)
	for j := range out {
		out[j] = 1
	}
	return out
}
