// Package window plans forward passes: which ids each pass feeds and which
// positions it scores, under the rules of the tools that publish perplexities.
package window

import "errors"

// Window is one forward pass over S[Begin:End), S = prefix, context and
// document ids in that order.
type Window struct {
	Begin, End int // inputs
	Lo, Hi     int // targets S[Lo:Hi), all of them document ids; End >= Hi-1
	// ReplaceBOS feeds the prefix's first id in place of S[Begin].
	ReplaceBOS bool
	// Prefix ids are fed before S[Begin] (policy EachWindow).
	Prefix int
}

// Ctx returns the number of ids that the prediction of S[i] could see.
func (w Window) Ctx(i int) int { return w.Prefix + i - w.Begin }

// Plan returns the windows of one document.
func Plan(p Policy, prefix, context, tokens int) ([]Window, error) {
	return nil, errors.New("window: not written yet")
}

// Validate reports settings that no plan can follow.
func (p Policy) Validate(modelPositions int) error { return nil }

// WithDefaults fills the numbers that the policy leaves to the model.
func (p Policy) WithDefaults(modelPositions int) Policy { return p }
