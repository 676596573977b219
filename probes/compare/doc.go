// Package compare answers: are these two checkpoints the same bytes, the same
// weights, the same behaviour, and if not, how far apart are they?
//
// Weights goes through two checkpoints tensor by tensor in chunks, with no forward
// pass; tensors that stand under another name are recognised by their content, and
// embedding rows are matched by token string where the vocabularies differ.
// Traces puts the scores of two checkpoints on the same documents against each
// other, token by token. States of two checkpoints are compared by latent/compare.
//
// It refuses to conclude descent: equal weights are equal weights, and unequal
// ones may still come from one run. Everything here is tier C; the provenance
// tests (palimpsest, ghost) are made for that question. It refuses to compare
// log-probabilities of tokens that two tokenizers cut differently: then only bits
// per byte of whole documents are given.
//
// # Status of a tensor
//
//	identical  the same type and the same values, bit for bit
//	cast       equal after widening, or one side is the other rounded to nearest even
//	differs    the same shape, other values
//	shape      the shapes differ
//	only-a, only-b  on one side only, under any name
//
// # Warnings
//
//	config-differs      keys of config.json that differ
//	tokenizer-differs   vocabulary, merges, special tokens or another part differ
//	tokenizer-missing   one side has no tokenizer.json: not compared
//	renamed             tensors recognised by content under another name
//	ambiguous           several tensors of equal content: paired in order of name
//	nonfinite           NaN or infinite values, left out of distances
//	policy-differs      the traces were scored under different rules
//	scored-differs      tokens that only one trace scores are left out
//	documents-only      a trace holds sums per document and no tokens
//	partial-trace       a trace was merged from some of its parts
//	redacted            a trace holds no ids: equal tokens were not checked
//	degenerate          an estimate without a number
package compare
