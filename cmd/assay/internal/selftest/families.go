package selftest

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"strings"

	"assay/model"
	"assay/testdata"
	"assay/weights"
)

// families lists one embedded checkpoint of every model_type.
func families() ([]string, error) {
	b, err := fs.ReadFile(testdata.Golden, "reference/index.json")
	if err != nil {
		return nil, err
	}
	var index struct {
		Checkpoints []struct {
			Name string `json:"name"`
			Type string `json:"model_type"`
		} `json:"checkpoints"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("reference/index.json: %w", err)
	}
	var names, types []string
	for _, c := range index.Checkpoints {
		if !slices.Contains(types, c.Type) {
			names, types = append(names, c.Name), append(types, c.Type)
		}
	}
	return names, nil
}

// checkFamilies scores one checkpoint of every family once. Encoders are left out:
// they have no next token.
func checkFamilies(ctx context.Context, o *Options) []Check {
	const label = "every family"
	names, err := families()
	if err != nil {
		return one(label, Fail, "", "%v", err)
	}
	var wrong []string
	var worst, hidden float64
	n := 0
	for _, name := range names {
		if ctx.Err() != nil {
			return nil
		}
		lp, h, causal, err := checkFamily(ctx, o, name)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %v", name, err))
		case causal:
			n++
			worst, hidden = max(worst, lp), max(hidden, h)
			if !(lp <= tolLogprob && h <= tolHidden) {
				wrong = append(wrong, fmt.Sprintf("%s: log-prob off by %.1e nats, hidden state by %.1e", name, lp, h))
			}
		}
	}
	if len(wrong) > 0 {
		return one(label, Fail, "do not trust results of these families on this machine and build", "%s", strings.Join(wrong, "; "))
	}
	return one(label, OK, "", "%d families: log-prob within %.1e nats of float64 (limit %.0e), hidden state %.1e relative (limit %.0e)", n, worst, tolLogprob, hidden, tolHidden)
}

func checkFamily(ctx context.Context, o *Options, name string) (lp, hidden float64, causal bool, err error) {
	dir, done, err := unpack(name)
	if err != nil {
		return 0, 0, false, err
	}
	defer done()
	ck, err := weights.Open(dir)
	if err != nil {
		return 0, 0, false, err
	}
	d, err := model.Describe(ck)
	_ = ck.Close() // only read
	if err != nil || d.Info.Encoder {
		return 0, 0, false, err
	}
	g, err := readGolden(dir)
	if err != nil {
		return 0, 0, false, err
	}
	got, h, err := score(ctx, dir, o.Backend, runtime.GOMAXPROCS(0), 64*192, g)
	if err != nil {
		return 0, 0, false, err
	}
	if math.IsNaN(against(got, g.logprob)) {
		return math.Inf(1), 0, true, nil
	}
	return against(got, g.logprob), relative(h, g.hidden), true, nil
}
