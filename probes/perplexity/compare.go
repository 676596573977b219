package perplexity

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/stat"
)

const nullCompare = "on documents like these the two checkpoints need the same number of bits"

// Compare puts checkpoint b against checkpoint a on the same documents:
// Delta = sum(a_b - a_a)/sum u, jackknife error over whole units, Student's t
// with one degree of freedom less than units, and sign flips of the
// documents' differences. With different tokenizers only byte and word figures
// are given. The p-values stand (tier B) with at least 20 units, no lag-1 correlation of
// the differences in file order and no duplicate text; else they are left out.
func Compare(a, b Sample, o Options) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	o = o.withDefaults()
	if (a.Policy.Name == window.Masked) != (b.Policy.Name == window.Masked) {
		return probes.Result{}, fault.Inputf("policy", "perplexity: policies %s and %s: masked-model scores compare only with other masked-model scores", a.Policy.Name, b.Policy.Name)
	}
	ua, ub, err := pair(a.Units, b.Units)
	if err != nil {
		return probes.Result{}, err
	}
	j := &job{s: a, o: o, use: pool{units: ua}, where: a.where()}
	dup := 0
	j.of, j.n, dup = clusters(ua)
	if dup > 0 {
		j.warn("duplicate-text", "%d documents repeat another's text; equal texts are one unit", dup)
	}
	if n := len(a.Units) - len(ua); n > 0 {
		j.warn("docs-unscored", "%d of %d documents are not scored by both", n, len(a.Units))
	}
	diff := make([]float64, j.n)
	for i := range ua {
		diff[j.of[i]] += ub[i].Nats - ua[i].Nats
	}
	same := a.Tokenizer == b.Tokenizer
	t := j.deltas(ua, diff, same, b.where())
	tier := probes.TierC
	independent := true
	r1 := autocorrelation(diff)
	limit := 2 / math.Sqrt(float64(len(diff)))
	if !(math.Abs(r1) < limit) {
		independent = false
		j.warn("dependent", "differences of neighbouring documents correlate (%.3f, limit %.3f): no p-value", r1, limit)
	}
	policy := policyDiff(a, b)
	if policy != "" {
		j.warn("policy-differs", "the two traces were scored under different rules: %s", policy)
	}
	if j.n < 20 {
		j.warn("underpowered", "%d units, want at least 20 for a p-value", j.n)
	}
	if j.n >= 20 && independent && dup == 0 && policy == "" {
		tier = probes.TierB
		_, two := stat.LogTailStudentT(t, float64(j.n-1))
		flip, exact := stat.SignFlip(diff, stat.Perm{B: o.B, Seed: o.Seed, Stream: "perplexity-flip", TwoSided: true})
		how := "all sign flips"
		if !exact {
			how = fmt.Sprintf("%d random sign flips", o.B)
			if flip <= -math.Log(float64(o.B+1))+1e-12 {
				j.warn("mc-floor", "sign_flip is at its Monte Carlo floor of %.1g", 1/float64(o.B+1))
			}
		}
		j.res.P = append(j.res.P, pvalue("t_paired", two, fmt.Sprintf("two-sided, jackknife error, %d df", j.n-1)),
			pvalue("sign_flip", flip, how+" of the units' differences, two-sided"))
	}
	r := &j.res
	if r.P == nil {
		r.P = []probes.PValue{}
	}
	r.Schema, r.Test, r.Version, r.Inputs, r.Seed = probes.Schema, "perplexity.vs", 1, append([]probes.Input{}, o.Inputs...), o.Seed
	r.N = map[string]int{"documents": len(a.Units), "documents_used": len(ua), "units": j.n}
	r.Settings = settings(a, o)
	r.Settings["b"] = settings(b, o)
	r.Settings["checks"] = []map[string]any{
		{"name": "indep", "value": num(r1), "limit": num(limit), "pass": independent},
		{"name": "no-duplicate-text", "pass": dup == 0}, {"name": "same-policy", "pass": policy == ""},
	}
	r.Verdict = verdict(tier, r)
	r.Warnings = append(r.Warnings, o.Extra...)
	if r.Warnings == nil {
		r.Warnings = []probes.Warning{}
	}
	return *r, nil
}

// pair matches documents by id and text; both must hold the same set.
func pair(a, b []Unit) (ua, ub []Unit, err error) {
	other := make(map[string]Unit, len(b))
	for _, u := range b {
		other[u.ID] = u
	}
	for _, u := range a {
		v, ok := other[u.ID]
		if !ok {
			return nil, nil, fault.Inputf("texts", "perplexity: document %q: found in the first trace only, want the same documents", u.ID)
		}
		if u.SHA256 != v.SHA256 {
			return nil, nil, fault.Inputf("texts", "perplexity: document %q: found sha256 %x and %x, want the same text", u.ID, u.SHA256[:6], v.SHA256[:6])
		}
		delete(other, u.ID)
		if scored(&u) && scored(&v) {
			ua, ub = append(ua, u), append(ub, v)
		}
	}
	for _, u := range b { // the first in file order
		if _, left := other[u.ID]; left {
			return nil, nil, fault.Inputf("texts", "perplexity: document %q: found in the second trace only, want the same documents", u.ID)
		}
	}
	if len(ua) == 0 {
		return nil, nil, fault.Inputf("empty", "perplexity: found no document scored by both traces")
	}
	return ua, ub, nil
}

func scored(u *Unit) bool { return (u.Status == trace.StatusOK || u.Status == "") && u.Tokens > 0 }

// deltas adds the differences per unit and returns the t statistic, which is the
// same for every unit up to rounding only when sizes are proportional: that of bytes,
// else tokens, is used.
func (j *job) deltas(ua []Unit, diff []float64, same bool, whereB string) (t float64) {
	t = math.NaN()
	for _, f := range []struct {
		name, unit string
		size       func(*Unit) float64
		token      bool
	}{
		{"delta_byte", "bits/byte", func(u *Unit) float64 { return u.Bytes }, false},
		{"delta_word", "nats/word", func(u *Unit) float64 { return u.Words }, false},
		{"delta_token", "nats/token", func(u *Unit) float64 { return u.Tokens }, true},
	} {
		if f.token && !same {
			j.warn("tokenizers-differ", "per-token figures of two tokenizers do not compare: byte and word figures only")
			continue
		}
		size := make([]float64, j.n)
		for i := range ua {
			size[j.of[i]] += f.size(&ua[i])
		}
		r := ratio{a: diff, u: size, what: "units", scale: 1}
		theta, se, ci, method := r.interval(j.o)
		if math.IsNaN(theta) || math.IsInf(theta, 0) {
			continue // given as ids
		}
		if math.IsNaN(t) {
			t = theta / se
		}
		scale := 1.0
		if f.unit == "bits/byte" {
			scale = 1 / math.Ln2
		}
		var c *probes.CI
		if ci != nil {
			c = &probes.CI{Lo: ci.Lo * scale, Hi: ci.Hi * scale, Level: ci.Level}
		}
		if f.token {
			method = join(method, j.where+" against "+whereB)
		}
		j.add(f.name, theta*scale, f.unit, c, join("second minus first", method))
		if f.token {
			if ci != nil {
				c = &probes.CI{Lo: math.Exp(ci.Lo), Hi: math.Exp(ci.Hi), Level: ci.Level}
			}
			j.add("ppl_ratio_token", math.Exp(theta), "1", c, join("second over first", method))
		}
	}
	return t
}

func autocorrelation(x []float64) float64 {
	m := stat.Sum(x) / float64(len(x))
	var num, den float64
	for i, v := range x {
		den += (v - m) * (v - m)
		if i > 0 {
			num += (v - m) * (x[i-1] - m)
		}
	}
	if den == 0 {
		return 0
	}
	return num / den
}

func policyDiff(a, b Sample) string {
	p, q := a.Policy, b.Policy
	var d []string
	add := func(name string, x, y any) {
		if fmt.Sprint(x) != fmt.Sprint(y) {
			d = append(d, fmt.Sprintf("%s %v and %v", name, x, y))
		}
	}
	add("name", p.Name, q.Name)
	add("window", p.Window, q.Window)
	add("stride", p.Stride, q.Stride)
	add("context", p.Context, q.Context)
	add("max_tokens", p.MaxTokens, q.MaxTokens)
	add("bos_each_window", p.EachWindow, q.EachWindow)
	if a.Tokenizer == b.Tokenizer && !slices.Equal(p.PrefixIDs, q.PrefixIDs) {
		add("prefix_ids", p.PrefixIDs, q.PrefixIDs)
	} else {
		add("number of prefix ids", len(p.PrefixIDs), len(q.PrefixIDs))
	}
	add("number of suffix ids", len(p.SuffixIDs), len(q.SuffixIDs))
	return strings.Join(d, ", ")
}

func pvalue(name string, logP float64, method string) probes.PValue {
	p := probes.PValue{Name: name, Log10P: logP / math.Ln10, Method: method, Null: nullCompare}
	if x := math.Exp(logP); x > 0 {
		p.P = probes.Value(x)
	}
	return p
}

func num(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}

func verdict(tier probes.Tier, r *probes.Result) probes.Verdict {
	v := probes.Verdict{Tier: tier, Finding: "compared",
		DoesNotSay: "which of the two is better at anything else, nor anything about training data"}
	if len(r.Estimates) > 0 && r.Estimates[0].Value != nil {
		e := r.Estimates[0]
		v.Says = fmt.Sprintf("on these texts the second checkpoint costs %+.4g %s against the first", *e.Value, e.Unit)
	}
	return v
}
