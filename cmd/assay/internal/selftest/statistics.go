package selftest

import (
	"context"
	"fmt"
	"math"

	"assay/probes/stat"
)

// checkStatistics compares shared statistics with values of other programs.
func checkStatistics(context.Context, *Options) []Check {
	const name = "statistics"
	tied, err := stat.Spearman([]float64{0, 0, 1, 1, 2, 2, 3}, []float64{.1, .3, .2, .3, .5, .4, .5})
	if err != nil {
		return one(name, Fail, "", "%v", err)
	}
	upper, _ := stat.LogTailT(0.3, 1_000_000)
	exact, _ := stat.LogTailRankSum(20, 4, 6)
	cases := []struct {
		what      string
		got, want float64
	}{
		{"Spearman with ties (scipy 1.17)", tied, 0.850504433706267},
		{"Student tail, rho 0.3, n 10^6, log10 (mpmath 1.3)", upper / math.Ln10, -20482.139096100},
		{"rank-sum tail, 4 against 6, log10 (counting)", exact / math.Ln10, -1.2430380486863},
		{"normal tail at 40, log10 (scipy 1.17)", stat.LogTailNormal(40) / math.Ln10, -349.4370},
	}
	for _, c := range cases {
		if !(math.Abs(c.got-c.want) <= 1e-6*math.Max(1, math.Abs(c.want))) {
			return one(name, Fail, "do not trust results of this machine and build", "%s: found %.12g, want %.12g", c.what, c.got, c.want)
		}
	}
	return one(name, OK, "", "%s", fmt.Sprintf("%d golden values of scipy, mpmath and counting hold", len(cases)))
}
