package geom

import (
	"math"

	"assay/probes/stat"
)

// ChenQin is the normal-limit two-sample test of equal means.
type ChenQin struct {
	Z         float64 // D2u over its null standard deviation
	Log10P    float64 // upper tail
	TAA, TBB  float64 // unbiased tr(S_a^2), tr(S_b^2)
	TAB       float64 // tr(S_a S_b)
	Dimension float64 // smaller debiased participation ratio of the two labels; the normal limit needs many
}

// ChenQinTest computes z = D2u / sqrt(2 t_aa/(n_a(n_a-1)) + 2 t_bb/(n_b(n_b-1)) + 4 t_ab/(n_a n_b))
// for independent rows from the Gram matrix of all rows (any centre). NaN with
// fewer than four rows of a label or where the variance estimate is not positive.
func ChenQinTest(g Dense, labels []int) ChenQin {
	var idx [2][]int
	for i, l := range labels {
		if l == 0 || l == 1 {
			idx[l] = append(idx[l], i)
		}
	}
	na, nb := float64(len(idx[0])), float64(len(idx[1]))
	c := ChenQin{Z: math.NaN(), Log10P: math.NaN()}
	if na < 4 || nb < 4 {
		return c
	}
	part := func(l, m int) Dense {
		d := NewDense(len(idx[l]), len(idx[m]))
		for a, i := range idx[l] {
			for b, j := range idx[m] {
				d.Row(a)[b] = g.Row(i)[j]
			}
		}
		return d
	}
	ka, kb, kab := part(0, 0), part(1, 1), part(0, 1)
	c.TAA, c.TBB = HSIC(ka.Data, ka.Data, ka.N), HSIC(kb.Data, kb.Data, kb.N)
	mean := func(d Dense) (off, all, trace float64) {
		for i := range d.N {
			all += sum(d.Row(i))
			if d.N == d.W {
				trace += d.Row(i)[i]
			}
		}
		return all - trace, all, trace
	}
	offA, allA, trA := mean(ka)
	offB, allB, trB := mean(kb)
	_, allAB, _ := mean(kab)
	d2u := offA/(na*(na-1)) + offB/(nb*(nb-1)) - 2*allAB/(na*nb)
	// Centre K_ab by row and column means, then its squared norm is
	// (n_a-1)(n_b-1) tr(S_a S_b).
	rows, cols := make([]float64, kab.N), make([]float64, kab.W)
	for i := range kab.N {
		for j, v := range kab.Row(i) {
			rows[i] += v / nb
			cols[j] += v / na
		}
	}
	for i := range kab.N {
		for j, v := range kab.Row(i) {
			v += allAB/(na*nb) - rows[i] - cols[j]
			c.TAB += v * v
		}
	}
	c.TAB /= (na - 1) * (nb - 1)
	va, vb := (trA-allA/na)/(na-1), (trB-allB/nb)/(nb-1)
	c.Dimension = math.Min(va*va/c.TAA, vb*vb/c.TBB)
	v := 2*c.TAA/(na*(na-1)) + 2*c.TBB/(nb*(nb-1)) + 4*c.TAB/(na*nb)
	if v > 0 {
		c.Z = d2u / math.Sqrt(v)
		c.Log10P = stat.LogTailNormal(c.Z) / math.Ln10
	}
	return c
}
