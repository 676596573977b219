package membership

import (
	"fmt"
	"math"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/zlen"
	"assay/probes"
	"assay/probes/stat"
)

// Extracted is one prefix and suffix of a document.
type Extracted struct {
	ID      string
	From    int // first token of the prefix
	Status  string
	Greedy  bool
	Tokens  int
	LogProb float64 // NaN where there is no number
	// RefBits is the suffix's cost under the reference, NaN without one; Low says that
	// models complete such a suffix without having seen it (LowEntropy).
	RefBits float64
	Low     bool
}

// Window of an extraction: how many tokens are given and asked for, and the step of
// the next one; step 0 takes the first only.
type Window struct{ Prefix, Suffix, Step int }

// Validate returns a usage error.
func (w Window) Validate() error {
	if w.Prefix < 1 || w.Suffix < 1 || w.Step < 0 {
		return fault.Usagef("membership: extract: found prefix %d, suffix %d, step %d, want at least 1, at least 1, at least 0", w.Prefix, w.Suffix, w.Step)
	}
	return nil
}

// ExtractAll evaluates every window of a document. ref holds the same document under a
// reference (nil = none), text its bytes ("" = unknown). A document too short for one
// window is one row of status too-short; a window with an unscored suffix says so.
func ExtractAll(d trace.DocTokens, ref *trace.DocTokens, text string, w Window, s Sampler) ([]Extracted, error) {
	n := d.Tokens.Len()
	if n < w.Prefix+w.Suffix {
		status := "too-short"
		if d.Doc.Status != trace.StatusOK {
			status = d.Doc.Status
		}
		return []Extracted{{ID: d.Doc.ID, Status: status, LogProb: math.NaN(), RefBits: math.NaN()}}, nil
	}
	var out []Extracted
	for at := 0; at+w.Prefix+w.Suffix <= n; at += w.Step {
		x := Extracted{ID: d.Doc.ID, From: at, Status: trace.StatusOK, Tokens: w.Suffix, LogProb: math.NaN(), RefBits: math.NaN()}
		lo, hi := at+w.Prefix, at+w.Prefix+w.Suffix
		if whole(d.Tokens.Scored[lo:hi]) {
			e, err := Extract(suffixOf(d.Tokens, lo, hi), 0, s)
			if err != nil {
				return nil, fmt.Errorf("document %q: %w", d.Doc.ID, err)
			}
			x.Greedy, x.LogProb = e.Greedy, e.LogProb
		} else if x.Status = "unscored"; d.Doc.Status != trace.StatusOK {
			x.Status = d.Doc.Status
		}
		if err := x.entropy(d, ref, text, lo, hi); err != nil {
			return nil, err
		}
		out = append(out, x)
		if w.Step == 0 {
			break
		}
	}
	return out, nil
}

// entropy fills in what says that a suffix is easy for any model.
func (x *Extracted) entropy(d trace.DocTokens, ref *trace.DocTokens, text string, lo, hi int) error {
	if ref != nil {
		if ref.Doc.ID != d.Doc.ID || ref.Doc.SHA256 != d.Doc.SHA256 || ref.Tokens.Len() != d.Tokens.Len() {
			return fault.Inputf("texts", "membership: extract: reference: found document %q (sha256 %x, %d tokens), want %q (sha256 %x, %d tokens)",
				ref.Doc.ID, ref.Doc.SHA256[:6], ref.Tokens.Len(), d.Doc.ID, d.Doc.SHA256[:6], d.Tokens.Len())
		}
		if whole(ref.Tokens.Scored[lo:hi]) {
			nats := 0.0
			for _, l := range ref.Tokens.Logprob[lo:hi] {
				nats -= float64(l)
			}
			x.RefBits = nats / math.Ln2
		}
	}
	var z, n int64
	if text != "" && d.Tokens.ByteOff != nil {
		a, b := d.Tokens.ByteOff[lo], d.Tokens.ByteOff[hi-1]+int64(d.Tokens.ByteLen[hi-1])
		if a >= 0 && b <= int64(len(text)) && a < b {
			z, n = int64(zlen.Len([]byte(text[a:b]))), b-a
		}
	}
	x.Low = LowEntropy(x.RefBits, z, n)
	return nil
}

func whole(scored []bool) bool {
	for _, s := range scored {
		if !s {
			return false
		}
	}
	return len(scored) > 0
}

func suffixOf(t trace.Tokens, lo, hi int) trace.Tokens {
	c := trace.Tokens{Pos: t.Pos[lo:hi], ID: t.ID[lo:hi], ArgmaxID: t.ArgmaxID[lo:hi], Scored: t.Scored[lo:hi], Logprob: t.Logprob[lo:hi]}
	if t.TopID != nil && t.TopLogprob != nil {
		c.TopID, c.TopLogprob = t.TopID[lo:hi], t.TopLogprob[lo:hi]
	}
	return c
}

// CompareExtracted puts suspects against controls of the same kind: the share whose
// suffix comes back whole by greedy decoding with Fisher's exact p, and ln p_z by the
// rank sum of Claim. Low-entropy windows are counted and left out of both. One row per
// document is used: its first window.
func CompareExtracted(rows []Extracted, suspect, control map[string]bool, sha map[string][32]byte, group map[string]string, g Ground, o Options, inputs []probes.Input) (probes.Result, error) {
	var mine, others []Case
	var hit, n [2]int64
	low, none := 0, 0
	seen := make(map[string]bool)
	for _, x := range rows {
		side := -1
		if suspect[x.ID] {
			side = 1
		} else if control[x.ID] {
			side = 0
		}
		if side < 0 || seen[x.ID] {
			continue
		}
		seen[x.ID] = true
		switch {
		case x.Low:
			low++
			continue
		case x.Status != trace.StatusOK:
			none++
		}
		c := Case{ID: x.ID, Group: group[x.ID], SHA256: sha[x.ID], Score: x.LogProb}
		if math.IsInf(x.LogProb, -1) { // outside what the sampler keeps: below every number
			c.Score = -math.MaxFloat64
		}
		n[side]++
		if x.Greedy {
			hit[side]++
		}
		if side == 1 {
			mine = append(mine, c)
		} else {
			others = append(others, c)
		}
	}
	res, _, err := Claim("ln_p_suffix", mine, others, g, o, inputs)
	if err != nil {
		return res, err
	}
	res.Test = "membership.extract"
	res.N["low_entropy"], res.N["without_number"] = low, none
	if low > 0 {
		res.Warnings = append(res.Warnings, warn("low-entropy", "%d suffixes that models complete without having seen them are reported apart", low))
	}
	o = o.withDefaults()
	for side, name := range []string{"greedy_share_controls", "greedy_share_suspects"} {
		lo, hi := ClopperPearson(int(hit[side]), int(n[side]), o.Level)
		res.Estimates = append(res.Estimates, withCI(estimate(name, float64(hit[side])/float64(n[side]), "share",
			fmt.Sprintf("%d of %d suffixes come back whole under greedy decoding, Clopper and Pearson", hit[side], n[side])), [2]float64{lo, hi}, o.Level))
	}
	if res.Verdict.Tier != probes.TierC {
		ln := stat.LogFisherExact(hit[1], n[1], hit[0], n[0])
		res.P = append(res.P, logP("greedy_fisher", ln, "Fisher's exact test of the shares, one-sided; documents taken as independent", "suspects and controls are exchangeable"))
	}
	return res, nil
}
