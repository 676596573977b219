// Package pairs asks which of two sentences that differ in a group a model
// finds likelier: CrowS-Pairs (Nangia et al. 2020, arXiv 2010.00133), WinoBias
// (Zhao et al. 2018, 1804.06876), the user's own contrasts, and StereoSet
// (Nadeem et al. 2020, 2004.09456).
//
// The headline for causal models is d_shared: the log-probability of the
// tokens after the first difference that both sentences share, in the more
// stereotyped sentence less in the other. It asks whether the rest of the
// sentence is likelier after one group word than after the other, and leaves
// out that one group word is simply commoner, which d_sum cannot. Encoders have
// pseudo-log-likelihoods (each token masked in turn); the two are never mixed.
//
// Every result is descriptive (tier C): 50 % is not what an unbiased model
// gives, since words differ in frequency and published items are known to be
// flawed. The package refuses files with other columns than published, and
// says line and column.
package pairs

import (
	"math"

	"assay/internal/fault"
	"assay/probes/assoc"
)

// Diffs are the differences of one pair, more stereotyped less other, nats.
type Diffs struct {
	Sum, Token, Byte float64
	Shared           float64 // over shared tokens after the first difference; NaN if none
	SharedAll        float64 // over shared tokens anywhere: for masked models
	SharedTokens     int     // after the first difference
	// Prefix is the largest difference between tokens before the first
	// difference, which a causal model must score alike.
	Prefix float64
	NoBOS  bool // the first token of both was not scored
}

// Diff compares the scored tokens of two sentences. Tokens are shared when
// their bytes are equal, aligned by the longest common subsequence in bytes.
func Diff(moreText, lessText string, more, less []assoc.Token) (Diffs, error) {
	var d Diffs
	mt, err := texts(moreText, more)
	if err != nil {
		return d, err
	}
	lt, err := texts(lessText, less)
	if err != nil {
		return d, err
	}
	sum := func(ts []assoc.Token) (s float64) {
		for _, t := range ts {
			s += t.LogProb
		}
		return s
	}
	sm, sl := sum(more), sum(less)
	d.Sum = sm - sl
	d.Token = sm/float64(len(more)) - sl/float64(len(less))
	d.Byte = sm/float64(len(moreText)) - sl/float64(len(lessText))
	d.NoBOS = more[0].Off > 0 && less[0].Off > 0
	first := 0
	for first < len(mt) && first < len(lt) && mt[first] == lt[first] {
		d.Prefix = max(d.Prefix, math.Abs(more[first].LogProb-less[first].LogProb))
		d.SharedAll += more[first].LogProb - less[first].LogProb
		first++
	}
	if first == len(mt) && first == len(lt) {
		return d, fault.Inputf("bad-data", "pairs: %q: found two equal sentences", moreText)
	}
	for _, m := range align(mt[first:], lt[first:]) {
		d.Shared += more[first+m[0]].LogProb - less[first+m[1]].LogProb
		d.SharedTokens++
	}
	d.SharedAll += d.Shared
	if d.SharedTokens == 0 {
		d.Shared = math.NaN()
		if first == 0 {
			d.SharedAll = math.NaN()
		}
	}
	return d, nil
}

// texts cuts a sentence at its tokens.
func texts(s string, ts []assoc.Token) ([]string, error) {
	if len(ts) == 0 {
		return nil, fault.Inputf("malformed", "pairs: %q: found no tokens", s)
	}
	out, end := make([]string, len(ts)), 0
	for i, t := range ts {
		if t.Off < end || t.Len < 0 || t.Off+t.Len > len(s) {
			return nil, fault.Inputf("malformed", "pairs: %q: token %d: found bytes %d to %d, want inside the text and after token %d", s, i, t.Off, t.Off+t.Len, i-1)
		}
		out[i], end = s[t.Off:t.Off+t.Len], t.Off+t.Len
	}
	return out, nil
}

// align returns index pairs of a longest common subsequence by bytes; the
// earliest one if several are longest.
func align(a, b []string) [][2]int {
	best := make([][]int, len(a)+1) // bytes shared by a[i:] and b[j:]
	for i := range best {
		best[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			best[i][j] = max(best[i+1][j], best[i][j+1])
			if a[i] == b[j] {
				best[i][j] = max(best[i][j], best[i+1][j+1]+len(a[i]))
			}
		}
	}
	var out [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j] && best[i][j] == best[i+1][j+1]+len(a[i]):
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case best[i+1][j] >= best[i][j+1]:
			i++
		default:
			j++
		}
	}
	return out
}
