package ghost

import (
	"math"

	"assay/internal/fault"
	"assay/probes/stat"
)

// EValue returns log10 of the e-value of one secret and of its mixture. A model's
// probabilities of all N = V^n candidates after one context sum to at most 1
// (c_max where a symbol can begin another), and the secret is uniform on
// them, so E = N P / c_max has mean at most 1 under the null hypothesis for any
// model, and 1/E is a valid p-value. wordLogProb holds, in nats, what each
// symbol cost given the ones before it. The mixture averages E over the last
// s = 1..n symbols given the first n-s; an average of e-values is an e-value.
func EValue(wordLogProb []float64, v float64, cmax int) (log10E, log10Mix float64) {
	n := len(wordLogProb)
	if n == 0 || !(v > 1) || cmax < 1 {
		return math.NaN(), math.NaN()
	}
	terms := make([]float64, n)
	tail := -math.Log(float64(cmax))
	for s := 1; s <= n; s++ {
		tail += math.Log(v) + wordLogProb[n-s]
		terms[s-1] = tail
	}
	return tail / math.Ln10, (stat.LogSumExp(terms) - math.Log(float64(n))) / math.Ln10
}

// Hedge combines the e-values of independent secrets: product of (1+E)/2, so a
// forgotten copy costs at most a factor of two. All in log10.
func Hedge(log10E []float64) float64 {
	t := 0.0
	for _, e := range log10E {
		t += (stat.LogSumExp([]float64{0, e * math.Ln10}) - math.Ln2) / math.Ln10
	}
	return t
}

// meanLog10 averages e-values given in log10: wrappers of one secret are
// dependent, and averaging stays valid where multiplying would not.
func meanLog10(log10E []float64) float64 {
	t := make([]float64, len(log10E))
	for i, e := range log10E {
		t[i] = e * math.Ln10
	}
	return (stat.LogSumExp(t) - math.Log(float64(len(t)))) / math.Ln10
}

// eLog10P is log10 min(1, 1/E).
func eLog10P(log10E float64) float64 { return min(0, -log10E) }

// LogRecall returns ln P(at least hits of secrets are recalled) under the null
// hypothesis: a fixed answer is right with probability at most c_max V^-k, and
// attempts answers on one secret (wrappers, samples, beams) count together by
// the union bound, never as independent trials.
func LogRecall(hits, secrets, k, attempts int, v float64, cmax int) float64 {
	logq := min(0, math.Log(float64(attempts))+math.Log(float64(cmax))-float64(k)*math.Log(v))
	return stat.LogTailBinom(hits, secrets, logq)
}

// Exposure returns log2 m - log2 r with r = 1 + #{references >= canary}: bits by
// which a canary stands out among m references (Carlini et al. 2019). Ties count
// against; the cap is log2 m; an unmemorised canary has about 1.44 bits on
// average. It is descriptive, never a p-value.
func Exposure(canary float64, references []float64) (bits float64, r int) {
	all := append([]float64{canary}, references...)
	r = rank(all, 0)
	return math.Log2(float64(len(references))) - math.Log2(float64(r)), r
}

// ExposureExtrapolated fits a skew-normal law to the negative scores of the
// references and returns -log2 F(-canary), an estimate beyond the cap of Exposure.
// It refuses fewer than 100 references and a fit that a Kolmogorov-Smirnov test
// rejects at .1.
func ExposureExtrapolated(canary float64, references []float64) (bits float64, err error) {
	if len(references) < 100 {
		return math.NaN(), fault.Inputf("too-few", "ghost: extrapolated exposure: found %d references, want at least 100", len(references))
	}
	x := make([]float64, len(references))
	for i, v := range references {
		x[i] = -v
	}
	fit, err := FitSkewNormal(x)
	if err != nil {
		return math.NaN(), err
	}
	if fit.KSP < .1 {
		return math.NaN(), fault.Inputf("no-fit", "ghost: extrapolated exposure: the references are not skew-normal (Kolmogorov-Smirnov p %.3g, want at least .1)", fit.KSP)
	}
	return -fit.LogCDF(-canary) / math.Ln2, nil
}
