package health

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mat"

	"assay/latent/geom"
)

// tokenSums describes how energy over tokens is spread over units; the first
// position of the window is kept apart because its states are often massive.
func (s *side) tokenSums(k int) error {
	t, err := s.s.TokenSums(s.v.Tap, s.v.Layers[k])
	if err != nil {
		return err
	}
	if t == nil {
		s.b.Warn("missing-part", "no sums over tokens of %s: outlier and dead units were not counted", s.v.Tap)
		return nil
	}
	n := t.Tokens
	if n[1] == 0 {
		if docs, err := s.s.Docs(); err == nil {
			for _, v := range docs.Tokens {
				n[0] += int64(min(v, 1))
				n[1] += int64(max(v-1, 0))
			}
		}
	}
	if s.outlier == nil {
		s.outlier = make([]float64, len(t.Sq[1]))
	}
	s.layers++
	for row, place := range []string{"first", "rest"} {
		if n[row] == 0 || t.Sq[row] == nil {
			continue
		}
		rms := make([]float64, len(t.Sq[row]))
		energy := 0.0
		dead := 0
		for u, v := range t.Sq[row] {
			rms[u] = math.Sqrt(v / float64(n[row]))
			energy += v
			if t.Max[row][u] == 0 {
				dead++
			}
			if row == 1 && float64(t.N6[1][u]) >= s.o.Limits.OutlierTokens*float64(n[1]) {
				s.outlier[u]++
			}
		}
		sorted := slices.Clone(rms)
		sort.Float64s(sorted)
		how := fmt.Sprintf("units' rms over %d tokens, %s position(s)", n[row], place)
		name := func(w string) string { return "units." + place + "." + w }
		s.add(name("max-over-median"), k, sorted[len(sorted)-1]/geom.Quantile(sorted, .5), "ratio", how, "degenerate")
		e := slices.Clone(t.Sq[row])
		sort.Float64s(e)
		slices.Reverse(e)
		top8 := 0.0
		for _, v := range e[:min(8, len(e))] {
			top8 += v
		}
		s.add(name("top1"), k, e[0]/energy, "fraction", "share of energy, "+how, "degenerate")
		s.add(name("top8"), k, top8/energy, "fraction", "share of energy, "+how, "degenerate")
		s.add(name("kurtosis"), k, kurtosis(rms), "excess kurtosis", how, "degenerate")
		if row == 1 {
			s.add("units.dead", k, float64(dead), "units", "never different from 0 after the first position", "")
		}
	}
	return nil
}

// kurtosis is m4/m2^2 - 3.
func kurtosis(v []float64) float64 {
	n, m := float64(len(v)), 0.0
	for _, x := range v {
		m += x / n
	}
	var m2, m4 float64
	for _, x := range v {
		d := (x - m) * (x - m)
		m2 += d / n
		m4 += d * d / n
	}
	if m2 == 0 {
		return math.NaN()
	}
	return m4/(m2*m2) - 3
}

// outlierUnits counts units that are outliers in enough layers.
func (s *side) outlierUnits() {
	if s.layers == 0 {
		return
	}
	count := 0
	for _, v := range s.outlier {
		if v >= s.o.Limits.OutlierLayers*float64(s.layers) {
			count++
		}
	}
	name := "health.units.outlier"
	if s.role != "" {
		name = "health." + s.role + ".units.outlier"
	}
	s.b.Add(name, float64(count), "units", fmt.Sprintf("|x| >= 6 in at least %g of tokens in at least %g of %d layers", s.o.Limits.OutlierTokens, s.o.Limits.OutlierLayers, s.layers), "")
}

// sameness reads unpooled positions where they were kept: inside a document, the
// mean pairwise cosine and the effective rank of the span's vectors.
func (s *side) sameness(layers []int) error {
	for _, k := range layers {
		t, err := s.s.TokenRows(s.v.Tap, s.v.Layers[k])
		if err != nil {
			return err
		}
		if t == nil {
			if err := s.keptSameness(k); err != nil {
				return err
			}
			continue
		}
		var cos, rank float64
		docs := 0
		for i := range len(t.Offsets) - 1 {
			lo, hi := int(t.Offsets[i]), int(t.Offsets[i+1])
			if hi-lo < 2 {
				continue
			}
			idx := make([]int, hi-lo)
			for j := range idx {
				idx[j] = lo + j
			}
			c, r := Sameness(geom.Subset(t.X, idx))
			if math.IsNaN(c) {
				continue
			}
			cos += c
			rank += r
			docs++
		}
		if docs == 0 {
			continue
		}
		how := fmt.Sprintf("mean over %d documents with two positions or more", docs)
		s.add("sameness.cosine", k, cos/float64(docs), "cosine", "pairs of positions inside a document, "+how, "")
		s.add("sameness.erank", k, rank/float64(docs), "dimensions", "exp entropy of singular values of a document's positions, "+how, "")
	}
	return nil
}

// keptSameness takes the cosines that were computed with the states (assay states
// --sameness) where no rows of positions were kept.
func (s *side) keptSameness(k int) error {
	f, ok := s.s.(interface {
		Sameness(tap string, layer int) ([]float32, error)
	})
	if !ok {
		return nil
	}
	x, err := f.Sameness(s.v.Tap, s.v.Layers[k])
	if err != nil {
		return err
	}
	sum, docs := 0.0, 0
	for _, v := range x {
		if v == v {
			sum += float64(v)
			docs++
		}
	}
	if docs > 0 {
		s.add("sameness.cosine", k, sum/float64(docs), "cosine",
			fmt.Sprintf("pairs of positions inside a document, mean over %d documents with two positions or more", docs), "")
	}
	return nil
}

// Sameness returns the mean cosine of pairs of rows and exp(entropy of
// normalised singular values); NaN for fewer than two rows that are not zero.
func Sameness(x geom.Rows) (cosine, erank float64) {
	n, w := x.Len(), x.Width()
	u := make([]float64, w)
	row := make([]float64, w)
	zero := 0
	d := mat.NewDense(n, w, nil)
	for i := range n {
		x.At(i, row)
		d.SetRow(i, row)
		norm := 0.0
		for _, v := range row {
			norm += v * v
		}
		if norm = math.Sqrt(norm); norm == 0 {
			zero++
			continue
		}
		for j, v := range row {
			u[j] += v / norm
		}
	}
	if n-zero < 2 {
		return math.NaN(), math.NaN()
	}
	var svd mat.SVD
	if !svd.Factorize(d, mat.SVDNone) {
		return math.NaN(), math.NaN()
	}
	return geom.MeanCosine(u, n, zero), EffectiveRank(svd.Values(nil))
}

// EffectiveRank is exp(entropy of v/sum v).
func EffectiveRank(v []float64) float64 {
	t, h := 0.0, 0.0
	for _, x := range v {
		t += x
	}
	for _, x := range v {
		if p := x / t; p > 0 {
			h -= p * math.Log(p)
		}
	}
	return math.Exp(h)
}
