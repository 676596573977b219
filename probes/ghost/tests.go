package ghost

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// rank is the test against committed controls, with its effect sizes.
func (t *run) rank() error {
	ranks, of := make([]int, len(t.out.Rows)), 0
	even := true
	var effect []float64
	auc := 0.0
	for k, r := range t.out.Rows {
		ranks[k] = r.Rank
		even = even && (k == 0 || r.Of == of)
		of = r.Of
		effect = append(effect, r.Score-r.Controls)
		auc += shareBelow(t.scores[k], t.index[k])
	}
	auc /= float64(len(ranks))
	m, v := stat.MeanVar(effect)
	var ci *probes.CI
	if d := len(effect); d > 1 {
		h := stat.StudentQuantile(.975, float64(d-1)) * math.Sqrt(v/float64(d))
		ci = &probes.CI{Lo: m - h, Hi: m + h, Level: .95}
	}
	t.estimate("effect", m, t.set.unit(), fmt.Sprintf("planted minus mean of controls, jackknife over %d secrets", len(effect)), ci)
	t.estimate("auc", auc, "1", "P(planted > control), ties half, mean over lists", nil)
	if t.plan.Statistic == StatLogProb {
		p, c := 0.0, 0.0
		for _, r := range t.out.Rows {
			p += r.Score / float64(len(t.out.Rows))
			c += r.Controls / float64(len(t.out.Rows))
		}
		per := strings.TrimPrefix(t.set.unit(), "nats/")
		t.estimate("perplexity_per_"+per+"_planted", math.Exp(-p), "1", "exp of the mean cost", nil)
		t.estimate("perplexity_per_"+per+"_controls", math.Exp(-c), "1", "exp of the mean cost", nil)
	}
	for _, how := range []Combine{Fisher, RankSum, Sum} {
		name := ByRank + "-" + string(how)
		if how == t.plan.Combine {
			name = ByRank
		}
		logP, method := t.combine(how, ranks, of, even)
		if !math.IsNaN(logP) {
			t.p(name, logP, method)
		}
	}
	return nil
}

// combine returns ln p of one combination. Lists that lost different numbers of
// leaked controls have different rank laws; only `sum` handles those.
func (t *run) combine(how Combine, ranks []int, of int, even bool) (logP float64, method string) {
	if !even && how != Sum {
		// ceil(r of/Of) of a uniform rank r on 1..Of is never too small on 1..of,
		// so all ranks can be brought to the length of the shortest list.
		of = math.MaxInt
		for _, r := range t.out.Rows {
			of = min(of, r.Of)
		}
		ranks = slices.Clone(ranks)
		for k, r := range t.out.Rows {
			ranks[k] = min(of, int(math.Ceil(float64(r.Rank)*float64(of)/float64(r.Of)-1e-9)))
		}
	}
	switch how {
	case Fisher:
		return stat.LogFisherRanks(ranks, of), fmt.Sprintf("Fisher's sum over %d ranks of %d, exact grid law", len(ranks), of)
	case RankSum:
		total := 0
		for _, r := range ranks {
			total += r
		}
		return stat.LogTailRankTotal(total, len(ranks), of), fmt.Sprintf("sum of %d ranks of %d, exact", len(ranks), of)
	}
	logP, exact := stat.LogBlocks(t.scores, t.index, t.o.Draws, stat.NewRand(t.o.Seed, "ghost-sum", 0))
	if exact {
		return logP, "sum of centred scores, all index choices"
	}
	if logP <= -math.Log(float64(t.o.Draws+1))+1e-12 {
		t.warn("mc-floor", "`sum` is at its Monte Carlo floor of %.1g", 1/float64(t.o.Draws+1))
	}
	return logP, fmt.Sprintf("sum of centred scores, %d random index choices", t.o.Draws)
}

func shareBelow(x []float64, j int) float64 {
	s := 0.0
	for i, v := range x {
		switch {
		case i == j:
		case v < x[j]:
			s++
		case v == x[j]:
			s += .5
		}
	}
	return s / float64(len(x)-1)
}

// recall asks for the last k words, from token rows (greedy) and generations.
func (t *run) recall() error {
	v, cmax, ok := t.set.alphabet()
	if t.set.Kind != Passphrase || !ok {
		return nil
	}
	white := t.sus.at(0, t.set.Index(0), 0).Symbols != nil
	if !white && len(t.ev.Gens) == 0 {
		return nil
	}
	logP := make([]float64, 0, len(t.plan.RecallK))
	hitsPer := make([]int, 0, len(t.plan.RecallK))
	attempts := 0
	for _, k := range t.plan.RecallK {
		if k > t.set.Words {
			return fault.Usagef("ghost: recall of %d words of a secret of %d", k, t.set.Words)
		}
		hits, most, err := t.hits(k, white)
		if err != nil {
			return err
		}
		hitsPer = append(hitsPer, hits)
		attempts = max(attempts, most)
		logP = append(logP, LogRecall(hits, t.set.Secrets, k, most, float64(v), cmax))
	}
	if attempts > t.set.Plan.Attempts {
		t.warn("off-plan", "%d recall attempts per secret, planned %d; the bound counts all of them", attempts, t.set.Plan.Attempts)
		t.check("attempts", false, fmt.Sprintf("%d made, %d planned", attempts, t.set.Plan.Attempts))
		t.overrun = t.plan.Primary == ByRecall
	}
	adjusted := stat.Holm(logP)
	for i, k := range t.plan.RecallK {
		t.estimate(fmt.Sprintf("hits_last_%d", k), float64(hitsPer[i]), "secrets", fmt.Sprintf("of %d, at most %d attempts each", t.set.Secrets, attempts), nil)
		name, method := ByRecall, fmt.Sprintf("binomial bound, c_max %d, V %d, %d attempts", cmax, v, attempts)
		if len(t.plan.RecallK) > 1 {
			name, method = fmt.Sprintf("%s:%d", ByRecall, k), method+", Holm over the numbers of words"
		}
		t.p(name, adjusted[i], method)
	}
	t.out.Result.N = map[string]int{"attempts": attempts}
	return nil
}

// hits counts the secrets whose last k words came back, and the largest number of
// attempts made on one of them.
func (t *run) hits(k int, white bool) (hits, attempts int, err error) {
	for s := range t.set.Secrets {
		tried, hit := 0, false
		planted := t.set.Index(s)
		if white {
			for w := range t.sus.w {
				tried++
				sy := t.sus.at(s, planted, w).Symbols
				if len(sy) != t.set.Words {
					return 0, 0, fault.Inputf("evidence", "ghost: %s: found token rows for %d of %d words", requestID(s, planted, w), len(sy), t.set.Words)
				}
				all := true
				for _, x := range sy[len(sy)-k:] {
					all = all && x.Whole && x.Greedy
				}
				hit = hit || all
			}
		}
		want := t.set.Symbols(s, planted)
		for _, g := range t.ev.Gens {
			if g.Secret != s || g.K != k {
				continue
			}
			tried++
			f := strings.Fields(strings.ToLower(g.Text))
			hit = hit || len(f) >= k && slices.Equal(f[:k], want[len(want)-k:])
		}
		attempts = max(attempts, tried)
		if hit {
			hits++
			t.out.Rows[s].Hits = append(t.out.Rows[s].Hits, k)
		}
	}
	return hits, attempts, nil
}

// evalue averages over wrappers and combines secrets by the hedged product.
func (t *run) evalue() error {
	if t.set.Kind == Trap || t.set.Kind == Templated || t.sus.at(0, t.set.Index(0), 0).Symbols == nil {
		return nil
	}
	var wrappers []int
	for w := range t.sus.w {
		err := t.sus.constantContext(t.set.Secrets, w)
		detail := fmt.Sprintf("wrapper %d", w)
		if err != nil {
			detail = err.Error()
		}
		if t.check("constant-context", err == nil, detail) {
			wrappers = append(wrappers, w)
		}
	}
	if len(wrappers) == 0 {
		return nil
	}
	var all []float64
	for s := range t.set.Secrets {
		per := make([]float64, 0, len(wrappers))
		for _, w := range wrappers {
			per = append(per, t.oneE(t.sus.at(s, t.set.Index(s), w).Symbols))
		}
		e := meanLog10(per)
		t.out.Rows[s].Log10E = &e
		all = append(all, e)
	}
	e := Hedge(all)
	t.estimate("log10_e", e, "1", "hedged product over secrets of the mixture over last words", nil)
	t.p(ByEValue, eLog10P(e)*math.Ln10, "1 / e-value")
	return nil
}

// oneE is log10 of the e-value of one row: the mixture over the last words for
// passphrases, the whole string otherwise. A first word whose first token was not
// scored becomes part of the condition.
func (t *run) oneE(sy []Symbol) float64 {
	if t.set.Kind != Passphrase {
		if !sy[0].Whole {
			return 0 // nothing can be said: E = 1
		}
		return t.set.Bits()*math.Log10(2) + sy[0].LogProb/math.Ln10
	}
	from := 0
	for i, x := range sy {
		if !x.Whole {
			from = i + 1
		}
	}
	if from == len(sy) {
		return 0
	}
	logs := make([]float64, 0, len(sy)-from)
	for _, x := range sy[from:] {
		logs = append(logs, x.LogProb)
	}
	_, mix := EValue(logs, float64(len(t.set.List.Words)), t.set.List.CMax)
	return mix
}

// words combines the ranks of every planted word among all words of the list.
func (t *run) words() error {
	if t.ev.WordRanks == nil {
		return nil
	}
	if t.set.Kind != Passphrase || len(t.ev.WordRanks) != t.set.Secrets {
		return fault.Inputf("evidence", "ghost: word ranks of %d secrets, want %d of kind %s", len(t.ev.WordRanks), t.set.Secrets, Passphrase)
	}
	var all []int
	for _, r := range t.ev.WordRanks {
		all = append(all, r...)
	}
	v := len(t.set.List.Words)
	logP := stat.LogFisherRanks(all, v)
	if math.IsNaN(logP) {
		return fault.Inputf("evidence", "ghost: word ranks: found a rank outside 1..%d", v)
	}
	t.p(ByWordRanks, logP, fmt.Sprintf("Fisher's sum over %d ranks of %d words, exact grid law", len(all), v))
	return nil
}

// exposure is descriptive: bits by which each canary stands out.
func (t *run) exposure() error {
	total := 0.0
	for k := range t.out.Rows {
		total += t.out.Rows[k].Exposure
		x, j := t.scores[k], t.index[k]
		if bits, err := ExposureExtrapolated(x[j], without(x, j)); err == nil {
			t.out.Rows[k].Estimated = &bits
		}
	}
	t.estimate("exposure", total/float64(len(t.out.Rows)), "bits", "mean over secrets of log2 m - log2 rank; 1.44 is expected without memorisation", nil)
	return nil
}

// TPredictive compares x with controls by the t law that predicts one more value:
// t = (x - mean)/(sd sqrt(1+1/m)) with m-1 degrees of freedom. Descriptive: it
// assumes normal scores, but unlike the normal tail it knows that mean and
// deviation were estimated. It returns the log of the upper tail.
func TPredictive(x float64, controls []float64) (t, logP float64) {
	m, v := stat.MeanVar(controls)
	n := float64(len(controls))
	t = (x - m) / (math.Sqrt(v) * math.Sqrt(1+1/n))
	logP, _ = stat.LogTailStudentT(t, n-1)
	return t, logP
}
