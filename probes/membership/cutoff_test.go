package membership

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
)

func TestJump(t *testing.T) {
	// numpy 2.4 least squares with HC0.
	var x []Dated
	for i, y := range []float64{1, 1.1, 1.3, 1.2, 1.4, 1, 1.1, .9, 1.2, 1.15} {
		x = append(x, Dated{ID: fmt.Sprint(i), Days: float64(i - 5), Score: y, Bytes: math.NaN(), Blind: math.NaN()})
	}
	j, err := jump(x, func(d Dated) float64 { return d.Score }, 0, 6, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "tau", j.Tau, -.4614286, 1e-7)
	near(t, "se", j.SE, .0541207, 1e-7)
}

// dated simulates n texts over a year around a cutoff; drop lowers the score after
// it, trend moves bytes at the cutoff.
func dated(g *gen.Stream, n int, drop, bytes float64) []Dated {
	out := make([]Dated, n)
	for i := range out {
		d := float64(g.Below(720)-360) + .5
		x := Dated{ID: fmt.Sprint(i), Days: d, Score: .001*d + .3*g.Z(), Bytes: 1000 + 50*g.Z(), Blind: g.Z()}
		if d >= 0 {
			x.Score -= drop
			x.Bytes += bytes
		}
		out[i] = x
	}
	return out
}

func TestCutoff(t *testing.T) {
	g := gen.New(8)
	for name, c := range map[string]struct {
		texts   []Dated
		tier    probes.Tier
		finding string
	}{
		"drop":             {dated(g, 2000, .5, 0), probes.TierB, FindingShown},
		"no drop":          {dated(g, 2000, 0, 0), probes.TierB, FindingNotShown},
		"covariate jumps":  {dated(g, 2000, .5, 200), probes.TierC, FindingDescriptive},
		"known by month":   {dated(g, 2000, .5, 0), probes.TierB, FindingShown},
		"undefined scores": {func() []Dated { x := dated(g, 2000, .5, 0); x[3].Score = math.NaN(); return x }(), probes.TierB, FindingShown},
	} {
		r, err := Cutoff(c.texts, CutoffOptions{Bandwidth: 150, Months: name == "known by month"})
		if err != nil {
			t.Fatal(name, err)
		}
		if r.Verdict.Tier != c.tier || r.Verdict.Finding != c.finding || (c.tier == probes.TierC) != (len(r.P) == 0) {
			t.Errorf("%s: tier %s, finding %s, %d p-values, checks %v", name, r.Verdict.Tier, r.Verdict.Finding, len(r.P), r.Settings["checks"])
		}
	}
	for name, c := range map[string]struct {
		texts []Dated
		o     CutoffOptions
		class fault.Class
	}{
		"no bandwidth": {dated(g, 50, 0, 0), CutoffOptions{}, fault.Usage},
		"donut":        {dated(g, 50, 0, 0), CutoffOptions{Bandwidth: 10, Donut: 20}, fault.Usage},
		"one side":     {slices.DeleteFunc(dated(g, 200, 0, 0), func(d Dated) bool { return d.Days > 0 }), CutoffOptions{Bandwidth: 100}, fault.Input},
		"nothing":      {nil, CutoffOptions{Bandwidth: 100}, fault.Input},
	} {
		if _, err := Cutoff(c.texts, c.o); fault.As(err) == nil || fault.As(err).Class != c.class {
			t.Errorf("%s: %v, want class %d", name, err, c.class)
		}
	}
}
