package membership

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes/stat"
)

func labels(m, n []float64) (score []float64, label []int) {
	for range m {
		label = append(label, 1)
	}
	for range n {
		label = append(label, 0)
	}
	return slices.Concat(m, n), label
}

var (
	smallM = []float64{.9, .8, .7, .6, .55}
	smallN = []float64{.65, .5, .5, .4, .3}
)

func TestEvaluateSmall(t *testing.T) {
	// DeLong 1988 with numpy 2.4; scipy 1.17 mannwhitneyu; 252 arrangements enumerated.
	s, l := labels(smallM, smallN)
	b, err := Evaluate(s, l, nil, Options{FPR: []float64{.2, .1, .01}})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "AUC", b.AUC, .92, 1e-12)
	near(t, "DeLong", b.SE, .093808315, 1e-8)
	near(t, "lo", b.CI[0], .486062791, 1e-8)
	near(t, "hi", b.CI[1], .992899451, 1e-8)
	near(t, "exact p", math.Exp(b.LogP), 3.0/252, 1e-12)
	near(t, "normal p", math.Exp(b.LogNormal), .018072571, 1e-8)
	if !b.Exact {
		t.Error("252 arrangements are not enumerated")
	}
	for i, want := range []float64{1, .6, .6} {
		near(t, "TPR", b.Rates[i].TPR, want, 1e-12)
	}
	if !b.Rates[2].Refused || b.Rates[0].Refused || !b.Rates[0].Coarse {
		t.Errorf("5 non-members: rates %+v", b.Rates)
	}
	d, se, err := stat.AUCDiff(smallM, smallN, []float64{.6, .4, .7, .5, .3}, []float64{.5, .45, .2, .6, .35})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "difference", d, .28, 1e-12)
	near(t, "its error", se, .181107703, 1e-8)
}

func TestEvaluateLarge(t *testing.T) {
	// numpy 2.4, scipy 1.17 on the generator's values.
	g := gen.New(11)
	var m, n []float64
	for range 300 {
		m = append(m, math.Floor(100*(g.Z()+.3)))
	}
	for range 500 {
		n = append(n, math.Floor(100*g.Z()))
	}
	if m[0] != -67 || m[2] != 217 || n[0] != 326 || n[2] != -110 {
		t.Fatalf("members %v, others %v", m[:3], n[:3])
	}
	s, l := labels(m, n)
	b, err := Evaluate(s, l, nil, Options{FPR: []float64{.01, .05}})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "AUC", b.AUC, .593816667, 1e-9)
	near(t, "DeLong", b.SE, .020625706, 1e-9)
	near(t, "lo", b.CI[0], .552842623, 1e-8)
	near(t, "hi", b.CI[1], .633525024, 1e-8)
	near(t, "log10 p", b.LogNormal/math.Ln10, -5.361577067, 1e-8)
	for i, want := range []Rate{
		{Threshold: new(211.0), False: 5, Hits: 10, Exact: [2]float64{.016098168, .060445322}},
		{Threshold: new(146.0), False: 24, Hits: 37, Exact: [2]float64{.088344195, .165972702}},
	} {
		r := b.Rates[i]
		if *r.Threshold != *want.Threshold || r.False != want.False || r.Hits != want.Hits {
			t.Errorf("rate %v: %+v", r.FPR, r)
		}
		near(t, "Clopper-Pearson lo", r.Exact[0], want.Exact[0], 1e-8)
		near(t, "Clopper-Pearson hi", r.Exact[1], want.Exact[1], 1e-8)
		if !(r.Boot[0] < r.TPR && r.TPR < r.Boot[1] && r.Boot[1] < .3) {
			t.Errorf("bootstrap %v around %v", r.Boot, r.TPR)
		}
	}
	if b.LogP > math.Log(1.5e-4) {
		t.Errorf("permutation p %v", math.Exp(b.LogP))
	}
}

func TestClopperPearson(t *testing.T) {
	// scipy 1.17 stats.binomtest(...).proportion_ci("exact").
	for _, c := range []struct {
		k, n   int
		lo, hi float64
	}{
		{4, 5, .283582064, .994949237}, {0, 100, 0, .036216693}, {1, 100, .000253146, .054459385},
		{30, 100, .212406420, .399814676}, {12, 1000, .006215526, .020867680}, {5, 5, .478176250, 1}, {100, 100, .963783307, 1},
	} {
		lo, hi := ClopperPearson(c.k, c.n, .95)
		near(t, "lo", lo, c.lo, 2e-9)
		near(t, "hi", hi, c.hi, 2e-9)
	}
	_, hi := ClopperPearson(0, 299, .9) // one-sided 95 %: 1 - .05^(1/299)
	near(t, "299 clean", hi, .009969147, 1e-9)
	near(t, "AUC 1, n 5", LogitInterval(1, 0, .95, 5)[0], .478176250, 1e-9)
	near(t, "AUC 1, n 100", LogitInterval(1, 0, .95, 100)[0], .963783307, 1e-9)
}

// TestWeightedWalk: with every text once, the bootstrap's walk gives the AUC and the
// rates themselves, ties included.
func TestWeightedWalk(t *testing.T) {
	s := []float64{3, 2, 2, 1, 2, 2, 1, 0, 0, 5}
	y := []int{1, 1, 1, 1, 0, 0, 0, 0, 0, 0}
	l, _, err := newLabelled(s, y, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, n := l.split()
	auc, _, err := stat.AUC(m, n)
	if err != nil {
		t.Fatal(err)
	}
	ones := make([]float64, len(l.class))
	for i := range ones {
		ones[i] = 1
	}
	fpr := []float64{.1, 1.0 / 6, .5, .7, .99}
	near(t, "AUC", l.weighted(ones, fpr, func(i int, tpr float64) {
		near(t, fmt.Sprintf("TPR at %v", fpr[i]), tpr, l.rate(fpr[i], .95).TPR, 1e-12)
	}), auc, 1e-12)
	near(t, "TPR at one of six", l.rate(1.0/6, .95).TPR, .25, 1e-12) // by hand: only 5 stands above 3
}

func TestUndefinedIsWorstCase(t *testing.T) {
	s, l := labels(append(slices.Clone(smallM), math.NaN()), append(slices.Clone(smallN), math.NaN()))
	b, err := Evaluate(s, l, nil, Options{})
	if err != nil || b.Undefined != 2 {
		t.Fatalf("%+v, %v", b, err)
	}
	near(t, "AUC", b.AUC, 23.0/36, 1e-12) // the 23 pairs won before, of 36 now
}

func TestGroupsMoveTogether(t *testing.T) {
	// Each group twice: permuting groups gives the p of the single texts.
	var s []float64
	var l []int
	var g []string
	for i, v := range slices.Concat(smallM, smallN) {
		lab := 1
		if i >= 5 {
			lab = 0
		}
		for range 2 {
			s, l, g = append(s, v), append(l, lab), append(g, string(rune('a'+i)))
		}
	}
	b, err := Evaluate(s, l, g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "exact p by group", math.Exp(b.LogP), 3.0/252, 1e-12)
	near(t, "AUC", b.AUC, .92, 1e-12)
	if !strings.Contains(b.SEMethod, "10 groups") || b.SE < .07 {
		t.Errorf("error %v by %s, want a bootstrap of 10 groups", b.SE, b.SEMethod)
	}
	l[1] = 0
	if _, err := Evaluate(s, l, g, Options{}); fault.As(err) == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("mixed group: %v", err)
	}
}

func TestEvaluateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		s     []float64
		l     []int
		o     Options
		class fault.Class
	}{
		"label 2":    {[]float64{1, 2, 3}, []int{0, 1, 2}, Options{}, fault.Input},
		"one class":  {[]float64{1, 2, 3}, []int{1, 1, 1}, Options{}, fault.Input},
		"one member": {[]float64{1, 2, 3}, []int{1, 0, 0}, Options{}, fault.Input},
		"lengths":    {[]float64{1, 2}, []int{1}, Options{}, fault.Input},
		"-Inf":       {[]float64{math.Inf(-1), 2, 3, 4}, []int{1, 1, 0, 0}, Options{}, fault.Input},
		"fpr 0":      {[]float64{1, 2, 3, 4}, []int{1, 1, 0, 0}, Options{FPR: []float64{0}}, fault.Usage},
		"alpha 5":    {[]float64{1, 2, 3, 4}, []int{1, 1, 0, 0}, Options{Alpha: 5}, fault.Usage},
		"level 95":   {[]float64{1, 2, 3, 4}, []int{1, 1, 0, 0}, Options{Level: 95}, fault.Usage},
	} {
		if _, err := Evaluate(c.s, c.l, nil, c.o); fault.As(err) == nil || fault.As(err).Class != c.class {
			t.Errorf("%s: %v, want class %d", name, err, c.class)
		}
	}
}

// TestEvaluateInvariances: order of rows and number of workers change nothing,
// an increasing transformation changes nothing, relabelling mirrors.
func TestEvaluateInvariances(t *testing.T) {
	g := gen.New(3)
	var s []float64
	var l []int
	for i := range 120 {
		s, l = append(s, g.Z()), append(l, i%2)
	}
	a, err := Evaluate(s, l, nil, Options{Workers: 1, B: 999})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Evaluate(s, l, nil, Options{Workers: 3, B: 999})
	if a.LogP != b.LogP || !same(a.Rates[0], b.Rates[0]) {
		t.Errorf("workers change the result: %+v, %+v", a, b)
	}
	for k := range 60 { // rows in another order
		s[k], s[119-k], l[k], l[119-k] = s[119-k], s[k], l[119-k], l[k]
	}
	if r, _ := Evaluate(s, l, nil, Options{B: 999}); r.LogP != a.LogP || !same(r.Rates[0], a.Rates[0]) || r.AUC != a.AUC {
		t.Errorf("row order changes the result: %+v, %+v", a, r)
	}
	up := make([]float64, len(s))
	swap := make([]int, len(l))
	for i, v := range s {
		up[i], swap[i] = math.Exp(v), 1-l[i]
	}
	c, _ := Evaluate(up, l, nil, Options{B: 999})
	if c.AUC != a.AUC || c.LogP != a.LogP || c.Rates[0].TPR != a.Rates[0].TPR {
		t.Error("an increasing transformation changes the block")
	}
	d, _ := Evaluate(s, swap, nil, Options{B: 999})
	near(t, "relabelled", d.AUC, 1-a.AUC, 1e-12)
}

func same(a, b Rate) bool {
	x, y := a.Threshold, b.Threshold
	a.Threshold, b.Threshold = nil, nil
	return a == b && (x == nil) == (y == nil) && (x == nil || *x == *y)
}

func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{1e2, 1e3, 1e4} {
		g := gen.New(1)
		s, l := make([]float64, n), make([]int, n)
		for i := range s {
			s[i], l[i] = g.Z()+.1*float64(i%2), i%2
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Evaluate(s, l, nil, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
