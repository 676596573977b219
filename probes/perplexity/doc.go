// Package perplexity answers how well a checkpoint predicts a text, with what
// uncertainty, and with which published number the answer may be compared.
//
// It computes negative log-likelihood per token, word, byte and character over
// the scored rows of a trace, aggregates documents (micro is the headline), and
// puts an interval on each figure by leaving out whole documents, because tokens
// depend on each other and documents, one hopes, do not. Compare puts two
// checkpoints side by side on the same texts; Explain splits a difference between two
// traces of one text into denominators, coverage, context, tokenizer and model.
// Tools lists which of our figures equals which tool's.
//
// It refuses to say anything about training data (tier C; a p-value exists only
// between two checkpoints), to compare per-token figures across tokenizers, to
// average perplexities in the headline, and to print word or byte figures for a rule
// that scores half of the tokens.
//
// Sources: huggingface/transformers docs/source/en/perplexity.md;
// EleutherAI/lm-evaluation-harness lm_eval/utils.py and api/model.py;
// ggml-org/llama.cpp tools/perplexity/perplexity.cpp at 050fc7f; Efron and
// Tibshirani 1993 for jackknife and bootstrap.
package perplexity
