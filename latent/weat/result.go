package weat

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/probes"
	"assay/probes/assoc/perm"
)

// builder writes one probes.Result.
type builder struct {
	sc  Scores
	o   Options
	res probes.Result
}

func newBuilder(sc Scores, o Options) *builder {
	t := sc.Test
	b := &builder{sc: sc, o: o}
	b.res = probes.Result{
		Schema: probes.Schema, Test: "weat", Version: Version, Inputs: o.Inputs, Seed: o.Seed,
		Settings: map[string]any{
			"id": t.ID, "name": t.Name, "alt": t.Alt.String(), "rep": o.Rep, "variant": string(o.Variant),
			"alpha": o.Alpha, "level": o.Level, "perm": o.Perm, "boot": o.Boot, "sample": o.Sample, "compat": o.Compat, "adjust": o.Adjust,
			"X": setNames(t.X, "X"), "Y": setNames(t.Y, "Y"), "A": setNames(t.A, "A"), "B": setNames(t.B, "B"),
		},
		N:         map[string]int{"x": len(sc.X), "y": len(sc.Y), "a": len(sc.A), "b": len(sc.B), "lost": len(sc.Lost)},
		Estimates: []probes.Estimate{}, P: []probes.PValue{}, Warnings: []probes.Warning{},
	}
	if b.res.Inputs == nil {
		b.res.Inputs = []probes.Input{}
	}
	if sc.Contexts > 0 {
		b.res.N["contexts"] = sc.Contexts
	}
	for k, p := range t.Published {
		b.res.Settings["published_"+k] = fmt.Sprintf("d %s, p %s", p.D, p.P)
	}
	b.lossWarnings()
	return b
}

func setNames(s Set, letter string) string {
	if s.Name == "" {
		return letter
	}
	return s.Name
}

func (b *builder) warn(code, format string, args ...any) {
	b.res.Warnings = append(b.res.Warnings, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}

// lossWarnings name every lost and substituted word.
func (b *builder) lossWarnings() {
	for _, l := range letters {
		var lost []Lost
		for _, w := range b.sc.Lost {
			if w.Set == l {
				lost = append(lost, w)
			}
		}
		if len(lost) > 0 {
			b.warn("words-lost", "set %s lost %d: %s", l, len(lost), names(lost))
		}
	}
	if len(b.sc.Trimmed) > 0 {
		rows := make([]string, len(b.sc.Trimmed))
		for i, w := range b.sc.Trimmed {
			rows[i] = w.Set + ": " + w.Word
		}
		b.warn("words-cut", "left out at the end of the longer set, to make sizes equal: %s", strings.Join(rows, ", "))
	}
	if len(b.sc.Mapped) > 0 {
		var rows []string
		for _, m := range b.sc.Mapped {
			rows = append(rows, fmt.Sprintf("%s: %s read as %s (%s)", m.Set, m.Word, m.Used, m.How))
		}
		b.warn("words-mapped", "%s", strings.Join(rows, "; "))
	}
	if len(b.sc.Overlap) > 0 {
		b.warn("overlap", "in a target and an attribute set, so one cosine is 1 by construction: %s", strings.Join(b.sc.Overlap, ", "))
	}
	for _, n := range b.sc.Notes {
		b.warn(n.Code, "%s", n.Text)
	}
}

func (b *builder) add(name, unit string, v float64, method string) {
	e := probes.Estimate{Name: name, Unit: unit, Method: method}
	if finite(v) {
		e.Value = probes.Value(v)
	}
	b.res.Estimates = append(b.res.Estimates, e)
}

// undefined is the result of a test whose sets lost too many words.
func (b *builder) undefined(reason string) probes.Result {
	b.add("d", "sd of s", nan, reason)
	b.warn("undefined", "%s", reason)
	b.res.Verdict = probes.Verdict{
		Tier: probes.TierC, Finding: "undefined",
		Says:       "Nothing: " + reason + ".",
		DoesNotSay: doesNotSay,
	}
	return b.res
}

const doesNotSay = "It does not say that the model acts on this association, that a small d means no bias, that d compares across models, or that lists made in one country fit another."

func (b *builder) result(n numbers) probes.Result {
	b.sizes(n)
	b.intervals(n)
	b.tails(n)
	b.balance(n)
	b.verdict(n)
	return b.res
}

func (b *builder) sizes(n numbers) {
	e := n.targets
	b.add("d", "sd of s", e.D, "difference of means over the SD of all s, ddof 1")
	last := &b.res.Estimates[0]
	if finite(n.nct[0]) && finite(n.nct[1]) {
		last.CI = &probes.CI{Lo: n.nct[0], Hi: n.nct[1], Level: b.o.Level}
		last.Method += "; limits by noncentral t, normal s assumed"
	}
	b.add("d_population", "sd of s", e.DPop, "ddof 0")
	b.add("d_bound", "sd of s", e.DBound, "largest d these set sizes allow")
	b.add("d_pooled", "sd within sets", e.DPooled, "Cohen's d")
	b.add("r", "correlation", e.R, "point-biserial, s with the group")
	b.add("mean_diff", "cosine", e.MeanDiff, "")
	b.add("S", "cosine", e.S, "sum over X less sum over Y")
	b.add("auc", "share", e.AUC, "pairs with s(x) > s(y), ties half")
	b.add("d_attr", "sd of h", n.attrs.D, "the attribute side: h over A against B")
	b.add("z", "sd", e.Z, "d sqrt(nx ny / N)")
	b.add("single_x", "sd of h", n.singleX.D, "X alone against A and B; tail "+describe(n.singleX.Tail))
	b.add("single_y", "sd of h", n.singleY.D, "Y alone against A and B; tail "+describe(n.singleY.Tail))
	b.add("lost", "words", float64(len(b.sc.Lost)), "named in the warnings")
	if p := meanPieces(b.sc); p > 0 {
		b.add("pieces", "tokens/word", p, "mean over all words")
	}
	if math.Abs(e.D) > .95*e.DBound {
		b.warn("saturated", "d is %.4f of at most %.4f: no interval can be trusted", e.D, e.DBound)
	}
}

func meanPieces(sc Scores) float64 {
	all := slices.Concat(sc.X, sc.Y, sc.A, sc.B)
	n := 0
	for _, w := range all {
		n += w.Pieces
	}
	return float64(n) / float64(len(all))
}

func (b *builder) intervals(n numbers) {
	if n.boot.B > 0 {
		v := n.targets.D
		bca := probes.Estimate{Name: "d_bca", Unit: "sd of s", Method: fmt.Sprintf("BCa, words resampled within X and Y, %d resamples", n.boot.B)}
		perc := probes.Estimate{Name: "d_percentile", Unit: "sd of s", Method: "percentile of the same resamples; covers too little, never the headline"}
		if finite(v) {
			bca.Value, perc.Value = probes.Value(v), probes.Value(v)
		}
		if finite(n.boot.Lo) && finite(n.boot.Hi) {
			bca.CI = &probes.CI{Lo: n.boot.Lo, Hi: n.boot.Hi, Level: b.o.Level}
		}
		if finite(n.boot.PercentileLo) && finite(n.boot.PercHi) {
			perc.CI = &probes.CI{Lo: n.boot.PercentileLo, Hi: n.boot.PercHi, Level: b.o.Level}
		}
		b.res.Estimates = append(b.res.Estimates, bca, perc)
	}
	b.add("se_targets", "sd of s", n.inf.SETargets, "jackknife over X and Y")
	b.add("se_attributes", "sd of s", n.inf.SEAttributes, "jackknife over A and B")
	b.add("loo_min", "sd of s", n.inf.Min.D, fmt.Sprintf("without %s: %s", n.inf.Min.Set, n.inf.Min.Word))
	b.add("loo_max", "sd of s", n.inf.Max.D, fmt.Sprintf("without %s: %s", n.inf.Max.Set, n.inf.Max.Word))
	if len(n.inf.Decides) > 0 && !n.targets.Constant {
		var rows []string
		for _, l := range n.inf.Decides {
			rows = append(rows, fmt.Sprintf("%s: %s (d %.3f)", l.Set, l.Word, l.D))
		}
		b.warn("one-word-decides", "the sign or the side of alpha changes without %s", strings.Join(rows, ", "))
	}
	if s := b.sc.SDContexts; s != nil {
		b.add("d_sd_contexts", "sd of s", *s, "SD of d over single contexts")
	}
	if s := b.sc.SentenceTail; s != nil {
		b.add("tail_sentence_log10", "log10", *s, "normal tail with sentences as units; no p-value, it shrinks when sentences repeat")
	}
}

// describe gives the count behind a tail.
func describe(t perm.Tail) string {
	switch {
	case t.Method == perm.Bracket:
		return fmt.Sprintf("bracket: %.6g to %.6g of %v choices, grid of %d bits", t.Lo, t.Hi, t.Total, t.Bits)
	case t.Method == perm.Sample:
		return fmt.Sprintf("sample: %v hits in %v draws, 99 %% interval %.6g to %.6g", t.GE, t.Total, t.Lo, t.Hi)
	}
	s := fmt.Sprintf("%s: %v of %v", t.Method, t.GE, t.Total)
	if t.Nodes > 0 {
		s += fmt.Sprintf(", %d nodes", t.Nodes)
	}
	if t.Ties >= 0 {
		s += fmt.Sprintf(", %d tied within %.3g", t.Ties, t.Tol)
	}
	return s
}

func (b *builder) tails(n numbers) {
	b.add("tail_target_log10", "log10", n.target.Log10P, describe(n.target))
	b.add("tail_target_two_log10", "log10", n.two.Log10P, describe(n.two))
	b.add("tail_attr_log10", "log10", n.attr.Log10P, describe(n.attr))
	b.add("tail_normal_log10", "log10", n.targets.LogPNorm/math.Ln10, "upper normal tail of z; the published p-values are these, rounded up")
	b.add("p_floor", "probability", n.target.Floor(), "the smallest p-value these sizes allow")
	if b.o.Compat && n.target.Method.Exact() && n.target.Ties >= 0 {
		ge, _ := n.target.GE.Float64()
		total, _ := n.target.Total.Float64()
		b.add("p_strict", "probability", (ge-float64(n.target.Ties))/total, "ties not counted: 0 is possible, so this is no p-value")
	}
	if n.target.Floor() > b.o.Alpha {
		b.warn("underpowered", "even the most extreme choice has p %.4g, above alpha %g", n.target.Floor(), b.o.Alpha)
	}
	if t := n.target; t.Ties > 1 {
		b.warn("ties", "%d choices tie with the observed one", t.Ties)
	}
	if t := n.target; t.Method == perm.Sample && t.GE.Sign() == 0 {
		b.warn("mc-floor", "no draw reached the observed sum; p is the smallest that %v draws can give", t.Total)
	}
	if cut := math.Log10(b.o.Alpha); n.attr.Log10P > cut && n.target.Log10P <= cut {
		b.warn("attr-fragile", "relabelling attributes gives p %.4g: the association hangs on which attribute words were chosen", math.Pow(10, n.attr.Log10P))
	}
}

func (b *builder) balance(n numbers) {
	var fails []string
	for _, c := range n.balance {
		side := "targets"
		if !c.Targets {
			side = "attributes"
		}
		if c.Note != "" {
			b.warn("confounded", "%s of %s: %s, so balance was not checked", c.Name, side, c.Note)
			continue
		}
		b.add("balance_"+side+"_"+c.Name, "log10", c.Tail.Log10P, fmt.Sprintf("two-sided, d %.4f; %s; Holm %.4f", c.D, describe(c.Tail), c.Holm))
		if c.Fails {
			fails = append(fails, fmt.Sprintf("%s of %s (p %.4g)", c.Name, side, math.Pow(10, c.Holm)))
		}
		if c.Name == "pieces" && math.Abs(c.Gap) > .5 {
			b.warn("piece-imbalance", "mean pieces a word differ by %.2f between the %s", c.Gap, side)
		}
	}
	if len(fails) > 0 {
		b.warn("confounded", "the sets differ in more than meaning: %s", strings.Join(fails, ", "))
	}
	if a := n.adjusted; a != nil {
		b.add("adjusted_r", "correlation", a.R, "partial: s with the group given the failing covariates")
		b.add("adjusted_t_log10", "log10", a.LogP/math.Ln10, fmt.Sprintf("upper Student tail, t %.4f, df %d", a.T, a.DF))
		b.add("adjusted_tail_log10", "log10", a.Tail.Log10P, "Freedman-Lane, "+describe(a.Tail))
	}
	if n.adjustNote != "" {
		b.warn("confounded", "no adjusted effect: %s", n.adjustNote)
	}
	if m := b.sc.Matched; m != nil {
		b.add("matched_mean_d", "sd of s", m.MeanD, fmt.Sprintf("of random words with the same lengths and pieces, %d in the pool; SD %.4f: what these covariates alone make", m.Pool, m.SD))
		b.add("matched_tail_log10", "log10", m.Tail.Log10P, "random matched words whose d reaches the observed one, "+describe(m.Tail))
	}
}

// failing reports whether a covariate of one side fails or is unknown.
func failing(bal []Balance, targets bool) bool {
	return slices.ContainsFunc(bal, func(c Balance) bool { return c.Targets == targets && (c.Fails || c.Note != "") })
}

// robust reports whether d has one sign in all variants, and says what is missing.
func (b *builder) robust() bool {
	signs := map[bool]int{}
	for _, v := range Variants() {
		d, ok := b.o.D[v]
		if !ok || !finite(d) {
			b.warn("not-centred", "no d under %s: whether the sign survives centring was not looked at", v)
			return false
		}
		signs[d > 0]++
	}
	if len(signs) > 1 {
		b.warn("not-robust", "the sign changes between variants: raw %.4f, centred %.4f, abtt3 %.4f", b.o.D[Raw], b.o.D[Centred], b.o.D[ABTT3])
		return false
	}
	return true
}

func (b *builder) verdict(n numbers) {
	if b.sc.Contexts > 0 && b.sc.Contexts < 5 {
		b.warn("few-contexts", "%d contexts a word, want 5 or more", b.sc.Contexts)
	}
	robust := b.robust()
	unbalanced := failing(n.balance, true)
	v := &b.res.Verdict
	*v = probes.Verdict{Tier: probes.TierC, Finding: "descriptive", DoesNotSay: doesNotSay}
	v.Says = b.says(n.targets)
	switch {
	case n.targets.Constant:
		v.Finding = "undefined"
		v.Says = "Nothing: every word has the same score, so there is no effect to measure and p is 1."
	case !robust:
		v.Says += " No p-value holds: the sign was not shown to survive centring."
	case unbalanced && n.adjusted == nil:
		v.Says += " No p-value holds: the target sets differ in vector length, pieces or frequency, which may be the cause."
	default:
		v.Tier = probes.TierB
		b.pValues(n, unbalanced)
		v.Finding = "not-associated"
		if b.res.P[0].Log10P <= math.Log10(b.o.Alpha) {
			v.Finding = "associated"
		}
	}
}

func (b *builder) says(e Effect) string {
	t := b.sc.Test
	near, far := setNames(t.X, "X"), setNames(t.Y, "Y")
	if e.D < 0 {
		near, far = far, near
	}
	return fmt.Sprintf("Measured against %s, %s is nearer %s than %s is, by d = %.4f of at most %.4f, for these words and attributes.",
		setNames(t.B, "B"), near, setNames(t.A, "A"), far, math.Abs(e.D), e.DBound)
}

func (b *builder) pValues(n numbers, unbalanced bool) {
	p := func(name, null string, t perm.Tail) probes.PValue {
		v := probes.PValue{Name: name, Log10P: t.Log10P, Method: describe(t), Null: null}
		if x := t.P(); x > 0 {
			v.P = probes.Value(x)
		}
		return v
	}
	const targets = "given the scores, every choice of this many of the target words as X is equally likely"
	if unbalanced {
		b.res.P = append(b.res.P, p("adjusted", "given the failing covariates, the scores are exchangeable between X and Y", n.adjusted.Tail))
		return
	}
	b.res.P = append(b.res.P, p("target", targets+"; "+b.sc.Test.Alt.String(), n.target), p("target_two", targets+"; two-sided", n.two))
	if failing(n.balance, false) {
		return // p of the attributes and of both would carry the confounder
	}
	attr := p("attr", "given the scores, every choice of this many of the attribute words as A is equally likely; "+b.sc.Test.Alt.String(), n.attr)
	both := b.res.P[0]
	if n.attr.Log10P > n.target.Log10P {
		both = attr
	}
	both.Name, both.Null = "both", "targets or attributes are exchangeable: the larger of target and attr"
	b.res.P = append(b.res.P, attr, both)
}

// Row is one word of a test, for the row table.
type Row struct {
	Set, Word, Used string
	Score           float64 // s for targets, h for attributes; NaN if lost
	LogNorm         float64
	Pieces          int
	Status, Reason  string // ok or undefined, and why
}

// RowTable lists every word of a test in the order of its sets, lost ones too.
func (sc Scores) RowTable() []Row {
	var out []Row
	for k, s := range sc.Test.sets() {
		scored := [][]Scored{sc.X, sc.Y, sc.A, sc.B}[k]
		i := 0
		for _, w := range s.Words {
			if i < len(scored) && scored[i].Word == w {
				c := scored[i]
				out = append(out, Row{Set: letters[k], Word: w, Used: c.Used, Score: c.S, LogNorm: c.LogNorm, Pieces: c.Pieces, Status: "ok"})
				i++
				continue
			}
			row := Row{Set: letters[k], Word: w, Score: nan, LogNorm: nan, Status: "undefined"}
			for _, l := range slices.Concat(sc.Lost, sc.Trimmed) {
				if l.Set == letters[k] && l.Word == w {
					row.Reason = string(l.Why)
				}
			}
			out = append(out, row)
		}
	}
	return out
}
