package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"assay/model/internal/peak"
)

// shapeModel loads a synthetic model.
func shapeModel(b testing.TB, name string, o Options) *Model {
	b.Helper()
	src, err := Synthetic([]byte(Shapes()[name]), 1)
	if err != nil {
		b.Fatal(err)
	}
	m, err := Load(context.Background(), src, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.Close)
	return m
}

// randomWindows are n windows of T inputs, scored at every position.
func randomWindows(n, T, V int) []Window {
	r := rand.New(rand.NewPCG(7, 7))
	ws := make([]Window, n)
	for i := range ws {
		ids := make([]int32, T+1)
		for j := range ids {
			ids[j] = int32(r.IntN(V))
		}
		ws[i] = Window{Doc: i, IDs: ids[:T], Targets: ids[1:]}
	}
	return ws
}

// doublingWindows are n windows of lengths from 16 to 512, each doubling as
// frequent as the next, in random order.
func doublingWindows(n, V int) []Window {
	r := rand.New(rand.NewPCG(8, 8))
	ws := randomWindows(n, 512, V)
	for i := range ws {
		T := int(16 * math.Exp2(5*r.Float64()))
		ws[i].IDs, ws[i].Targets = ws[i].IDs[:T], ws[i].Targets[:T]
	}
	return ws
}

// BenchmarkScore scores synthetic models. Beside tokens per second it reports
// GF/s (FLOP per token as in Info), and two shares of the peak of an FMA loop
// timed in the same process just before: by the clock, and by processor time,
// which holds on a machine that others use too.
func BenchmarkScore(b *testing.B) {
	for _, c := range []struct {
		name    string
		shape   string
		rows, T int
		o       ScoreOptions
	}{
		{"70m/8x512", "gpt_neox-70m", 16, 512, ScoreOptions{}},
		{"70m/8x512/logprob", "gpt_neox-70m", 16, 512, ScoreOptions{LogprobOnly: true}},
		{"160m/8x512", "gpt_neox-160m", 16, 512, ScoreOptions{}},
		{"160m/8x512/logprob", "gpt_neox-160m", 16, 512, ScoreOptions{LogprobOnly: true}},
		{"llama135m/8x512", "llama-135m", 16, 512, ScoreOptions{}},
		{"70m/64x64", "gpt_neox-70m", 128, 64, ScoreOptions{}},
		{"160m/64x64", "gpt_neox-160m", 128, 64, ScoreOptions{}},
		{"70m/mixed", "gpt_neox-70m", 256, 0, ScoreOptions{}},
		{"160m/mixed", "gpt_neox-160m", 256, 0, ScoreOptions{}},
		{"410m/8x512", "gpt_neox-410m", 16, 512, ScoreOptions{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := shapeModel(b, c.shape, Options{})
			ws := doublingWindows(c.rows, m.spec.Vocab)
			if c.T > 0 {
				ws = randomWindows(c.rows, c.T, m.spec.Vocab)
			}
			tokens, work := 0.0, 0.0 // of one pass; padding counts for nothing
			for _, w := range ws {
				tokens += float64(len(w.IDs))
				work += float64(len(w.IDs)) * m.info.FLOP(len(w.IDs)) / 1e9
			}
			scoreAll(b, m, ws[:2], c.o)
			threads := runtime.GOMAXPROCS(0)
			top := peak.FMA(threads, 300*time.Millisecond)
			b.ResetTimer()
			cpu, start := peak.CPUSeconds(), time.Now()
			for range b.N {
				scoreAll(b, m, ws, c.o)
			}
			wall, cpu := time.Since(start).Seconds(), peak.CPUSeconds()-cpu
			tokens, work = tokens*float64(b.N), work*float64(b.N)
			b.ReportMetric(tokens/wall, "tok/s")
			b.ReportMetric(work/wall, "GF/s")
			b.ReportMetric(100*work/wall/top.GFlops, "%peak")
			b.ReportMetric(float64(peak.RSS()>>20), "MB")
			if cpu > 0 {
				b.ReportMetric(100*work/cpu/top.PerCPU, "%peak-cpu")
				b.ReportMetric(cpu/tokens*1e3, "cpu-ms/tok")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkParts reports the least processor time per token of a batch on one
// core, of the layers alone, with the head, and with all statistics: figures
// that other processes on the machine disturb least.
func BenchmarkParts(b *testing.B) {
	for _, c := range []struct {
		shape   string
		rows, T int
	}{
		{"gpt_neox-70m", 8, 512},
		{"gpt_neox-70m", 64, 64},
		{"gpt_neox-160m", 8, 512},
		{"llama-135m", 8, 512},
	} {
		b.Run(fmt.Sprintf("%s/%dx%d", c.shape, c.rows, c.T), func(b *testing.B) {
			m := shapeModel(b, c.shape, Options{Threads: 1})
			ws := randomWindows(c.rows, c.T, m.spec.Vocab)
			best := map[string]float64{}
			for range max(3, b.N) {
				for name, o := range map[string]*ScoreOptions{"layers": nil, "logprob": {LogprobOnly: true}, "all": {}} {
					cpu := peak.CPUSeconds()
					if err := m.Run(context.Background(), each(ws), Job{Score: o}); err != nil {
						b.Fatal(err)
					}
					cpu = peak.CPUSeconds() - cpu
					if old, ok := best[name]; !ok || cpu < old {
						best[name] = cpu
					}
				}
			}
			top := 0.0
			for range 5 {
				top = max(top, peak.FMA(1, 50*time.Millisecond).PerCPU)
			}
			tokens := float64(c.rows * c.T)
			for name, cpu := range best {
				b.ReportMetric(cpu/tokens*1e6, "us/tok-"+name)
			}
			b.ReportMetric(100*tokens*m.info.FLOP(c.T)/best["all"]/1e9/top, "%peak")
			b.ReportMetric(100*(best["all"]/best["logprob"]-1), "%statistics")
			b.ReportMetric(0, "ns/op")
		})
	}
}
