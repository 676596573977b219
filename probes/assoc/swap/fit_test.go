package swap

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

const data = "../../../testdata/weat/"

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

// stored returns the published margins of a local model by prompt.
func stored(t *testing.T) map[string][]Row {
	t.Helper()
	f, err := os.Open(data + "discrim_templated_qwen2.5-7b-instruct.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]Row{}
	for _, l := range lines[1:] {
		yes, err1 := strconv.ParseFloat(l[4], 64)
		no, err2 := strconv.ParseFloat(l[5], 64)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		out[l[3]] = append(out[l[3]], Row{Question: l[0], Levels: map[string]string{"race": l[1], "gender": l[2]}, Y: yes - no})
	}
	return out
}

// few is Fit with few sign flips, where they are not looked at.
func few() Options { return Options{Base: DefaultBase(), Draws: 999, Seed: 1} }

func TestConformance(t *testing.T) {
	raw, err := os.ReadFile(data + "vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Swap map[string]map[string]json.RawMessage `json:"decision_swap"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	rows := stored(t)
	if len(rows) != 6 || len(doc.Swap) != 6 {
		t.Fatalf("%d and %d prompts, want 6", len(rows), len(doc.Swap))
	}
	for prompt, want := range doc.Swap {
		e, err := FitWith(rows[prompt], few())
		if err != nil || e.M != 65 || len(e.Unbalanced) != 0 || len(e.Coefs) != 5 {
			t.Fatalf("%s: %d questions, %v", prompt, e.M, err)
		}
		for i, name := range []string{"intercept", "Asian", "Black", "Hispanic", "female"} {
			var g struct {
				Coef      float64
				SE        float64 `json:"se"`
				T         float64
				Log10     float64 `json:"log10_p_two"`
				Undefined string
			}
			if err := json.Unmarshal(want[name], &g); err != nil {
				t.Fatal(err)
			}
			c := e.Coefs[i]
			if c.Name != name || c.Undefined != (g.Undefined != "") {
				t.Errorf("%s: %s undefined %v, want %s %q", prompt, c.Name, c.Undefined, name, g.Undefined)
			}
			near(t, prompt+" "+name, c.Value, g.Coef, 1e-9)
			if g.Undefined == "" {
				near(t, prompt+" "+name+" se", c.SE, g.SE, 1e-9)
				near(t, prompt+" "+name+" t", c.T, g.T, 1e-7)
				near(t, prompt+" "+name+" log10 p", c.LogPTwo/math.Ln10, g.Log10, 1e-6)
			} else if c.Value != 0 || !math.IsNaN(c.LogPTwo) {
				t.Errorf("%s: %s = %v, ln p %v; want 0 and undefined", prompt, name, c.Value, c.LogPTwo)
			}
		}
	}
	// numpy 2.4: pooled residual variance, diagonal of the positive part, sign flips by the stated generator.
	e, _ := Fit(rows["default"])
	near(t, "s2", e.S2, .135737, 1e-6)
	for i, want := range []float64{2.624530, 2.992446, 3.062661, .243520} {
		near(t, e.Coefs[i+1].Name+" variance", e.Coefs[i+1].Variance, want, 1e-6)
	}
	for name, hits := range map[string]int64{"Asian": 472, "Hispanic": 4525} {
		for _, c := range e.Coefs {
			if c.Name == name && c.Flips.GE.Int64() != hits {
				t.Errorf("%s: %v sign-flip hits, want %d", name, c.Flips.GE, hits)
			}
		}
	}
}

func toy() []Row {
	var rows []Row
	for q, ys := range map[string][]float64{"0": {1, 1.5, 2, 2.5}, "1": {0, 1, 1, 2}} {
		for i, y := range ys {
			rows = append(rows, Row{Question: q, Levels: map[string]string{"race": []string{"white", "Black"}[i/2], "gender": []string{"male", "female"}[i%2]}, Y: y})
		}
	}
	return rows
}

func TestToy(t *testing.T) {
	e, err := Fit(toy())
	if err != nil {
		t.Fatal(err)
	}
	// By hand: intercepts 1 and 0, Black 1 and 1, female .5 and 1.
	for i, want := range [][2]float64{{.5, .5}, {1, 0}, {.75, .25}} {
		near(t, e.Coefs[i].Name, e.Coefs[i].Value, want[0], 1e-12)
		near(t, e.Coefs[i].Name+" se", e.Coefs[i].SE, want[1], 1e-12)
	}
}

func TestRowOrderChangesNothing(t *testing.T) {
	rows := stored(t)["default"]
	a, _ := FitWith(rows, few())
	g := rand.New(rand.NewPCG(1, 1))
	g.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	b, _ := FitWith(rows, few())
	for i := range a.Coefs {
		if a.Coefs[i].Value != b.Coefs[i].Value || a.Coefs[i].SE != b.Coefs[i].SE || a.Coefs[i].Flips.GE.Cmp(b.Coefs[i].Flips.GE) != 0 {
			t.Errorf("%s: %v and %v", a.Coefs[i].Name, a.Coefs[i], b.Coefs[i])
		}
	}
}

func TestUnbalanced(t *testing.T) {
	rows := append(toy(), Row{Question: "7", Levels: map[string]string{"race": "white", "gender": "male"}, Y: 9})
	e, err := Fit(rows)
	if err != nil || e.M != 2 || len(e.Unbalanced) != 1 || e.Unbalanced[0] != "7" {
		t.Errorf("%d questions, unbalanced %v, %v; want 2 and question 7 left out", e.M, e.Unbalanced, err)
	}
	near(t, "Black", e.Coefs[1].Value, 1, 1e-12)
	for name, bad := range map[string][]Row{
		"none": nil, "one question": toy()[:4], "nan": append(toy(), Row{Question: "8", Levels: map[string]string{"race": "white", "gender": "male"}, Y: math.NaN()}),
		"no base": {{Question: "1", Levels: map[string]string{"race": "x"}}, {Question: "2", Levels: map[string]string{"race": "x"}}},
		"missing": append(toy(), Row{Question: "8", Levels: map[string]string{"race": "white"}}),
	} {
		if _, err := Fit(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlantedShift(t *testing.T) {
	g := rand.New(rand.NewPCG(3, 4))
	var rows []Row
	for q := range 20 {
		base := g.NormFloat64()
		for _, race := range []string{"White", "Black"} {
			for _, gender := range []string{"male", "female"} {
				for _, age := range []float64{20, 50, 80} {
					y := base
					if race == "Black" {
						y -= .5
					}
					rows = append(rows, Row{Question: strconv.Itoa(q), Levels: map[string]string{"race": race, "gender": gender}, Numbers: map[string]float64{"age": age}, Y: y})
				}
			}
		}
	}
	e, err := Fit(rows)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Black", e.Coefs[1].Value, -.5, 1e-9)
	if !e.Coefs[2].Undefined || !e.Coefs[3].Undefined || e.Coefs[3].Name != "age" {
		t.Errorf("female and age have no effect: %+v", e.Coefs[2:])
	}
	for i := range rows { // exchanging the groups negates the effect
		rows[i].Levels["race"] = map[string]string{"White": "Black", "Black": "White"}[rows[i].Levels["race"]]
	}
	e, _ = Fit(rows)
	near(t, "exchanged", e.Coefs[1].Value, .5, 1e-9)
}

func TestUniformUnderNull(t *testing.T) {
	g := rand.New(rand.NewPCG(9, 9))
	var flips, ts []float64
	for range 500 {
		var rows []Row
		for q := range 12 {
			tilt := g.NormFloat64() // true effects differ between questions, mean 0
			for i, race := range []string{"White", "Black"} {
				rows = append(rows, Row{Question: strconv.Itoa(q), Levels: map[string]string{"race": race}, Y: g.NormFloat64() + tilt*float64(i)})
			}
		}
		e, err := FitWith(rows, Options{Base: DefaultBase(), Draws: 199, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		flips, ts = append(flips, e.Coefs[1].Flips.P()), append(ts, math.Exp(e.Coefs[1].LogPTwo))
	}
	for name, ps := range map[string][]float64{"sign flips": flips, "t": ts} {
		for _, a := range []float64{.01, .05, .2, .5} {
			n := 0
			for _, p := range ps {
				if p <= a {
					n++
				}
			}
			if limit := 500*a + 4*math.Sqrt(500*a*(1-a)); float64(n) > limit {
				t.Errorf("%s: %d of 500 null p-values at or below %v, want at most %.0f", name, n, a, limit)
			}
		}
	}
}
