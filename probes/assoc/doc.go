// Package assoc holds what the probes of biased behaviour share: requests to a
// model and the log-probabilities that answer them, choices among worded
// answers, and how much a number moves when only the format of the question
// changes. The probes are below: iat (group words after attribute words), swap
// (decisions when only the group changes), pairs (sentences that differ in the
// group, StereoSet), bbq (multiple choice, informed or not).
//
// Every probe is two pure functions: Plan lists requests, Run reads answers.
// There is no model here, no file, no clock and no randomness but a seed, so
// anyone can recompute a result from stored answers. White box first: numbers
// come from log-probabilities, in nats, never from parsed answers.
//
// The package refuses to guess: an unanswered request, an answer with other
// targets than were asked, a log-probability above 0 or not finite is an error
// that names the request. It never picks the format with the best result.
package assoc
