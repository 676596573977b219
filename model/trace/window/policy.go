// Package window plans forward passes: which ids each pass feeds and which
// positions it scores, under the rules of the tools that publish perplexities.
// A plan is a function of the policy and of three counts alone, so a reader can
// plan again and compare.
//
// It refuses to shorten anything silently: a stride above the window, a window
// above the model's positions, or a text too long for policy full is an error
// with both numbers.
//
// Sources of the rules: huggingface/transformers docs/source/en/perplexity.md;
// EleutherAI/lm-evaluation-harness lm_eval/utils.py; ggml-org/llama.cpp
// tools/perplexity/perplexity.cpp at 050fc7f; iamgroot42/mimir models.py;
// tatsu-lab/test_set_contamination; the GPTQ evaluation loop.
package window

import (
	"fmt"
	"slices"
	"strings"

	"assay/internal/fault"
)

// Policy names a rule and its numbers. It is part of the identity of a
// measurement: two traces compare only when their policies are equal.
type Policy struct {
	Name      string  `json:"name"`
	Window    int     `json:"window,omitempty"`  // L, C or (oren) c: the most ids that one window feeds
	Stride    int     `json:"stride,omitempty"`  // s, for the strided rules
	Context   int     `json:"context,omitempty"` // c of lmeval-rolling
	BOS       string  `json:"bos,omitempty"`     // what was asked for or, when settled, done: auto, always, never, id:N, none
	PrefixIDs []int32 `json:"prefix_ids"`        // the ids put in front; empty is []
	// SuffixIDs are put behind every document (encoders, which read both ways).
	SuffixIDs []int32 `json:"suffix_ids,omitempty"`
	MaskID    *int32  `json:"mask_id,omitempty"` // pll: the id that stands in the place of the scored one
	Seam      string  `json:"seam,omitempty"`    // joint or separate, when there is a context
	// MaxTokens cuts every document: positions from MaxTokens on are rows but
	// never targets. 0 does not cut.
	MaxTokens int `json:"max_tokens,omitempty"`
	// EachWindow puts the prefix before every window, which then holds as many
	// document ids fewer. No public tool does it.
	EachWindow bool `json:"bos_each_window,omitempty"`
}

// Info describes one rule for help texts.
type Info struct {
	Name       string
	Reproduces string // the published figures that it agrees with
	Never      string // what it never scores
	Defaults   string
	BOS        string // what --bos auto means
}

// Masked is the name of the rule for masked language models, the only one that
// an encoder can follow.
const Masked = "pll"

type rule struct {
	Info
	stride  bool // needs Stride
	context bool // needs Context
	each    bool // may repeat the prefix
	masked  bool // for masked language models
	fixed   int  // default window, 0 = the model's positions
	step    int  // default stride, 0 = half of the window
	plan    func(*planner) error
}

const (
	template = "ids that the tokenizer's own template puts in front, once"
	llama    = "BOS if and only if the vocabulary adds it"
)

// rules is the table of the policies; nothing changes it.
var rules = []rule{
	{Info{"full", "evaluate perplexity (with --bos always), min-k and mimir scores of short texts", "first id of the sequence", "L = positions", template},
		false, false, true, false, 0, 0, planFull},
	{Info{"hf-stride", "sliding windows, each scored token counted once", "first id; with s = L the first id of every window", "L = positions, s = L/2", template},
		true, false, true, false, 0, 0, planStride},
	{Info{"hf-stride-doc", "the loop of the transformers perplexity page (same windows as hf-stride, its own average)", "as hf-stride", "L = positions, s = L/2", template},
		true, false, true, false, 0, 0, planStride},
	{Info{"lmeval-rolling", "lm-evaluation-harness word_perplexity, byte_perplexity, bits_per_byte", "nothing", "L = positions, c = 1", "id:N if given, else BOS, else EOS (warning eos-as-prefix)"},
		false, true, false, false, 0, 0, planRolling},
	{Info{"llamacpp", "llama-perplexity, Final estimate: PPL", "first half and one of each chunk; the tail", "C = 512", llama},
		false, false, false, false, 512, 0, planLlama},
	{Info{"llamacpp-stride", "llama-perplexity --ppl-stride", "all but the last s of the first window; the tail", "C = 512, s must be given", llama},
		true, false, false, false, 512, -1, planLlamaStride},
	{Info{"mimir", "mimir, min-k papers on long texts", "first id", "L = positions, s = L/2", template},
		false, false, true, false, 0, 0, planMimir},
	{Info{"oren", "tatsu-lab/test_set_contamination", "first id", "c = 2048, s = 1024", "template per example, so BOS may stand between examples"},
		true, false, false, false, 2048, 1024, planOren},
	{Info{"gptq", "quantisation papers, WikiText-2 PPL", "first id of each block; the tail", "L = 2048", template},
		false, false, true, false, 2048, 0, planGPTQ},
	{Info{Masked, "pseudo-log-likelihood of masked language models (Salazar et al. 2020): each token masked in turn, one pass per token", "nothing", "L = positions", "ids that the tokenizer's own template puts in front; those that it puts behind follow"},
		false, false, false, true, 0, 0, planMasked},
}

// Policies describes every rule, in the order of the help page.
func Policies() []Info {
	var is []Info
	for _, r := range rules {
		is = append(is, r.Info)
	}
	return is
}

func find(name string) (rule, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.Name == name })
	if i < 0 {
		return rule{}, false
	}
	return rules[i], true
}

func (p Policy) rule() rule { r, _ := find(p.Name); return r }

// WithDefaults fills the numbers that were not given. It fills what the model
// decides from its number of positions (0 if it has no limit; then the window
// of a rule without a default of its own stays 0, which Validate refuses).
func (p Policy) WithDefaults(modelPositions int) Policy {
	r, ok := find(p.Name)
	if !ok {
		return p
	}
	if p.Window == 0 {
		if p.Window = r.fixed; r.fixed == 0 {
			p.Window = max(modelPositions, 0)
		}
	}
	if r.stride && p.Stride == 0 && r.step >= 0 {
		if p.Stride = r.step; r.step == 0 {
			p.Stride = p.Window / 2
		}
	}
	if r.context && p.Context == 0 {
		p.Context = 1
	}
	if p.PrefixIDs == nil {
		p.PrefixIDs = []int32{}
	}
	return p
}

// Validate reports settings that no plan can follow, as usage faults.
// modelPositions is the longest input the model takes; 0 leaves it unchecked.
func (p Policy) Validate(modelPositions int) error {
	r, ok := find(p.Name)
	if !ok {
		var names []string
		for _, i := range Policies() {
			names = append(names, i.Name)
		}
		return fault.Usagef("window: policy %q: want one of %s", p.Name, strings.Join(names, ", "))
	}
	longest := p.Window
	switch {
	case p.Window < 2 || p.Window > maxCount:
		return p.bad("window %d, want 2 to %d", p.Window, maxCount)
	case p.MaxTokens < 0 || p.MaxTokens > maxCount:
		return p.bad("max_tokens %d, want 0 to %d", p.MaxTokens, maxCount)
	case r.stride && (p.Stride < 1 || p.Stride > p.Window):
		return p.bad("stride %d, want 1 to the window, %d", p.Stride, p.Window)
	case !r.stride && p.Stride != 0:
		return p.bad("stride %d, but the policy has none", p.Stride)
	case r.context && (p.Context < 1 || p.Context > p.Window):
		return p.bad("context %d, want 1 to the window, %d", p.Context, p.Window)
	case !r.context && p.Context != 0:
		return p.bad("context %d, but the policy has none", p.Context)
	case r.masked && p.MaxTokens != 0:
		return p.bad("max_tokens %d, but every token is predicted from the whole document", p.MaxTokens)
	case !r.masked && p.MaskID != nil:
		return p.bad("mask id %d, but nothing is masked", *p.MaskID)
	case p.EachWindow && !r.each:
		return p.bad("the prefix before every window, but the policy has a rule of its own")
	}
	if p.Name == "llamacpp-stride" {
		longest += p.Stride / 2
	}
	if modelPositions > 0 && longest > modelPositions {
		return p.bad("window %d, the model has %d positions", longest, modelPositions)
	}
	return nil
}

func (p Policy) bad(format string, args ...any) error {
	return fault.Usagef("window: policy %s: %s", p.Name, fmt.Sprintf(format, args...))
}
