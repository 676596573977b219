package palimpsest

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"assay/probes/stat"
)

// sets is the number of simulated data sets: quick by default, ASSAY_NULLS by hand.
func sets(t *testing.T, quick int) int {
	if v := os.Getenv("ASSAY_NULLS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return quick
}

// tested runs a query up to its p-values, without the intervals.
func tested(t testing.TB, s *Sample, o Options) *query {
	t.Helper()
	o.RefBasis = bases(len(s.L) - 1)
	q := query{s: s, o: o.withDefaults(s.Len(), len(s.L)-1), l: s.layout()}
	if err := q.run(); err != nil {
		t.Fatal(err)
	}
	return &q
}

// 2,000 random orders of 200 units, scores untied and with eight values:
// permutation p uniform, rank_sum and verdict at or below 0.05 in at most 6.5 %.
func TestPValuesOfRandomOrders(t *testing.T) {
	for _, tied := range []bool{false, true} {
		t.Run(fmt.Sprintf("tied=%v", tied), func(t *testing.T) {
			const n, orders = 200, 2000
			g := stat.NewRand(1, "scores", 0)
			d := make([]float64, n)
			for i := range d {
				d[i] = g.NormFloat64()
				if tied {
					d[i] = float64(i % 8)
				}
			}
			perm := make([]float64, orders)
			rank, verdict := 0, 0
			for j := range orders {
				pos := make([]int64, n)
				for i, p := range stat.NewRand(2, "orders", uint64(j)).Perm(n) {
					pos[i] = int64(p)
				}
				q := tested(t, sampleOf(pos, d), Options{Perm: 999, Controls: None, Seed: uint64(j)})
				perm[j] = math.Exp(q.r.perm.Greater())
				if q.r.rankSum <= math.Log(.05) {
					rank++
				}
				if q.logVerdict() <= math.Log(.05) {
					verdict++
				}
			}
			ks, lp, err := stat.KSUniform(perm)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("KS %.4f, p %.3f; rank_sum <= 0.05: %.4f, verdict: %.4f", ks, math.Exp(lp), float64(rank)/orders, float64(verdict)/orders)
			if lp < math.Log(.01) || float64(rank)/orders > .065 || float64(verdict)/orders > .065 {
				t.Error("p-values of random orders are too small")
			}
		})
	}
}

// nullRun is a run of 2,000 sequences that nobody's scores depend on: a sample of
// 400 rows of a transcript with repeated contents, a suspect and two references
// that share the difficulty of the text, scores on a coarse grid.
func nullRun(t testing.TB, seed uint64) *Sample {
	t.Helper()
	const run, rows = 2000, 400
	g := stat.NewRand(seed, "null", 0)
	order := g.Perm(run)
	pos, err := Select(run, Design{Rows: rows, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	tr := &Transcript{Meta: Meta{N: run, Design: "uniform"}}
	var s, r1, r2 []Score
	for _, p := range pos {
		id := order[p]
		tr.Seq = append(tr.Seq, int64(id))
		tr.Positions = append(tr.Positions, []int64{p})
		tr.IDs = append(tr.IDs, []uint32{uint32(id / 2 * (id % 2)), uint32(id)}) // content
		if id%20 == 0 {                                                          // some contents repeat
			tr.IDs[len(tr.IDs)-1] = []uint32{7, uint32(id / 40)}
		}
	}
	if err := tr.Derive(); err != nil {
		t.Fatal(err)
	}
	for i := range tr.Seq {
		hard := g.NormFloat64()
		score := func(sd float64) Score {
			v := math.Round((hard+sd*g.NormFloat64())*8) / 8
			return Score{Seq: tr.Seq[i], SHA256: tr.SHA256[i], Sum: 2 * v, Scored: 2, Bytes: -1}
		}
		s, r1, r2 = append(s, score(.3)), append(r1, score(.3)), append(r2, score(.6))
	}
	out, err := Join(tr, scoresOf("suspect", s), []Scores{scoresOf("ref1", r1), scoresOf("ref2", r2)}, JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The whole path under H0, subsampling, duplicates, ties and references included:
// uniform p-values and rejections at 0.05 and 0.001 within the binomial interval.
// ASSAY_NULLS=10000 runs the full size (about three minutes on two cores).
func TestNullsThroughTheWholePath(t *testing.T) {
	n := sets(t, 400)
	for _, mode := range []string{"mean", "regress"} {
		t.Run(mode, func(t *testing.T) {
			approx, perm := make([]float64, n), make([]float64, n)
			found := map[float64]int{}
			for j := range n {
				q := tested(t, nullRun(t, uint64(j)), Options{Combine: mode, Perm: 999, Controls: None, Seed: uint64(j)})
				approx[j], perm[j] = math.Exp(q.r.upper), math.Exp(q.r.perm.Greater())
				for _, a := range []float64{.05, .001} {
					if perm[j] <= a*(1+1e-9) {
						found[a]++
					}
				}
			}
			for name, p := range map[string][]float64{"spearman_t": approx, "permutation": perm} {
				ks, lp, err := stat.KSUniform(p)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s over %d nulls: KS %.4f, p %.3f", name, n, ks, math.Exp(lp))
				if lp < math.Log(.01) {
					t.Errorf("%s: KS p %.4f", name, math.Exp(lp))
				}
			}
			for a, k := range found {
				half := 2.576*math.Sqrt(a*(1-a)*float64(n)) + 1 // 99 % binomial, one for discreteness
				t.Logf("permutation p <= %g: %d of %d (expected %.1f +- %.1f)", a, k, n, a*float64(n), half)
				if math.Abs(float64(k)-a*float64(n)) > half {
					t.Errorf("permutation p <= %g in %d of %d", a, k, n)
				}
			}
		})
	}
}

// Coverage of the 95 % interval of rho over 2,000 sets of 400 units, with constant
// spread and with spread that grows with position. Truth: 12 E[F(u) G(d)] - 3 from
// one set of 400,000.
func TestRhoIntervalCoverage(t *testing.T) {
	for _, growing := range []bool{false, true} {
		t.Run(fmt.Sprintf("growing=%v", growing), func(t *testing.T) {
			simulate := func(n int, seed uint64) (r, s stat.Ranks) {
				g := stat.NewRand(seed, "coverage", 0)
				u, d := make([]float64, n), make([]float64, n)
				for i := range u {
					u[i] = g.Float64()
					sd := 1.0
					if growing {
						sd = 0.2 + 2*u[i]
					}
					d[i] = u[i] + sd*g.NormFloat64()
				}
				return stat.NewRanks(u), stat.NewRanks(d)
			}
			a, b := simulate(400000, 1<<40)
			truth := a.Rho(b)
			const sets = 2000
			hit := 0
			for j := range sets {
				r, s := simulate(400, uint64(j))
				rho := r.Rho(s)
				if lo, hi := stat.RhoInterval(rho, stat.RhoSE(r, s), .95); lo <= truth && truth <= hi {
					hit++
				}
			}
			share := float64(hit) / sets
			t.Logf("rho %.4f covered in %.2f %%", truth, 100*share)
			if share < .935 || share > .965 {
				t.Errorf("coverage %.4f, want 0.935 to 0.965", share)
			}
		})
	}
}

// Contents seen twice sit later on average (by their last position) and are easier
// text. Dropping all copies, or keeping the last with multiplicity as stratum, is
// right; keeping the last without strata is not (published: mean z +2.6 for 20 % of
// 10,000 contents doubled, d higher by 0.3 sd, numpy 2.4). ASSAY_NULLS=200 for the
// full size.
func TestDuplicatesUnderTheNull(t *testing.T) {
	runs := min(200, sets(t, 60))
	z := map[string]float64{}
	for j := range runs {
		tr, s := doubled(uint64(j), 10000)
		for _, mode := range []string{"drop", "stratify"} {
			sm, err := Join(tr, s, nil, JoinOptions{Duplicates: mode})
			if err != nil {
				t.Fatal(err)
			}
			_, v := rhoOf(pairs(sm.layout().intRanks(sm.Pos), sm.layout().ranks(sm.L[0])))
			z[mode] += v / float64(runs)
		}
		sm, err := Join(tr, s, nil, JoinOptions{Duplicates: "stratify"})
		if err != nil {
			t.Fatal(err)
		}
		sm.Stratum = nil // keep-last
		_, v := rhoOf(pairs(sm.layout().intRanks(sm.Pos), sm.layout().ranks(sm.L[0])))
		z["keep last"] += v / float64(runs)
	}
	t.Logf("mean z over %d runs: %v", runs, z)
	if math.Abs(z["drop"]) > .3 || math.Abs(z["stratify"]) > .3 {
		t.Errorf("mean z %v, want within 0.3", z)
	}
	if math.Abs(z["keep last"]-2.6) > .4 {
		t.Errorf("keep last: mean z %.2f, want about the published 2.6", z["keep last"])
	}
}

// doubled is a run of n contents, a fifth of which appear twice, in random order.
func doubled(seed uint64, n int) (*Transcript, Scores) {
	g := stat.NewRand(seed, "doubled", 0)
	total := n + n/5
	content := make([]int, total)
	for i := range content {
		content[i] = i % n
	}
	g.Shuffle(total, func(a, b int) { content[a], content[b] = content[b], content[a] })
	score := make([]float64, n)
	for c := range score {
		score[c] = g.NormFloat64()
		if c < n/5 {
			score[c] += .3
		}
	}
	tr := &Transcript{Meta: Meta{N: int64(total), Design: "all"}}
	var rows []Score
	for p, c := range content {
		tr.Seq = append(tr.Seq, int64(p))
		tr.Positions = append(tr.Positions, []int64{int64(p)})
		tr.IDs = append(tr.IDs, []uint32{uint32(c)})
	}
	if err := tr.Derive(); err != nil {
		panic(err)
	}
	for p, c := range content {
		rows = append(rows, Score{Seq: int64(p), SHA256: tr.SHA256[p], Sum: score[c], Scored: 1, Bytes: -1})
	}
	return tr, scoresOf("suspect", rows)
}
