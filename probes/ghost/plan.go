package ghost

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"assay/internal/canon"
	"assay/internal/fault"
)

// Names of the tests, as the plan's primary and the --tests list spell them.
const (
	ByRecall    = "recall"
	ByEValue    = "evalue"
	ByRank      = "rank"
	ByWordRanks = "words"
	ByExposure  = "exposure"
)

// Statistics of the rank test.
const (
	StatLogProb = "logprob" // sum of the secret's token log-probs per word
	StatRef     = "ref"     // the same minus a reference model's
)

// Plan is the analysis that the claimant commits to before planting. Its
// digest is part of the commitment, so no choice in it can follow the scores.
type Plan struct {
	Schema    string   `json:"schema"`
	Statistic string   `json:"statistic"` // logprob or ref
	Primary   string   `json:"primary"`   // the test whose p-value carries the verdict
	Combine   Combine  `json:"combine"`   // fisher, rank-sum or sum
	RecallK   []int    `json:"recall_k"`  // numbers of last words asked for
	Wrappers  []string `json:"wrappers"`  // texts that stand before the secret when scored; at least one, "" is legal
	Policy    string   `json:"policy"`    // window policy of the trace
	BOS       string   `json:"bos"`       // BOS rule of the trace
	Alpha     float64  `json:"alpha"`
	Reference string   `json:"reference,omitempty"` // digest of the reference weights
	Attempts  int      `json:"attempts"`            // recall attempts allowed per secret
}

const planSchema = "assay.plan/1"

// DefaultPlan scores each candidate once after an empty wrapper, combines the
// ranks by Fisher's sum and asks for the last word.
func DefaultPlan() Plan {
	return Plan{
		Schema: planSchema, Statistic: StatLogProb, Primary: ByRank, Combine: Fisher,
		RecallK: []int{1}, Wrappers: []string{""}, Policy: "full", BOS: "auto", Alpha: .01, Attempts: 1,
	}
}

// Validate returns a usage error that names the field, the value and what is allowed.
func (p Plan) Validate() error {
	switch {
	case p.Schema != planSchema:
		return fault.Usagef("ghost: plan schema: found %q, want %q", p.Schema, planSchema)
	case p.Statistic != StatLogProb && p.Statistic != StatRef:
		return fault.Usagef("ghost: plan statistic: found %q, want %q or %q", p.Statistic, StatLogProb, StatRef)
	case !slices.Contains([]string{ByRecall, ByEValue, ByRank, ByWordRanks}, p.Primary):
		return fault.Usagef("ghost: plan primary: found %q, want recall, evalue, rank or words", p.Primary)
	case p.Combine != Fisher && p.Combine != RankSum && p.Combine != Sum:
		return fault.Usagef("ghost: plan combine: found %q, want fisher, rank-sum or sum", p.Combine)
	case len(p.Wrappers) == 0:
		return fault.Usagef("ghost: plan wrappers: found none, want at least one (the empty wrapper is one)")
	case !(p.Alpha > 0 && p.Alpha < 1):
		return fault.Usagef("ghost: plan alpha: found %v, want a number in (0, 1)", p.Alpha)
	case p.Attempts < 1:
		return fault.Usagef("ghost: plan attempts: found %d, want at least 1", p.Attempts)
	case p.Statistic == StatRef && p.Reference == "":
		return fault.Usagef("ghost: plan reference: found none, want the digest of the reference weights for statistic %q", StatRef)
	}
	for _, k := range p.RecallK {
		if k < 1 {
			return fault.Usagef("ghost: plan recall_k: found %d, want at least 1", k)
		}
	}
	if p.Primary == ByRecall && len(p.RecallK) == 0 {
		return fault.Usagef("ghost: plan recall_k: found none, want at least one for primary %q", ByRecall)
	}
	return nil
}

// Digest is the SHA-256 of the plan's canonical JSON, in which alpha is a decimal
// string: floats have no single form on every machine.
func (p Plan) Digest() ([32]byte, error) {
	type fields Plan
	b, err := canon.CanonicalJSON(struct {
		fields
		Alpha string `json:"alpha"`
	}{fields(p), strconv.FormatFloat(p.Alpha, 'g', -1, 64)})
	if err != nil {
		return [32]byte{}, fmt.Errorf("ghost: plan: %w", err)
	}
	return sha256.Sum256(b), nil
}

// differences names the fields in which what was run departs from the plan.
func (p Plan) differences(run Plan) []string {
	var d []string
	add := func(name string, a, b any) { d = append(d, fmt.Sprintf("%s: planned %v, run %v", name, a, b)) }
	if p.Statistic != run.Statistic {
		add("statistic", p.Statistic, run.Statistic)
	}
	if p.Primary != run.Primary {
		add("primary", p.Primary, run.Primary)
	}
	if p.Combine != run.Combine {
		add("combine", p.Combine, run.Combine)
	}
	if !slices.Equal(p.RecallK, run.RecallK) {
		add("recall_k", p.RecallK, run.RecallK)
	}
	if !slices.Equal(p.Wrappers, run.Wrappers) {
		add("wrappers", fmt.Sprintf("%q", p.Wrappers), fmt.Sprintf("%q", run.Wrappers))
	}
	if p.Policy != run.Policy {
		add("policy", p.Policy, run.Policy)
	}
	if p.BOS != run.BOS {
		add("bos", p.BOS, run.BOS)
	}
	if p.Alpha != run.Alpha {
		add("alpha", p.Alpha, run.Alpha)
	}
	if p.Statistic == StatRef && p.Reference != run.Reference {
		add("reference", p.Reference, run.Reference)
	}
	if p.Attempts != run.Attempts {
		add("attempts", p.Attempts, run.Attempts)
	}
	return d
}
