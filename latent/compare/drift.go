package compare

import (
	"math"

	"assay/latent/geom"
)

// Drift is how far rows moved in a shared basis.
type Drift struct {
	RelRMS, RelRMSCentred float64 // sqrt(sum |a-b|^2 / sum |a|^2)
	Cosine, CosineCentred float64 // mean over rows that are not zero on either side
	MedianRel             float64 // median of |a-b|/|a|
	Equal                 bool    // every entry is the same
}

// DriftOf compares rows of equal number and width, row by row.
func DriftOf(x, y geom.Rows) Drift {
	ma, mb := geom.Mean(x, 1), geom.Mean(y, 1)
	n, w := x.Len(), x.Width()
	a, b := make([]float64, w), make([]float64, w)
	d := Drift{Equal: true}
	var diff, norm, diffC, normC, used, usedC float64
	rel := make([]float64, n)
	for i := range n {
		x.At(i, a)
		y.At(i, b)
		var dd, aa, bb, ab, cc, ca, cb, cab float64
		for j := range a {
			e := a[j] - b[j]
			d.Equal = d.Equal && a[j] == b[j]
			dd += e * e
			aa += a[j] * a[j]
			bb += b[j] * b[j]
			ab += a[j] * b[j]
			u, v := a[j]-ma[j], b[j]-mb[j]
			cc += (u - v) * (u - v)
			ca += u * u
			cb += v * v
			cab += u * v
		}
		diff += dd
		norm += aa
		diffC += cc
		normC += ca
		if dd > 0 {
			rel[i] = math.Sqrt(dd / aa)
		}
		if aa*bb > 0 {
			d.Cosine += ab / math.Sqrt(aa*bb)
			used++
		}
		if ca*cb > 0 {
			d.CosineCentred += cab / math.Sqrt(ca*cb)
			usedC++
		}
	}
	d.Cosine, d.CosineCentred = d.Cosine/used, d.CosineCentred/usedC // NaN if none
	d.RelRMS, d.RelRMSCentred = math.Sqrt(diff/norm), math.Sqrt(diffC/normC)
	d.MedianRel = geom.Median(rel)
	return d
}
