package perplexity

// Tool says which of our figures equals which published one.
type Tool struct {
	Theirs string // tool and the name it prints
	Policy string
	Figure string
	Note   string
}

// Tools is the comparison table of the help page.
func Tools() []Tool {
	return []Tool{
		{"lm-eval word_perplexity, byte_perplexity, bits_per_byte", "lmeval-rolling", "ppl_word_lmeval, ppl_byte, bpb (micro)",
			"for wikitext score the detokenised page and count the original: --units-from"},
		{"lm-eval through an API model", "lmeval-rolling", "the same", "with a window one smaller"},
		{"transformers documentation, perplexity page", "hf-stride-doc", "ppl_token", "texts joined by blank lines"},
		{"evaluate perplexity: perplexities, mean_perplexity", "full", "ppl_token per document, macro_ppl", "with --bos always"},
		{"llama-perplexity, Final estimate: PPL = x +/- y", "llamacpp", "ppl_token, se_llamacpp", "window as its -c"},
		{"llama-perplexity --ppl-stride s", "llamacpp-stride", "ppl_token",
			"its context is n_seq*C + s/2 with n_seq = max(1, batch/C), in later versions rounded up to a multiple of 256: equal to ours with -b C; for a context rounded up to N give --window N - s/2"},
		{"quantisation papers, WikiText-2 PPL", "gptq", "ppl_token", "window 2048 or 4096, rows joined by blank lines, BOS once"},
		{"mimir and Min-K% papers", "full (or mimir when long)", "nll_token", ""},
		{"Salazar et al. 2020, pseudo-perplexity (PPPL) of masked models", "pll", "pseudo_ppl_token", "special tokens are never masked; a word of several tokens gives its parts away to each other"},
	}
}

// Anchor is a published figure to try a setup against.
type Anchor struct {
	Model, Text, Figure string
	Value               float64
	Source              string
}

// Anchors are figures as printed by the sources named.
func Anchors() []Anchor {
	return []Anchor{
		{"GPT-2 large", "WikiText-2 test, blank lines", "ppl_token, hf-stride-doc L=1024 s=1024", 19.44, "transformers perplexity page"},
		{"GPT-2 large", "WikiText-2 test, blank lines", "ppl_token, hf-stride-doc L=1024 s=512", 16.44, "transformers perplexity page"},
		{"Llama-2-7B", "WikiText-2", "ppl_word_lmeval", 8.7921, "lm-evaluation-harness pull request 833"},
		{"Llama-2-7B", "WikiText-2", "ppl_byte", 1.5016, "lm-evaluation-harness pull request 833"},
		{"Llama-2-7B", "WikiText-2", "bpb", .5865, "lm-evaluation-harness pull request 833"},
		{"Llama-2-7B", "WikiText-2", "ppl_token, gptq", 5.47, "quantisation tables; lm-evaluation-harness issue 2301"},
		{"Mistral-7B-Instruct-v0.2", "WikiText-2", "ppl_word_lmeval", 9.8183, "lm-evaluation-harness issue 1471"},
		{"LLaMA-7B f16", "WikiText-2", "ppl_token, llamacpp C=512", 5.9565, "llama.cpp pull request 270"},
		{"LLaMA-7B q4_0", "WikiText-2", "ppl_token, llamacpp C=512", 6.5949, "llama.cpp pull request 270"},
	}
}
