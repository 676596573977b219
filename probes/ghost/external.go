package ghost

import (
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
	"assay/probes/stat"
)

// External is a set of planted strings and shared controls that this package did
// not draw: no seed, no commitment. Its results are descriptive (tier C),
// however small the ranks, because nobody can show how the strings were chosen.
type External struct {
	Prefix   string          `json:"prefix"` // text before each string when it is scored
	Planted  []ExternalPlant `json:"planted"`
	Controls []ExternalPlant `json:"controls"`
	// Filler names rows of a non-member set whose text stands before planted
	// copies; informative only.
	Filler []int `json:"filler_nonmember_rows,omitempty"`
}

// ExternalPlant is one string. Times and Positions are of planted ones only.
type ExternalPlant struct {
	ID        string `json:"id"`
	Text      string `json:"text"`
	Times     int    `json:"times,omitempty"`
	Positions []int  `json:"positions,omitempty"` // of the copies in the training order
}

// ReadExternal reads {"prefix", "planted": [{id, text, times, positions}],
// "controls": [{id, text}]}. Equal ids or equal texts are errors.
func ReadExternal(r io.Reader) (External, error) {
	var e External
	if err := decode(r, &e); err != nil {
		return e, fmt.Errorf("ghost: external set: %w", err)
	}
	if len(e.Planted) == 0 || len(e.Controls) == 0 {
		return e, fault.Inputf("empty", "ghost: external set: found %d planted and %d controls, want at least 1 of each", len(e.Planted), len(e.Controls))
	}
	ids, texts := make(map[string]bool), make(map[string]string)
	for _, p := range slices.Concat(e.Planted, e.Controls) {
		switch other, dup := texts[p.Text]; {
		case p.ID == "" || ids[p.ID]:
			return e, fault.Inputf("duplicate", "ghost: external set: found id %q empty or twice, want unique ids", p.ID)
		case dup:
			return e, fault.Inputf("duplicate", "ghost: external set: %q and %q are the same text", other, p.ID)
		case p.Text == "":
			return e, fault.Inputf("empty", "ghost: external set: %q: found an empty text", p.ID)
		}
		ids[p.ID], texts[p.Text] = true, p.ID
	}
	return e, nil
}

// Requests yields prefix and string as one text each, document id = id.
func (e External) Requests() iter.Seq[Request] {
	return func(yield func(Request) bool) {
		for _, p := range slices.Concat(e.Planted, e.Controls) {
			if !yield(Request{ID: p.ID, Text: e.Prefix + p.Text}) {
				return
			}
		}
	}
}

// FromTrace reads the mean log-probability per token, prefix included, of every
// string from a trace of Requests.
func (e External) FromTrace(r *trace.Reader) (map[string]float64, error) {
	want := make(map[string]string)
	for q := range e.Requests() {
		want[q.ID] = sum(q.Text)
	}
	out := make(map[string]float64, len(want))
	for d, err := range r.Docs() {
		if err != nil {
			return nil, err
		}
		digest, ok := want[d.ID]
		if !ok {
			continue
		}
		if got := fmt.Sprintf("%x", d.SHA256); got != digest {
			return nil, fault.Inputf("candidates", "ghost: document %q: found text sha256 %.12s, want %.12s", d.ID, got, digest)
		}
		if d.Status != trace.StatusOK || d.Scored == 0 || math.IsNaN(d.SumLogprob) || math.IsInf(d.SumLogprob, 0) {
			return nil, fault.Inputf("unscored", "ghost: document %q: found status %q with sum %v, want a finite score", d.ID, d.Status, d.SumLogprob)
		}
		out[d.ID] = d.SumLogprob / float64(d.Scored)
	}
	return out, nil
}

// ExternalRow is one planted string among the shared controls.
type ExternalRow struct {
	ID    string  `json:"id"`
	Times int     `json:"times"`
	Score float64 `json:"score"` // nats per token, minus the reference's if there is one
	Rank  int     `json:"rank"`
	Of    int     `json:"of"`
}

// Test ranks every planted string among the shared controls. reference may be nil;
// otherwise scores are differences, which removes what is likely anyway.
func (e External) Test(suspect, reference map[string]float64, inputs []probes.Input) (probes.Result, []ExternalRow, error) {
	value := func(id string) (float64, error) {
		s, ok := suspect[id]
		if !ok {
			return 0, fault.Inputf("candidates", "ghost: external set: found no score of %q by the suspect", id)
		}
		if reference != nil {
			r, ok := reference[id]
			if !ok {
				return 0, fault.Inputf("candidates", "ghost: external set: found no score of %q by the reference", id)
			}
			s -= r
		}
		return s, nil
	}
	controls := make([]float64, len(e.Controls))
	for i, c := range e.Controls {
		v, err := value(c.ID)
		if err != nil {
			return probes.Result{}, nil, err
		}
		controls[i] = v
	}
	var rows []ExternalRow
	var planted []float64
	for _, p := range e.Planted {
		v, err := value(p.ID)
		if err != nil {
			return probes.Result{}, nil, err
		}
		planted = append(planted, v)
		r := rank(append([]float64{v}, controls...), 0)
		rows = append(rows, ExternalRow{ID: p.ID, Times: p.Times, Score: v, Rank: r, Of: len(controls) + 1})
	}
	return e.result(rows, planted, controls, reference != nil, inputs), rows, nil
}

func (e External) result(rows []ExternalRow, planted, controls []float64, ref bool, inputs []probes.Input) probes.Result {
	statistic := StatLogProb
	if ref {
		statistic = StatRef
	}
	res := probes.Result{
		Schema: probes.Schema, Test: "ghost.external", Version: 1, Inputs: append([]probes.Input{}, inputs...),
		Settings: map[string]any{"statistic": statistic, "per": "token, prefix included", "prefix": e.Prefix},
		N:        map[string]int{"planted": len(planted), "controls": len(controls)},
		P:        []probes.PValue{},
		Warnings: []probes.Warning{{Code: "no-commitment", Text: "nothing shows how these strings were chosen: no seed, no commitment"}},
		Verdict: probes.Verdict{
			Tier: probes.TierC, Finding: FindingDescriptive,
			Says:       "each planted string ranks as listed among the shared controls",
			DoesNotSay: "that the strings and the controls come from one generator, which a p-value would need",
		},
	}
	auc, se, err := stat.AUC(planted, controls)
	est := probes.Estimate{Name: "auc", Unit: "1", Method: "P(planted > control), ties half; DeLong"}
	if err == nil {
		est.Value = probes.Value(auc)
		est.CI = &probes.CI{Lo: max(0, auc-1.959963984540054*se), Hi: min(1, auc+1.959963984540054*se), Level: .95}
	}
	res.Estimates = append(res.Estimates, est,
		probes.Estimate{Name: "effect", Unit: "nats/token", Value: probes.Value(meanOf(planted) - meanOf(controls)), Method: "planted minus mean of controls"})
	first := 0
	for _, r := range rows {
		if r.Rank == 1 {
			first++
		}
	}
	res.Estimates = append(res.Estimates, probes.Estimate{Name: "first", Unit: "strings", Value: probes.Value(float64(first)), Method: fmt.Sprintf("planted strings that rank before all %d controls", len(controls))})
	if from := detectedFrom(rows); from > 0 {
		res.Estimates = append(res.Estimates, probes.Estimate{Name: "detected_from", Unit: "repetitions", Value: probes.Value(float64(from)),
			Method: "smallest number of repetitions from which on every planted string ranks first"})
	}
	return res
}

// detectedFrom returns the smallest repetition count from which on every planted
// string ranks first; 0 if none.
func detectedFrom(rows []ExternalRow) int {
	s := slices.Clone(rows)
	slices.SortStableFunc(s, func(a, b ExternalRow) int { return b.Times - a.Times })
	from := 0
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j].Times == s[i].Times {
			if s[j].Rank != 1 {
				return from
			}
			j++
		}
		from = s[i].Times
		i = j
	}
	return from
}
