package model

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"github.com/gomlx/compute/dtypes"
)

// TestMemoryLimit: a window whose forecast exceeds the limit is refused before
// it runs, shorter ones still run; fewer batches at once are tried first.
func TestMemoryLimit(t *testing.T) {
	fam, s, src := forms()[0].build() // 1000 positions
	m := loadForm(t, fam, s, src, Options{BatchTokens: 64})
	short, long := m.Forecast(500).Total(), m.Forecast(1000).Total()
	if long <= short {
		t.Fatalf("forecast of 1000 inputs %d, of 500 %d", long, short)
	}
	m.limit = (m.Forecast(m.usual()).Total() + long) / 2
	none := func(Window, Scores) error { return nil }
	if err := m.Score(context.Background(), each(randomWindows(2, 500, s.Vocab)), ScoreOptions{}, none); err != nil {
		t.Error(err)
	}
	err := m.Score(context.Background(), each(randomWindows(2, 1000, s.Vocab)), ScoreOptions{}, none)
	if f := fault.As(err); f == nil || f.Class != fault.Retry || f.Code != "memory" || !strings.Contains(err.Error(), "1024") {
		t.Errorf("error %v, want class 4, code memory, the bucket", err)
	}

	m.inflight = 8
	two := m.spec.forecast(m.spec.weightBytes(m.source.inv, false), m.opts.BatchTokens, 2, m.usual()).Total()
	m.limit = two
	if err := m.admit(); err != nil || m.inflight != 2 {
		t.Errorf("%d batches at once, %v; want 2", m.inflight, err)
	}
	m.limit = 1 << 20
	if f := fault.As(m.admit()); f == nil || f.Code != "memory" {
		t.Error("1 MB: want an error")
	}
}

// TestWide16: matrices held as stored give the same figures within the
// tolerances of the reference, for bfloat16 and float16; auto chooses them when
// float32 does not fit; a float32 checkpoint stays float32.
func TestWide16(t *testing.T) {
	for _, c := range []struct {
		name string
		half bool
	}{{"llama-llama3", true}, {"gpt_neox-parallel", true}, {"qwen2", true}, {"gemma2", true}, {"qwen3", false}} {
		t.Run(c.name, func(t *testing.T) {
			e := readExpected(t, c.name)
			m := loadReference(t, c.name, Options{BatchTokens: 256, Weights: WeightsWide16})
			slots := m.spec.Block(0).slots(m.spec.Width, m.fold)
			for i, s := range slots {
				if is := m.layers[0][i].DType() != dtypes.Float32; strings.HasSuffix(s.name, ".w") && is != c.half {
					t.Errorf("%s: dtype %s", s.name, m.layers[0][i].DType())
				}
			}
			for s, got := range scoreAll(t, m, e.windows(), ScoreOptions{}) {
				want := e.tensors[fmt.Sprintf("logprob.%d", s)].f
				for i, v := range got.Logprob {
					if d := math.Abs(float64(v) - want[i]); !(d <= tolLogprob) {
						t.Fatalf("sequence %d target %d: logprob off by %g", s, i, d)
					}
				}
			}
		})
	}
	m := loadReference(t, "llama-llama3", Options{BatchTokens: 64})
	if m.half {
		t.Error("auto: 16 bits although float32 fits")
	}
	m.inflight = 1
	m.limit = m.Forecast(m.usual()).Total() - 1<<10
	if err := m.admit(); err != nil || !m.half {
		t.Errorf("auto under a limit: half %t, %v", m.half, err)
	}
}
