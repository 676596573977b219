package ghost

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Gen is one generated continuation: the model saw the wrapper and all but the
// last K words of a secret.
type Gen struct {
	Secret int    `json:"secret"`
	K      int    `json:"k"`
	Text   string `json:"text"`
}

// Evidence is everything that a test may look at. Only Suspect is needed.
type Evidence struct {
	Suspect   Scores
	Reference *Scores
	Gens      []Gen
	WordRanks [][]int // of WordRanks, per secret
	Leaked    []Ref   // of Leaks
	Inputs    []probes.Input
}

// Options choose what is run. The zero value runs the plan.
type Options struct {
	Tests []string // nil = all that the evidence allows
	Run   *Plan    // what is run when it departs from the plan; costs the tier
	Draws int      // Monte Carlo draws of `sum`; 0 = 9,999
	Seed  uint64
}

// Check is one condition of the tier.
type Check struct {
	Name   string `json:"name"`
	Pass   bool   `json:"pass"`
	Detail string `json:"detail,omitempty"`
}

// Row is one secret: no text, its leaf names it.
type Row struct {
	Secret    int      `json:"secret"`
	Leaf      string   `json:"leaf"`
	Score     float64  `json:"score"`    // of the planted candidate, in the statistic's unit
	Controls  float64  `json:"controls"` // mean of the controls
	Rank      int      `json:"rank"`
	Of        int      `json:"of"`
	Log10E    *float64 `json:"log10_e"` // nil when not measured
	Hits      []int    `json:"hits"`    // numbers of last words recalled
	Exposure  float64  `json:"exposure_bits"`
	Estimated *float64 `json:"exposure_extrapolated_bits"` // nil when refused
}

// Outcome is the result with its rows and the checks behind its tier.
type Outcome struct {
	Result probes.Result
	Rows   []Row
	Checks []Check
}

// run is one test under way.
type run struct {
	set      *Set
	plan     Plan
	ev       Evidence
	o        Options
	sus, ref *table
	scores   [][]float64
	index    []int
	overrun  bool // more attempts than planned, in the primary test
	out      Outcome
}

// Test runs the planned tests on the scores of a suspect. c is the commitment that
// was published before planting, nil if there was none. A commitment that the
// set does not regenerate is an error, never a lower tier.
func Test(s *Set, c *Commitment, ev Evidence, o Options) (Outcome, error) {
	if o.Draws == 0 {
		o.Draws = 9999
	}
	t := &run{set: s, plan: s.Plan, ev: ev, o: o}
	if o.Run != nil {
		t.plan = *o.Run
	}
	for _, name := range o.Tests {
		if !slices.Contains([]string{ByRecall, ByEValue, ByRank, ByWordRanks, ByExposure}, name) {
			return t.out, fault.Usagef("ghost: tests: found %q, want recall, evalue, rank, words or exposure", name)
		}
	}
	if o.Tests != nil && !slices.Contains(o.Tests, t.plan.Primary) {
		return t.out, fault.Usagef("ghost: tests: the primary test %q is not among them", t.plan.Primary)
	}
	if err := t.plan.Validate(); err != nil {
		return t.out, err
	}
	if err := t.load(); err != nil {
		return t.out, err
	}
	tier, err := t.grade(c)
	if err != nil {
		return t.out, err
	}
	t.rows()
	for _, step := range []struct {
		name string
		f    func() error
	}{{ByRank, t.rank}, {ByRecall, t.recall}, {ByEValue, t.evalue}, {ByWordRanks, t.words}, {ByExposure, t.exposure}} {
		if o.Tests == nil || slices.Contains(o.Tests, step.name) {
			if err := step.f(); err != nil {
				return t.out, err
			}
		}
	}
	return t.finish(tier)
}

func (t *run) load() (err error) {
	if len(t.set.Plan.Wrappers) == 1 && t.set.Plan.Wrappers[0] == DocumentWrappers && t.set.contexts == nil {
		return fault.Usagef("ghost: the plan scores after the planted documents: call UseDocuments with them first").
			Hint("pass the planted corpus and its record")
	}
	if t.sus, err = newTable(t.set, t.ev.Suspect, "suspect"); err != nil {
		return err
	}
	if t.ev.Reference != nil {
		if t.ref, err = newTable(t.set, *t.ev.Reference, "reference"); err != nil {
			return err
		}
		if t.ev.Reference.Policy != t.ev.Suspect.Policy {
			return fault.Inputf("policy", "ghost: reference: found policy %q, want the suspect's %q", t.ev.Reference.Policy, t.ev.Suspect.Policy)
		}
	}
	if t.plan.Statistic == StatRef && t.ref == nil {
		return fault.Inputf("reference", "ghost: statistic %q: found no reference scores", StatRef).Hint("pass --ref with the reference named in the plan")
	}
	leaked := make(map[Ref]bool)
	for _, r := range t.ev.Leaked {
		leaked[r] = true
	}
	var ref *table
	if t.plan.Statistic == StatRef {
		ref = t.ref
	}
	t.scores, t.index, err = lists(t.set, t.sus, ref, leaked)
	return err
}

func (t *run) warn(code, format string, args ...any) {
	w := probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(t.out.Result.Warnings, w) {
		t.out.Result.Warnings = append(t.out.Result.Warnings, w)
	}
}

func (t *run) check(name string, pass bool, detail string) bool {
	t.out.Checks = append(t.out.Checks, Check{name, pass, detail})
	return pass
}

func (t *run) estimate(name string, v float64, unit, method string, ci *probes.CI) {
	e := probes.Estimate{Name: name, Unit: unit, Method: method, CI: ci}
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		e.Value = probes.Value(v)
	}
	t.out.Result.Estimates = append(t.out.Result.Estimates, e)
}

// p adds a p-value given as its natural log.
func (t *run) p(name string, logP float64, method string) {
	v := probes.PValue{Name: name, Log10P: logP / math.Ln10, Method: method, Null: nullWords}
	if x := math.Exp(logP); x > 0 {
		v.P = probes.Value(x)
	}
	t.out.Result.P = append(t.out.Result.P, v)
}

const nullWords = "the checkpoint does not depend on the planted strings: given the candidates, it is independent of which of them was planted"

// grade runs the checks of the tier. Exact p-values come from the random index,
// which is proven by the commitment (A) or only by the seed (B).
func (t *run) grade(c *Commitment) (probes.Tier, error) {
	s := t.set
	committed := false
	if c != nil {
		diff, err := Verify(*c, s)
		if err != nil {
			return "", err
		}
		if len(diff) > 0 {
			return "", fault.Inputf("commitment", "ghost: the commitment does not verify: %s", diff[0]).
				Hint("%d fields differ; `assay ghost verify` lists them", len(diff))
		}
		committed = t.check("commitment", true, "roots, indices, plan and list regenerate")
		if c.Anchor != "" {
			t.warn("anchor-unchecked", "time anchor, claimed and not checked: %s", c.Anchor)
		}
	} else {
		t.check("commitment", false, "none was given")
	}
	if s.Origin.Source != "beacon" {
		t.warn("seed-not-beaconed", "the seed came from the claimant's own machine; a reference model shows whether it was chosen")
	}
	asRun := t.plan
	asRun.Policy = t.ev.Suspect.Policy
	if s.Plan.BOS != "auto" {
		asRun.BOS = t.ev.Suspect.BOS
	}
	if t.ev.Reference != nil && s.Plan.Statistic == StatRef {
		asRun.Reference = t.ev.Reference.Weights
	}
	diff := s.Plan.differences(asRun)
	if !t.check("plan", len(diff) == 0, strings.Join(diff, "; ")) {
		t.warn("off-plan", "departs from the committed plan: %s", strings.Join(diff, "; "))
	}
	grinding, ran := t.grinding()
	tier := probes.TierC
	switch {
	case ran && !grinding:
	case committed && len(diff) == 0:
		tier = probes.TierA
	case committed, ran && grinding:
		tier = probes.TierB
	}
	t.warnDesign()
	return tier, nil
}

// grinding compares the planted strings under a reference model that is older
// than the plan: a claimant who redrew seeds until the strings were likely (or
// unlikely) anyway shows up as small (or large) ranks there.
func (t *run) grinding() (pass, ran bool) {
	if t.ref == nil {
		t.check("grinding", false, "not run: no reference scores")
		return false, false
	}
	s := t.set
	m1 := s.Controls + 1
	small, large := make([]int, s.Secrets), make([]int, s.Secrets)
	for k := range s.Secrets {
		x := make([]float64, m1)
		neg := make([]float64, m1)
		for j := range x {
			x[j] = t.ref.score(k, j, s.units())
			neg[j] = -x[j]
		}
		small[k], large[k] = rank(x, s.Index(k)), rank(neg, s.Index(k))
	}
	lo, hi := stat.LogFisherRanks(small, m1), stat.LogFisherRanks(large, m1)
	pass = lo >= math.Log(.01) && hi >= math.Log(.01)
	t.check("grinding", pass, fmt.Sprintf("under the reference log10 p of small ranks %.2f, of large ranks %.2f", lo/math.Ln10, hi/math.Ln10))
	if !pass {
		t.warn("suspicious-index", "the planted strings stand out under a reference model that never saw them")
	}
	return pass, true
}

func (t *run) warnDesign() {
	s := t.set
	if s.Controls < 99 {
		t.warn("few-controls", "%d controls: one secret cannot reach p below %.3g", s.Controls, 1/float64(s.Controls+1))
	}
	if _, cmax, ok := s.alphabet(); ok && cmax > 1 {
		t.warn("boundary-open", "up to %d list words begin one list word; bounds are widened by that factor", cmax)
	}
	if b := s.Bits(); b < shortBits {
		t.warn("short-secret", "%.0f bits a secret, below %d", b, shortBits)
	}
	if n := len(t.ev.Leaked); n > 0 {
		t.warn("control-leaked", "%d candidates were found in the corpus and taken out before the test", n)
	}
	if n := len(s.Burnt); n > 0 {
		t.warn("burnt-controls", "%d candidates were opened before and may be public", n)
	}
}

func (t *run) rows() {
	for k := range t.set.Secrets {
		leaf := t.set.Leaf(k, t.set.Index(k))
		x, j := t.scores[k], t.index[k]
		bits, _ := Exposure(x[j], without(x, j))
		t.out.Rows = append(t.out.Rows, Row{
			Secret: k, Leaf: hex.EncodeToString(leaf[:]), Score: x[j], Controls: meanOf(without(x, j)),
			Rank: rank(x, j), Of: len(x), Hits: []int{}, Exposure: bits,
		})
	}
}

func without(x []float64, j int) []float64 {
	return append(append(make([]float64, 0, len(x)-1), x[:j]...), x[j+1:]...)
}

func meanOf(x []float64) float64 { return stat.Sum(x) / float64(len(x)) }

func (t *run) finish(tier probes.Tier) (Outcome, error) {
	r, s := &t.out.Result, t.set
	r.Schema, r.Test, r.Version, r.Inputs, r.Seed = probes.Schema, "ghost", 1, append([]probes.Input{}, t.ev.Inputs...), t.o.Seed
	n := map[string]int{"secrets": s.Secrets, "controls": s.Controls, "wrappers": t.sus.w, "controls_excluded": len(t.ev.Leaked)}
	for name, v := range r.N {
		n[name] = v
	}
	r.N = n
	plan, err := s.Plan.Digest()
	if err != nil {
		return t.out, err
	}
	r.Settings = map[string]any{
		"kind": s.Kind, "symbols": s.Words, "bits": nullable(s.Bits()), "statistic": t.plan.Statistic, "primary": t.plan.Primary,
		"combine": string(t.plan.Combine), "recall_k": t.plan.RecallK, "alpha": t.plan.Alpha, "draws": t.o.Draws,
		"policy": t.ev.Suspect.Policy, "bos": t.ev.Suspect.BOS, "plan_sha256": hex.EncodeToString(plan[:]),
		"seed_source": s.Origin.Source, "checks": t.out.Checks,
	}
	if s.List != nil {
		r.Settings["list_sha256"] = hex.EncodeToString(s.List.Digest[:])
		r.Settings["v"] = len(s.List.Words)
	}
	var primary *probes.PValue
	for i := range r.P {
		if r.P[i].Name == t.plan.Primary || strings.HasPrefix(r.P[i].Name, t.plan.Primary+":") {
			if primary == nil || r.P[i].Log10P < primary.Log10P { // recall with several k: the Holm-adjusted smallest
				primary = &r.P[i]
			}
		}
	}
	if primary == nil {
		return t.out, fault.Inputf("evidence", "ghost: the primary test %q could not be run on this evidence", t.plan.Primary).
			Hint("recall and evalue need a trace with token rows; words needs the word requests scored")
	}
	if t.overrun && tier == probes.TierA {
		tier = probes.TierB
	}
	r.Verdict = verdict(tier, *primary, t.plan.Alpha)
	if tier == probes.TierC {
		r.P = []probes.PValue{} // an empty list, not null, in JSON
	}
	if r.Warnings == nil {
		r.Warnings = []probes.Warning{}
	}
	return t.out, nil
}

func nullable(x float64) any {
	if math.IsNaN(x) {
		return nil
	}
	return x
}

// Findings of the verdict.
const (
	FindingDepends     = "depends_on_planted_strings"
	FindingNotShown    = "not_shown"
	FindingDescriptive = "descriptive"
)

func verdict(tier probes.Tier, p probes.PValue, alpha float64) probes.Verdict {
	v := probes.Verdict{Tier: tier, DoesNotSay: "how they got there: scraping, a licensed copy, a third party's copy, fine-tuning or distillation; " +
		"nor that any other document of the owner was used"}
	switch {
	case tier == probes.TierC:
		v.Finding = FindingDescriptive
		v.Says = "the planted strings rank as listed among their controls; without a commitment or a clean reference check no p-value is valid"
	case p.Log10P <= math.Log10(alpha):
		v.Finding = FindingDepends
		v.Says = fmt.Sprintf("the weights depend on these planted strings (primary test %s, log10 p %.2f at alpha %g)", p.Name, p.Log10P, alpha)
	default:
		v.Finding = FindingNotShown
		v.Says = fmt.Sprintf("no dependence on the planted strings was shown (primary test %s, log10 p %.2f at alpha %g)", p.Name, p.Log10P, alpha)
		v.DoesNotSay = "that the strings were not used: filters, deduplication and few repetitions hide them"
	}
	return v
}
