package model

import (
	"context"
	"strings"
	"testing"

	"assay/internal/fault"
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
	two := m.spec.forecast(m.info, m.opts.BatchTokens, 2, m.usual()).Total()
	m.limit = two
	if err := m.admit(); err != nil || m.inflight != 2 {
		t.Errorf("%d batches at once, %v; want 2", m.inflight, err)
	}
	m.limit = 1 << 20
	if f := fault.As(m.admit()); f == nil || f.Code != "memory" {
		t.Error("1 MB: want an error")
	}
}
