// Package score runs a checkpoint over documents and leaves a trace: it
// tokenizes, plans windows, feeds the model and writes rows as documents become
// complete, so that a stop loses no finished document.
//
// It answers: what did this checkpoint say about every token of these texts,
// under which window policy? It refuses to start before the whole input is
// known to be well formed and every id to lie in the vocabulary, and to leave a
// file under the final name that is not complete.
//
// The input is read twice. The first pass ([Plan]) takes the digests that make
// the identity of the run; the second ([Run]) scores.
package score
