// Package bundle makes and checks evidence bundles: one folder that holds a plan,
// the inputs, what the models said (traces, answers), the results and the digests
// of all of them, so that a sceptic can recompute every number.
//
// It answers: what does this plan ask for (Parse), did anything change since the
// parties exchanged a seal (Seal), run it with one forward pass per distinct
// measurement (Run), and does a folder hold what it claims (Verify).
//
// It refuses to know any test or any model: both come in as values (Test, Engine),
// so that a program without model code verifies everything but scores. It grants no
// tier: a bundle has none, results have.
//
// A bundle:
//
//	manifest.json SHA256SUMS plan.yaml reproduce.sh report.html
//	inputs/ traces/ states/ gens/ results/ figures/
//	environment.json timing.json log.jsonl           what differs between two runs
//
// The adjusted p-values of a family are Holm's (1979) or Benjamini and Hochberg's
// (1995), by probes/stat.
package bundle
