package weat_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"assay/latent/weat"
	"assay/probes/assoc/perm"
)

// plane is a space of made-up vectors.
type plane map[string][]float64

func (p plane) Vector(w string) ([]float64, weat.Why) {
	if v, ok := p[w]; ok {
		return v, ""
	}
	return nil, weat.Absent
}

func (p plane) Dim() int {
	for _, v := range p {
		return len(v)
	}
	return 0
}

// add names vectors set0, set1, ... and returns the set.
func (p plane) add(name string, vs [][]float64) weat.Set {
	s := weat.Set{Name: name}
	for i, v := range vs {
		w := fmt.Sprintf("%s%d", name, i)
		p[w] = v
		s.Words = append(s.Words, w)
	}
	return s
}

func small() weat.LossOptions {
	o := weat.DefaultLoss()
	o.MinWords = 1
	return o
}

func TestToys(t *testing.T) {
	var toys map[string]struct {
		X, Y, A, B [][]float64
		SX         []string `json:"s_X"`
		SY         []string `json:"s_Y"`
		S          string
		D          *float64 `json:"d"`
		GE, GT     int64
		Two, Total int64
	}
	golden(t, "toys", &toys)
	if len(toys) != 11 {
		t.Fatalf("%d toys, want 11", len(toys))
	}
	rational := func(s string) float64 {
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("rational %q", s)
		}
		f, _ := r.Float64()
		return f
	}
	for name, g := range toys {
		p := plane{}
		test := weat.Test{ID: name, X: p.add("x", g.X), Y: p.add("y", g.Y), A: p.add("a", g.A), B: p.add("b", g.B)}
		sc, err := weat.Score(test, p, small())
		if err != nil {
			t.Fatal(name, err)
		}
		x, y := scores(sc.X), scores(sc.Y)
		for i, s := range slices.Concat(x, y) {
			near(t, name+" s", s, rational(slices.Concat(g.SX, g.SY)[i]), 1e-15)
		}
		e := weat.Sizes(x, y)
		near(t, name+" S", e.S, rational(g.S), 1e-14)
		if g.D == nil {
			if !e.Constant || !math.IsNaN(e.D) {
				t.Errorf("%s: d %v, want undefined", name, e.D)
			}
		} else {
			near(t, name+" d", e.D, *g.D, 1e-12)
		}
		one, _ := perm.TwoSample(x, y, perm.Greater, perm.Options{})
		two, _ := perm.TwoSample(x, y, perm.TwoSided, perm.Options{})
		if one.GE.Int64() != g.GE || two.GE.Int64() != g.Two || one.Total.Int64() != g.Total {
			t.Errorf("%s: GE %v, two %v of %v; want %d, %d of %d", name, one.GE, two.GE, one.Total, g.GE, g.Two, g.Total)
		}
		if one.Ties >= 0 && one.GE.Int64()-one.Ties != g.GT {
			t.Errorf("%s: %v choices strictly above, want %d", name, one.GE.Int64()-one.Ties, g.GT)
		}
	}
}

func TestBrackets(t *testing.T) {
	var g map[string][2]float64
	golden(t, "bracket", &g)
	for key, id := range map[string]int{"glove3_b16": 3, "glove1_b16": 1} {
		sc, err := weat.Score(caliskan(t, id), open(t, glove), loss())
		if err != nil {
			t.Fatal(err)
		}
		x := scores(sc.X)
		sum := 0.0
		for _, v := range x {
			sum += v
		}
		lo, hi := perm.BracketShares(append(x, scores(sc.Y)...), len(x), sum, 16)
		if math.Abs(lo/g[key][0]-1) > 1e-9 || math.Abs(hi/g[key][1]-1) > 1e-9 {
			t.Errorf("%s: [%v, %v], want %v", key, lo, hi, g[key])
		}
	}
}

func TestSampledSeed1(t *testing.T) {
	var g map[string]struct {
		Hits int64
		P    float64
		CI   [2]float64 `json:"ci99"`
	}
	golden(t, "sampled_seed1", &g)
	for _, id := range []int{5, 7, 8} {
		sc, err := weat.Score(caliskan(t, id), open(t, glove), loss())
		if err != nil {
			t.Fatal(err)
		}
		want := g[fmt.Sprintf("glove%d", id)]
		got, err := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{Sample: true, Seed: 1})
		if err != nil || got.GE.Int64() != want.Hits {
			t.Fatalf("test %d: %v hits, %v; want %d", id, got.GE, err, want.Hits)
		}
		near(t, "p", got.P(), want.P, 1e-15)
		near(t, "lower", got.Lo, want.CI[0], 1e-9)
		near(t, "upper", got.Hi, want.CI[1], 1e-9)
		exact, _ := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{})
		if exact.P() < got.Lo || exact.P() > got.Hi {
			t.Errorf("test %d: exact p %v outside the interval of the draws [%v, %v]", id, exact.P(), got.Lo, got.Hi)
		}
	}
}

func TestBCaSeed1(t *testing.T) {
	var g map[string]struct {
		B          int
		Percentile [2]float64
		Z0, A      float64
		BCa        [2]float64
	}
	golden(t, "bca_seed1", &g)
	for id := 1; id <= 10; id++ {
		sc, err := weat.Score(caliskan(t, id), open(t, glove), loss())
		if err != nil {
			t.Fatal(err)
		}
		want := g[fmt.Sprintf("glove%d", id)]
		got := weat.BCa(scores(sc.X), scores(sc.Y), 9999, 1, .95)
		what := fmt.Sprintf("test %d ", id)
		if got.B != want.B {
			t.Errorf("%s%d resamples, want %d", what, got.B, want.B)
		}
		near(t, what+"percentile lower", got.PercentileLo, want.Percentile[0], 1e-9)
		near(t, what+"percentile upper", got.PercHi, want.Percentile[1], 1e-9)
		near(t, what+"z0", got.Z0, want.Z0, 1e-9)
		near(t, what+"a", got.A, want.A, 1e-9)
		near(t, what+"BCa lower", got.Lo, want.BCa[0], 1e-5)
		near(t, what+"BCa upper", got.Hi, want.BCa[1], 1e-5)
	}
}

// TestReplicated: repeating each word of test 8 moves the normal tail without
// new information.
func TestReplicated(t *testing.T) {
	var g map[string]struct {
		D float64 `json:"d"`
		P float64 `json:"p_normal"`
	}
	golden(t, "replicated_glove8", &g)
	sc, err := weat.Score(caliskan(t, 8), open(t, glove), loss())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []int{1, 2, 8} {
		want := g[fmt.Sprint(k)]
		repeat := func(v []float64) (out []float64) {
			for _, x := range v {
				out = append(out, slices.Repeat([]float64{x}, k)...)
			}
			return out
		}
		e := weat.Sizes(repeat(scores(sc.X)), repeat(scores(sc.Y)))
		near(t, "d", e.D, want.D, 1e-9)
		near(t, "ln p_normal", e.LogPNorm, math.Log(want.P), 1e-9)
	}
}

func TestSingle(t *testing.T) {
	var g map[string]tailGolden
	golden(t, "single_glove", &g)
	for _, id := range []int{5, 7, 8, 10} {
		sc, err := weat.Score(caliskan(t, id), open(t, glove), loss())
		if err != nil {
			t.Fatal(err)
		}
		x, y, err := sc.Single(perm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for side, got := range map[string]weat.Single{"X": x, "Y": y} {
			want := g[fmt.Sprint(id, side)]
			near(t, fmt.Sprint(id, side), got.D, want.D, 1e-9)
			if got.Tail.GE.Int64() != want.GE || got.Tail.Total.Int64() != want.Total {
				t.Errorf("%d%s: GE %v of %v, want %d of %d", id, side, got.Tail.GE, got.Tail.Total, want.GE, want.Total)
			}
		}
	}
}

func TestRelated(t *testing.T) {
	type ripa struct {
		Mean     float64
		WordMean map[string]float64 `json:"word_mean"`
		WordSD   map[string]float64 `json:"word_sd"`
	}
	var g struct {
		WEAT       tailGolden `json:"weat"`
		RND        float64    `json:"rnd_raw"`
		RNDUnit    float64    `json:"rnd_unit"`
		RNDCos     float64    `json:"rnd_cos_raw"`
		RNDCosUnit float64    `json:"rnd_cos_unit"`
		ECT        float64    `json:"ect_raw"`
		ECTUnit    float64    `json:"ect_unit"`
		MAC        float64    `json:"mac"`
		RIPA8      ripa       `json:"ripa_8_pairs"`
		RIPA7      ripa       `json:"ripa_7_pairs"`
		RNSB       struct {
			KL float64            `json:"kl"`
			P  map[string]float64 `json:"p_set2"`
		} `json:"rnsb"`
	}
	golden(t, "related_word2vec", &g)
	f, seven, six := open(t, news), caliskan(t, 7), caliskan(t, 6)
	raw := func(s weat.Set) [][]float64 {
		v, lost := weat.RawVectors(s, f, loss())
		if len(lost) > 0 {
			t.Fatalf("lost %v", lost)
		}
		return v
	}
	female, male, family, career := seven.B, seven.A, six.B, six.A
	x, y, fam, car := raw(female), raw(male), raw(family), raw(career)
	for _, scaled := range []bool{false, true} {
		r, err := weat.RelatedOf(x, y, fam, [][][]float64{fam, car}, scaled)
		if err != nil {
			t.Fatal(err)
		}
		rnd, rc, ect := g.RND, g.RNDCos, g.ECT
		if scaled {
			rnd, rc, ect = g.RNDUnit, g.RNDCosUnit, g.ECTUnit
		}
		near(t, "rnd", r.RND, rnd, 1e-9)
		near(t, "rnd cos", r.RNDCos, rc, 1e-9)
		near(t, "ect", r.ECT, ect, 1e-9)
		near(t, "mac", r.MAC, g.MAC, 1e-9)
	}
	for pairs, want := range map[int]ripa{8: g.RIPA8, 7: g.RIPA7} {
		r, err := weat.RIPAOf(x[:pairs], y[:pairs], fam)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "ripa", r.Mean, want.Mean, 1e-9)
		for i, w := range family.Words {
			near(t, "ripa "+w, r.WordMean[i], want.WordMean[w], 1e-9)
			near(t, "ripa sd "+w, r.WordSD[i], want.WordSD[w], 1e-9)
		}
	}
	b, err := weat.RNSBOf(fam, car, slices.Concat(x, y))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "rnsb", b.KL, g.RNSB.KL, 1e-9)
	for i, w := range slices.Concat(female.Words, male.Words) {
		near(t, "rnsb "+w, b.P[i], g.RNSB.P[w], 1e-9)
	}
	sc, err := weat.Score(weat.Test{ID: "related", X: female, Y: male, A: family, B: career}, f, loss())
	if err != nil {
		t.Fatal(err)
	}
	near(t, "weat d", weat.Sizes(scores(sc.X), scores(sc.Y)).D, g.WEAT.D, 1e-9)
	one, _ := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{})
	if one.GE.Int64() != g.WEAT.GE {
		t.Errorf("weat GE %v, want %d", one.GE, g.WEAT.GE)
	}
}

// generated is the embedding matrix of the pooling vectors: seed 7, 64 x 16,
// word k has the piece k, and k+32 if k is odd.
type generated [64][16]float64

func newGenerated() *generated {
	var m generated
	g := perm.NewStream(7)
	for i := range m {
		for j := range m[i] {
			m[i][j] = g.Normal() + .5
		}
	}
	return &m
}

func (m *generated) Rows() int                { return len(m) }
func (m *generated) Dim() int                 { return len(m[0]) }
func (m *generated) Row(i int, dst []float64) { copy(dst, m[i][:]) }
func (m *generated) Policy() string           { return "generated" }
func (m *generated) Pieces(w string) ([]int, weat.Why) {
	var k int
	if _, err := fmt.Sscanf(w, "w%d", &k); err != nil || k < 0 || k > 31 {
		return nil, weat.PieceMismatch
	}
	if k%2 == 1 {
		return []int{k, k + 32}, ""
	}
	return []int{k}, ""
}

func wordsFrom(name string, from, to int) weat.Set {
	s := weat.Set{Name: name}
	for k := from; k < to; k++ {
		s.Words = append(s.Words, fmt.Sprintf("w%d", k))
	}
	return s
}

func TestPooling(t *testing.T) {
	m := newGenerated()
	var e00, e6315 float64
	var all map[string]any
	golden(t, "pooling", &all)
	e00, e6315 = all["E00"].(float64), all["E63_15"].(float64)
	near(t, "E00", m[0][0], e00, 1e-15)
	near(t, "E63,15", m[63][15], e6315, 1e-15)
	test := weat.Test{ID: "pooling", X: wordsFrom("X", 0, 8), Y: wordsFrom("Y", 8, 16), A: wordsFrom("A", 16, 24), B: wordsFrom("B", 24, 32)}
	for _, pool := range []weat.Pool{weat.PoolMean, weat.PoolMeanUnit, weat.PoolFirst, weat.PoolLast} {
		for _, v := range weat.Variants() {
			shift, err := weat.ShiftOf(m, v)
			if err != nil {
				t.Fatal(err)
			}
			sp, err := weat.NewEmbedding(m, pool, shift)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := weat.Score(test, sp, loss())
			if err != nil {
				t.Fatal(err)
			}
			what := string(pool) + "." + string(v)
			want := all[what].(map[string]any)
			near(t, what+" d", weat.Sizes(scores(sc.X), scores(sc.Y)).D, want["d"].(float64), 1e-9)
			near(t, what+" s", sc.X[0].S, want["s_X0"].(float64), 1e-9)
			one, _ := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{})
			if one.GE.Int64() != int64(want["ge"].(float64)) {
				t.Errorf("%s: GE %v, want %v", what, one.GE, want["ge"])
			}
			if sc.X[1].Pieces != 2 || sc.X[0].Pieces != 1 {
				t.Errorf("%s: pieces %d and %d, want 2 and 1", what, sc.X[1].Pieces, sc.X[0].Pieces)
			}
		}
	}
}

// contexts are the generated states: seed 11, sets X Y A B, 4 words of 3
// contexts of 8 numbers.
func contexts(t *testing.T) (weat.Test, *weat.States, [4][4][3][8]float64) {
	var c [4][4][3][8]float64
	g := perm.NewStream(11)
	for s := range c {
		for w := range c[s] {
			for k := range c[s][w] {
				for d := range c[s][w][k] {
					c[s][w][k][d] = g.Normal()
				}
			}
		}
	}
	st := weat.NewStates(8)
	var sets [4]weat.Set
	for s := range c {
		for w := range c[s] {
			word := fmt.Sprintf("%c%d", "XYAB"[s], w)
			sets[s].Words = append(sets[s].Words, word)
			for k := range c[s][w] {
				c[s][w][k][s%2] += .8 // X and A lean to dimension 0, Y and B to 1
				if err := st.Add(word, c[s][w][k][:], 1); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return weat.Test{ID: "contexts", X: sets[0], Y: sets[1], A: sets[2], B: sets[3]}, st, c
}

func TestContexts(t *testing.T) {
	type pooled struct {
		Q, CC, Tau2, Combined, V, Z float64
		Log10                       float64 `json:"log10_p"`
	}
	var g struct {
		First          []float64
		Last           float64
		Sentence, Word tailGolden
		Mean           tailGolden `json:"mean_vector"`
		D1             float64    `json:"d1"`
		V1             float64    `json:"v1"`
		CEAT           map[string]pooled
		Quantiles      [3]float64 `json:"d_quantiles_5_50_95"`
	}
	golden(t, "contexts", &g)
	test, st, c := contexts(t)
	near(t, "first", c[0][0][0][0], g.First[0], 1e-15)
	near(t, "last", c[3][3][2][7], g.Last, 1e-15)

	sent, err := weat.ScoreSentences(test, st, weat.Shift{}, loss())
	if err != nil {
		t.Fatal(err)
	}
	near(t, "word d", weat.Sizes(scores(sent.X), scores(sent.Y)).D, g.Word.D, 1e-9)
	one, _ := perm.TwoSample(scores(sent.X), scores(sent.Y), perm.Greater, perm.Options{})
	if one.GE.Int64() != g.Word.GE {
		t.Errorf("word GE %v, want %d", one.GE, g.Word.GE)
	}
	// scipy 1.17 norm.logsf(0.6139394441957429*sqrt(6))/ln 10: 12 + 12 sentences.
	near(t, "sentence tail", *sent.SentenceTail, -1.17841118552466, 1e-9)

	ctx, err := weat.ScoreStates(test, st, weat.Shift{}, loss())
	if err != nil {
		t.Fatal(err)
	}
	near(t, "mean vector d", weat.Sizes(scores(ctx.X), scores(ctx.Y)).D, g.Mean.D, 1e-9)
	one, _ = perm.TwoSample(scores(ctx.X), scores(ctx.Y), perm.Greater, perm.Options{})
	if one.GE.Int64() != g.Mean.GE || ctx.Contexts != 3 || ctx.SDContexts == nil {
		t.Errorf("mean vector: GE %v, %d contexts, SD %v; want %d, 3, a number", one.GE, ctx.Contexts, ctx.SDContexts, g.Mean.GE)
	}

	draws, _, err := weat.Draw(test, st, weat.Shift{}, 1000, 1, loss())
	if err != nil || len(draws.D) != 1000 {
		t.Fatalf("%d draws, %v", len(draws.D), err)
	}
	near(t, "d1", draws.D[0], g.D1, 1e-9)
	near(t, "v1", draws.V[0], g.V1, 1e-9)
	for r, want := range g.CEAT {
		var n int
		if _, err := fmt.Sscan(r, &n); err != nil {
			t.Fatal(err)
		}
		got, err := weat.Combine(draws.D[:n], draws.V[:n])
		if err != nil {
			t.Fatal(err)
		}
		near(t, r+" Q", got.Q, want.Q, 1e-9*want.Q)
		near(t, r+" c", got.C, want.CC, 1e-9*want.CC)
		near(t, r+" tau2", got.Tau2, want.Tau2, 1e-9)
		near(t, r+" combined", got.D, want.Combined, 1e-9)
		near(t, r+" V", got.V, want.V, 1e-9)
		near(t, r+" z", got.Z, want.Z, 1e-7)
		near(t, r+" log10", got.Log10P, want.Log10, 1e-6)
	}
	quantiles := draws.Quantiles(.05, .5, .95)
	for i, q := range quantiles {
		near(t, "quantile", q, g.Quantiles[i], 1e-9)
	}
}

func TestCombineToys(t *testing.T) {
	var g map[string]struct{ Q, CC, Tau2, Combined, V, Z float64 }
	golden(t, "ceat_toy", &g)
	for key, in := range map[string][2][]float64{"a": {{.5, 1, 1.6}, {.1, .2, .1}}, "b": {{.5, .52, .48}, {.1, .1, .1}}} {
		got, err := weat.Combine(in[0], in[1])
		if err != nil {
			t.Fatal(err)
		}
		want := g[key]
		near(t, key+" Q", got.Q, want.Q, 1e-12)
		near(t, key+" tau2", got.Tau2, want.Tau2, 1e-12)
		near(t, key+" combined", got.D, want.Combined, 1e-12)
		near(t, key+" V", got.V, want.V, 1e-12)
		near(t, key+" z", got.Z, want.Z, 1e-12)
	}
}
