package model

import (
	"context"
	"math"
	"testing"
)

// The toy of the lens: RMS norm eps 1e-6, gain (1, .5, 2), head rows (1,0,1)
// (0,1,-1) (.5,.5,0) (-1,1,.25), layer state (1,-2,.5), final state (2,-1,0).
// Expected values: numpy 2.4.6.
func TestLensToy(t *testing.T) {
	logits := func(x []float64) []float32 {
		gain := []float64{1, .5, 2}
		ss := 0.0
		for _, v := range x {
			ss += v * v
		}
		r := 1 / math.Sqrt(ss/3+1e-6)
		var z []float32
		for _, row := range [][]float64{{1, 0, 1}, {0, 1, -1}, {.5, .5, 0}, {-1, 1, .25}} {
			s := 0.0
			for i, v := range x {
				s += v * r * gain[i] * row[i]
			}
			z = append(z, float32(s))
		}
		return z
	}
	layer, last := logits([]float64{1, -2, .5}), logits([]float64{2, -1, 0})
	lp, fp := make([]float64, 4), make([]float64, 4)
	logSoftmax(layer, lp)
	logSoftmax(last, fp)
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 2e-7) {
			t.Errorf("%s = %.8f, want %.8f", what, got, want)
		}
	}
	for i, want := range []float64{-.28356449, -3.30727941, -1.79542195, -3.11829723} {
		near("logprob", lp[i], want)
	}
	r := reading(layer, lp, fp, 1)
	near("entropy", float64(r.Entropy), .77072196)
	near("kl", float64(r.KL), .06317119)
	near("kl, other direction", float64(reading(last, fp, lp, 1).KL), .05636070)
	if r.Rank != 3 || r.TopID[0] != 0 || r.TopID[1] != 2 || len(r.TopID) != 4 {
		t.Errorf("rank %d, top %v, want 3 and 0 2 3 1", r.Rank, r.TopID)
	}
}

// At the last layer the lens is the head: every reference checkpoint, whose
// norm gains are random, against transformers 5.23 in float64.
func TestLensAgreesWithReference(t *testing.T) {
	for _, c := range referenceCheckpoints(t) {
		t.Run(c.Name, func(t *testing.T) {
			e := readExpected(t, c.Name)
			m := loadReference(t, c.Name, Options{BatchTokens: 256})
			w := e.windows()[0]
			d, K := m.spec.Width, len(m.spec.Layers)+1
			x := make([]float32, len(w.IDs)*K*d)
			var got []LensReading
			seen := 0
			err := m.States(context.Background(), each([]Window{w}), []Tap{{Name: TapResidPost}}, func(_ Window, _ Tap, layer int, v View) error {
				for i := range v.Rows {
					copy(x[(i*K+layer)*d:], v.Row(i))
				}
				if seen++; seen < K {
					return nil
				}
				var err error
				got, err = m.Lens(context.Background(), x, K, w.Targets)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			lp, ent := e.tensors["logprob.0"].f, e.tensors["entropy.0"].f
			worst := 0.0
			for i := range w.Targets {
				r := got[i*K+K-1]
				dl := math.Abs(float64(r.Logprob) - lp[i])
				worst = max(worst, dl)
				if !(dl <= tolLogprob) || !(math.Abs(float64(r.Entropy)-ent[i]) <= tolMoment) || r.KL != 0 {
					t.Fatalf("target %d: logprob %g, entropy %g, kl %g, want %g, %g, 0", i, r.Logprob, r.Entropy, r.KL, lp[i], ent[i])
				}
				if K > 1 && got[i*K].KL <= 0 {
					t.Fatalf("target %d: kl %g at the embedding, want above 0", i, got[i*K].KL)
				}
			}
			t.Logf("largest difference of a log-probability: %.1e", worst)
		})
	}
}
