// Package palimpsest answers one question: does a suspect model depend on the
// order in which my training run saw its data?
//
// A model remembers late sequences a little better than early ones. If the order
// was a random shuffle, the log-probabilities of a model that has nothing to do
// with the run cannot correlate with position, whatever the data are. So the
// rank correlation rho of position and score is a test whose null needs no model
// of text: given the sequences, every assignment of the positions to the
// sequences is equally likely (within strata).
//
// A [Transcript] says what was seen when; [Join] matches it with the scores of
// traces; [Query] tests. [Partition] and [Shuffle] test with the suspect's text
// alone. [Power] plans, [Plot] draws.
//
// The package refuses to name a path. A rejected null says that the suspect
// depends on this order, not whether by fine-tuning, distillation, a rerun with
// the same seed or an ordered dump of the data, nor that any use was wrongful. It
// refuses a p-value when the order fails its exchangeability checks in a way that
// could explain the finding, or when the sign is wrong: the numbers then become
// diagnostics and the tier is C. Units are what was shuffled: sequences or
// batches, never tokens.
//
// Source: Kuditipudi et al., "Blackbox model provenance via palimpsestic
// membership inference" (arXiv 2510.19796), query and observational settings. The
// exact companions (permutation, rank-sum tail), strata, checks and controls are
// this package's own.
package palimpsest
