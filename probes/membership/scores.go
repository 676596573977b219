package membership

import (
	"math"
	"strconv"

	"assay/internal/fault"
)

// families is the table of scores. In the formulas l is the log-probability of a
// scored row, H the entropy, s the standard deviation of ln p, r the rank, y = -l,
// T rows, Z zlib bytes, B bytes, ' the reference.
func families() []family {
	return []family{
		{Info{"loss", "mean l", 0, "Yeom 2018", "others average over T-1 tokens, or drop tokens whose loss is exactly 0 (the best memorised)", "must"}, buildLoss},
		{Info{"zlib", "mean l / Z; :char mean l/(Z/chars); :bits -(sum y/ln 2)/(8 Z)", NeedText, "Carlini 2021", "per byte or per byte per character", "must"}, buildZlib},
		{Info{"lower", "mean y(lower-cased)/mean y", NeedLower, "Carlini 2021", "its negative or its inverse", "must"}, buildLower},
		{Info{"ref", "mean l - mean l'; :ratio mean y'/mean y; :bits (sum y' - sum y)/(B ln 2)", NeedRef, "Carlini 2021", "difference, ratio, or loss over perplexity", "must"}, buildRef},
		{Info{"mink:k", "mean of the floor(k T) lowest l", NeedRows, "Shi 2023 (arXiv 2310.16789)", "k_min_probs of llm_dataset_inference averages the *easiest* tokens", "must"}, buildMinK},
		{Info{"maxk:k", "mean of the floor(k T) highest l", NeedRows, "the mirror of mink, for dataset inference (Maini et al. 2024)", "llm_dataset_inference calls this k_min_probs", "should"}, buildMaxK},
		{Info{"minkpp:k", "the same of (l + H)/s; :plain with the unweighted moments", NeedRows, "arXiv 2404.02936", "weighted or plain moments", "must"}, buildMinKPP},
		{Info{"rank", "-mean(r+1)", NeedRows, "mimir", "", "must"}, buildRank},
		{Info{"logrank", "-mean ln(r+1)", NeedRows, "mimir", "", "must"}, buildRank},
		{Info{"recall", "mean l(x after shots)/mean l(x); :diff the difference", NeedShots, "Xie 2024", "with the prefix masked, or averaged in (mia_llms_benchmark)", "must"}, buildRecall},
		{Info{"conrecall", "(mean y(after non-members) - mean y(after members))/mean y", NeedShots | NeedMemberShots, "arXiv 2409.03363", "", "should"}, buildConRecall},
		{Info{"neigh", "mean l - mean over edited copies of mean l", NeedNeighbours, "Mattern 2023", "copies by a masked model or resampled: never compare the two", "should"}, buildNeigh},
		{Info{"dcpdd:a", "first occurrences: mean of min(p ln(1/f), a)", NeedRows | NeedCounts, "DC-PDD, EMNLP 2024", "counts of tokens or of documents", "should"}, buildDCPDD},
		{Info{"surp:eps", "mean l over the 40 % lowest l with H < eps", NeedRows, "arXiv 2407.21248", "", "should"}, buildSurp},
		{Info{"wbc", "mean over window sizes of the share of windows with sum(l - l') > 0; :cfg other sizes", NeedRef | NeedRefRows, "arXiv 2601.02751, for fine-tunes with the base as reference", "", "should"}, buildWBC},
		{Info{"ez", "over rows not ranked first: positive part of l - l' over both parts", NeedRef | NeedRefRows, "arXiv 2601.12104, second hand", "bounded form of the ratio", "should"}, buildEZ},
		{Info{"pac", "mean over word-swapped copies of P, minus P; P = top 5 % l - bottom 30 % l", NeedRows | NeedSwaps, "PAC 2024", "mia_llms_benchmark takes all entries where int(k T) = 0", "could"}, buildPAC},
		{Info{"dyn:slope", "also :below :div :cut :rep; how the cost moves along the text", NeedRows, "ours, after the idea of CAMIA (arXiv 2409.13745)", "no parity with any published number", "could"}, buildDyn},
	}
}

func buildLoss(name string, arg []string) (fn, error) {
	return fn{"loss", 0, func(in *Item) (float64, int, string) { return -meanLogProb(in.Doc), -1, "" }}, plainOnly(name, arg)
}

func buildZlib(name string, arg []string) (fn, error) {
	f := fn{"zlib", NeedText, func(in *Item) (float64, int, string) {
		if in.Doc.Zlib <= 0 {
			return 0, -1, "no text"
		}
		return -meanLogProb(in.Doc) / float64(in.Doc.Zlib), -1, ""
	}}
	if len(arg) == 1 && arg[0] == "char" {
		f = fn{"zlib:char", NeedText, func(in *Item) (float64, int, string) {
			if in.Doc.Zlib <= 0 || in.Doc.Chars <= 0 {
				return 0, -1, "no text"
			}
			return -meanLogProb(in.Doc) / (float64(in.Doc.Zlib) / float64(in.Doc.Chars)), -1, ""
		}}
	}
	if len(arg) == 1 && arg[0] == "bits" {
		f = fn{"zlib:bits", NeedText, func(in *Item) (float64, int, string) {
			if in.Doc.Zlib <= 0 {
				return 0, -1, "no text"
			}
			return -in.Doc.SumLogprob / math.Ln2 / (8 * float64(in.Doc.Zlib)), -1, ""
		}}
	}
	return f, plainOnly(name, arg, "char", "bits")
}

func buildLower(name string, arg []string) (fn, error) {
	return fn{"lower", NeedLower, func(in *Item) (float64, int, string) {
		switch {
		case in.Lower == nil:
			return 0, 1, "lower-cased text missing"
		case in.Changed < .05:
			return 0, 1, "under 5 % of letters change"
		case in.Lower.Scored == 0:
			return 0, 1, "lower-cased text not scored"
		}
		return meanLogProb(*in.Lower) / meanLogProb(in.Doc), 1, ""
	}}, plainOnly(name, arg)
}

// onePortion reads the parameter of name:k, default .2.
func onePortion(name string, arg []string) (float64, error) {
	switch len(arg) {
	case 0:
		return .2, nil
	case 1:
		return portion(name, arg[0])
	}
	return 0, plainOnly(name, arg)
}

func buildMaxK(name string, arg []string) (fn, error) {
	k, err := onePortion(name, arg)
	return fn{canonicalName("maxk", k), NeedRows, func(in *Item) (float64, int, string) {
		s := in.rows().sorted()
		return mean(s[len(s)-share(k, len(s)):]), 1, ""
	}}, err
}

func buildMinK(name string, arg []string) (fn, error) {
	k, err := onePortion(name, arg)
	return fn{canonicalName("mink", k), NeedRows, func(in *Item) (float64, int, string) {
		return low(in.rows().sorted(), k), 1, ""
	}}, err
}

func buildMinKPP(name string, arg []string) (fn, error) {
	plain := len(arg) > 0 && arg[0] == "plain"
	if plain {
		arg = arg[1:]
	}
	k, err := onePortion(name, arg)
	if err != nil {
		return fn{}, err
	}
	if plain {
		return fn{canonicalName("minkpp", k, "plain"), NeedRows | NeedMoments, func(in *Item) (float64, int, string) {
			if in.Tok.UMean == nil {
				return 0, 1, "no columns umean and usd"
			}
			return low(in.rows().sortedPlain(in.Tok), k), 1, ""
		}}, nil
	}
	return fn{canonicalName("minkpp", k), NeedRows, func(in *Item) (float64, int, string) {
		return low(in.rows().sortedZ(in.Tok), k), 1, ""
	}}, nil
}

func buildRank(name string, arg []string) (fn, error) {
	of := func(r int32) float64 { return float64(r) + 1 }
	if name == "logrank" {
		of = func(r int32) float64 { return math.Log(float64(r) + 1) }
	}
	return fn{name, NeedRows, func(in *Item) (float64, int, string) {
		v := in.rows()
		s := 0.0
		for _, r := range v.rows {
			s += of(in.Tok.Rank[r])
		}
		return s / float64(len(v.rows)), -1, ""
	}}, plainOnly(name, arg)
}

func buildDCPDD(name string, arg []string) (fn, error) {
	a := .01
	if len(arg) > 1 {
		return fn{}, plainOnly(name, arg)
	}
	if len(arg) == 1 {
		var err error
		if a, err = strconv.ParseFloat(arg[0], 64); err != nil || !(a > 0) { // +Inf: no bound
			return fn{}, fault.Usagef("membership: score %s: found a = %q, want a positive number", name, arg[0])
		}
	}
	return fn{canonicalName("dcpdd", a), NeedRows | NeedCounts, func(in *Item) (float64, int, string) {
		v, _, st := dcpdd(in, a)
		return v, 1, st
	}}, nil
}

// dcpdd also returns the share of terms at the bound.
func dcpdd(in *Item, a float64) (v, clipped float64, status string) {
	if in.Counts == nil {
		return 0, 0, "token counts missing"
	}
	if in.Tok.ID == nil {
		return 0, 0, "token ids missing"
	}
	w := in.rows()
	seen := make(map[int32]bool, len(w.rows))
	sum, n, at := 0.0, 0.0, 0.0
	size := in.Counts.Total + float64(len(in.Counts.N))
	for i, r := range w.rows {
		id := in.Tok.ID[r]
		if seen[id] {
			continue
		}
		seen[id] = true
		if int(id) >= len(in.Counts.N) || id < 0 {
			return 0, 0, "a token id outside the counts"
		}
		f := (float64(in.Counts.N[id]) + 1) / size
		x := math.Exp(w.l[i]) * math.Log(1/f)
		if x > a {
			x = a
			at++
		}
		sum += x
		n++
	}
	return sum / n, at / n, ""
}

func buildSurp(name string, arg []string) (fn, error) {
	eps := 2.0
	if len(arg) > 1 {
		return fn{}, plainOnly(name, arg)
	}
	if len(arg) == 1 {
		var err error
		if eps, err = strconv.ParseFloat(arg[0], 64); err != nil || !(eps > 0) {
			return fn{}, fault.Usagef("membership: score %s: found eps = %q, want a positive number", name, arg[0])
		}
	}
	return fn{canonicalName("surp", eps), NeedRows, func(in *Item) (float64, int, string) {
		v := in.rows()
		limit := v.sorted()[share(.4, len(v.l))-1]
		s, n, ties := 0.0, 0.0, share(.4, len(v.l))
		for _, x := range v.sorted() { // rows strictly below the limit come first
			if x < limit {
				ties--
			}
		}
		for i, x := range v.l {
			if x > limit || x == limit && ties == 0 {
				continue
			}
			if x == limit { // ties at the limit enter in text order
				ties--
			}
			if v.h[i] < eps {
				s += x
				n++
			}
		}
		if n == 0 {
			return 0, 1, "no row is both unlikely and certain"
		}
		return s / n, 1, ""
	}}, nil
}

func buildPAC(name string, arg []string) (fn, error) {
	return fn{"pac", NeedRows | NeedSwaps, func(in *Item) (float64, int, string) {
		if len(in.Swaps) == 0 {
			return 0, 1, "word-swapped copies missing"
		}
		s, n := 0.0, 0.0
		for _, t := range in.Swaps {
			c := Item{Doc: in.Doc, Tok: t}
			if v := c.rows(); len(v.l) > 0 {
				s += polar(v)
				n++
			}
		}
		if n == 0 {
			return 0, 1, "word-swapped copies not scored"
		}
		return s/n - polar(in.rows()), 1, ""
	}}, plainOnly(name, arg)
}

// polar is the distance of the best 5 % of the rows from the worst 30 %.
func polar(v *view) float64 {
	s := v.sorted()
	return mean(s[len(s)-share(.05, len(s)):]) - mean(s[:share(.3, len(s))])
}

func buildDyn(name string, arg []string) (fn, error) {
	if len(arg) != 1 {
		return fn{}, plainOnly(name, []string{""}, "slope", "below", "div", "cut", "rep")
	}
	full := "dyn:" + arg[0]
	switch arg[0] {
	case "slope":
		return fn{full, NeedRows, func(in *Item) (float64, int, string) {
			l := in.rows().l
			n := float64(len(l))
			if n < 2 {
				return 0, 1, "fewer than 2 rows"
			}
			mid, m, xy, xx := (n-1)/2, in.rows().mean, 0.0, 0.0
			for i, v := range l {
				x := float64(i) - mid
				xy += x * (v - m)
				xx += x * x
			}
			return xy / xx, 1, "" // of l: minus the slope of y
		}}, nil
	case "below":
		return fn{full, NeedRows, func(in *Item) (float64, int, string) {
			l := in.rows().l
			if len(l) < 2 {
				return 0, 1, "fewer than 2 rows"
			}
			s, hit := 0.0, 0.0
			for i, v := range l {
				if i > 0 && -v < -s/float64(i) {
					hit++
				}
				s += v
			}
			return hit / float64(len(l)-1), 1, ""
		}}, nil
	case "div":
		return fn{full, NeedRows, func(in *Item) (float64, int, string) {
			if in.Tok.ID == nil {
				return 0, 1, "token ids missing"
			}
			v := in.rows()
			seen := make(map[int32]bool)
			for _, r := range v.rows {
				seen[in.Tok.ID[r]] = true
			}
			return v.mean / (float64(len(seen)) / float64(len(v.rows))), 1, ""
		}}, nil
	case "cut":
		return fn{full, NeedRows, func(in *Item) (float64, int, string) {
			l := in.rows().l
			return mean(l[:min(64, len(l))]), 1, ""
		}}, nil
	case "rep":
		return fn{full, NeedSelf, func(in *Item) (float64, int, string) {
			if in.Self == nil || in.Self.Scored == 0 {
				return 0, 1, "text after itself missing"
			}
			return meanLogProb(in.Doc) - meanLogProb(*in.Self), 1, ""
		}}, nil
	}
	return fn{}, plainOnly(name, arg, "slope", "below", "div", "cut", "rep")
}
