// Package ghost plants random strings and later tests whether a checkpoint
// depends on them: ghost sentences, copyright traps, canaries.
//
// A secret is one of M+1 candidates that one generator drew independently; which of
// them was planted is random too. If the checkpoint does not depend on the planted
// strings, the planted one has the same chance of every rank among its
// candidates, whatever the model is. The randomness is the auditor's own, so the
// p-values are exact. A commitment published before planting (roots of the
// candidates, the indices, the analysis plan) lets a sceptic check that neither
// controls nor statistic were chosen after the scores were seen.
//
// Tests: rank against committed controls (Fisher's sum of ranks with its exact
// law, rank sum, sum of scores); recall of the last words; e-values, which need
// no controls; ranks of each planted word among all words; exposure, which is
// descriptive. See stat.LogFisherRanks, stat.LogTailRankTotal, stat.LogBlocks, EValue, LogRecall.
//
// It refuses to lower a tier when a commitment does not verify (that is an error), to
// use a normal tail of log-perplexities, to multiply e-values of one secret, to
// call a published phrase that a person made up anything but descriptive, and
// to print a secret: rows name the leaf.
//
// Sources: Zhao et al. 2024 (arXiv 2403.15740) and Meeus et al. 2024 (arXiv
// 2402.09363) for the idea, Carlini et al. 2019 for exposure, RFC 6962 for the
// tree, Phipson and Smyth 2010 for Monte Carlo p-values. The commitment, the e-value, word
// ranks and the exact law of Fisher's sum are this package's.
package ghost
