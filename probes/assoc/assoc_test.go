package assoc

import (
	"math"
	"strings"
	"testing"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

func TestRequestID(t *testing.T) {
	r := Request{Prompt: "2+2=", Targets: []string{" 4", " 5"}}
	// Python 3 hashlib.sha256 of {"kind":"score","prompt":"2+2=","role":"a","targets":[" 4"," 5"]}.
	if got := r.ID(); got != "c57ece9ce2167009e8739aaaf6d9b035" {
		t.Errorf("id %s of %s", got, r.canonical())
	}
	r = Request{Role: "b", System: "s<>&", Prompt: "a\"\\\n\u2028\x01é", Chat: true, Targets: []string{"x"}}
	want := `{"chat":true,"kind":"score","prompt":"a\"\\\n` + "\u2028" + `\u0001é","role":"b","system":"s<>&","targets":["x"]}`
	if got := r.canonical(); got != want {
		t.Errorf("canonical %s, want %s", got, want)
	}
}

func answer(lp float64, ids ...int32) Answer {
	a := Answer{}
	for _, id := range ids {
		a.Tokens = append(a.Tokens, Token{ID: id, LogProb: lp / float64(len(ids))})
	}
	return a
}

func TestOptionsCountFormsOnce(t *testing.T) {
	f := Forms{{"yes", "Yes", "yes!"}, {"no", " no"}}
	answers := []Answer{answer(math.Log(.3), 1), answer(math.Log(.1), 2), answer(math.Log(.2), 1, 9), answer(math.Log(.25), 3), answer(math.Log(.25), 3)}
	ll, mass, _, err := f.Options(answers)
	if err != nil {
		t.Fatal(err)
	}
	// yes! extends yes, the second no repeats the first: .3 + .1 and .25.
	near(t, "yes", math.Exp(ll[0]), .4, 1e-12)
	near(t, "no", math.Exp(ll[1]), .25, 1e-12)
	near(t, "mass", mass, .65, 1e-12)
	// The same with the longer form first.
	ll, _, _, err = Forms{{"yes!", "yes"}, {"no"}}.Options([]Answer{answer(math.Log(.2), 1, 9), answer(math.Log(.3), 1), answer(math.Log(.25), 3)})
	if err != nil || math.Abs(math.Exp(ll[0])-.3) > 1e-12 {
		t.Errorf("yes %v, %v; want .3", math.Exp(ll[0]), err)
	}
	if _, _, _, err := (Forms{{"a"}, {"ab"}}).Options([]Answer{answer(-1, 1), answer(-2, 1, 2)}); err == nil {
		t.Error("an option that extends another: no error")
	}
	if _, _, _, err := f.Options(answers[1:]); err == nil {
		t.Error("an answer missing: no error")
	}
}

func TestAskRefuses(t *testing.T) {
	r := Request{Prompt: "p", Targets: []string{"a", "b"}}
	for name, ev := range map[string]Map{
		"unanswered": {}, "too few": {r.ID(): {answer(-1, 1)}}, "no tokens": {r.ID(): {answer(-1, 1), {}}},
		"positive": {r.ID(): {answer(-1, 1), answer(.5, 2)}}, "nan": {r.ID(): {answer(-1, 1), answer(math.NaN(), 2)}},
		"minus infinity": {r.ID(): {answer(-1, 1), answer(math.Inf(-1), 2)}},
	} {
		if _, err := Ask(ev, r); err == nil || !strings.Contains(err.Error(), r.ID()) {
			t.Errorf("%s: %v, want an error that names the request", name, err)
		}
	}
	if got := Missing(Map{}, []Request{r, r}); len(got) != 1 {
		t.Errorf("%d missing, want 1", len(got))
	}
	if got := Missing(Map{r.ID(): nil}, []Request{r}); got != nil {
		t.Errorf("missing %v, want none", got)
	}
}

func TestFormatMeasures(t *testing.T) {
	// scipy 1.17 spatial.distance.jensenshannon(p, q, 2)**2; the rest by hand.
	p, q := []float64{.7, .2, .1}, []float64{.5, .3, .2}
	near(t, "total variation", TotalVariation(p, q), .2, 1e-12)
	near(t, "Jensen-Shannon", JensenShannon(p, q), .0315967223, 1e-9)
	slots := SlotBias([][]float64{{.7, .2, .1}, {.2, .3, .5}}) // the second order is reversed
	for i, want := range []float64{.1166667, -.0833333, -.0333333} {
		near(t, "slot bias", slots[i], want, 1e-6)
	}
	shares, err := Table{[]string{"format"}, []int{3}, [][]float64{{1, 1.4, 1.2}, {.2, .4, .6}}}.Shares()
	if err != nil {
		t.Fatal(err)
	}
	// By hand: SS total 1.12, item .96, format .12.
	for i, want := range []float64{.857142857, .107142857, .035714286} {
		near(t, shares[i].Name, shares[i].Value, want, 1e-9)
	}
	two, err := Table{[]string{"order", "template"}, []int{2, 2}, [][]float64{{0, 1, 2, 3}}}.Shares()
	if err != nil {
		t.Fatal(err)
	}
	// By hand: means by order .5 2.5, by template 1 2: SS 4 and 1 of 5.
	for i, want := range []float64{0, .8, .2, 0} {
		near(t, two[i].Name, two[i].Value, want, 1e-12)
	}
	if _, err := (Table{[]string{"f"}, []int{2}, [][]float64{{1}}}).Shares(); err == nil {
		t.Error("an unbalanced table: no error")
	}
	near(t, "flips", FlipRate([][]int{{1, 1, 1}, {0, 1, 0}}), .5, 0)
}

func TestStable(t *testing.T) {
	for name, c := range map[string]struct {
		h    []float64
		want bool
	}{"steady": {[]float64{.6, .62, .61}, false}, "signs differ": {[]float64{.6, .4}, true}, "wide": {[]float64{.51, .6, .9}, true}, "one": {[]float64{.9}, false}} {
		if got := Stable(c.h, .5); got.Unstable != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWilson(t *testing.T) {
	// statsmodels 0.14 proportion_confint(60, 100, method="wilson").
	lo, hi := Wilson(60, 100, .95)
	near(t, "lower", lo, .502002587, 1e-9)
	near(t, "upper", hi, .690598714, 1e-9)
}

// TestOrderEffects: the vector of the format measures, total variation .2 and
// Jensen-Shannon .0315967223 bits (scipy's jensenshannon squared, base 2).
func TestOrderEffects(t *testing.T) {
	o := OrderEffects([][][]float64{{{.7, .2, .1}, {.5, .3, .2}}, {{.2, .8}, {.2, .8}, {.6, .4}}})
	// By hand: four pairs of orders, of total variation .2, 0, .4 and .4; 2 + 2 of 5 answers are modal.
	if math.Abs(o.TV-.25) > 1e-12 || math.Abs(o.Modal-.8) > 1e-12 {
		t.Errorf("%+v", o)
	}
	if o = OrderEffects([][][]float64{{{.7, .2, .1}, {.5, .3, .2}}}); math.Abs(o.JS-.0315967223) > 1e-9 || math.Abs(o.TV-.2) > 1e-12 {
		t.Errorf("%+v", o)
	}
}
