// Package stat holds the statistics that the tests of assay share: midranks
// and rank correlation, tails in log space, the exact late-against-early
// rank-sum tail, permutation and sign-flip tests, bootstrap and jackknife,
// multiplicity.
//
// All probabilities are natural logarithms, because a test of a million
// sequences has a p-value that float64 cannot hold. A tail is computed as a
// tail, never as one minus a cumulative probability, wherever it can be small.
//
// Randomness comes in as a seed. Replicate j of a named stream is a function of
// (seed, stream, j) alone, so results do not depend on the number of workers.
//
// The package refuses to choose: it takes no alpha, gives no verdict and knows
// nothing of models. It also refuses values that are not finite. Functions whose
// input usually comes from files return errors; the few that return bare numbers
// (the signatures shared by several tests) return NaN for input that has no answer.
//
// gonum supplies quantiles and matrices. Its tails are 1 - CDF, which is 0 from
// about nine standard deviations on, so the tails are our own.
package stat
