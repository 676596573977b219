package units

import (
	"fmt"
	"math"

	"assay/latent/aqi"
	"assay/latent/internal/report"
	"assay/probes"
)

func (sc *screen) report(gate aqi.Gate, picks []Pick) *ScreenReport {
	b := report.New("probe.unit-screen", Version, sc.o.Seed)
	b.Input("states", sc.in)
	var layers []int
	for _, k := range sc.layers {
		layers = append(layers, sc.v.Layers[k])
	}
	b.Settings = map[string]any{
		"groups": sc.d.Groups, "view": sc.v.Name(), "span": sc.v.Span, "layers": layers, "bins": sc.o.Bins, "perm": sc.o.Draws,
		"top": sc.o.Top, "folds": sc.o.Folds, "strata": len(sc.d.Strata), "checks": gate.Checks,
	}
	b.N["rows"], b.N["layers"], b.N["units.screened"] = len(sc.docs), len(layers), len(layers)*sc.v.Width
	for _, w := range gate.Warnings {
		b.Warn(w.Code, "%s", w.Text)
	}
	if sc.sample {
		b.Warn("sampled", "%d documents of the sample", len(sc.docs))
	}
	stable := 0
	for i, p := range picks {
		at := fmt.Sprintf("@%s.%d.%d", sc.v.Name(), p.Layer, p.Unit)
		b.Add("screen.information"+at, p.Info, "nats", fmt.Sprintf("mutual information in %d bins less its bias; rank %d", sc.o.Bins, i+1), "")
		b.Add("screen.folds"+at, p.Folds, "fraction", "share of folds whose training rows pick the unit", "")
		if p.Folds > 1-1e-9 {
			stable++
		}
		if gate.Tier != probes.TierC {
			b.PValue("screen.information"+at, p.Log10P, fmt.Sprintf("maximum over %d units and layers, %d label permutations", len(layers)*sc.v.Width, sc.o.Draws),
				"labels are exchangeable between units of text inside a stratum")
		} else {
			picks[i].Log10P = math.NaN()
		}
	}
	if stable == 0 {
		b.Warn("no-stable", "no unit is picked by every fold")
	}
	v := probes.Verdict{Tier: gate.Tier, Finding: "descriptive"}
	if len(picks) > 0 {
		p := picks[0]
		v.Says = fmt.Sprintf("Unit %d of layer %d shares most with the label: %.4f nats after correction; %d of the first %d units are picked by every fold.", p.Unit, p.Layer, p.Info, stable, len(picks))
		if gate.Tier != probes.TierC {
			v.Says += fmt.Sprintf(" Family-wise log10 p %.2f.", p.Log10P)
			v.Finding = "not-found"
			if p.Log10P < math.Log10(.05) {
				v.Finding = "found"
			}
		}
	}
	v.DoesNotSay = "That the unit causes anything, or that it carries the meaning of the label and not topic, length or words."
	b.Verdict = v
	return &ScreenReport{b.Done(), picks}
}
