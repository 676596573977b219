package stat

import (
	"math"
	"testing"
)

const ln10 = math.Ln10

func relClose(t *testing.T, name string, got, want, rel float64) {
	t.Helper()
	if !(math.Abs(got-want) <= rel*math.Abs(want)) {
		t.Errorf("%s = %.15g, want %.15g (relative %g)", name, got, want, math.Abs(got/want-1))
	}
}

// Published vector of the palimpsest test: mpmath 1.3 at 60 digits.
func TestLogTailT(t *testing.T) {
	for _, c := range []struct {
		rho        float64
		n          int
		two, upper float64 // log10
	}{
		{-0.07789184431337588, 99997, -133.631187109625, math.NaN()},
		{0.3, 1e6, -20481.838066104, -20482.139096100},
		{0.02, 1e8, -8690.026206410, -8690.327236406},
		{0.9, 5, -1.427290144916, -1.728320140580},
		{-0.05, 400, -0.496857110627, -0.075339460721},
	} {
		u, two := LogTailT(c.rho, c.n)
		relClose(t, "two-sided", two/ln10, c.two, 1e-9)
		if !math.IsNaN(c.upper) {
			relClose(t, "upper", u/ln10, c.upper, 1e-9)
		}
	}
}
