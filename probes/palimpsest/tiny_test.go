package palimpsest

import (
	"encoding/binary"
	"math"
	"testing"
)

// Byte-level transformers of known order, 1 layer, width 32, 4,000 rows of 64
// bytes, one pass (testdata/tiny.py, torch 2.15): the run's own models are found,
// another order is not. Correlations: scipy 1.17 stats.spearmanr.
func TestTinyModels(t *testing.T) {
	const n = 4000
	raw := npy(t, "testdata/tiny_scores.npy")
	pos := make([]int64, n)
	model := make([][]float64, 5)
	for m := range model {
		for i := range n {
			pos[i] = int64(i)
			model[m] = append(model[m], float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(m*n+i):]))))
		}
	}
	reference := model[3]
	for _, c := range []struct {
		name    string
		m       int
		rho     float64
		log10P  float64 // of the whole reading: below or above
		finding string
	}{
		{"own run", 0, 0.1611196732296218, -15, Dependence},
		{"own run, other initialisation", 1, 0.13321137148187492, -15, Dependence},
		{"other order", 2, -0.004289449020905514, -3, NotFound},
		{"own run, fine-tuned on 800 rows", 4, 0.07322830923952768, -4, Dependence},
	} {
		r := mustQuery(t, sampleOf(pos, model[c.m], reference), Options{Perm: 9999})
		near(t, c.name+": rho", estimate(t, r, "rho"), c.rho, 1e-9)
		lp := log10P(t, r, "spearman_t")
		t.Logf("%s: rho %.4f log10 p %.2f, verdict %.2f (%s)", c.name, estimate(t, r, "rho"), lp, log10P(t, r, "verdict"), r.Verdict.Finding)
		if found := c.finding == Dependence; found && lp > c.log10P || !found && lp < c.log10P || r.Verdict.Finding != c.finding {
			t.Errorf("%s: log10 p %.2f, %s; want %s at %g", c.name, lp, r.Verdict.Finding, c.finding, c.log10P)
		}
	}
}
