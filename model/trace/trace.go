// Package trace reads, writes and verifies traces: what a checkpoint assigned to
// every token of a text, under which conditions. A trace is scored once and tested
// many times, on another machine, by programs that hold no model.
//
// A trace is two tables, rows per token and rows per document, in Parquet or in one
// JSONL file, with a header that identifies weights, tokenizer, text, window policy
// and precision by digest. Writer computes all sums and digests and keeps unfinished
// work in a part file that Resume continues; Reader streams or finds single
// documents; Check recomputes everything that can be recomputed without the model;
// Merge joins the shards of many machines exactly.
//
// The same package keeps states files: hidden vectors at named taps, pooled or not, in
// safetensors. StatesPlan fixes cells, sample and layout before the forward pass,
// StatesWriter adds vectors in any order and from any number of machines to the same
// bytes, States reads them, MergeStates joins shards.
//
// It refuses what it cannot vouch for: values that are not finite, rows that break
// a law of probability or disagree with the window policy, files of two runs, holes
// and overlaps between shards, and any file that claims more than it holds.
//
// Log-probabilities, entropies and standard deviations are in nats. A trace contains
// the text that was scored; Redact writes one that does not.
//
// Sources: the compact Thrift and Parquet formats (parquet.apache.org), zstandard
// frames (RFC 8878), the safetensors format, compensated summation (Neumaier 1974),
// exact pairs of float64 (Dekker 1971).
package trace
