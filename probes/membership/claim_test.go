package membership

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
	"assay/probes/stat"
)

// tooSmall tests in one direction: the bound exp(-2 n d^2) of the one-sided
// Kolmogorov tail, in log. Only an excess of small p-values counts.
func tooSmall(p []float64) float64 {
	s := slices.Clone(p)
	slices.Sort(s)
	d, n := 0.0, float64(len(s))
	for i := range s {
		d = max(d, float64(i+1)/n-s[i])
	}
	return -2 * n * d * d
}

func cases(g *gen.Stream, prefix string, n int, shift float64) []Case {
	out := make([]Case, n)
	for i := range out {
		out[i] = Case{ID: fmt.Sprintf("%s%d", prefix, i), Score: g.Z() + shift}
	}
	return out
}

var cleanGate = &GateResult{Outcome: Clean, AUC: .5, SE: .02, CI: [2]float64{.46, .54}}

func TestConformal(t *testing.T) {
	// By hand: of .65 .5 .5 .4 .3 one reaches .62.
	c := []float64{.3, .4, .5, .5, .65}
	near(t, "p", Conformal(.62, c), 2.0/6, 1e-12)
	near(t, "tie", Conformal(.5, c), 4.0/6, 1e-12)
	near(t, "floor", Conformal(9, c), 1.0/6, 1e-12)
	near(t, "undefined", Conformal(math.NaN(), c), 1, 0)
}

func TestClaimTiers(t *testing.T) {
	g := gen.New(4)
	sus, con := cases(g, "s", 220, .5), cases(g, "c", 220, 0)
	var keys []string
	for _, c := range slices.Concat(sus, con) {
		keys = append(keys, c.ID)
	}
	a := NewAssignment("split", "seed", 220)
	drawnSus, drawnCon := []Case{}, []Case{}
	for i, k := range a.Split(keys) {
		x := Case{ID: k, Score: g.Z()}
		if i < 220 {
			x.Score += .5
			drawnSus = append(drawnSus, x)
		} else {
			drawnCon = append(drawnCon, x)
		}
	}
	for name, c := range map[string]struct {
		s, c []Case
		g    Ground
		tier probes.Tier
		code string
	}{
		"assignment":   {drawnSus, drawnCon, Ground{Assignment: &a}, probes.TierA, ""},
		"clean gate":   {sus, con, Ground{Gate: cleanGate}, probes.TierB, ""},
		"no gate":      {sus, con, Ground{}, probes.TierC, "no-gate"},
		"confounded":   {sus, con, Ground{Gate: &GateResult{Outcome: Confounded, AUC: .9}}, probes.TierC, "confounded"},
		"inconclusive": {sus, con, Ground{Gate: &GateResult{Outcome: Inconclusive, AUC: .6}}, probes.TierC, "inconclusive"},
		"few":          {sus[:50], con, Ground{Gate: cleanGate}, probes.TierC, "underpowered"},
		"near copies":  {sus, con, Ground{Gate: &GateResult{Outcome: Clean, Duplicates: [][2]string{{"a", "b"}}}}, probes.TierC, ""},
	} {
		r, rows, err := Claim("loss", c.s, c.c, c.g, Options{B: 199}, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if r.Verdict.Tier != c.tier || c.code != "" && !slices.Contains(codes(r), c.code) {
			t.Errorf("%s: tier %s, warnings %v", name, r.Verdict.Tier, codes(r))
		}
		if (c.tier == probes.TierC) != (len(r.P) == 0) || (c.tier == probes.TierC) != (rows[0].Conformal == nil) {
			t.Errorf("%s: %d p-values at tier %s, row %+v", name, len(r.P), c.tier, rows[0])
		}
		b, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if c.tier == probes.TierC && (bytes.Contains(b, []byte("member ")) || bytes.Contains(b, []byte("trained on"))) {
			t.Errorf("%s: tier C speaks of membership: %s", name, b)
		}
	}
}

func TestClaimExact(t *testing.T) {
	// 3 of 252 arrangements of 5 and 5 reach this rank sum (no ties: the tied .5 is split).
	mk := func(prefix string, v ...float64) []Case {
		out := make([]Case, len(v))
		for i, x := range v {
			out[i] = Case{ID: fmt.Sprint(prefix, i), Score: x}
		}
		return out
	}
	sus, con := mk("s", .9, .8, .7, .6, .55), mk("c", .65, .5, .51, .4, .3)
	b, err := Evaluate([]float64{.9, .8, .7, .6, .55, .65, .5, .51, .4, .3}, []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0}, nil, Options{B: 99})
	if err != nil {
		t.Fatal(err)
	}
	ln, method := rankSum(sus, con, b)
	near(t, "exact law equals enumeration", math.Exp(ln), math.Exp(b.LogP), 1e-9)
	if !strings.Contains(method, "exact law") {
		t.Errorf("method %q", method)
	}
}

func TestClaimRefuses(t *testing.T) {
	g := gen.New(9)
	base, con := cases(g, "s", 30, 0), cases(g, "c", 30, 0)
	edit := func(f func([]Case)) []Case { x := slices.Clone(base); f(x); return x }
	sha := [32]byte{1}
	conSHA := slices.Clone(con)
	conSHA[5].SHA256 = sha
	for name, c := range map[string]struct{ s, c []Case }{
		"same id in both":    {edit(func(x []Case) { x[0].ID = "c3" }), con},
		"same id twice":      {edit(func(x []Case) { x[0].ID = "s3" }), con},
		"same text in both":  {edit(func(x []Case) { x[0].SHA256 = sha }), conSHA},
		"same group in both": {edit(func(x []Case) { x[0].Group = "c3" }), con},
		"infinite":           {edit(func(x []Case) { x[0].Score = math.Inf(-1) }), con},
		"no controls":        {base, nil},
	} {
		if _, _, err := Claim("loss", c.s, c.c, Ground{Gate: cleanGate}, Options{B: 9}, nil); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
}

// TestClaimNull: the rank sum is valid; Fisher's method on conformal p-values that
// share their controls fails the same test.
func TestClaimNull(t *testing.T) {
	g := gen.New(31)
	var ours, fisher []float64
	const reps = 2000
	for rep := range reps {
		sus, con := cases(g, "s", 200, 0), cases(g, "c", 100, 0)
		c := make([]float64, len(con))
		for i, x := range con {
			c[i] = x.Score
		}
		slices.Sort(c)
		y := 0.0
		u := int64(0)
		for _, s := range sus {
			y -= math.Log(Conformal(s.Score, c))
			i, _ := slices.BinarySearch(c, s.Score)
			u += int64(i)
		}
		fisher = append(fisher, math.Exp(stat.LogTailChi2(2*y, 400)))
		ln, _ := stat.LogTailRankSum(u, 200, 100)
		ours = append(ours, math.Exp(ln))
		if rep < 20 { // the same through Claim
			r, _, err := Claim("loss", append(sus, cases(g, "t", 20, 0)...), append(con, cases(g, "d", 120, 0)...), Ground{Gate: cleanGate}, Options{B: 9}, nil)
			if err != nil || len(r.P) != 1 {
				t.Fatal(err, r.P)
			}
		}
	}
	if lp := tooSmall(ours); lp < math.Log(.01) {
		t.Errorf("rank sum: too small with bound %.3g", math.Exp(lp))
	}
	_, lp, _ := stat.KSUniform(ours)
	if lp < math.Log(.01) {
		t.Errorf("rank sum: Kolmogorov-Smirnov p %.3g", math.Exp(lp))
	}
	below := 0.0
	for _, p := range fisher {
		if p <= .05 {
			below += 1.0 / reps
		}
	}
	if below < .07 || tooSmall(fisher) > math.Log(.01) {
		t.Errorf("Fisher on conformal p-values: level %.3f at nominal .05, bound %.3g: expected it to fail", below, math.Exp(tooSmall(fisher)))
	}
	t.Logf("Fisher on conformal p-values: level %.3f at nominal .05", below)
}

func TestAssignment(t *testing.T) {
	a := NewAssignment("split", "s", 2)
	b, _ := json.Marshal(a)
	back, err := ReadAssignment(bytes.NewReader(b))
	if err != nil || back != a {
		t.Fatalf("%+v, %v", back, err)
	}
	for name, in := range map[string]string{
		"seed":      strings.Replace(string(b), `"seed":"s"`, `"seed":"t"`, 1),
		"kind":      strings.Replace(string(b), "split", "slit", 1),
		"generator": strings.Replace(string(b), "sha256-order/1", "mt19937", 1),
		"schema":    strings.Replace(string(b), "assignment/1", "assignment/2", 1),
		"field":     strings.Replace(string(b), `"seed"`, `"sead"`, 1),
		"cut":       string(b[:20]),
	} {
		if _, err := ReadAssignment(strings.NewReader(in)); fault.As(err) == nil {
			t.Errorf("changed %s: %v, want a fault", name, err)
		}
	}
	keys := []string{"a", "b", "c", "d"}
	drawn := a.Split(keys)
	label := make([]int, 4)
	for i, k := range keys {
		if k == drawn[0] || k == drawn[1] {
			label[i] = 1
		}
	}
	if err := a.CheckSplit(keys, label); err != nil {
		t.Error(err)
	}
	label[0] = 1 - label[0]
	if err := a.CheckSplit(keys, label); fault.As(err) == nil {
		t.Errorf("moved label: %v", err)
	}
}

// TestJSONHasNoNulls: lists are empty, never null, whatever the tier.
func TestJSONHasNoNulls(t *testing.T) {
	g := gen.New(1)
	r, _, err := Claim("loss", cases(g, "s", 30, 0), cases(g, "c", 30, 0), Ground{Assignment: nil, Gate: cleanGate}, Options{B: 9}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.JSON()
	if err != nil || bytes.Contains(b, []byte("null")) {
		t.Errorf("%v: %s", err, b)
	}
}
