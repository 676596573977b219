package aqi

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/latent/geom"
	"assay/latent/internal/logit"
	"assay/probes/stat"
)

// Check is one condition of tier B with the value it was judged by.
type Check struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Limit string  `json:"limit"`
	Pass  bool    `json:"pass"`
}

// controls are what else could explain a separation.
type controls struct {
	length, bytes float64 // AUROC of the second label; .5 = no help; worst pair of labels
	words         *logit.CV
	source        float64 // NaN = no source known
	hasSource     bool
	crossDup      int // texts under two labels
	dupTexts      int // texts under more than one unit
	outliers      int // rows more than 6 MAD from the median norm in some pooled layer
	trimmed       float64
	shares        []float64
	leaveTopic    *logit.CV
	leaveSource   *logit.CV
}

func (r *runner) controls(head entry) (*controls, error) {
	q := r.q
	docs, err := q.s.Docs()
	if err != nil {
		return nil, err
	}
	use, labels := q.d.Use(nil)
	k := len(q.d.Groups)
	c := &controls{source: math.NaN(), trimmed: math.NaN()}
	c.shares = make([]float64, k)
	span, bytes := make([]float64, len(use)), make([]float64, len(use))
	for i, d := range use {
		c.shares[labels[i]] += 1 / float64(len(use))
		span[i], bytes[i] = float64(docs.Span[d]), float64(docs.Bytes[d])
	}
	if c.length, err = worstAUC(span, labels, k); err != nil {
		return nil, err
	}
	if c.bytes, err = worstAUC(bytes, labels, k); err != nil {
		return nil, err
	}
	c.texts(docs.TextSHA, use, labels, q)
	if err := r.items(c, use, labels); err != nil {
		return nil, err
	}
	return c, r.outliers(c, head)
}

// worstAUC is the AUROC farthest from .5 over pairs of labels, the later label
// counted as positive.
func worstAUC(v []float64, labels []int, k int) (float64, error) {
	worst := .5
	for i := range k {
		for j := i + 1; j < k; j++ {
			var neg, pos []float64
			for x, l := range labels {
				switch l {
				case i:
					neg = append(neg, v[x])
				case j:
					pos = append(pos, v[x])
				}
			}
			a, _, err := stat.AUC(pos, neg)
			if err != nil {
				return 0, err
			}
			if math.Abs(a-.5) > math.Abs(worst-.5) {
				worst = a
			}
		}
	}
	return worst, nil
}

// texts counts equal texts across labels and across units.
func (c *controls) texts(sha [][8]byte, use, labels []int, q *source) {
	type seen struct {
		label, unit int
		cross, dup  bool
	}
	at := map[[8]byte]*seen{}
	for i, d := range use {
		if d >= len(sha) {
			return
		}
		s := at[sha[d]]
		if s == nil {
			at[sha[d]] = &seen{label: labels[i], unit: q.unitKey(d)}
			continue
		}
		s.cross = s.cross || s.label != labels[i]
		s.dup = s.dup || s.unit != q.unitKey(d)
	}
	for _, s := range at {
		if s.cross {
			c.crossDup++
		}
		if s.dup {
			c.dupTexts++
		}
	}
}

// items runs the controls that need texts or sources.
func (r *runner) items(c *controls, use, labels []int) error {
	if len(r.o.Side.Items) == 0 || len(r.q.d.Groups) != 2 {
		return nil
	}
	docs, err := r.q.s.Docs()
	if err != nil {
		return err
	}
	byID := map[string]Item{}
	for _, it := range r.o.Side.Items {
		byID[it.ID] = it
	}
	texts, sources := make([]string, len(use)), make([]string, len(use))
	known := 0
	for i, d := range use {
		it, ok := byID[docs.ID[d]]
		if !ok {
			return fault.Inputf("bad-items", "aqi: items: no row with id %q, want one for every document of the states", docs.ID[d])
		}
		texts[i], sources[i] = it.Text, it.Source
		if it.Source != "" {
			known++
		}
	}
	outer := r.folds(use, labels, "words")
	unit := make([]int, len(use))
	for i, d := range use {
		unit[i] = r.q.unitKey(d)
	}
	if !slices.Contains(texts, "") {
		cv, err := r.words(texts, labels, outer, unit)
		if err != nil {
			return err
		}
		c.words = &cv
	}
	if known > 0 {
		c.hasSource = true
		cv, err := sourceAUROC(sources, labels, outer, unit)
		if err != nil {
			return err
		}
		c.source = cv.AUROC
	}
	return nil
}

var word = regexp.MustCompile(`[\p{L}\p{Nd}_]{2,}`)

// words is the bag-of-words probe: ln(1+count) of lower-case words that stand in
// at least 5 % of the training texts, L2 logistic regression with penalty 1 on
// the sum of losses, held-out AUROC. Its vocabulary comes from training folds.
func (r *runner) words(texts []string, labels, outer, unit []int) (logit.CV, error) {
	count := make([]map[string]int, len(texts))
	for i, t := range texts {
		count[i] = map[string]int{}
		for _, w := range word.FindAllString(strings.ToLower(t), -1) {
			count[i][w]++
		}
	}
	score := make([]float64, len(texts))
	for f := range slices.Max(outer) + 1 {
		df, train := map[string]int{}, 0
		for i := range texts {
			if outer[i] != f {
				train++
				for w := range count[i] {
					df[w]++
				}
			}
		}
		var vocab []string
		for w, n := range df {
			if float64(n) >= .05*float64(train) {
				vocab = append(vocab, w)
			}
		}
		slices.Sort(vocab)
		if len(vocab) == 0 || train == 0 {
			continue
		}
		x := geom.NewDense(len(texts), len(vocab))
		for i := range texts {
			for j, w := range vocab {
				x.Row(i)[j] = math.Log1p(float64(count[i][w]))
			}
		}
		// Only fold f is scored: every other row is training.
		two := make([]int, len(texts))
		for i := range two {
			two[i] = 1
			if outer[i] == f {
				two[i] = 0
			}
		}
		s, err := logit.ScoreFold(x, labels, two, 1/float64(train), r.q.workers)
		if err != nil {
			return logit.CV{}, err
		}
		for i := range texts {
			if outer[i] == f {
				score[i] = s[i]
			}
		}
	}
	return logit.Rank(score, labels, outer, unit)
}

// sourceAUROC scores each row by the share of the second label among training
// rows of the same source, (n1 + 1/2)/(n + 1).
func sourceAUROC(sources []string, labels, outer, unit []int) (logit.CV, error) {
	score := make([]float64, len(sources))
	for f := range slices.Max(outer) + 1 {
		n, one := map[string]float64{}, map[string]float64{}
		for i, s := range sources {
			if outer[i] != f {
				n[s]++
				one[s] += float64(labels[i])
			}
		}
		for i, s := range sources {
			if outer[i] == f {
				score[i] = (one[s] + .5) / (n[s] + 1)
			}
		}
	}
	return logit.Rank(score, labels, outer, unit)
}

// outliers counts rows whose norm in some pooled layer is more than 6 median
// absolute deviations from the median, and computes the headline without them.
func (r *runner) outliers(c *controls, head entry) error {
	q := r.q
	sq, err := q.s.SqNorm(q.view)
	if err != nil || sq == nil {
		return err
	}
	use, _ := q.d.Use(nil)
	k := len(q.v.Layers)
	out := map[int]bool{}
	for l, a := range head.alpha {
		if a == 0 {
			continue
		}
		v := make([]float64, len(use))
		for i, d := range use {
			v[i] = math.Sqrt(float64(sq[d*k+l]))
		}
		med := geom.Median(v)
		dev := make([]float64, len(v))
		for i := range v {
			dev[i] = math.Abs(v[i] - med)
		}
		mad := geom.Median(dev)
		for i, d := range use {
			if mad > 0 && dev[i] > 6*mad {
				out[d] = true
			}
		}
	}
	c.outliers = len(out)
	sample := !q.kept
	if len(out) == 0 || sample && q.sampled == nil || r.post.name == "zscore" {
		return nil
	}
	rs, err := q.space(head.alpha, r.post, sample)
	if err != nil {
		return err
	}
	var keep, docs []int
	for i := range rs.x.Len() {
		d := i
		if rs.docs != nil {
			d = rs.docs[i]
		}
		if !out[d] {
			keep, docs = append(keep, i), append(docs, d)
		}
	}
	t, err := q.d.RowTable(geom.Subset(rs.x, keep), docs, q.workers)
	if err != nil {
		return err
	}
	if t.Form == geom.Pairs { // a pair with one outlier has lost a side
		return nil
	}
	s, err := t.Separation()
	if err != nil {
		return nil // too few rows left: stays undefined
	}
	c.trimmed = s.R2
	return nil
}

// leaveOut cross-validates the probe of the headline vector with whole topics or
// sources held out; nil where there are fewer than two.
func (r *runner) leaveOut(c *controls, head entry) error {
	q := r.q
	if len(q.d.Groups) != 2 || !r.o.wants("probe") {
		return nil
	}
	_, nrows := q.d.Counts()
	sample := !q.kept || nrows[0]+nrows[1] > maxDense
	if sample && q.sampled == nil {
		return nil
	}
	rs, err := q.space(head.alpha, r.post, sample)
	if err != nil {
		return err
	}
	x, docs, labels := rs.only(q.d)
	all, err := q.s.Docs()
	if err != nil {
		return err
	}
	inner := r.folds(docs, labels, "inner")
	run := func(name func(doc int) string) (*logit.CV, error) {
		fold, n := numberAll(docs, name)
		if n < 2 || n > 64 {
			return nil, nil
		}
		// Units may span topics (a family need not): every row is its own unit here.
		unit := make([]int, len(docs))
		for i := range unit {
			unit[i] = i
		}
		cv, err := logit.CrossValidate(r.ctx, x, labels, fold, inner, unit, logit.Options{Workers: q.workers})
		if fault.As(err) != nil && fault.As(err).Code == "too-few-units" {
			return nil, nil // no topic holds both labels
		}
		if err != nil {
			return nil, err
		}
		return &cv, nil
	}
	if q.d.Stratified() {
		if c.leaveTopic, err = run(func(d int) string { _, s, _ := q.d.Of(d); return q.d.Strata[s] }); err != nil {
			return err
		}
	}
	if c.hasSource {
		src := map[string]string{}
		for _, it := range r.o.Side.Items {
			src[it.ID] = it.Source
		}
		c.leaveSource, err = run(func(d int) string { return src[all.ID[d]] })
	}
	return err
}

func numberAll(docs []int, name func(int) string) (fold []int, n int) {
	at := map[string]int{}
	fold = make([]int, len(docs))
	for i, d := range docs {
		s := name(d)
		f, ok := at[s]
		if !ok {
			f = len(at)
			at[s] = f
		}
		fold[i] = f
	}
	return fold, len(at)
}
