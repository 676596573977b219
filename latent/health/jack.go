package health

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"assay/latent/geom"
	"assay/probes"
)

// jack is an estimate with its values when one document is left out.
type jack struct {
	value float64
	loo   []float64
}

// jacks are the estimates that two files are compared by.
type jacks struct{ pr, cos, cosC, norm jack }

func (j jack) se() float64 {
	n, m, v := float64(len(j.loo)), 0.0, 0.0
	for _, x := range j.loo {
		m += x / n
	}
	for _, x := range j.loo {
		v += (x - m) * (x - m)
	}
	return math.Sqrt(v * (n - 1) / n)
}

func (j jack) ci(level float64) *probes.CI {
	if len(j.loo) < 3 {
		return nil
	}
	q := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(len(j.loo) - 1)}.Quantile(1 - (1-level)/2)
	se := j.se()
	return &probes.CI{Lo: j.value - q*se, Hi: j.value + q*se, Level: level}
}

// minus pairs two jackknives document by document.
func (j jack) minus(o jack) jack {
	d := jack{value: j.value - o.value}
	if len(j.loo) == len(o.loo) {
		for i := range j.loo {
			d.loo = append(d.loo, j.loo[i]-o.loo[i])
		}
	}
	return d
}

func newJacks(c *geom.Cloud) jacks {
	x := c.X
	n := x.Len()
	var j jacks
	norm := make([]float64, n)
	buf := make([]float64, x.Width())
	for i := range n {
		x.At(i, buf)
		for _, v := range buf {
			norm[i] += v * v
		}
		norm[i] = math.Sqrt(norm[i])
		j.norm.value += norm[i] / float64(n)
	}
	for i := range n {
		j.norm.loo = append(j.norm.loo, (j.norm.value*float64(n)-norm[i])/float64(n-1))
	}
	j.pr.value, j.pr.loo = geom.ParticipationJack(c.G)
	j.cos.value, j.cos.loo = geom.CosineJack(c.Cosines(false))
	j.cosC.value, j.cosC.loo = geom.CosineJack(c.Cosines(true))
	return j
}

// differences prints A - B with paired intervals: the same document is left out of both.
func (s *side) differences(k int, a, b jacks) {
	for _, d := range []struct {
		name, unit string
		a, b       jack
	}{{"participation", "dimensions", a.pr, b.pr}, {"cosine", "cosine", a.cos, b.cos}, {"cosine.centred", "cosine", a.cosC, b.cosC}, {"norm.mean", "norm", a.norm, b.norm}} {
		if len(d.a.loo) == 0 || len(d.a.loo) != len(d.b.loo) {
			continue
		}
		x := d.a.minus(d.b)
		s.b.CI("health.delta."+d.name+s.name("", k)[len("health.a."):], x.value, d.unit, "A - B, paired delete-one jackknife over documents", "degenerate", x.ci(s.o.Level))
	}
}
