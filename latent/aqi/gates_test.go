package aqi

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/latent/internal/vectors"
	"assay/probes"
)

// matched makes n rows per label in 4 topics with the given shift, texts from
// one vocabulary, lengths drawn from one law; edit changes the set before it is built.
func matched(n int, shift float64, edit func(i int, label int, set *mem.Set, items []Item)) (*mem.States, []Item) {
	r := rand.New(rand.NewPCG(51, 7))
	const w = 24
	set := mem.Set{Name: "matched", First: 0, Rows: true}
	items := make([]Item, 2*n)
	vocab := strings.Fields("river stone window paper garden engine letter market winter bridge")
	for range 2 {
		set.Layers = append(set.Layers, geom.NewDense(2*n, w))
	}
	for i := range 2 * n {
		label := i / n
		set.Label = append(set.Label, []string{"left", "right"}[label])
		set.Stratum = append(set.Stratum, fmt.Sprint("topic", i%4))
		set.Span = append(set.Span, 8+i%n*5%9) // the same lengths under both labels
		var words []string
		for range 12 {
			words = append(words, vocab[r.IntN(len(vocab))])
		}
		set.Text = append(set.Text, strings.Join(words, " "))
		items[i] = Item{ID: fmt.Sprintf("d%05d", i), Text: set.Text[i], Source: "corpus"}
		for l := range set.Layers {
			row := set.Layers[l].Row(i)
			for j := range row {
				row[j] = r.NormFloat64()
			}
			row[i%4] += 2 // topics lie apart
			if label == 1 && l == 1 {
				row[10] += shift
			}
		}
		if edit != nil {
			edit(i, label, &set, items)
		}
	}
	return mem.New(set), items
}

func run(t *testing.T, s latent.States, items []Item, opt func(*Options)) *Report {
	t.Helper()
	o := quick()
	o.Side.Items = items
	if opt != nil {
		opt(&o)
	}
	r, err := Analyse(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTierB(t *testing.T) {
	s, items := matched(60, 1.5, nil)
	r := run(t, s, items, nil)
	if r.Verdict.Tier != probes.TierB || r.Verdict.Finding != Separated {
		t.Fatalf("verdict %+v\nchecks %+v\nwarnings %+v; want tier B, separated", r.Verdict, r.Settings["checks"], r.Warnings)
	}
	// Headline p, Chen-Qin where the dimension allows it, one family-wise p per layer; never 0.
	for _, p := range r.P {
		if p.P == nil || *p.P <= 0 || p.Null == "" || math.IsInf(p.Log10P, 0) {
			t.Errorf("p-value %+v", p)
		}
	}
	if estimate(t, r.Result, "aqi.probe.leave-topic-out.auroc") < .7 {
		t.Error("the probe does not carry over to topics that were held out")
	}
	// Layer 1 holds the shift; the curve's p-values are there in tier B.
	for _, c := range r.Curve {
		if c.Index == "r2" && c.Post == "none" && c.Log10P == nil {
			t.Errorf("layer %s: no p in tier B", c.Layer)
		}
	}
}

func TestTierA(t *testing.T) {
	s, _ := matched(40, 1.5, nil)
	as := &Assignment{Digest: "sha256:draw", Labels: map[string]string{}}
	for i := range 80 {
		as.Labels[fmt.Sprintf("d%05d", i)] = []string{"left", "right"}[i/40]
	}
	r := run(t, s, nil, func(o *Options) { o.Side.Assignment = as })
	if r.Verdict.Tier != probes.TierA || len(r.P) == 0 {
		t.Errorf("tier %s with %d p-values, want A with some", r.Verdict.Tier, len(r.P))
	}
}

// Every confound alone keeps the result out of tier B, and p out of the result.
func TestConfoundGates(t *testing.T) {
	for _, c := range []struct {
		name, warning string
		edit          func(i, label int, set *mem.Set, items []Item)
		opt           func(*Options)
	}{
		{"length", "length-confounded", func(i, label int, set *mem.Set, _ []Item) { set.Span[i] += 6 * label }, nil},
		{"topic, no strata", "words-confounded", func(i, label int, set *mem.Set, items []Item) {
			set.Stratum[i] = "all"
			items[i].Text += strings.Repeat([]string{" harbour", " forest"}[label], 2)
			set.Layers[0].Row(i)[2+label] += 3
			set.Layers[1].Row(i)[2+label] += 3
		}, nil},
		{"words", "words-confounded", func(i, label int, _ *mem.Set, items []Item) {
			items[i].Text += []string{" harbour", " forest"}[label]
		}, nil},
		{"source", "source-confounded", func(i, label int, _ *mem.Set, items []Item) { items[i].Source = []string{"forum", "news"}[label] }, nil},
		{"text under both labels", "duplicate-text", func(i, _ int, set *mem.Set, _ []Item) {
			if i%60 == 0 {
				set.Text[i] = "same"
			}
		}, nil},
		{"no texts", "no-texts", nil, func(o *Options) { o.Side.Items = nil }},
		{"strata ignored", "", nil, func(o *Options) { o.NoStrata = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, items := matched(60, 1.5, c.edit)
			r := run(t, s, items, c.opt)
			if r.Verdict.Tier != probes.TierC || len(r.P) != 0 || r.Verdict.Finding != Descriptive {
				t.Errorf("tier %s, %d p-values, finding %s; want C, none, descriptive (checks %+v)", r.Verdict.Tier, len(r.P), r.Verdict.Finding, r.Settings["checks"])
			}
			if c.warning != "" && !hasWarning(r.Result, c.warning) {
				t.Errorf("no warning %s in %+v", c.warning, r.Warnings)
			}
			for _, row := range r.Curve {
				if row.Log10P != nil {
					t.Fatal("the curve has a p-value in tier C")
				}
			}
		})
	}
}

// The limits of tier B, at and beyond their edges.
func TestCheckLimits(t *testing.T) {
	s, items := matched(60, 1.5, nil)
	o := quick()
	o.Side.Items = items
	a, err := measureAll(context.Background(), s, o, false)
	if err != nil {
		t.Fatal(err)
	}
	failed := func() string {
		out := ""
		for _, c := range a.checks() {
			if !c.Pass {
				out += c.Name + " "
			}
		}
		return out
	}
	good := *a.ctl
	for _, c := range []struct {
		want string
		edit func(*controls)
	}{
		{"", func(c *controls) { c.length, c.bytes = .4, .6 }},
		{"length ", func(c *controls) { c.length = .39 }},
		{"length ", func(c *controls) { c.length = .61 }},
		{"bytes ", func(c *controls) { c.bytes = .61 }},
		{"", func(c *controls) { c.words.AUROC, c.source = .6, .6 }},
		{"words ", func(c *controls) { c.words.AUROC = .61 }},
		{"words ", func(c *controls) { c.words = nil }},
		{"source ", func(c *controls) { c.source = .61 }},
		{"texts-across-labels ", func(c *controls) { c.crossDup = 1 }},
	} {
		x, w := good, *good.words
		x.words = &w
		c.edit(&x)
		a.ctl = &x
		if got := failed(); got != c.want {
			t.Errorf("failed checks %q, want %q", got, c.want)
		}
	}
	a.ctl = &good
	a.units = []int{29, 60}
	if got := failed(); got != "units " {
		t.Errorf("29 units: failed checks %q", got)
	}
}

// Folds are balanced in every label and stratum and depend on ids alone.
func TestFolds(t *testing.T) {
	s, _ := matched(60, 0, nil)
	r, err := newRunner(context.Background(), s, quick())
	if err != nil {
		t.Fatal(err)
	}
	use, labels := r.q.d.Use(nil)
	fold := r.folds(use, labels, "outer")
	n := map[[3]int]int{}
	for i, d := range use {
		_, st, _ := r.q.d.Of(d)
		n[[3]int{labels[i], st, fold[i]}]++
	}
	for k, v := range n {
		if v != 3 { // 15 units per label and topic, 5 folds
			t.Errorf("label %d topic %d fold %d: %d units, want 3", k[0], k[1], k[2], v)
		}
	}
	var back, lab []int // the same documents in another order
	for i := range use {
		back, lab = append(back, use[len(use)-1-i]), append(lab, labels[len(use)-1-i])
	}
	for i, f := range r.folds(back, lab, "outer") {
		if f != fold[len(fold)-1-i] {
			t.Fatal("folds depend on the order of rows")
		}
	}
}

// Topics that add variance fake a separation without strata, and not with them.
func TestStrataRemoveTopic(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	set := mem.Set{Name: "topics", First: 1, Rows: true, Layers: []geom.Dense{geom.NewDense(320, 32)}}
	for i := range 320 {
		topic := i % 8
		// Labels are mixed in every topic, three to one or one to three.
		label := 0
		if i/8%4 == 0 {
			label = 1
		}
		if topic >= 4 {
			label = 1 - label
		}
		set.Label = append(set.Label, []string{"a", "b"}[label])
		set.Stratum = append(set.Stratum, fmt.Sprint(topic))
		row := set.Layers[0].Row(i)
		for j := range row {
			row[j] = r.NormFloat64()
		}
		row[topic] += 5
	}
	a, err := measureAll(context.Background(), mem.New(set), quick(), false)
	if err != nil {
		t.Fatal(err)
	}
	if a.head.pooled.R2 < .01 || a.head.lo > 0 || a.head.hi < 0 {
		t.Errorf("pooled R2 %.4f, want a fake separation above .01; within strata theta %.4f [%.4f, %.4f], want an interval around 0",
			a.head.pooled.R2, a.head.sep.Theta, a.head.lo, a.head.hi)
	}
}

// An embedding layer where all rows are one token's vector is null, not an error.
func TestConstantLayer(t *testing.T) {
	set := layers3(.5, .25)
	set.First, set.Rows = 0, true
	clear(set.Layers[0].Data)
	r := run(t, mem.New(set), nil, nil)
	if !math.IsNaN(estimate(t, r.Result, "aqi.r2@resid_post.mean.0")) || !hasWarning(r.Result, "degenerate") {
		t.Error("constant layer: want null with warning degenerate")
	}
	if v := estimate(t, r.Result, "aqi.probe.auroc@resid_post.mean.0"); v != .5 {
		t.Errorf("probe on constant rows: %v, want .5", v)
	}
}

// Learned layer weights on labels without meaning: held-out theta is 0 on average.
func TestLearnedOnShuffledLabels(t *testing.T) {
	const runs = 40
	r := rand.New(rand.NewPCG(61, 1))
	var mean, sq float64
	for range runs {
		set := mem.Set{Name: "null", First: 1, Block: 5}
		for l := range 4 {
			x := geom.NewDense(200, 16)
			for i := range x.Data {
				x.Data[i] = r.NormFloat64() * float64(l+1)
			}
			set.Layers = append(set.Layers, x)
		}
		for i := range 200 {
			set.Label = append(set.Label, []string{"a", "b"}[i/100])
		}
		rn, err := newRunner(context.Background(), mem.New(set), quick())
		if err != nil {
			t.Fatal(err)
		}
		head, spread, err := rn.headline()
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := rn.learner(head.alpha, spread)
		if err != nil {
			t.Fatal(err)
		}
		lab := make([]int, len(l.cells))
		for i, c := range l.cells {
			lab[i] = c.label
		}
		x, ok := l.crossFit("softmax", lab, 5)
		if !ok {
			t.Fatal("no fold")
		}
		mean += x.Theta / runs
		sq += x.Theta * x.Theta / runs
	}
	se := math.Sqrt((sq - mean*mean) / (runs - 1))
	t.Logf("mean held-out theta %.5f, se %.5f", mean, se)
	if math.Abs(mean) > 2*se {
		t.Errorf("mean held-out theta %.5f, want within 2 se (%.5f) of 0", mean, se)
	}
}

// Learning finds the layer that separates and gains on equal weights.
func TestLearnedFindsLayer(t *testing.T) {
	set := layers3(0, .75, 0)
	set.Block = 5
	for _, m := range []string{"softmax", "sparsemax", "entmax15"} {
		r := run(t, mem.New(set), nil, func(o *Options) { o.Space.Pool = "learned:" + m; o.Indices = []string{"r2"} })
		th, un := estimate(t, r.Result, "aqi.learned."+m+".theta"), estimate(t, r.Result, "aqi.learned."+m+".uniform.theta")
		if th < 1.25*un || !hasWarning(r.Result, "learned-pool") {
			t.Errorf("%s: held-out theta %.4f, uniform %.4f; want a gain and warning learned-pool", m, th, un)
		}
		if p := estimate(t, r.Result, "aqi.learned."+m+".permuted.theta"); math.Abs(p) > th/2 {
			t.Errorf("%s: with permuted labels %.4f, want near 0 (learned %.4f)", m, p, th)
		}
		if w := estimate(t, r.Result, "aqi.learned."+m+".fold0.weight.2"); w < .6 {
			t.Errorf("%s: weight of layer 2 = %.3f, want most of it", m, w)
		}
	}
}

// The forms of the learner are those of the tables: any weights give the same
// theta, for every kind of unit.
func TestFormsEqualTables(t *testing.T) {
	for _, units := range []string{"", latent.UnitFamily, latent.UnitPair} {
		set := layers3(.5, .25, .1)
		set.Units, set.Block = units, 4
		for i := range 200 {
			switch units {
			case latent.UnitFamily:
				set.Unit = append(set.Unit, i/2)
			case latent.UnitPair:
				set.Unit = append(set.Unit, i%100)
			}
		}
		rn, err := newRunner(context.Background(), mem.New(set), quick())
		if err != nil {
			t.Fatal(err)
		}
		head, spread, err := rn.headline()
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := rn.learner(head.alpha, spread)
		if err != nil {
			t.Fatal(err)
		}
		lab := make([]int, len(l.cells))
		for i, c := range l.cells {
			lab[i] = c.label
		}
		f, _ := l.build(lab, func(int) bool { return true })
		p := []float64{.2, .5, .3}
		alpha := make([]float64, 3)
		for i := range p {
			alpha[i] = p[i] / spread[i]
		}
		tb, err := rn.q.tableOf("cells", alpha, post{name: "none"}, rn.q.d)
		if err != nil {
			t.Fatal(err)
		}
		s, err := tb.Separation()
		if err != nil {
			t.Fatal(err)
		}
		vectors.Near(t, units+" theta", f.theta(p), s.Theta, 1e-9)
	}
}

func TestTables(t *testing.T) {
	s, items := matched(60, 1.5, nil)
	r := run(t, s, items, nil)
	for _, c := range r.Curve {
		f := c.Fields()
		if len(f) != len(CurveHeader()) || f[0] != "resid_post.mean" || f[4] == "" {
			t.Fatalf("curve row %q", f)
		}
		if c.Index == "r2" && c.Post == "none" && (f[7] == "" || f[9] == "") {
			t.Errorf("row %q: no p or null in tier B", f)
		}
	}
	if f := r.Items[0].Fields(); len(f) != len(ItemHeader()) || f[2] == "" || f[3] == "" {
		t.Errorf("item %q", f)
	}
	if f := (CurveRow{Value: nil}).Fields(); f[4] != "" {
		t.Errorf("no value prints %q", f[4])
	}
}
