package show

import (
	"bytes"
	"strings"
	"testing"

	"assay/probes"
)

func TestLayered(t *testing.T) {
	est := func(name string, v float64, ci *probes.CI) probes.Estimate {
		return probes.Estimate{Name: name, Value: probes.Value(v), Unit: "ratio", CI: ci, Method: "m"}
	}
	r := &probes.Result{Test: "aqi", N: map[string]int{}, Verdict: probes.Verdict{Tier: probes.TierB},
		Estimates: []probes.Estimate{est("aqi.r2@v.mean.pool", .5, &probes.CI{Lo: .4, Hi: .6, Level: .95}), est("aqi.r2@v.mean.10", .25, &probes.CI{Lo: .1, Hi: .375, Level: .95}),
			est("aqi.r2@v.mean.9", .125, nil), est("aqi.dbs@v.mean.9", 3, nil), {Name: "aqi.gone@v.mean.9", Unit: "ratio"}},
		P: []probes.PValue{{Name: "aqi.r2.familywise@v.mean.9", Log10P: -2, Null: "none"}, {Name: "aqi.r2@v.mean.pool", Log10P: -3, Null: "none"}}}
	for _, n := range strings.Fields("a b c d e f g h i j") {
		r.Estimates = append(r.Estimates, est("aqi.much-longer-"+n+"@v.mean.9", 1, nil))
	}
	var b bytes.Buffer
	if err := Layered(&b, r); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{"aqi.r2@v.mean.pool", "[0.4, 0.6] 95%", "9      0.125", "10     0.25 [0.1, 0.375]", "undefined", "-2.000", "-3.0000", "null hypothesis: none"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Index(out, "\n  9 ") > strings.Index(out, "\n  10 ") {
		t.Error("layers are not in order")
	}
	for line := range strings.Lines(out) {
		if len(line) > Width+1 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if err := Layered(failing{}, r); err == nil {
		t.Error("a writer that fails gave no error")
	}
}
