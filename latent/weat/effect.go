package weat

import (
	"math"

	"assay/probes/stat"
)

// Effect holds the sizes of one difference, by the definitions of the package
// comment. NaN where a size is undefined.
type Effect struct {
	S        float64 // sum over X less sum over Y
	MeanDiff float64
	D        float64 // MeanDiff over the SD of all values, ddof 1
	DPop     float64 // the same with ddof 0
	DBound   float64 // |D| cannot exceed it at these sizes
	R        float64 // point-biserial correlation
	DPooled  float64 // Cohen's d: over the SD inside the groups
	AUC      float64 // share of pairs with x > y, ties half
	Z        float64 // D sqrt(nx ny / N)
	LogPNorm float64 // ln of the upper normal tail of Z
	Constant bool    // all values equal: no effect size exists
}

// Sizes computes the effect of x against y.
func Sizes(x, y []float64) Effect {
	nx, ny := float64(len(x)), float64(len(y))
	n, c := nx+ny, nx*ny/(nx+ny)
	mx, my := mean(x), mean(y)
	e := Effect{S: mx*nx - my*ny, MeanDiff: mx - my, DBound: math.Sqrt((n - 1) / c)}
	e.D, e.DPop, e.R, e.DPooled, e.Z, e.LogPNorm = nan, nan, nan, nan, nan, nan
	all, ss := (mx*nx+my*ny)/n, 0.0
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range [][]float64{x, y} {
		for _, q := range v {
			ss += (q - all) * (q - all)
			lo, hi = min(lo, q), max(hi, q)
		}
	}
	e.AUC = auc(x, y)
	if e.Constant = hi-lo <= 1e-12*max(math.Abs(lo), math.Abs(hi)); e.Constant {
		return e
	}
	e.D = e.MeanDiff / math.Sqrt(ss/(n-1))
	e.DPop = e.MeanDiff / math.Sqrt(ss/n)
	e.R = e.DPop * math.Sqrt(nx*ny) / n
	e.Z = e.D * math.Sqrt(c)
	e.LogPNorm = stat.LogTailNormal(e.Z)
	if left := (n - 1) - c*e.D*e.D; n > 2 && left > 1e-12*n {
		e.DPooled = e.D * math.Sqrt((n-2)/left)
	}
	return e
}

var nan = math.NaN()

func auc(x, y []float64) float64 {
	var wins float64
	for _, a := range x {
		for _, b := range y {
			switch tie := 1e-12 * max(1, math.Abs(a)); {
			case math.Abs(a-b) <= tie:
				wins += .5
			case a > b:
				wins++
			}
		}
	}
	return wins / float64(len(x)*len(y))
}

// effectD is D alone, for the loops that need nothing else; NaN when constant.
func effectD(x, y []float64) float64 {
	nx, ny := float64(len(x)), float64(len(y))
	mx, my := mean(x), mean(y)
	all, ss := (mx*nx+my*ny)/(nx+ny), 0.0
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range [][]float64{x, y} {
		for _, q := range v {
			ss += (q - all) * (q - all)
			lo, hi = min(lo, q), max(hi, q)
		}
	}
	if hi-lo <= 1e-12*max(math.Abs(lo), math.Abs(hi)) {
		return nan
	}
	return (mx - my) / math.Sqrt(ss/(nx+ny-1))
}

// log10Normal returns log10 of the upper normal tail.
func log10Normal(z float64) float64 { return stat.LogTailNormal(z) / math.Ln10 }
