package stat

import (
	"math"
	"testing"
)

// scipy 1.17.1 hypergeom.logsf and fisher_exact(alternative="greater").
func TestLogFisherExact(t *testing.T) {
	for _, c := range []struct {
		a, n1, b, n0 int64
		want         float64
	}{
		{8, 10, 2, 10, math.Log(0.011507068782610578)}, {3, 50, 0, 200, math.Log(0.0076175670423630016)},
		{40, 400, 3, 600, -29.825589836467362}, {0, 5, 3, 5, 0}, {5, 5, 5, 5, 0}, {300, 1000, 100, 1000, -67.52006429137212},
	} {
		near(t, "ln p", LogFisherExact(c.a, c.n1, c.b, c.n0), c.want, 1e-9)
	}
	if !math.IsNaN(LogFisherExact(6, 5, 0, 5)) {
		t.Error("6 of 5: want NaN")
	}
}
