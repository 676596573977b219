package perplexity

import (
	"math"

	"assay/internal/fault"
	"assay/model/trace/window"
)

// Line is one text under one rule, for the table that shows why tools disagree.
type Line struct {
	Policy    window.Policy
	Tool      string // what the rule reproduces
	Scored    float64
	Share     float64 // of the text's tokens
	NLLToken  float64
	PPLToken  float64
	BPB       float64 // NaN where the rule scores half of the text
	Minus     float64 // nll_token minus that of the first line
	Tokenizer string
}

// Beside puts samples of one text under several rules side by side. Samples of
// different texts, weights or tokenizers do not belong in one table: an error.
func Beside(samples []Sample) ([]Line, error) {
	for _, s := range samples {
		a := samples[0]
		if s.Text != a.Text || s.Tokenizer != a.Tokenizer || s.Weights != a.Weights {
			return nil, fault.Inputf("texts", "perplexity: side by side: found text %s, weights %s, tokenizer %s under policy %s, want %s, %s, %s as under %s",
				short(s.Text), short(s.Weights), short(s.Tokenizer), s.Policy.Name, short(a.Text), short(a.Weights), short(a.Tokenizer), a.Policy.Name)
		}
	}
	reproduces := make(map[string]string)
	for _, i := range window.Policies() {
		reproduces[i.Name] = i.Reproduces
	}
	out := make([]Line, len(samples))
	for i, s := range samples {
		j := &job{s: s, o: Options{}.withDefaults()}
		var nats, size, scored, total, bytes, all float64
		for i := range s.Units {
			u := &s.Units[i]
			nats, size = nats+j.nats(u), size+j.tokens(u)
			scored, total = scored+u.Tokens, total+u.Total
			bytes, all = bytes+u.Bytes, all+u.Nats
		}
		l := Line{Policy: s.Policy, Tool: reproduces[s.Policy.Name], Scored: scored, Share: scored / total,
			NLLToken: nats / size, PPLToken: math.Exp(nats / size), BPB: bits(all / bytes), Tokenizer: s.Tokenizer}
		if j.half() {
			l.BPB = math.NaN()
		}
		out[i] = l
		out[i].Minus = l.NLLToken - out[0].NLLToken
	}
	return out, nil
}
