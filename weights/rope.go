package weights

import (
	"fmt"
	"math"

	"assay/internal/fault"
)

// RoPE says how positions rotate q and k.
type RoPE struct {
	Type    string  // default, linear, dynamic, llama3, yarn or longrope
	Theta   float64 // base of the wavelengths
	Partial float64 // share of each head that is rotated, in (0, 1]

	Factor            float64 // all but default; longrope: 0 means MaxPositions / Original
	Original          int     // positions before scaling: llama3, yarn, longrope
	MaxPositions      int     // max_position_embeddings: dynamic, longrope
	LowFreq, HighFreq float64 // llama3

	BetaFast, BetaSlow   float64 // yarn
	MScale, MScaleAllDim float64 // yarn; 0 means not given
	Truncate             bool    // yarn: correction range rounded to whole dimensions
	AttentionFactor      float64 // yarn, longrope; 0 means derived

	ShortFactor, LongFactor []float64 // longrope, one per rotated pair
}

// RotaryDim returns how many dimensions of a head of size headDim are rotated.
func (r RoPE) RotaryDim(headDim int) int { return int(float64(headDim) * r.Partial) }

// InvFreq returns the inverse frequencies, one per rotated pair, and the factor
// on cos and sin, for a forward pass of window positions. Only longrope and
// dynamic look at window. Formulas: transformers 5.23, modeling_rope_utils, in
// float64 (transformers itself computes the tables in float32).
func (r RoPE) InvFreq(headDim, window int) (inv []float64, attention float64, err error) {
	dim := r.RotaryDim(headDim)
	if dim < 2 || dim%2 != 0 || dim > headDim {
		return nil, 0, fault.Inputf("unsupported", "weights: rope: %v of a head of %d: found %d rotated dimensions, want an even number from 2 to %d", r.Partial, headDim, dim, headDim)
	}
	if !(r.Theta > 1) || math.IsInf(r.Theta, 0) {
		return nil, 0, fault.Inputf("unsupported", "weights: rope: found theta %v, want more than 1", r.Theta)
	}
	inv = make([]float64, dim/2)
	for i := range inv {
		inv[i] = 1 / math.Pow(r.Theta, float64(2*i)/float64(dim))
	}
	attention = 1
	switch r.Type {
	case "default":
	case "linear":
		for i := range inv {
			inv[i] /= r.Factor
		}
	case "dynamic":
		if window > r.MaxPositions {
			return nil, 0, fault.Inputf("unsupported", "weights: rope dynamic: found a window of %d, want at most max_position_embeddings %d", window, r.MaxPositions).
				Hint("score with a window of at most %d", r.MaxPositions)
		}
	case "llama3":
		r.llama3(inv)
	case "yarn":
		attention = r.yarn(inv, dim)
	case "longrope":
		if attention, err = r.longrope(inv, window); err != nil {
			return nil, 0, err
		}
	default:
		return nil, 0, fault.Inputf("unsupported", "weights: rope: found type %q, want %s", r.Type, ropeTypeList)
	}
	for i, f := range append(inv[:len(inv):len(inv)], attention) {
		if !(f > 0) || math.IsInf(f, 0) {
			return nil, 0, fault.Inputf("unsupported", "weights: rope %s: number %d of the table is %v, want positive numbers: %+v", r.Type, i, f, r)
		}
	}
	return inv, attention, nil
}

// llama3 leaves short wavelengths alone, stretches long ones by the factor,
// and blends in between.
func (r RoPE) llama3(inv []float64) {
	original := float64(r.Original)
	for i, f := range inv {
		switch wave := 2 * math.Pi / f; {
		case wave < original/r.HighFreq:
		case wave > original/r.LowFreq:
			inv[i] = f / r.Factor
		default:
			smooth := (original/wave - r.LowFreq) / (r.HighFreq - r.LowFreq)
			inv[i] = (1-smooth)*f/r.Factor + smooth*f
		}
	}
}

// yarn interpolates slow dimensions, keeps fast ones, ramps in between, and
// returns the attention factor (Peng et al. 2023).
func (r RoPE) yarn(inv []float64, dim int) float64 {
	correction := func(rotations float64) float64 {
		return float64(dim) * math.Log(float64(r.Original)/(rotations*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	low, high := correction(r.BetaFast), correction(r.BetaSlow)
	if r.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(dim-1))
	if low == high {
		high += 0.001 // as the original does, against division by zero
	}
	for i, f := range inv {
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		inv[i] = f/r.Factor*ramp + f*(1-ramp)
	}
	if r.AttentionFactor != 0 {
		return r.AttentionFactor
	}
	scale := func(m float64) float64 {
		if r.Factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(r.Factor) + 1
	}
	if r.MScale != 0 && r.MScaleAllDim != 0 {
		return scale(r.MScale) / scale(r.MScaleAllDim)
	}
	return scale(1)
}

// longrope divides each frequency by its own factor; the long factors count as
// soon as the window is longer than the original length (Ding et al. 2024).
func (r RoPE) longrope(inv []float64, window int) (float64, error) {
	factors, key := r.ShortFactor, "short_factor"
	if window > r.Original {
		factors, key = r.LongFactor, "long_factor"
	}
	if len(factors) != len(inv) {
		return 0, fault.Inputf("malformed", "weights: rope longrope: %s: found %d numbers, want %d", key, len(factors), len(inv))
	}
	for i := range inv {
		inv[i] /= factors[i]
	}
	if r.AttentionFactor != 0 {
		return r.AttentionFactor, nil
	}
	factor := r.Factor
	if factor == 0 {
		factor = float64(r.MaxPositions) / float64(r.Original)
	}
	if factor <= 1 {
		return 1, nil
	}
	return math.Sqrt(1 + math.Log(factor)/math.Log(float64(r.Original))), nil
}

// Check computes both tables, so that a fault shows before any text is read.
func (r RoPE) Check(headDim int) error {
	for _, window := range []int{1, r.Original + 1} {
		if r.Type == "dynamic" {
			window = 1
		}
		if _, _, err := r.InvFreq(headDim, window); err != nil {
			return fmt.Errorf("head of %d: %w", headDim, err)
		}
	}
	return nil
}
