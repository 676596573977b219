package assoc

import (
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes"
)

// LogSumExp returns ln of the sum of exp, -Inf for nothing.
func LogSumExp(x []float64) float64 {
	if len(x) == 0 {
		return math.Inf(-1)
	}
	m := slices.Max(x)
	if math.IsInf(m, -1) {
		return m
	}
	var s float64
	for _, v := range x {
		s += math.Exp(v - m)
	}
	return m + math.Log(s)
}

// Softmax returns exp(x) normalised.
func Softmax(x []float64) []float64 {
	z, out := LogSumExp(x), make([]float64, len(x))
	for i, v := range x {
		out[i] = math.Exp(v - z)
	}
	return out
}

// Forms are the options of one choice, each worded in one or more ways.
type Forms [][]string

// Flat lists all forms, option by option: the targets of the request.
func (f Forms) Flat() (out []string) {
	for _, o := range f {
		out = append(out, o...)
	}
	return out
}

// Options returns ln of the total probability of each option from the answers
// to Flat, and the mass of all. Forms are deduplicated by token ids, and a
// form whose ids extend those of another is left out: its probability is part
// of the other's. straddle reports a token across the seam.
func (f Forms) Options(answers []Answer) (ll []float64, mass float64, straddle bool, err error) {
	n := 0
	for _, o := range f {
		n += len(o)
	}
	if n != len(answers) {
		return nil, 0, false, fault.Inputf("malformed", "assoc: choice: found %d answers, want %d", len(answers), n)
	}
	option := make([]int, 0, n)
	for k, o := range f {
		for range o {
			option = append(option, k)
		}
	}
	parts := make([][]float64, len(f))
	for i, a := range answers {
		straddle = straddle || a.Straddle
		if keep, other := counted(answers, i); !keep {
			if option[other] != option[i] {
				return nil, 0, straddle, fault.Inputf("malformed", "assoc: choice: options %d and %d share or extend the same tokens: they cannot be told apart", option[other]+1, option[i]+1)
			}
			continue
		}
		parts[option[i]] = append(parts[option[i]], a.LL())
	}
	var all []float64
	for _, p := range parts {
		ll = append(ll, LogSumExp(p))
		all = append(all, p...)
	}
	return ll, math.Exp(LogSumExp(all)), straddle, nil
}

// counted reports whether answer i is neither equal to an earlier one nor an
// extension of any other; other is the one that covers it.
func counted(answers []Answer, i int) (keep bool, other int) {
	for j, b := range answers {
		a := answers[i].Tokens
		if j == i || len(b.Tokens) > len(a) {
			continue
		}
		same := slices.EqualFunc(a[:len(b.Tokens)], b.Tokens, func(x, y Token) bool { return x.ID == y.ID })
		if same && (len(b.Tokens) < len(a) || j < i) {
			return false, j
		}
	}
	return true, i
}

// Warn makes a warning.
func Warn(code, text string) probes.Warning { return probes.Warning{Code: code, Text: text} }

// Undefined is an estimate that could not be computed, with the reason.
func Undefined(name, unit, reason string) probes.Estimate {
	return probes.Estimate{Name: name, Unit: unit, Method: "undefined: " + reason}
}

// Number is an estimate; not finite becomes undefined.
func Number(name, unit string, v float64, method string) probes.Estimate {
	e := probes.Estimate{Name: name, Unit: unit, Method: method}
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		e.Value = probes.Value(v)
	}
	return e
}
