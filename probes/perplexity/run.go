package perplexity

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// figure is one denominator and what is printed for it.
type figure struct {
	size  func(*Unit) float64
	token bool // depends on the tokenizer
	forms []form
}

type form struct {
	name, unit string
	of         func(nats float64) float64
}

func perplexityOf(x float64) float64 { return math.Exp(x) }
func bits(x float64) float64         { return x / math.Ln2 }
func plain(x float64) float64        { return x }
func log10(x float64) float64        { return x / math.Ln10 }

// cost and size of one unit in tokens: plain sums, or the documented loop's.
func (j *job) nats(u *Unit) float64 {
	if j.loop() {
		return u.Loop.Nats
	}
	return u.Nats
}

func (j *job) tokens(u *Unit) float64 {
	if j.loop() {
		return u.Loop.Weight
	}
	return u.Tokens
}

func (j *job) figures() []figure {
	cover := j.o.Cover
	bytes := func(u *Unit) float64 { return u.Bytes }
	if cover == "scored" {
		bytes = func(u *Unit) float64 { return u.Covered }
	}
	fs := []figure{
		{j.tokens, true, []form{
			{"nll_token", "nats/token", plain}, {"ppl_token", "1", perplexityOf}, {"log10_ppl_token", "1", log10}, {"bpt", "bits/token", bits}}},
		{bytes, false, []form{{"ppl_byte", "1", perplexityOf}, {"bpb", "bits/byte", bits}}},
	}
	if cover != "scored" {
		fs = append(fs,
			figure{func(u *Unit) float64 { return u.Words }, false, []form{{"ppl_word", "1", perplexityOf}, {"log10_ppl_word", "1", log10}}},
			figure{func(u *Unit) float64 { return u.Pieces }, false, []form{{"ppl_word_lmeval", "1", perplexityOf}}},
			figure{func(u *Unit) float64 { return u.Chars }, false, []form{{"bpc", "bits/char", bits}}})
	}
	return fs
}

// Row is one document of the row table; nil = undefined (nothing scored, no bytes of
// ids, or a perplexity beyond float64).
type Row struct {
	ID       string   `json:"doc_id"`
	Group    string   `json:"group,omitempty"`
	Status   string   `json:"status"`
	Tokens   float64  `json:"tokens_scored"`
	Bytes    *float64 `json:"bytes"`
	NLLToken *float64 `json:"nll_token"` // nats
	PPLToken *float64 `json:"ppl_token"`
	BPB      *float64 `json:"bpb"`
	Greedy   *float64 `json:"greedy"` // share
}

// Rows returns every document in input order, also those that were not scored.
func Rows(units []Unit) []Row {
	out := make([]Row, len(units))
	for i, u := range units {
		nll := u.Nats / u.Tokens // 0/0 is NaN: undefined
		bpb := u.Nats / (u.Bytes * math.Ln2)
		if u.Tokens == 0 {
			bpb = math.NaN()
		}
		out[i] = Row{
			ID: u.ID, Group: u.Group, Status: u.Status, Tokens: u.Tokens, Bytes: defined(u.Bytes),
			NLLToken: defined(nll), PPLToken: defined(math.Exp(nll)), BPB: defined(bpb), Greedy: defined(float64(u.Greedy) / u.Tokens),
		}
	}
	return out
}

func defined(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// job is a run under way.
type job struct {
	s     Sample
	o     Options
	use   pool // scored
	sums  totals
	of    []int32
	n     int
	docs  int // scored or not
	what  string
	lone  []Block // blocks of a lone document
	where string
	res   probes.Result
}

// Run aggregates a sample. Documents that were not scored are counted, never summed.
func Run(s Sample, o Options) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	j := &job{s: s, o: o.withDefaults(), where: s.where()}
	if s.packed != nil && (j.o.By == "group" || j.o.CI == Percentile || j.o.CI == BCa) {
		return probes.Result{}, fault.Usagef("perplexity: a sample read lean has no groups and no bootstrap")
	}
	if err := j.load(); err != nil {
		return probes.Result{}, err
	}
	j.headline()
	j.spread()
	j.tokenErrors()
	switch j.o.By {
	case "group":
		j.byGroup()
	case "ctx":
		if err := j.byContext(); err != nil {
			return probes.Result{}, err
		}
	}
	j.finish()
	return j.res, nil
}

func (j *job) warn(code, format string, args ...any) {
	j.res.Warnings = append(j.res.Warnings, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}

func (j *job) add(name string, v float64, unit string, ci *probes.CI, method string) {
	if j.o.Pseudo {
		name = "pseudo_" + name
	}
	e := probes.Estimate{Name: name, Unit: unit, CI: ci, Method: method}
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		e.Value = probes.Value(v)
	}
	if ci != nil && (math.IsInf(ci.Hi, 0) || math.IsNaN(ci.Lo)) {
		e.CI = nil
	}
	j.res.Estimates = append(j.res.Estimates, e)
}

func (j *job) load() error {
	status, docs := make(map[string]int), len(j.s.Units)
	if p := j.s.packed; p != nil {
		j.use, j.sums, status, docs = pool{packed: p}, p.sums, p.status, p.docs
	} else if err := j.pick(status); err != nil {
		return err
	}
	if j.use.len() == 0 {
		return fault.Inputf("empty", "perplexity: found no scored token in %d documents (%s), want at least one", docs, words(status)).
			Hint("use policy full for short texts")
	}
	j.docs = docs
	if d := docs - j.use.len(); d > 0 {
		j.warn("docs-unscored", "%d of %d documents have no score (%s) and are in no sum", d, docs, words(status))
	}
	dup := 0
	if j.what = "documents"; j.s.packed != nil { // every document its own unit
		j.n = j.use.len()
	} else {
		j.of, j.n, dup = clusters(j.use.units)
	}
	for i := range j.use.units {
		if j.use.units[i].Group != "" {
			j.what = "groups"
		}
	}
	if dup > 0 {
		j.warn("duplicate-text", "%d documents repeat another's text; equal texts are one unit of resampling", dup)
	}
	if j.n == 1 {
		j.lone = blocks(j.s.Blocks)
		if j.use.len() > 1 {
			j.lone = nil
		}
		j.warn("one-document", "one unit of text: intervals show how the cost varies within this text only")
		if len(j.lone) < fewestBlocks {
			j.warn("too-few-blocks", "%d blocks of windows, want at least %d: no interval", len(j.lone), fewestBlocks)
		}
	}
	j.coverage()
	return nil
}

// pick takes the scored units, counts the others by status and adds up.
func (j *job) pick(status map[string]int) error {
	used := 0
	for i := range j.s.Units {
		u := &j.s.Units[i]
		status[u.Status]++
		if v := u.Nats + u.Tokens; math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.Inputf("nonfinite", "perplexity: document %q: found %v nats and %v tokens, want finite numbers", u.ID, u.Nats, u.Tokens)
		}
		if scored(u) {
			used++
		}
	}
	if j.use.units = j.s.Units; used < len(j.s.Units) {
		j.use.units = make([]Unit, 0, used)
		for i := range j.s.Units {
			if scored(&j.s.Units[i]) {
				j.use.units = append(j.use.units, j.s.Units[i])
			}
		}
	}
	for i := range j.use.units {
		j.sums.add(&j.use.units[i])
	}
	return nil
}

// loop: the documented transformers loop has its own average and no other units.
func (j *job) loop() bool { return j.s.Policy.Name == "hf-stride-doc" }

func (j *job) half() bool { return strings.HasPrefix(j.s.Policy.Name, "llamacpp") }

func (j *job) coverage() {
	t, n := &j.sums, j.use.len()
	if t.partial > 0 && t.all > 0 {
		j.warn("partial-coverage", "%d of %d documents have more than 1 %% of their tokens unscored (%.1f %% overall): word and byte figures are lower bounds", t.partial, n, 100*(1-t.tokens/t.all))
	}
	if float64(t.tiny) > .1*float64(n) {
		j.warn("short-document", "%d of %d documents have fewer than 16 tokens", t.tiny, n)
	}
	switch j.s.Policy.Name {
	case "full", "hf-stride", "hf-stride-doc", "mimir", "gptq", "oren":
		if len(j.s.Policy.PrefixIDs) > 0 && t.many && !j.s.Policy.EachWindow {
			j.warn("bos-first-window-only", "the prefix ids stand before the first window only, as the named tools do")
		}
	}
}

func words(m map[string]int) string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var out []string
	for _, k := range keys {
		name := k
		if name == "" {
			name = "ok"
		}
		out = append(out, fmt.Sprintf("%s %d", name, m[k]))
	}
	return strings.Join(out, ", ")
}

// headline adds the micro figures: total cost over total size.
func (j *job) headline() {
	var missing []string
	for _, f := range j.figures() {
		if !f.token && (j.loop() || j.half() && j.o.Cover != "scored") {
			continue
		}
		theta, ci, method := j.figure(j.nats, f.size)
		if !f.token && (math.IsNaN(theta) || math.IsInf(theta, 0)) {
			missing = append(missing, f.forms[0].name)
		}
		if f.token {
			method = join(method, j.where)
		}
		for _, fm := range f.forms {
			var c *probes.CI
			if ci != nil {
				c = &probes.CI{Lo: fm.of(ci.Lo), Hi: fm.of(ci.Hi), Level: ci.Level}
			}
			j.add(fm.name, fm.of(theta), fm.unit, c, method)
		}
	}
	if len(missing) > 0 {
		j.warn("unit-undefined", "%s: the texts were given as ids, or have none of that unit", strings.Join(missing, ", "))
	}
	j.add("greedy", j.sums.greedy/j.sums.tokens, "share", nil, "scored tokens that the model ranks first")
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// figure returns sum a / sum u with limits. A lone document resamples its blocks of
// windows; sizes other than tokens keep their ratio to tokens.
func (j *job) figure(a, u func(*Unit) float64) (theta float64, ci *probes.CI, method string) {
	r := gather(&j.use, j.of, j.n, a, u, j.what)
	if j.n > 1 || len(j.lone) < 2 {
		theta, _, ci, method = r.interval(j.o)
		return theta, ci, method
	}
	theta = r.a[0] / r.u[0]
	b := ratio{what: "blocks"}
	for _, x := range j.lone {
		b.a = append(b.a, x.Nats)
		b.u = append(b.u, x.Tokens)
	}
	b.scale = theta / (stat.Sum(b.a) / stat.Sum(b.u))
	_, _, ci, method = b.interval(j.o)
	return theta, ci, method
}

// spread adds the figures over documents: macro, geometric, quantiles.
func (j *job) spread() {
	if j.use.len() < 2 {
		return
	}
	per := make([]float64, 0, j.use.len())
	macro := 0.0
	for i := range j.use.len() {
		u := j.use.at(i)
		if t := j.tokens(u); t > 0 { // a loop's weight can be 0
			per = append(per, j.nats(u)/t)
			macro += math.Exp(j.nats(u) / t)
		}
	}
	d := float64(len(per))
	j.add("macro_ppl", macro/d, "1", nil, fmt.Sprintf("mean over %d documents of their ppl_token; %s", len(per), j.where))
	j.add("geometric_ppl", math.Exp(stat.Sum(per)/d), "1", nil, fmt.Sprintf("exp of the mean over %d documents of their nll_token; %s", len(per), j.where))
	slices.Sort(per)
	for _, q := range []float64{.05, .25, .5, .75, .95} {
		j.add(fmt.Sprintf("nll_token_q%02.0f", 100*q), stat.Quantile(per, q), "nats/token", nil, "quantile over documents, type 7; "+j.where)
	}
}

// LlamaError returns what llama-perplexity prints behind "+/-": it treats tokens as
// independent. nats and squares are the sums of x and x^2 over n tokens, x = -logprob.
func LlamaError(nats, squares, n float64) float64 {
	m := nats / n
	return math.Exp(m) * math.Sqrt((squares/n-m*m)/(n-1))
}

// tokenErrors shows how far off a token-wise error bar would be.
func (j *job) tokenErrors() {
	if j.loop() {
		return
	}
	a, sq, t := j.sums.nats, j.sums.squares, j.sums.tokens
	naive := LlamaError(a, sq, t)
	j.add("se_llamacpp", naive, "1", nil, "of ppl_token, tokens taken as independent (what llama-perplexity prints); "+j.where)
	se := math.NaN()
	if j.n > 1 {
		_, se, _, _ = gather(&j.use, j.of, j.n, j.nats, j.tokens, j.what).interval(Options{CI: None})
	} else if len(j.lone) >= fewestBlocks {
		var x, u []float64
		for _, b := range j.lone {
			x, u = append(x, b.Nats), append(u, b.Tokens)
		}
		_, se = stat.JackknifeRatio(x, u)
	}
	deff := math.Pow(se/(naive/math.Exp(a/t)), 2)
	if math.IsNaN(deff) || deff <= 0 {
		return
	}
	j.add("design_effect", deff, "1", nil, "variance of nll_token by whole units over that by independent tokens")
	j.add("effective_tokens", t/deff, "tokens", nil, fmt.Sprintf("%.0f scored tokens over the design effect", t))
}

func (j *job) byGroup() {
	order, by := []string{}, make(map[string][]Unit)
	for _, u := range j.use.units {
		if _, ok := by[u.Group]; !ok {
			order = append(order, u.Group)
		}
		by[u.Group] = append(by[u.Group], u)
	}
	slices.Sort(order)
	macro := 0.0
	for _, g := range order {
		sub := &job{s: j.s, o: j.o, use: pool{units: by[g]}, what: "documents", where: j.where}
		for i := range sub.use.units {
			sub.use.units[i].Group = "" // inside a group the document is the unit
		}
		sub.of, sub.n, _ = clusters(sub.use.units)
		theta, ci, method := sub.figure(j.nats, j.tokens)
		name := g
		if name == "" {
			name = "none"
		}
		j.add("nll_token["+name+"]", theta, "nats/token", ci, join(method, j.where))
		macro += theta / float64(len(order))
	}
	j.add("nll_token_macro_group", macro, "nats/token", nil, fmt.Sprintf("mean over %d groups of the micro figure; %s", len(order), j.where))
}

func (j *job) byContext() error {
	if j.s.Bins == nil {
		return fault.Inputf("columns", "perplexity: by ctx: found no token rows, want the token table").Hint("score with --per token")
	}
	for _, b := range j.s.Bins {
		j.add(fmt.Sprintf("nll_token[ctx %d-%d]", b.Lo, b.Hi-1), b.Nats/b.Tokens, "nats/token", nil, fmt.Sprintf("%.0f tokens; %s", b.Tokens, j.where))
	}
	return nil
}

func (j *job) finish() {
	r, s := &j.res, j.s
	t := &j.sums
	r.Schema, r.Test, r.Version, r.Inputs, r.Seed = probes.Schema, "perplexity", 1, append([]probes.Input{}, j.o.Inputs...), j.o.Seed
	r.N = map[string]int{
		"documents": j.docs, "documents_undefined": j.docs - j.use.len(), "units": j.n,
		"tokens_scored": int(t.tokens), "tokens_total": int(t.all), "bytes": int(t.bytes), "windows": int(t.windows),
	}
	r.Settings = settings(s, j.o)
	r.P = []probes.PValue{}
	r.Verdict = probes.Verdict{
		Tier: probes.TierC, Finding: "measured",
		Says:       "mean cost of these texts under this checkpoint and this window rule (" + j.where + ")",
		DoesNotSay: "nothing about training data; do not compare token perplexities across tokenizers",
	}
	if j.o.Pseudo {
		j.warn("pseudo", "masked-model scores: their product is not a probability of the text, so they compare only with other pseudo-perplexities")
	}
	r.Warnings = append(r.Warnings, j.o.Extra...)
	if r.Warnings == nil {
		r.Warnings = []probes.Warning{}
	}
}

func settings(s Sample, o Options) map[string]any {
	p := s.Policy
	prefix := p.PrefixIDs
	if prefix == nil {
		prefix = []int32{}
	}
	m := map[string]any{
		"policy": p.Name, "window": p.Window, "stride": p.Stride, "context": p.Context, "bos": p.BOS, "prefix_ids": prefix,
		"bos_each_window": p.EachWindow, "max_tokens": p.MaxTokens, "seam": p.Seam,
		"tokenizer": s.Tokenizer, "weights": s.Weights, "text": s.Text, "run": s.Run,
		"ci": o.CI, "level": o.Level, "by": o.By, "cover": o.Cover, "replicates": o.B, "pseudo": o.Pseudo,
	}
	if p.MaskID != nil {
		m["mask_id"], m["suffix_ids"] = *p.MaskID, append([]int32{}, p.SuffixIDs...)
	}
	return m
}
