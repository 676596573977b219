package iat

import (
	"fmt"
	"math"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// Samples configure the mode in which the checkpoint writes its answer, for
// comparison with published work: the whole list of words in shuffled order, one
// pair of group words in random order, drawn anew for every answer.
type Samples struct {
	Draws  int  // answers to each wording
	Compat bool // as the authors count: .01 in the denominators, an answer without a group is 0
}

// PlanSamples lists the questions: wordings that hold {attributes} x draws.
func PlanSamples(s Set, o Options, n Samples) ([]assoc.Open, error) {
	if err := firstError(s.Validate(), o.Validate()); err != nil {
		return nil, err
	}
	if n.Draws < 1 {
		return nil, fault.Usagef("iat: sample: found %d draws, want 1 or more", n.Draws)
	}
	var out []assoc.Open
	pairs := o.pairs(s)
	for k, t := range o.Templates {
		if !strings.Contains(t.Prompt, "{attributes}") {
			continue
		}
		for r := range n.Draws {
			g := perm.Replicate(o.Seed, 1+k*n.Draws+r)
			p := pairs[g.Index(len(pairs))]
			first, second := s.A[p.a], s.B[p.b]
			if g.Index(2) == 1 {
				first, second = second, first
			}
			words := make([]string, len(s.Words))
			for i, w := range s.Words {
				words[i] = "'" + strings.ToLower(w) + "'"
			}
			for i := range len(words) - 1 {
				j := i + g.Index(len(words)-i)
				words[i], words[j] = words[j], words[i]
			}
			prompt := strings.NewReplacer("{group0}", first, "{group1}", second, "{attributes}", "["+strings.Join(words, ", ")+"]").Replace(t.Prompt)
			out = append(out, assoc.Open{Prompt: prompt, Voice: t.Voice, Draw: k*n.Draws + r + 1})
		}
	}
	if len(out) == 0 {
		return nil, fault.Inputf("bad-template", "iat: sample: found no wording with {attributes}, want one: the answer is to a list of words")
	}
	return out, nil
}

// RunSamples counts sampled answers. Its p-value would treat answers of one model as
// independent units, so there is none: see OverSets.
func RunSamples(s Set, o Options, n Samples, texts assoc.Texts) (probes.Result, error) {
	qs, err := PlanSamples(s, o, n)
	if err != nil {
		return probes.Result{}, err
	}
	var ds []float64
	unusable, unknown, counted := 0, 0, 0.0
	var strange string
	for _, q := range qs {
		text, err := texts.Answer(q)
		if err != nil {
			return probes.Result{}, err
		}
		d, p, err := DOfList(s, text, n.Compat)
		unknown, counted = unknown+len(p.Unknown), counted+p.A+p.B+p.C+p.E
		if len(p.Unknown) > 0 && strange == "" {
			strange = p.Unknown[0]
		}
		if err != nil {
			unusable++
			continue
		}
		ds = append(ds, d)
	}
	r := probes.Result{Schema: probes.Schema, Test: "probe.iat-sampled", Version: 1, Seed: o.Seed, Inputs: []probes.Input{}, P: []probes.PValue{}, Warnings: []probes.Warning{}, Estimates: []probes.Estimate{},
		Settings: map[string]any{"set": s.Name, "category": s.Category, "A": s.A, "B": s.B, "templates": o.Templates, "draws": n.Draws, "compat": n.Compat},
		N:        map[string]int{"answers": len(qs), "usable": len(ds), "unusable": unusable, "lines_counted": int(counted), "lines_unknown": unknown}}
	r.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive",
		DoesNotSay: "Answers that refuse or name other words are left out, and what a model writes depends on temperature and wording; the probabilities of the same choices are the mode without --sample."}
	if unknown > 0 {
		r.Warnings = append(r.Warnings, assoc.Warn("lines-unknown", fmt.Sprintf("%d lines name an unknown word or group, such as %q", unknown, strange)))
	}
	if unusable > 0 {
		r.Warnings = append(r.Warnings, assoc.Warn("rows-undefined", fmt.Sprintf("%d of %d answers have a group without any word (0/0) and were left out", unusable, len(qs))))
	}
	if len(ds) == 0 {
		r.Estimates = append(r.Estimates, assoc.Undefined("D", "1", "no answer could be counted"))
		r.Verdict.Finding, r.Verdict.Says = "undefined", "Nothing: no answer could be counted."
		return r, nil
	}
	m, v := stat.MeanVar(ds)
	sd := math.NaN()
	if len(ds) > 1 {
		sd = math.Sqrt(v)
	}
	r.Estimates = append(r.Estimates, assoc.Number("D", "1", m, fmt.Sprintf("mean over %d answers; 0 neutral", len(ds))),
		assoc.Number("D_sd", "1", sd, "over answers"),
		assoc.Number("share_usable", "share", float64(len(ds))/float64(len(qs)), "answers that could be counted"))
	r.Verdict.Says = fmt.Sprintf("In what the checkpoint wrote, D = %.4f on average over %d answers (0 is neutral, above 0 stereotyped).", m, len(ds))
	return r, nil
}

// OverSets tests the mean D of sets against 0: sets are the units, their answers
// are nested. A p-value needs two sets or more, every one of them defined in half
// of its answers or more; the sets of one list were not drawn at random, so it is
// an estimate.
func OverSets(rs []probes.Result, seed uint64) (probes.Result, error) {
	r := probes.Result{Schema: probes.Schema, Test: "probe.iat-sampled-sets", Version: 1, Seed: seed, Inputs: []probes.Input{}, P: []probes.PValue{}, Warnings: []probes.Warning{}, Estimates: []probes.Estimate{},
		Settings: map[string]any{}, N: map[string]int{}}
	var ds []float64
	for _, x := range rs {
		if e := x.Estimates[0]; e.Value != nil {
			ds = append(ds, *e.Value)
		}
	}
	if len(ds) < 2 {
		return r, fault.Inputf("too-few", "iat: sample: found %d sets with a D, want 2 or more", len(ds))
	}
	r.N["sets"], r.N["undefined"] = len(ds), len(rs)-len(ds)
	m, v := stat.MeanVar(ds)
	se, df := math.Sqrt(v/float64(len(ds))), float64(len(ds)-1)
	e := assoc.Number("D", "1", m, fmt.Sprintf("mean over sets; se %.6f", se))
	half := stat.StudentQuantile(.975, df) * se
	e.CI = &probes.CI{Lo: m - half, Hi: m + half, Level: .95}
	r.Estimates = append(r.Estimates, e)
	if se > 1e-12 {
		_, lp := stat.LogTailStudentT(m/se, df)
		r.Estimates = append(r.Estimates, assoc.Number("t", "1", m/se, fmt.Sprintf("df %d, answers nested in sets", len(ds)-1)),
			assoc.Number("tail_two_log10", "log10", lp/math.Ln10, "two-sided Student tail over sets, which were not drawn at random"))
	}
	r.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive", Says: fmt.Sprintf("Over %d sets D is %.4f on average in what the checkpoint wrote (0 is neutral).", len(ds), m),
		DoesNotSay: "The sets are a list, not a sample of all groups; answers that could not be counted are left out."}
	return r, nil
}
