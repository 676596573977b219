package ghost

import (
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// RankPower returns the power of the rank test of one secret among m controls at
// level alpha when the secret's score is shifted by delta control standard
// deviations (normal scores): the integral over the secret's score x of
// phi(x-delta) P(at most floor(alpha(m+1)) - 1 controls exceed x). 0 when even
// rank 1 could not reach alpha.
func RankPower(delta float64, m int, alpha float64) float64 {
	need := int(math.Floor(alpha*float64(m+1) + 1e-9))
	if need < 1 {
		return 0
	}
	k := float64(need - 1)
	f := func(x float64) float64 {
		below := 1.0
		if float64(m) > k {
			// P(Bin(m, p) <= k) = I_{1-p}(m-k, k+1), p = P(control > x)
			below = mathext.RegIncBeta(float64(m)-k, k+1, math.Erfc(-x/math.Sqrt2)/2)
		}
		d := x - delta
		return math.Exp(-d*d/2) / math.Sqrt(2*math.Pi) * below
	}
	total := 0.0
	for a := delta - 9; a < delta+9; a += .5 {
		total += quad.Fixed(f, a, a+.5, 16, quad.Legendre{}, 0)
	}
	return min(1, total)
}

// SumPower returns the power of the combination `sum` over k secrets at level
// alpha, about Phi(delta sqrt k - z_alpha).
func SumPower(delta float64, k int, alpha float64) float64 {
	n := distuv.UnitNormal
	return n.CDF(delta*math.Sqrt(float64(k)) - n.Quantile(1-alpha))
}

// Forecast is one row of the power table: what a design can show at a shift.
type Forecast struct {
	Delta    float64 `json:"delta"` // shift in control standard deviations
	AUC      float64 `json:"auc"`   // P(planted > control) at that shift
	Secrets  int     `json:"secrets"`
	Controls int     `json:"controls"`
	Alpha    float64 `json:"alpha"`
	One      float64 `json:"one"`         // power of one secret's rank test
	All      float64 `json:"all"`         // power of `sum` over all secrets
	Floor    float64 `json:"log10_p_min"` // smallest log10 p that fisher or rank-sum can reach
}

// Power forecasts a design at several shifts.
func Power(deltas []float64, secrets, controls int, alpha float64) []Forecast {
	out := make([]Forecast, len(deltas))
	for i, d := range deltas {
		out[i] = Forecast{
			Delta: d, AUC: distuv.UnitNormal.CDF(d / math.Sqrt2), Secrets: secrets, Controls: controls, Alpha: alpha,
			One: RankPower(d, controls, alpha), All: SumPower(d, secrets, alpha),
			Floor: -float64(secrets) * math.Log10(float64(controls+1)),
		}
	}
	return out
}
