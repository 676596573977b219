package perplexity

import (
	"fmt"
	"math"

	"assay/internal/fault"
)

// Choice is one multiple-choice item: what each option cost after the prompt.
type Choice struct {
	ID      string
	Gold    int
	Options []Option
}

// Option is one answer text.
type Option struct{ LogLik, Chars, Bytes, Tokens float64 }

// Accuracies are shares of items whose best option is the gold one. The names
// follow lm-eval; llama-perplexity prints per-token accuracy under acc_norm.
type Accuracies struct {
	Items     int
	Acc       float64 // largest log-likelihood
	AccNorm   float64 // per character, lm-eval's acc_norm
	AccBytes  float64 // per byte
	AccTokens float64 // per token, llama.cpp's
}

// Score compares the four rules. Ties go to the first option, as argmax does.
// Missing options, a gold index outside and values that are not finite are errors.
func Score(items []Choice) (Accuracies, error) {
	a := Accuracies{Items: len(items)}
	if len(items) == 0 {
		return a, fault.Inputf("empty", "perplexity: choices: found no item")
	}
	rules := []struct {
		out  *float64
		size func(Option) float64
		unit string
	}{
		{&a.Acc, func(Option) float64 { return 1 }, "one"}, {&a.AccNorm, func(o Option) float64 { return o.Chars }, "characters"},
		{&a.AccBytes, func(o Option) float64 { return o.Bytes }, "bytes"}, {&a.AccTokens, func(o Option) float64 { return o.Tokens }, "tokens"},
	}
	for _, it := range items {
		if len(it.Options) < 2 || it.Gold < 0 || it.Gold >= len(it.Options) {
			return a, fault.Inputf("malformed", "perplexity: choice %q: found gold %d of %d options, want at least 2 and gold among them", it.ID, it.Gold, len(it.Options))
		}
		for _, r := range rules {
			best, at := math.Inf(-1), -1
			for i, o := range it.Options {
				v := o.LogLik / r.size(o)
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return a, fault.Inputf("nonfinite", "perplexity: choice %q, option %d: found %s, want a finite log-likelihood over a positive number of %s", it.ID, i, fmt.Sprint(v), r.unit)
				}
				if v > best {
					best, at = v, i
				}
			}
			if at == it.Gold {
				*r.out += 1 / float64(len(items))
			}
		}
	}
	return a, nil
}
