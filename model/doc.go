// Package model computes what a checkpoint says about token ids: for every
// scored token its log-probability, entropy, standard deviation of ln p, rank
// and argmax, and the hidden states at named taps; and it continues prompts,
// greedily or by seeded sampling. It runs on GoMLX backends.
//
// A family of checkpoints is data, not code: a [Family] names the tensors, the
// config keys it reads and the function from config.json to a [Spec], and one
// set of graphs runs every Spec. Load refuses what it cannot run exactly: an
// unknown model_type or config key, a tensor that is missing, unexpected or of
// another shape, an output matrix that contradicts the tie, a token id outside
// the vocabulary, a window longer than the model's positions, NaN or infinity
// in any output. Nothing is imputed, truncated or approximated.
//
// A decoder predicts a token at the place before it. An encoder sees both sides
// and predicts a token at its own place, which is then masked: its windows say
// where (Window.Rows). In a mixture of experts a token's choice is made in float64
// from its own state, and only the chosen experts are computed.
//
// Activations and sums are float32; a row's values do not depend on its batch
// mates, padding or the number of threads beyond rounding, which Invariance
// measures. The mathematics of each family is that of transformers 5.23
// evaluated in float64 (testdata/reference).
//
// This is the only package of the program that imports gomlx.
package model
