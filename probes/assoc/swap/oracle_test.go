package swap

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestStatsmodels: the mean over questions is the fixed effect of a random-intercept
// model and of least squares with a level for each question (statsmodels 0.15,
// ../testdata/make_oracle.py), the t test that of scipy; the random intercept's own
// standard error is another, too small for race and too large for gender.
func TestStatsmodels(t *testing.T) {
	raw, err := os.ReadFile("../testdata/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Swap map[string]map[string]struct {
			Mixed, OLS, T float64
			SE            float64 `json:"mixed_se"`
			Log10P        float64 `json:"log10_p"`
		}
	}
	if err := json.Unmarshal(raw, &o); err != nil || len(o.Swap) != 5 {
		t.Fatal(err, len(o.Swap))
	}
	all := stored(t)
	for prompt, levels := range o.Swap {
		e, err := FitWith(all[prompt], few())
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range levels {
			found := false
			for _, c := range e.Coefs {
				if c.Name != name {
					continue
				}
				found = true
				if math.Abs(c.Value-want.Mixed) > 1e-6 || math.Abs(c.Value-want.OLS) > 1e-6 {
					t.Errorf("%s %s: %v, want %v (mixed), %v (least squares)", prompt, name, c.Value, want.Mixed, want.OLS)
				}
				if name == "female" && (math.Abs(c.Value/c.SE-want.T) > 1e-9 || math.Abs(c.LogPTwo/math.Ln10-want.Log10P) > 1e-9) {
					t.Errorf("%s: t %v, log10 p %v, want %v, %v", prompt, c.Value/c.SE, c.LogPTwo/math.Ln10, want.T, want.Log10P)
				}
				if prompt == "default" && name == "Black" && !(want.SE < .6*c.SE) {
					t.Errorf("the random intercept's standard error %v is not far below %v", want.SE, c.SE)
				}
			}
			if !found {
				t.Errorf("%s: no coefficient %s", prompt, name)
			}
		}
	}
}
