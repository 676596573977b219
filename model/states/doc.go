// Package states runs a checkpoint over documents and stores what its layers
// hold: hidden vectors at named taps, pooled over a span of each document, with
// sums over cells, statistics of tokens and readings of the output head.
//
// It answers: which vectors does this checkpoint compute for these texts? The
// file (model/trace) keeps enough that every test of the vectors can be
// recomputed without the model.
//
// It refuses, before the first forward pass: a tap, layer, pool or span that
// does not exist, a document without a token in the span, one that is longer
// than the window under policy full, weights that do not fit a span, a window
// policy that leaves tokens without a vector, labels and pairs that do not go
// together. A vector that is not finite ends the run with id, layer and
// position.
//
// The input is read twice. The first pass ([Prepare]) tokenizes, takes digests
// and fixes the plan; the second ([Run]) feeds the model and pools each tap
// where it arrives, so that no tensor [tokens, width] outlives its batch.
//
// Positions count in the sequence that is fed: special ids in front, then the
// document's tokens. Under a policy with several windows a token takes its vector
// from the window that scores it, the first tokens of a document from its first
// window, so each counts once.
//
// Spans: text, the document's own tokens; prompt and response; template, what a chat
// template puts after the user's turn; all. In a chat template ([Templated]) a text
// or prompt is the user's turn.
//
// Pools: mean; last; weighted:linear, sum of r x_r / (T(T+1)/2) with r = 1..T;
// weighted:FILE, {"id", "weights"} per line, normalised to sum 1; tokens:LIST or
// tokens:FILE, {"id", "positions"} per line, one row per listed position of the
// span, negative from its end. Sums over tokens are float64, rounded once.
package states
