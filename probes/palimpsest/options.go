package palimpsest

import (
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// None asks for no permutations or no control orders; zero means the default.
const None = -1

// Options of a query. The zero value is ready to use.
type Options struct {
	Combine  string   // none, diff, mean, regress; "" = none, diff or mean by the number of references
	RefBasis []string // of each reference: other-order, base, unrelated, checkpoint:STEP
	Perm     int      // permutations; 0 = 9,999, or 999 above 200,000 units; None = none
	Controls int      // random orders; 0 = 200; None = none
	Seed     uint64   // of permutations, controls and bootstrap
	Alpha    float64  // of the verdict; 0 = 1e-3
	Level    float64  // of intervals; 0 = 0.95
	Tried    int      // options tried on this pair, this one included; 0 = 1
	Series   bool     // also the series that cost time: p against n, control quantiles
	Workers  int      // goroutines; 0 = all cores. Never changes a result

	Progress func(orders int) // called with the orders newly drawn, from several goroutines; nil for silence
}

func (o Options) withDefaults(n, refs int) Options {
	if o.Combine == "" {
		o.Combine = defaultCombine(refs)
	}
	switch {
	case o.Perm == 0 && n > 200000:
		o.Perm = 999
	case o.Perm == 0:
		o.Perm = 9999
	}
	if o.Controls == 0 {
		o.Controls = 200
	}
	if o.Alpha == 0 {
		o.Alpha = 1e-3
	}
	if o.Level == 0 {
		o.Level = 0.95
	}
	if o.Tried == 0 {
		o.Tried = 1
	}
	return o
}

// Orders returns how many random orders a query over n units with references will
// draw: the unit of Progress.
func (o Options) Orders(n, refs int) int {
	o = o.withDefaults(n, refs)
	return max(0, o.Perm) + max(0, o.Controls)
}

// Validate reports the first option out of range for a number of references.
func (o Options) Validate(refs int) error {
	switch {
	case !slices.Contains([]string{"", "none", "diff", "mean", "regress"}, o.Combine):
		return fault.Usagef("palimpsest: combine %q, want none, diff, mean or regress", o.Combine)
	case o.Perm < None || o.Controls < None:
		return fault.Usagef("palimpsest: %d permutations and %d controls, want at least 0", o.Perm, o.Controls)
	case o.Alpha < 0 || o.Alpha >= 1 || o.Level < 0 || o.Level >= 1:
		return fault.Usagef("palimpsest: alpha %g and level %g, want between 0 and 1", o.Alpha, o.Level)
	case o.Tried < 0:
		return fault.Usagef("palimpsest: %d options tried, want at least 1", o.Tried)
	case refs > 0 && len(o.RefBasis) != refs:
		return fault.Usagef("palimpsest: %d references with %d declared bases, want one each", refs, len(o.RefBasis)).
			Hint("say why each reference is independent of the order: --ref-basis other-order, base, unrelated or checkpoint:STEP")
	}
	for _, b := range o.RefBasis {
		if _, _, err := parseBasis(b); err != nil {
			return err
		}
	}
	return nil
}

// parseBasis splits a reference basis; step is negative except for checkpoint:STEP.
func parseBasis(s string) (kind string, step int64, err error) {
	kind, arg, has := strings.Cut(s, ":")
	switch kind {
	case "other-order", "base", "unrelated":
		if !has {
			return kind, -1, nil
		}
	case "checkpoint":
		if step, err = strconv.ParseInt(arg, 10, 64); err == nil && step >= 0 {
			return kind, step, nil
		}
	}
	return "", -1, fault.Usagef("palimpsest: reference basis %q, want other-order, base, unrelated or checkpoint:STEP", s)
}
