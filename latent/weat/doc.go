// Package weat measures how a vector space associates words with attributes:
// do two groups of words (targets X and Y) stand at different distances from
// two sets of attributes (A and B), how large is that next to what the set
// sizes allow, can it be chance of word choice, and does it hang on one word,
// on word length or frequency, or on the attribute list?
//
// With cos the cosine and s(w) = mean of cos(w, a) over A minus mean of
// cos(w, b) over B, the effect size is
//
//	d = (mean of s over X - mean of s over Y) / SD of s over X and Y together
//
// with the SD's divisor N-1, which is what reproduces the published sizes
// (Caliskan, Bryson, Narayanan 2017, arXiv 1608.07187). It is bounded: at 8 + 8
// words |d| is at most 1.94, so it is not Cohen's d (d_pooled is). The p-value
// is the share of choices of X among all target words whose sum of s is at
// least the observed one, counted exactly where possible (probes/assoc/perm).
// The published p-values are normal tails of d sqrt(nx ny / N), given beside.
//
// A result has tier B when its unit is the word, the target sets are balanced
// in vector length, pieces and (if given) frequency, and the sign survives
// centring; otherwise tier C, without p-values: the tails stay as estimates.
// It is never A, for nobody randomised what words mean.
//
// The package refuses a word in both targets or both attributes, a set that
// lost over a fifth of its words (the result is then undefined and names them),
// and a zero vector (a lost word, never cosine 0). It reads no model: vectors
// come as a Space, from a file (vecfile), from an embedding matrix (Source,
// Embedding) or from hidden states in contexts (States).
//
// Also here: single words against a property (WEFAT), sentences with the word
// as the unit (SEAT, arXiv 1903.10561), contextual draws (CEAT, 2006.03955),
// and the related measures RND, ECT, MAC, RIPA and RNSB as defined by their
// papers and by dccuchile/wefe; none of these last has a valid p-value.
//
// Warning codes: words-lost, words-cut, words-mapped, overlap,
// underpowered (the smallest possible p exceeds alpha), saturated (d within 5 %
// of its bound), confounded (the sets differ in length, pieces or frequency),
// piece-imbalance, not-robust (sign differs between variants), not-centred
// (variants were not computed), attr-fragile (relabelling attributes gives p
// above alpha), one-word-decides, few-contexts (under 5), tied-embeddings,
// ties, mc-floor, undefined; from where vectors come from: duplicate-vector,
// piece-mismatch, centred-on-run (variants depend on what else is in the run),
// no-controls (too few words to match with).
package weat
