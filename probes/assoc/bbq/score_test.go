package bbq

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

const data = "../../../testdata/weat/"

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

// stored reads published choices; the extract lacks question_index, so blocks
// of four rows in order stand for templates (this checks code, not the model).
func stored(t *testing.T, column int) []Choice {
	t.Helper()
	f, err := os.Open(data + "bbq_age_unifiedqa.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	r.Comma = '\t'
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []Choice
	for _, l := range lines[1:] {
		num := func(s string) int {
			n, err := strconv.Atoi(s)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		c := Choice{ID: l[0], Category: "Age", Template: strconv.Itoa(num(l[0]) / 4), Negative: l[1] == "neg", Ambiguous: l[2] == "ambig", Label: num(l[3]), Chosen: num(l[column])}
		for k, g := range l[4:7] {
			switch {
			case g == "unknown":
				c.Roles[k] = Unknown
			case strings.Contains("|"+l[7]+"|", "|"+g+"|"):
				c.Roles[k] = Target
			default:
				c.Roles[k] = Other
			}
		}
		out = append(out, c)
	}
	return out
}

func TestConformance(t *testing.T) {
	raw, err := os.ReadFile(data + "vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		BBQ map[string]struct {
			N, Right, Known, Biased int
			S                       float64
			SAmbig                  float64 `json:"s_ambig_form"`
			With                    [2]int  `json:"right_consistent"`
			Against                 [2]int  `json:"right_inconsistent"`
			Gap                     float64
		} `json:"bbq_age"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.BBQ) != 4 {
		t.Fatalf("%d cells, want 4", len(doc.BBQ))
	}
	for name, column := range map[string]int{"pred_race": 8, "pred_arc": 9} {
		cells, err := Score(stored(t, column))
		if err != nil {
			t.Fatal(err)
		}
		for kind, c := range map[string]Cell{"ambig": cells.Ambiguous, "disambig": cells.Informed} {
			g := doc.BBQ[name+"."+kind]
			if c.N != g.N || c.Right != g.Right || c.Known != g.Known || c.Biased != g.Biased {
				t.Errorf("%s %s: %+v, want %+v", name, kind, c, g)
			}
			near(t, name+kind, c.S, g.S, 1e-12)
			if kind == "ambig" {
				near(t, name+" s_ambig", c.SAmbig, g.SAmbig, 1e-12)
				continue
			}
			if c.RightWith != g.With[0] || c.With != g.With[1] || c.RightAgainst != g.Against[0] || c.Against != g.Against[1] {
				t.Errorf("%s: %+v, want %+v", name, c, g)
			}
			near(t, name+" gap", c.Gap, g.Gap, 1e-12)
		}
		// numpy 2.4: sums over blocks 548 and 900, no draw of 99,999 reaches them.
		a := cells.Ambiguous
		if want := map[string]float64{"pred_race": 548, "pred_arc": 900}[name]; a.T != want || a.Tail.GE.Sign() != 0 || math.Abs(a.Tail.P()-1e-5) > 1e-15 {
			t.Errorf("%s: T %v, %v hits, p %v; want %v, none, 1e-5", name, a.T, a.Tail.GE, a.Tail.P(), want)
		}
	}
}

func TestUndefinedWithoutKnownAnswers(t *testing.T) {
	var rows []Choice
	for i := range 8 {
		rows = append(rows, Choice{ID: strconv.Itoa(i), Template: "1", Negative: i%2 == 0, Ambiguous: true, Label: 2, Chosen: 2, Roles: [3]Role{Target, Other, Unknown}})
	}
	c, err := Score(rows)
	if err != nil || !math.IsNaN(c.Ambiguous.S) || !math.IsNaN(c.Ambiguous.SAmbig) || c.Ambiguous.Right != 8 {
		t.Errorf("%+v, %v; want s undefined", c.Ambiguous, err)
	}
	rows[0].Chosen = -1
	if c, _ = Score(rows); c.NoAnswer != 1 || c.Ambiguous.N != 7 || c.Ambiguous.Incomplete != 1 || c.Ambiguous.Tail != nil {
		t.Errorf("%+v, want one row without answer, its template incomplete", c)
	}
	for name, bad := range map[string]Choice{"label": {Label: 3, Roles: [3]Role{Target, Other, Unknown}}, "choice": {Chosen: 5, Roles: [3]Role{Target, Other, Unknown}}, "roles": {Roles: [3]Role{Target, Target, Unknown}}} {
		if _, err := Score([]Choice{bad}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// random makes n templates whose ambiguous choices do not depend on polarity.
func random(g *rand.Rand, n int) []Choice {
	var rows []Choice
	for i := range n {
		lean := g.Float64() // a template may prefer one group, whatever is asked
		for k := range 4 {
			c := Choice{ID: fmt.Sprint(i, k), Category: "c", Template: strconv.Itoa(i), Negative: k%2 == 0, Ambiguous: true, Label: 2, Roles: [3]Role{Target, Other, Unknown}}
			switch {
			case g.Float64() < .3:
				c.Chosen = 2
			case g.Float64() < lean:
				c.Chosen = 0
			default:
				c.Chosen = 1
			}
			rows = append(rows, c)
		}
	}
	return rows
}

func TestUniformUnderNull(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 7))
	var ps []float64
	for range 500 {
		c, err := ScoreWith(random(g, 15), Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, c.Ambiguous.Tail.P())
	}
	for _, a := range []float64{.01, .05, .2, .5} {
		n := 0
		for _, p := range ps {
			if p <= a {
				n++
			}
		}
		if limit := 500*a + 4*math.Sqrt(500*a*(1-a)); float64(n) > limit {
			t.Errorf("%d of 500 null p-values at or below %v, want at most %.0f", n, a, limit)
		}
	}
}

func TestPolarityAndOrder(t *testing.T) {
	g := rand.New(rand.NewPCG(2, 7))
	rows := random(g, 30)
	a, _ := Score(rows)
	g.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	b, _ := Score(rows)
	if a.Ambiguous.Tail.GE.Cmp(b.Ambiguous.Tail.GE) != 0 || a.Ambiguous.S != b.Ambiguous.S {
		t.Errorf("row order changes %v to %v", a.Ambiguous, b.Ambiguous)
	}
	for i := range rows {
		for k, role := range rows[i].Roles { // exchanging the groups negates s
			rows[i].Roles[k] = map[Role]Role{Unknown: Unknown, Target: Other, Other: Target}[role]
		}
	}
	c, _ := Score(rows)
	near(t, "exchanged", c.Ambiguous.S, -a.Ambiguous.S, 1e-12)
}
